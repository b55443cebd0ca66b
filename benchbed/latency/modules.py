"""The modules behind the keys of a layout: what is run to measure one.

An operation of a NAS-Bench-201 edge is measured with the addition to its node's sum, so that a skip connection, which
is nothing else, takes time too.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..spaces.nb201.network import Reduction, conv_bn

_SHAPE = re.compile(r"(\d+)x(\d+)x(\d+)")


class Sample(NamedTuple):
    """A module, and the shape of one image that it is given: (c, h, w)."""

    module: nn.Module
    shape: tuple[int, int, int]


def sample_of(key: str) -> Sample:
    """The module of a layout's key, and its input."""
    kind, *fields = key.split("-")
    values = dict(field.split(":", 1) for field in fields)
    height, width, channels = (int(x) for x in _SHAPE.findall(values["input"])[0])
    found = _SHAPE.findall(values["output"])
    out = int(found[0][2]) if found else int(values["output"])
    make = _NB201.get(kind)
    module = _chain(kind, values, channels, out, height) if make is None else make(channels, out)
    return Sample(module, (channels, height, width))


class OnEdge(nn.Module):
    """An operation, added to what a node holds already."""

    def __init__(self, operation: nn.Module):
        super().__init__()
        self.operation = operation

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.operation(x)
        return x + residual


class Pool(nn.Module):
    """3x3 average pooling, whose border counts only what lies inside the image."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class Head(nn.Module):
    """Global average pooling and the classifier; after batch norm and ReLU where `norm`."""

    def __init__(self, channels: int, classes: int, norm: bool):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels) if norm else None
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        if self.norm is not None:
            x = F.relu(self.norm(x))
        logits: Tensor = self.classifier(x.mean((2, 3)))
        return logits


_NB201: dict[str, Callable[[int, int], nn.Module]] = {
    "skip_connect": lambda channels, out: OnEdge(nn.Identity()),
    "avg_pool_3x3": lambda channels, out: OnEdge(Pool()),
    "nor_conv_1x1": lambda channels, out: OnEdge(nn.Sequential(nn.ReLU(), conv_bn(channels, out, 1))),
    "nor_conv_3x3": lambda channels, out: OnEdge(nn.Sequential(nn.ReLU(), conv_bn(channels, out, 3))),
    "stem": lambda channels, out: conv_bn(channels, out, 3),
    "reduction": lambda channels, out: Reduction(channels),
    "head": lambda channels, out: Head(channels, out, norm=True),
}


def _chain(kind: str, values: dict[str, str], channels: int, out: int, height: int) -> nn.Module:
    from ..spaces.mbconv.network import ConvNorm, InvertedBottleneck, Residual

    if kind == "Logits":
        return Head(channels, out, norm=False)
    if kind == "Conv_1":
        return ConvNorm(channels, out, 1)
    if kind == "Conv":
        return ConvNorm(channels, out, 3, -(-height // int(_SHAPE.findall(values["output"])[0][0])))
    kernel, expand, stride = (int(values[name]) for name in ("kernel", "expand", "stride"))
    block = InvertedBottleneck(channels, out, kernel, expand, stride)
    return Residual(block) if values["idskip"] == "1" else block


def inputs_of(shape: tuple[int, int, int], batch: int, device: torch.device) -> Tensor:
    """Random images (batch, c, h, w), the same for every caller."""
    return torch.rand(batch, *shape, generator=torch.Generator().manual_seed(0)).to(device)
