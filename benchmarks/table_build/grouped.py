"""Many cells in one network: a batch of NAS-Bench-201 networks stepped together by grouped convolutions.

Every network sees the same images, as the cells of a seed do. Their channels stand side by side, (n, K*C, h, w), and
one convolution with a group an edge computes all 3x3 edges of all networks that leave a node. It is measured against
one network after the other, and computes the same values (tests/benchmarks/test_table_build.py).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbed.spaces.nb201.network import CONV_1X1, CONV_3X3, EDGES, POOL, SKIP, Cell, NB201Network, Reduction

KERNELS = {CONV_3X3: 3, CONV_1X1: 1}
Nets = Tensor | None  # which networks; None: all, in order


def take(x: Tensor, nets: Nets, count: int) -> Tensor:
    """The channels of some of the `count` networks."""
    if nets is None:
        return x
    n, channels, h, w = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(n, h, w, count, channels // count).index_select(3, nets)
    return rows.reshape(n, h, w, -1).permute(0, 3, 1, 2)


def put(total: Tensor | None, y: Tensor, nets: Nets, count: int, width: int) -> Tensor:
    """`total` with the channels of some networks added to; None is zero."""
    if nets is None:
        return y if total is None else total + y
    n, _, h, w = y.shape
    rows = y.permute(0, 2, 3, 1).reshape(n, h, w, -1, width)
    before = y.new_zeros(n, h, w, count, width) if total is None else total.permute(0, 2, 3, 1).reshape(
        n, h, w, count, width
    )  # fmt: skip
    return before.index_add(3, nets, rows).reshape(n, h, w, -1).permute(0, 3, 1, 2)


def side_by_side(pairs: Sequence[nn.Sequential], groups: bool = True) -> nn.Sequential:
    """(convolution, batch norm) of several networks as one; without `groups` they share their input."""
    convs, norms = [p[0] for p in pairs], [p[1] for p in pairs]
    conv = side_by_side_conv(convs, groups)
    norm = nn.BatchNorm2d(sum(m.num_features for m in norms)).to(conv.weight.dtype)
    with torch.no_grad():
        norm.weight.copy_(torch.cat([m.weight for m in norms]))
        norm.bias.copy_(torch.cat([m.bias for m in norms]))
    return nn.Sequential(conv, norm)


def side_by_side_conv(convs: Sequence[nn.Conv2d], groups: bool = True) -> nn.Conv2d:
    one, count = convs[0], len(convs)
    conv = nn.Conv2d(
        one.in_channels * (count if groups else 1), one.out_channels * count, one.kernel_size, one.stride, one.padding,
        groups=count if groups else 1, bias=False,
    ).to(one.weight.dtype)  # fmt: skip
    with torch.no_grad():
        conv.weight.copy_(torch.cat([c.weight for c in convs]))
    return conv


class GroupedCell(nn.Module):
    """The cells of K networks at one place."""

    def __init__(self, choices: Sequence[tuple[int, ...]], cells: Sequence[Cell], width: int):
        super().__init__()
        self.count, self.width = len(choices), width
        self.convs = nn.ModuleDict()
        self.plan: list[tuple[int, int, str, Nets, list[tuple[int, slice, Nets]]]] = []
        for source in range(3):
            for op in (CONV_3X3, CONV_1X1, SKIP, POOL):
                jobs = sorted(
                    (node, k)
                    for k, (choice, cell) in enumerate(zip(choices, cells, strict=True))
                    for (node, start), chosen in zip(EDGES, choice, strict=True)
                    if (start, chosen) == (source, op) and node in cell.plan
                )
                if jobs:
                    self._add(source, op, jobs, cells)

    def _add(self, source: int, op: int, jobs: list[tuple[int, int]], cells: Sequence[Cell]) -> None:
        name = f"{source}_{op}"
        if op in KERNELS:
            self.convs[name] = side_by_side([cells[k].edges[f"{node}<-{source}"] for node, k in jobs])
        targets, begin = [], 0
        for node in range(source + 1, 4):
            nets = [k for n, k in jobs if n == node]
            if nets:
                where = slice(begin * self.width, (begin + len(nets)) * self.width)
                targets.append((node, where, self._nets(nets)))
                begin += len(nets)
        self.plan.append((source, op, name, self._nets([k for _, k in jobs]), targets))

    def _nets(self, nets: list[int]) -> Nets:
        return None if nets == list(range(self.count)) else torch.tensor(nets)

    def forward(self, x: Tensor) -> Tensor:
        nodes: list[Tensor | None] = [x, None, None, None]
        for source, op, name, nets, targets in self.plan:
            value = nodes[source]
            if value is None:
                value = nodes[source] = torch.zeros_like(x)
            if op == POOL:
                value = F.avg_pool2d(value, 3, stride=1, padding=1, count_include_pad=False)
            y = take(F.relu(value) if op in KERNELS else value, nets, self.count)
            if op in KERNELS:
                y = self.convs[name](y)
            for node, where, into in targets:
                nodes[node] = put(nodes[node], y[:, where], into, self.count, self.width)
        out = nodes[3]
        return torch.zeros_like(x) if out is None else out


class GroupedReduction(nn.Module):
    """The residual blocks of K networks at one place."""

    def __init__(self, blocks: Sequence[Reduction]):
        super().__init__()
        self.conv_a = side_by_side([b.conv_a for b in blocks])
        self.conv_b = side_by_side([b.conv_b for b in blocks])
        self.shortcut = side_by_side_conv([b.shortcut for b in blocks])

    def forward(self, x: Tensor) -> Tensor:
        residual = self.conv_b(F.relu(self.conv_a(F.relu(x))))
        return residual + self.shortcut(F.avg_pool2d(x, 2, stride=2, ceil_mode=True))


class Grouped(nn.Module):
    """K networks, with their weights as they are now: images (n, c, h, w) to logits (K, n, classes)."""

    def __init__(self, choices: Sequence[tuple[int, ...]], networks: Sequence[NB201Network]):
        super().__init__()
        self.stem = side_by_side([net.stem for net in networks], groups=False)
        blocks: list[nn.Module] = []
        for parts in zip(*(net.blocks for net in networks), strict=True):
            if isinstance(parts[0], Cell):
                width = networks[0].stem[0].out_channels * 2 ** sum(isinstance(b, GroupedReduction) for b in blocks)
                blocks.append(GroupedCell(choices, parts, width))
            else:
                blocks.append(GroupedReduction(parts))
        self.blocks = nn.Sequential(*blocks)
        last = [net.last_bn for net in networks]
        self.last_bn = nn.BatchNorm2d(sum(m.num_features for m in last)).to(last[0].weight.dtype)
        self.weight = nn.Parameter(torch.stack([net.classifier.weight.detach().T for net in networks]))  # (K, 4C, c)
        self.bias = nn.Parameter(torch.stack([net.classifier.bias.detach()[None] for net in networks]))
        self.count = len(networks)

    def forward(self, images: Tensor) -> Tensor:
        x = self.blocks(self.stem(images))
        features = F.relu(self.last_bn(x)).mean((2, 3)).reshape(len(images), self.count, -1).transpose(0, 1)
        return torch.baddbmm(self.bias, features, self.weight)
