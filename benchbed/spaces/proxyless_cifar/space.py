"""ProxylessNAS' CIFAR-10 space: trees of operations in the bottlenecks of a PyramidNet, 7^648 networks.

Cai, Zhu and Han, "ProxylessNAS", ICLR 2019, section 4.1, after their "Path-Level Network Transformation for Efficient
Architecture Search", ICML 2018; widths, layers and the tree are those of the released network's configuration
(`proxyless_cifar.config` of han-cai/files). Three stages of B = 18 residual blocks, stride 2 at the start of the second
and the third. Block k of 3B is a 1x1 convolution to C_k channels, a tree, and a 1x1 convolution to 4 C_k, with

    C_k = 2 floor(round(16 + 84 k / 3B) / 2),   k = 1 .. 3B.

The tree: a 3x3 convolution in two groups to 2 C channels (shuffled), split in two branches of C. A branch is a node:
its input goes to two edges, each followed by a node of the next level, and what comes back is added; on the last level
an edge is followed by nothing. A branch x becomes BN(node(x)) + x, and the two are added. So a tree of depth 3 has
2 (2 + 4) = 12 edges, each of seven operations. No operation changes the shape, and none is zero.

The released network is known as `proxyless-g` (its operations are in `_released_cifar`). The counts of this builder
are its published ones: 5.73M parameters (5,731,530) and 1213.2M multiply-accumulates (1,213,155,872).
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from copy import copy
from typing import Any, NamedTuple

import numpy as np

from ...errors import BenchbedError, unknown
from ...space import Architecture, Position, Space
from .released import RELEASED

OPERATIONS = ("identity", "sep3", "sep5", "sep7", "dil3", "avg3", "max3")
IDENTITY, SEP3, SEP5, SEP7, DIL3, AVG3, MAX3 = range(7)
LETTERS = "i357dam"  # of the operations, in a native string
KERNELS = {SEP3: (3, 1), SEP5: (5, 1), SEP7: (7, 1), DIL3: (3, 2)}  # depthwise separable: (kernel, dilation)
STAGES = 3
BRANCHES = 2  # of the split
CHILDREN = 2  # of a node

# What the options are where they are not given. `small` trains on a CPU; everything else about it is the same.
PRESETS = {
    "official": {"blocks": 18, "start": 16, "widening": 84, "bottleneck": 4, "depth": 3},
    "small": {"blocks": 1, "start": 8, "widening": 12, "bottleneck": 2, "depth": 2},
}
MOST = {"blocks": 100, "start": 1000, "widening": 10_000, "bottleneck": 16, "depth": 5}


class Block(NamedTuple):
    """The shape of one residual block: channels into it, C of its tree, channels out of it."""

    in_channels: int
    channels: int
    out_channels: int
    stride: int


def widths(blocks: int = 18, start: int = 16, widening: int = 84) -> tuple[int, ...]:
    """C of each of the 3B blocks: 18, 18, 20, 22, 24, 24, 26, ..., 98, 100 as published."""
    total = STAGES * blocks
    return tuple(2 * (round(start + widening * k / total) // 2) for k in range(1, total + 1))


def shapes(blocks: int = 18, start: int = 16, widening: int = 84, bottleneck: int = 4) -> tuple[Block, ...]:
    """The 3B blocks, from the stem of `start` channels on."""
    found, width = [], start
    for number, channels in enumerate(widths(blocks, start, widening)):
        stride = 2 if number and number % blocks == 0 else 1
        found.append(Block(width, channels, bottleneck * channels, stride))
        width = found[-1].out_channels
    return tuple(found)


def branch_edges(depth: int) -> list[str]:
    """The names of a branch's edges, each before those of the node that follows it: 1, 1.1, 1.2, 2, 2.1, 2.2."""
    if depth < 2:
        return []
    below = branch_edges(depth - 1)
    return [name for i in range(1, CHILDREN + 1) for name in (str(i), *(f"{i}.{rest}" for rest in below))]


class ProxylessCifar(Space):
    """Trees written as a letter an edge, branches joined by '+' and blocks by '-': `7di57m+5353da-...`.

    The letters are i (identity), 3, 5, 7 (depthwise separable convolutions), d (dilated 3x3), a and m (average and
    maximum pooling), in the order of `branch_edges`. Positions are named block:branch.edge, such as `7:2.1.2`.

    Options: `preset` 'official' or 'small', which gives the others where they are not given; `blocks` B; `start`,
    `widening`: see `widths`; `bottleneck`, 4; `depth` of the tree, 3 (2: one level of edges below the split);
    `drop_path`: the probability with which the network found drops a path of the tree in training, 0 to below 1.
    """

    supernet = "benchbed.spaces.proxyless_cifar.supernet:ProxylessCifarSupernet"
    network = "benchbed.spaces.proxyless_cifar.network:ProxylessCifarNetwork"
    sized_by = ()

    def __init__(
        self,
        preset: str = "official",
        blocks: int | None = None,
        start: int | None = None,
        widening: int | None = None,
        bottleneck: int | None = None,
        depth: int | None = None,
        drop_path: float = 0.0,
    ):
        """Raises BenchbedError that names an option out of range."""
        if preset not in PRESETS:
            raise unknown("proxyless-cifar preset", str(preset), PRESETS)
        given = {"blocks": blocks, "start": start, "widening": widening, "bottleneck": bottleneck, "depth": depth}
        self.size_of = PRESETS[preset] | {name: value for name, value in given.items() if value is not None}
        for name, value in self.size_of.items():
            least = {"start": 2, "widening": 0, "depth": 2}.get(name, 1)
            if type(value) is not int or not least <= value <= MOST[name]:
                raise BenchbedError(
                    f"space option {name} = {value!r}: expected a whole number from {least} to {MOST[name]}"
                )
        if type(drop_path) not in (int, float) or not 0 <= drop_path < 1:
            raise BenchbedError(f"space option drop_path = {drop_path!r}: expected a number from 0 to below 1")
        self.drop_path = float(drop_path)
        self.images, self.classes = (3, 32, 32), 10  # what the counts are of
        self.shapes = shapes(*(self.size_of[name] for name in ("blocks", "start", "widening", "bottleneck")))
        self.edges = branch_edges(self.size_of["depth"])
        free = (True,) * len(OPERATIONS)
        self.positions = tuple(
            Position(f"{block}:{branch}.{edge}", OPERATIONS, free)
            for block in range(1, len(self.shapes) + 1)
            for branch in range(1, BRANCHES + 1)
            for edge in self.edges
        )

    def sizes(self, channels: int, cells: int) -> dict[str, Any]:
        """The space's own options; there are no C and N."""
        return {**self.size_of, "drop_path": self.drop_path}

    def parse(self, text: str) -> Architecture:
        """The network of a native string, or of a released network's name where this space has its sizes.

        Raises BenchbedError that names the block, the branch and the letter, or what of the name does not fit.
        """
        if text in RELEASED:
            self._check_released_sizes(text)
            text = RELEASED[text]
        elif text.startswith("proxyless"):
            raise unknown("released network", repr(text[:40])[1:-1], RELEASED)
        blocks = text.split("-")
        if len(blocks) != len(self.shapes):
            raise BenchbedError(
                f"proxyless-cifar architecture: number of blocks is {len(blocks)} where {len(self.shapes)}"
                " joined by '-' are expected"
            )
        choices: list[int] = []
        for number, block in enumerate(blocks, 1):
            branches = block.split("+")
            if len(branches) != BRANCHES:
                raise BenchbedError(f"block {number}, {_show(block)}: two branches joined by '+' are expected")
            for side, branch in enumerate(branches, 1):
                choices += _letters(f"block {number}, branch {side}", branch, len(self.edges))
        return self.architecture_of(tuple(choices))

    def _check_released_sizes(self, name: str) -> None:
        official = PRESETS["official"]
        if other := [size for size in official if self.size_of[size] != official[size]]:
            its, ours = (", ".join(f"{k}={sizes[k]}" for k in other) for sizes in (official, self.size_of))
            raise BenchbedError(
                f"network '{name}' has {its} where this space has {ours}:"
                " it needs space_options.preset=official and no other size"
            )

    def architecture_of(self, choices: tuple[int, ...]) -> Architecture:
        """The network with operation number `choices[i]` at position i."""
        if len(choices) != len(self.positions):
            raise BenchbedError(
                f"proxyless-cifar choices: {len(choices)} numbers where there are {len(self.positions)}"
            )
        for position, k in zip(self.positions, choices, strict=True):
            if not 0 <= k < len(OPERATIONS):
                raise BenchbedError(f"proxyless-cifar edge {position.name}: operation number {k} is not one of 0 to 6")
        return Architecture("-".join("+".join(_text(b) for b in block) for block in self.trees(choices)), choices)

    def trees(self, choices: tuple[int, ...]) -> list[list[tuple[int, ...]]]:
        """The choices by block and branch."""
        n = len(self.edges)
        parts = [choices[i : i + n] for i in range(0, len(choices), n)]
        return [parts[i : i + BRANCHES] for i in range(0, len(parts), BRANCHES)]

    def canonical(self, arch: Architecture) -> str:
        """A digest of the function: networks share it exactly if they are equal up to the order and grouping of sums.

        Operations are opaque functions; an identity passes on the terms of its input. The two branches of a tree get
        equal halves of a convolution's output, so their order is none either.
        """
        blocks = [sorted(_sum(_through(branch, ["x"], self.size_of["depth"] - 1)) for branch in tree)
                  for tree in self.trees(arch.choices)]  # fmt: skip
        return hashlib.sha256(repr(blocks).encode()).hexdigest()[:16]

    def facts(self, arch: Architecture) -> dict[str, Any]:
        """`params`, `flops` of the network on CIFAR-10, or on the images at hand; how often each operation is in it.

        `parameter_free`: the share of the edges, 0 to 1, that hold an identity or a pooling.
        """
        counts = Counter(arch.choices)
        return {
            "params": self.parameters(arch),
            "flops": self.flops(arch),
            "images": list(self.images),
            "classes": self.classes,
            "parameter_free": 1 - sum(counts[k] for k in KERNELS) / len(arch.choices),
            "operations": ", ".join(f"{name} {counts[k]}" for k, name in enumerate(OPERATIONS)),
            "canonical": self.canonical(arch),
        }

    def counts(
        self, arch: Architecture, images: tuple[int, int, int], classes: int, *, channels: int, cells: int
    ) -> dict[str, int]:
        """Of the space's own sizes, for there are no C and N; `Space.counts`."""
        facts = self.for_images(images, classes).facts(arch)
        return {kind: facts[kind] for kind in ("params", "flops")}

    def for_images(self, shape: tuple[int, int, int], classes: int) -> "ProxylessCifar":
        """This space with the counts of such images; every size is one that its networks take."""
        found = copy(self)
        found.images, found.classes = shape, classes
        return found

    def parameters(self, arch: Architecture) -> int:
        """Trainable parameters. Convolutions have no bias, batch norms are affine (2 a channel)."""
        return self._cost("params", arch)

    def flops(self, arch: Architecture) -> int:
        """Multiply-accumulates of one image in convolutions and the linear layer; all else is free. Sizes round up."""
        return self._cost("flops", arch)

    def _cost(self, kind: str, arch: Architecture) -> int:
        fixed, per_operation = self.unit_costs(kind)
        return int(fixed + per_operation[np.arange(len(arch.choices)), arch.choices].sum())

    def unit_costs(self, kind: str) -> tuple[float, np.ndarray]:
        """Of the network on the images at hand; see `Space.unit_costs`."""
        if kind not in ("params", "flops"):
            raise unknown("cost", kind, ("params", "flops"))
        norm, per_block = kind == "params", len(self.positions) // len(self.shapes)
        areas = [1] * len(self.shapes) if norm else [after for _, after in self.areas()]
        rows = [
            [operation_cost(k, block.channels, norm) * area for k in range(len(OPERATIONS))]
            for block, area in zip(self.shapes, areas, strict=True)
        ]
        fixed = self._fixed_parameters() if norm else self._fixed_flops()
        return float(fixed), np.repeat(np.array(rows, dtype=np.float64), per_block, axis=0)

    def _fixed_parameters(self) -> int:
        start, last = self.size_of["start"], self.shapes[-1].out_channels
        total: int = 9 * self.images[0] * start + 2 * start + 2 * last + last * self.classes + self.classes
        for a, c, d, _ in self.shapes:
            total += 2 * a + a * c  # into the tree
            total += 2 * c + 9 * c * c + BRANCHES * 2 * c  # its convolution, and the branches' norms
            total += 2 * c + c * d + 2 * d  # out of it, and the last norm
        return total

    def _fixed_flops(self) -> int:
        channels, height, width = self.images
        total: int = 9 * channels * self.size_of["start"] * height * width + self.shapes[-1].out_channels * self.classes
        for (a, c, d, _), (before, after) in zip(self.shapes, self.areas(), strict=True):
            total += a * c * before + (9 * c * c + c * d) * after
        return total

    def areas(self) -> list[tuple[int, int]]:
        """Pixels of each block's input and output."""
        _, height, width = self.images
        found = []
        for block in self.shapes:
            before = height * width
            height, width = -(-height // block.stride), -(-width // block.stride)
            found.append((before, height * width))
        return found


def operation_cost(k: int, channels: int, norm: bool) -> int:
    """Weights of an operation, which is also its multiply-accumulates a pixel; with `norm` its batch norm's too."""
    if k not in KERNELS:
        return 0
    kernel, _ = KERNELS[k]
    return kernel**2 * channels + channels**2 + (2 * channels if norm else 0)


def _letters(where: str, text: str, count: int) -> list[int]:
    """The operation numbers of a branch."""
    for letter in text:
        if letter not in LETTERS:
            known = ", ".join(f"{short} ({name})" for short, name in zip(LETTERS, OPERATIONS, strict=True))
            raise BenchbedError(f"{where}: {letter!r} in {_show(text)} is not one of {known}")
    if len(text) != count:
        raise BenchbedError(f"{where}: {_show(text)} has {len(text)} letters where {count} are expected")
    return [LETTERS.index(letter) for letter in text]


def _text(choices: Sequence[int]) -> str:
    return "".join(LETTERS[k] for k in choices)


def _through(choices: Sequence[int], terms: list[str], levels: int) -> list[str]:
    """The terms of a node's output, where its input is the sum of `terms`; `choices` in the order of `branch_edges`."""
    found: list[str] = []
    below = len(choices) // CHILDREN
    for i in range(0, len(choices), below):
        k = choices[i]
        after = terms if k == IDENTITY else [f"{LETTERS[k]}({_sum(terms)})"]
        found += after if levels == 1 else _through(choices[i + 1 : i + below], after, levels - 1)
    return found


def _sum(terms: list[str]) -> str:
    return "+".join(sorted(terms))


def _show(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 60 else f"{shown[:56]}...{shown[-1]}"
