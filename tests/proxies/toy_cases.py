"""Cases of networks that are small enough to score by hand."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from benchbed.proxy import Case
from benchbed.spaces.nb201.space import NB201
from benchbed.task import Split


def case_of(build: Callable[[], nn.Module], images: Tensor, labels: Tensor | None = None, classes: int = 3) -> Case:
    """A case whose network `build` makes; the architecture is no matter."""
    train = Split(images, torch.arange(len(images)) % classes if labels is None else labels)
    cell = NB201().parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    shape = (images.shape[1], images.shape[2], images.shape[3])
    return Case(NB201(), cell, shape, classes, 16, 5, 0, train, build, torch.device("cpu"))


def noise(images: int, channels: int = 2, side: int = 4) -> Tensor:
    return torch.randn(images, channels, side, side, generator=torch.Generator().manual_seed(1))


class Flat(nn.Module):
    """Linear layers in a row, without biases, ReLUs between them."""

    def __init__(self, *widths: int, relu: bool = True):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairwise(widths))
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for number, layer in enumerate(self.layers):
            x = layer(torch.relu(x) if number and self.relu else x)
        return x
