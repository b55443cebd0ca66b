"""A chain of mixed operations with any number of candidates, for measuring what a search step holds in memory."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchbed.layers.mixed import mixed
from benchbed.layers.plan import Plan

EXPANSION = 3
KERNELS = (3, 5, 7)


def _normalise(x: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, training=True)


class Candidate(nn.Module):
    """An inverted bottleneck (MBConv): 1x1 to three times the channels, depthwise, 1x1 back; batch norm after each.

    Kernel sizes change arithmetic and weights, not activations: every candidate holds as much as any other.
    """

    def __init__(self, channels: int, kernel: int):
        super().__init__()
        inner = EXPANSION * channels
        self.expand = nn.Conv2d(channels, inner, 1, bias=False)
        self.depthwise = nn.Conv2d(inner, inner, kernel, padding=kernel // 2, groups=inner, bias=False)
        self.project = nn.Conv2d(inner, channels, 1, bias=False)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        h = F.relu6(_normalise(self.expand(x)))
        h = F.relu6(_normalise(self.depthwise(h)))
        return _normalise(self.project(h))


class Chain(nn.Module):
    """`forward(images, gates, plan)`: stem, `positions` blocks (each the identity plus a mixed operation), linear."""

    def __init__(self, positions: int, operations: int, channels: int = 16, classes: int = 10):
        super().__init__()
        self.stem = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.blocks = nn.ModuleList(
            nn.ModuleList(Candidate(channels, KERNELS[k % len(KERNELS)]) for k in range(operations))
            for _ in range(positions)
        )
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images: Tensor, gates: Tensor, plan: Plan) -> Tensor:
        x = _normalise(self.stem(images))
        for block, row, steps in zip(self.blocks, gates, plan, strict=True):
            candidates = [(how, row[column], block[column]) for column, how in steps]
            x = x + mixed(x, candidates, partial(torch.zeros_like, x))
        return self.classifier(x.mean((2, 3)))

    @property
    def calls(self) -> int:
        """How often candidates were run, over all positions."""
        return sum(c.calls for c in self.modules() if isinstance(c, Candidate))
