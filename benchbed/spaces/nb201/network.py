"""The network of one NAS-Bench-201 cell (Dong & Yang, ICLR 2020, section 2): 15 cells, two residual reductions.

A cell is a complete DAG on 4 nodes; a node is the sum of its edges; node 3 is the output. A convolution edge is
ReLU, convolution, batch norm (affine, with running statistics); pooling has no batch norm. Weights start from
torch's defaults, as in the benchmark's own code, which calls no initialiser for these networks.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import BenchbedError

NONE, SKIP, CONV_1X1, CONV_3X3, POOL = range(5)  # the benchmark's order of operations
EDGES = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))  # (node, source), the benchmark's order of edges


def conv_bn(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, padded to keep the size at stride 1, then batch norm."""
    conv = nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out))


class Cell(nn.Module):
    """One cell at a constant width: (n, C, h, w) to the same shape.

    Every convolution edge owns its parameters, as the benchmark counts them, also where its output reaches no
    output; only edges that can change the output are run. A node without input is exactly zero: nothing flows
    from it through skip or pooling, but a convolution of it still gives its batch norm's bias.
    """

    def __init__(self, choices: tuple[int, ...], channels: int):
        super().__init__()
        kernels = {CONV_1X1: 1, CONV_3X3: 3}
        self.edges = nn.ModuleDict()
        for (node, source), op in zip(EDGES, choices, strict=True):
            if op in kernels:
                self.edges[f"{node}<-{source}"] = conv_bn(channels, channels, kernels[op])
        live = {3}
        for (node, source), op in reversed(list(zip(EDGES, choices, strict=True))):
            if op != NONE and node in live:
                live.add(source)
        # node -> (operation, source) to run
        self.plan: dict[int, list[tuple[int, int]]] = {node: [] for node in range(1, 4) if node in live}
        for (node, source), op in zip(EDGES, choices, strict=True):
            if op != NONE and node in live:
                self.plan[node].append((op, source))

    def forward(self, x: Tensor) -> Tensor:
        nodes: dict[int, Tensor | None] = {0: x}  # None: exactly zero
        shared: dict[tuple[int, str], Tensor] = {}  # a node's ReLU and pooling are the same for all its edges
        for node, incoming in self.plan.items():
            total = None
            for op, source in incoming:
                value = self._edge(op, node, source, nodes[source], x, shared)
                if value is not None:
                    total = value if total is None else total + value
            nodes[node] = total
        out = nodes[3]
        return torch.zeros_like(x) if out is None else out

    def _edge(
        self, op: int, node: int, source: int, h: Tensor | None, x: Tensor, shared: dict[tuple[int, str], Tensor]
    ) -> Tensor | None:
        if op == SKIP:
            return h
        if op == POOL:
            if h is None:
                return None
            if (source, "pool") not in shared:
                shared[source, "pool"] = F.avg_pool2d(h, 3, stride=1, padding=1, count_include_pad=False)
            return shared[source, "pool"]
        if (source, "relu") not in shared:
            shared[source, "relu"] = torch.zeros_like(x) if h is None else F.relu(h)
        out: Tensor = self.edges[f"{node}<-{source}"](shared[source, "relu"])
        return out


class Reduction(nn.Module):
    """Residual block that halves the size and doubles the width: (n, C, h, w) to (n, 2C, ceil(h/2), ceil(w/2)).

    Pooling rounds up where the size is odd, as the convolutions do; on the benchmark's even sizes it is theirs.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.conv_a = conv_bn(channels, 2 * channels, 3, stride=2)
        self.conv_b = conv_bn(2 * channels, 2 * channels, 3)
        self.shortcut = nn.Conv2d(channels, 2 * channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.conv_b(F.relu(self.conv_a(F.relu(x))))
        shortcut: Tensor = self.shortcut(F.avg_pool2d(x, 2, stride=2, ceil_mode=True))
        return residual + shortcut


class NB201Network(nn.Module):
    """Images (n, in_channels, h, w) to logits (n, classes).

    `choices`: the operation of each edge in the order of `EDGES`, as indices of none, skip_connect, nor_conv_1x1,
    nor_conv_3x3, avg_pool_3x3. `channels` is C (16 in the benchmark), `cells` is N, the cells a stage (5).
    Raises BenchbedError where a choice is no operation or a size is not positive.
    """

    def __init__(
        self, choices: tuple[int, ...], channels: int = 16, cells: int = 5, classes: int = 10, in_channels: int = 3
    ):
        super().__init__()
        sizes = {"channels": channels, "cells": cells, "classes": classes, "in_channels": in_channels}
        for name, value in sizes.items():
            if value < 1:
                raise BenchbedError(f"{name} of {value}: a NAS-Bench-201 network needs at least 1")
        stacked = self.cells(choices, 3 * cells)
        self.stem = conv_bn(in_channels, channels, 3)
        blocks: list[nn.Module] = []
        for stage in range(3):
            width = channels * 2**stage
            blocks += [Cell(cell, width) for cell in stacked[stage * cells : (stage + 1) * cells]]
            if stage < 2:
                blocks.append(Reduction(width))
        self.blocks = nn.Sequential(*blocks)
        self.last_bn = nn.BatchNorm2d(4 * channels)
        self.classifier = nn.Linear(4 * channels, classes)

    def cells(self, choices: tuple[int, ...], count: int) -> list[tuple[int, ...]]:
        """The choices of each of the `count` cells: here the same for all."""
        if len(choices) != len(EDGES) or not all(NONE <= op <= POOL for op in choices):
            raise BenchbedError(f"choices {tuple(choices)} name no NAS-Bench-201 cell: six numbers from 0 to 4")
        return [choices] * count

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(x))
        logits: Tensor = self.classifier(F.relu(self.last_bn(x)).mean((2, 3)))
        return logits
