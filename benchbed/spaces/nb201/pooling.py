"""3x3 average pooling, stride 1, whose border counts only what lies inside the image, and its gradient."""

import torch
from torch import Tensor
from torch.nn import functional as F

aten = torch.ops.aten


def pool(x: Tensor) -> Tensor:
    """(n, c, h, w) to the same.

    On the CPU, channels-last, as a depthwise convolution with ones: with its backward pass that took a quarter of the
    time of torch's own pooling at 16 channels, which is as dear there as a 3x3 convolution.
    """
    if not _by_ones(x):
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    with torch.autocast("cpu", enabled=False):  # in the type of x, whatever convolutions are cast to
        return _sums(x) * _reciprocals(x)


def pool_backward(gradient: Tensor, x: Tensor) -> Tensor:
    """The gradient of x where `gradient` is that of `pool(x)`, without a graph."""
    if not _by_ones(x):
        found: Tensor = aten.avg_pool2d_backward(gradient, x, [3, 3], [1, 1], [1, 1], False, False, None)
        return found
    with torch.autocast("cpu", enabled=False):
        return _sums(gradient * _reciprocals(x))


def _by_ones(x: Tensor) -> bool:
    fast = x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16)
    return fast and x.is_contiguous(memory_format=torch.channels_last)


def _sums(x: Tensor) -> Tensor:
    return F.conv2d(x, x.new_ones(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1])


def _reciprocals(x: Tensor) -> Tensor:
    """(1, 1, h, w): one over how many pixels each window has inside the image; counts up to nine are exact."""
    inside = F.conv2d(x.new_ones(1, 1, *x.shape[2:]), x.new_ones(1, 1, 3, 3), padding=1)
    return inside.reciprocal()
