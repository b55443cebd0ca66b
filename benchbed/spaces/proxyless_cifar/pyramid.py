"""What ProxylessNAS' CIFAR-10 networks and their supernet share: the blocks of a PyramidNet, each around a tree.

All layers are pre-activated: batch norm, ReLU, convolution. What the tree's edges do is the caller's.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .space import AVG3, BRANCHES, CHILDREN, IDENTITY, KERNELS, Block

Norm = Callable[[int], nn.Module]
Edge = Callable[[int, Tensor], Tensor]  # the edge's number in its tree, its input (n, C, h, w) to the same shape
Path = Callable[[Tensor, Callable[[], Tensor]], Tensor]  # a path's input and what computes it: to its output


def whole(x: Tensor, path: Callable[[], Tensor]) -> Tensor:
    """A path that is never dropped."""
    return path()


def operation(k: int, channels: int, norm: Norm) -> nn.Module:
    """Operation number k of an edge: (n, C, h, w) to the same shape."""
    if k == IDENTITY:
        return nn.Identity()
    if k in KERNELS:
        kernel, dilation = KERNELS[k]
        padding = dilation * (kernel // 2)
        depthwise = nn.Conv2d(
            channels, channels, kernel, padding=padding, dilation=dilation, groups=channels, bias=False
        )
        return nn.Sequential(norm(channels), nn.ReLU(), depthwise, nn.Conv2d(channels, channels, 1, bias=False))
    return nn.AvgPool2d(3, 1, 1, count_include_pad=False) if k == AVG3 else nn.MaxPool2d(3, 1, 1)


class TreeBlock(nn.Module):
    """A residual block: (n, a, h, w) to (n, d, ceil(h/stride), ceil(w/stride)), with a tree of C channels in it.

    The shortcut is the input, pooled where the stride is 2, with channels of zeros behind it where d is more than a.
    """

    def __init__(self, shape: Block, levels: int, edges: nn.ModuleList, norm: Norm):
        super().__init__()
        a, c, d, stride = shape
        self.shape, self.levels, self.edges = shape, levels, edges
        self.enter = nn.Sequential(norm(a), nn.Conv2d(a, c, 1, bias=False))  # no ReLU, as released
        root = nn.Conv2d(c, BRANCHES * c, 3, stride, 1, groups=2, bias=False)
        self.root = nn.Sequential(norm(c), nn.ReLU(), root, nn.ChannelShuffle(2))
        self.norms = nn.ModuleList(norm(c) for _ in range(BRANCHES))
        self.leave = nn.Sequential(norm(c), nn.ReLU(), nn.Conv2d(c, d, 1, bias=False), norm(d))

    def forward(self, x: Tensor, edge: Edge, path: Path = whole) -> Tensor:
        y: Tensor = self.leave(self._tree(self.enter(x), edge, path))
        if self.shape.stride == 2:
            x = F.avg_pool2d(x, 2, 2, ceil_mode=True)
        missing = self.shape.out_channels - self.shape.in_channels
        if missing > 0:
            x = F.pad(x, (0, 0, 0, 0, 0, missing))
        elif missing < 0:
            y = F.pad(y, (0, 0, 0, 0, 0, -missing))
        return y + x

    def _tree(self, x: Tensor, edge: Edge, path: Path) -> Tensor:
        per_branch = len(self.edges) // BRANCHES
        outputs = [
            path(part, partial(self._branch, part, i, i * per_branch, edge, path))
            for i, part in enumerate(self.root(x).chunk(BRANCHES, dim=1))
        ]
        return torch.stack(outputs).sum(0)

    def _branch(self, x: Tensor, number: int, first: int, edge: Edge, path: Path) -> Tensor:
        normed: Tensor = self.norms[number](self._node(x, first, self.levels, edge, path))
        return normed + x

    def _node(self, x: Tensor, first: int, levels: int, edge: Edge, path: Path) -> Tensor:
        """The sum of a node's two paths; its edges begin at number `first`, each before those below it."""
        below = sum(CHILDREN**i for i in range(levels))  # an edge and all below it

        def follow(number: int) -> Tensor:
            y = edge(number, x)
            return y if levels == 1 else self._node(y, number + 1, levels - 1, edge, path)

        one = path(x, lambda: follow(first))
        return one + path(x, lambda: follow(first + below))


class Tail(nn.Module):
    """Norm, ReLU, global average pooling, linear: (n, d, h, w) to (n, classes)."""

    def __init__(self, channels: int, classes: int, norm: Norm):
        super().__init__()
        self.norm, self.classifier = norm(channels), nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(F.relu(self.norm(x)).mean((2, 3)))
        return logits


def stem(in_channels: int, channels: int, norm: Norm) -> nn.Sequential:
    """3x3 convolution, norm."""
    return nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), norm(channels))
