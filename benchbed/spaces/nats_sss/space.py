"""NATS-Bench's size space: five widths of eight candidates each in one fixed topology, 32,768 networks.

Dong, Liu, Musial and Gabrys, "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size", TPAMI 2021,
section 3.2. The network: a 3x3 stem, a cell, a residual block of stride 2, a cell, another block, a cell; batch norm,
average pooling, linear. Each width is that of one of these five layers' output; the stem has the first one's. All cells
are `CELL`, NAS-Bench-201's best on CIFAR-100 by validation accuracy.

Widths and cell are those of D-X-Y/AutoDL-Projects at f46486e (`exps/NATS-Bench/main-sss.py`,
`xautodl/models/shape_infers/InferTinyCellNet.py`), the strings and their order those of the published archive.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ...errors import BenchbedError
from ...space import Architecture, Layer, Position, Space
from ..formulas import counts_by

CHANNELS = 8  # C of the published networks: the narrowest width, and the step from one candidate to the next
CANDIDATES = tuple(range(CHANNELS, 8 * CHANNELS + 1, CHANNELS))  # channels
WIDTHS = tuple(map(str, CANDIDATES))  # as strings of networks have them
OPERATIONS = tuple(f"w{width}" for width in WIDTHS)  # no bare numbers, which no option of a selector takes for a name
SEPARATOR = ":"  # between the widths of a string
# of every cell, in NAS-Bench-201's notation
CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
FORM = "64:64:64:64:64"


class Block(NamedTuple):
    """One of the five layers that have a width."""

    name: str
    reduces: bool  # a residual block of stride 2, which halves the image; else a cell


BLOCKS = (
    Block("cell 1", False),
    Block("reduction 1", True),
    Block("cell 2", False),
    Block("reduction 2", True),
    Block("cell 3", False),
)


class NatsSss(Space):
    """The widths of NATS-Bench's size space, written as in its files: `64:64:64:64:64`, from the image on.

    `channels`, which sizes supernets and scored networks, is C: they have C channels where the string says 8, 2 C where
    it says 16. Of the published networks C is 8.
    """

    positions = tuple(Position(block.name, OPERATIONS, (True,) * len(OPERATIONS)) for block in BLOCKS)
    supernet = "benchbed.spaces.nats_sss.supernet:NatsSssSupernet"
    network = "benchbed.spaces.nats_sss.network:NatsSssNetwork"
    sized_by = ("channels",)

    def parse(self, text: str) -> Architecture:
        """The network of an official string, and of nothing else. Raises BenchbedError that names the wrong width."""
        shown = repr(text) if len(text) <= 40 else f"{text[:37]!r}..."
        widths = text.split(SEPARATOR)
        if len(widths) != len(BLOCKS):
            counted = f"{len(widths)} width{'s' * (len(widths) != 1)}"
            raise BenchbedError(f"nats-sss architecture {shown}: {counted} where five are expected, such as {FORM}")
        for block, width in zip(BLOCKS, widths, strict=True):
            if width not in WIDTHS:
                known = ", ".join(WIDTHS)
                raise BenchbedError(
                    f"nats-sss architecture {shown}: width {width!r} of {block.name} is not one of {known}"
                )
        return self.architecture_of(tuple(WIDTHS.index(width) for width in widths))

    def architecture_of(self, choices: tuple[int, ...]) -> Architecture:
        """The network whose i-th width is the candidate number `choices[i]`.

        Raises BenchbedError unless there are five numbers from 0 (8 channels) to 7 (64 channels).
        """
        if len(choices) != len(BLOCKS):
            raise BenchbedError(f"nats-sss choices: {len(choices)} numbers where the network has 5 widths")
        for block, k in zip(BLOCKS, choices, strict=True):
            if not 0 <= k < len(CANDIDATES):
                raise BenchbedError(f"nats-sss width of {block.name}: candidate number {k} is not one of 0 to 7")
        return Architecture(SEPARATOR.join(WIDTHS[k] for k in choices), choices)

    def canonical(self, arch: Architecture) -> str:
        """The string itself: no two networks of different widths are one function. 32,768 values."""
        return arch.text

    def counts(
        self, arch: Architecture, images: tuple[int, int, int], classes: int, *, channels: int, cells: int
    ) -> dict[str, int]:
        """`parameters`, and `flops` where the network halves the images evenly; there is no N; `Space.counts`."""
        return counts_by(parameters, flops, arch, images, 4, channels=channels, classes=classes)

    def facts(self, arch: Architecture) -> dict[str, Any]:
        """`params`, `flops` of the published CIFAR-10 network; `canonical`; `widths`: the channels of each layer."""
        return {
            "params": parameters(arch),
            "flops": flops(arch),
            "widths": list(widths_of(arch)),
            "canonical": self.canonical(arch),
        }

    def layers(self, arch: Architecture) -> tuple[Layer, ...]:
        """The five layers on images of 32x32 pixels."""
        found, size = [], 32
        for block, width in zip(BLOCKS, widths_of(arch), strict=True):
            size = size // 2 if block.reduces else size
            found.append(Layer(block.name, f"w{width}", width, size))
        return tuple(found)

    def unit_costs(self, kind: str) -> tuple[float, np.ndarray]:
        """Raises BenchbedError for every kind: a layer's weights are its width times the width before it."""
        raise BenchbedError(
            f"cost '{kind}' of nats-sss: it does not add up over widths, since a layer's cost is a product of its "
            "width and the one before it: 'describe' prints a network's parameters and FLOPs"
        )


def all_architectures() -> Iterator[Architecture]:
    """All 32,768 networks in lexicographic order of their widths: the order of the official index."""
    space = NatsSss()
    return (space.architecture_of(choices) for choices in product(range(len(CANDIDATES)), repeat=len(BLOCKS)))


def all_strings() -> list[str]:
    """The strings of `all_architectures`, in its order, in milliseconds."""
    return [SEPARATOR.join(widths) for widths in product(WIDTHS, repeat=len(BLOCKS))]


def widths_of(arch: Architecture, channels: int = CHANNELS) -> tuple[int, ...]:
    """The channels of each of the five layers, where the narrowest candidate has so many."""
    return tuple(channels * (k + 1) for k in arch.choices)


def parameters(arch: Architecture, channels: int = CHANNELS, classes: int = 10, in_channels: int = 3) -> int:
    """Trainable parameters of the network, as the benchmark records them.

    Convolutions have no bias, batch norms are affine (2 a channel), a block's shortcut is a bare 1x1 convolution; a
    cell's skip connection is a 1x1 convolution with batch norm where the width changes, and nothing where it does not.
    Raises BenchbedError where an argument is below 1.
    """
    _check_positive(channels=channels, classes=classes, in_channels=in_channels)
    return int(count_parameters(widths_of(arch, channels), classes, in_channels))


def flops(arch: Architecture, channels: int = CHANNELS, classes: int = 10, in_channels: int = 3, size: int = 32) -> int:
    """Cost of one image of `size` x `size` pixels by the benchmark's convention; its files give it in millions.

    The multiply-accumulates of all convolutions and of the linear layer, plus one for each bias of the latter; batch
    norm, activation, pooling and sums are free. Raises BenchbedError where an argument is below 1, or where `size`,
    which the network halves twice, is not a multiple of 4.
    """
    _check_positive(channels=channels, classes=classes, in_channels=in_channels, size=size)
    if size % 4:
        raise BenchbedError(f"nats-sss image size {size} is not a multiple of 4: the network halves it twice")
    return int(count_flops(widths_of(arch, channels), classes, in_channels, size))


def count_parameters(widths: Sequence[Any] | np.ndarray, classes: int, in_channels: int) -> Any:
    """`parameters` of five widths: whole numbers, or int64 (5, ...), whose trailing axes the result has."""
    first, last = widths[0], widths[-1]
    total = 9 * in_channels * first + 2 * first + 2 * last + last * classes + classes
    before = first
    for block, width in zip(BLOCKS, widths, strict=True):
        total = total + _weights(block, before, width) + _norms(block, before, width)
        before = width
    return total


def count_flops(widths: Sequence[Any] | np.ndarray, classes: int, in_channels: int, size: int) -> Any:
    """`flops` of five widths: whole numbers, or int64 (5, ...), whose trailing axes the result has."""
    total, area = 9 * in_channels * widths[0] * size**2, size**2
    before = widths[0]
    for block, width in zip(BLOCKS, widths, strict=True):
        area = area // 4 if block.reduces else area
        total = total + _weights(block, before, width) * area
        before = width
    return total + widths[-1] * classes + classes


def _weights(block: Block, before: Any, width: Any) -> Any:
    """Of the layer's convolutions, which all give images of one size."""
    if block.reduces:
        return 9 * before * width + 9 * width * width + before * width
    return 18 * before * width + 27 * width * width + _skip(before, width) * before * width


def _norms(block: Block, before: Any, width: Any) -> Any:
    """Weights and biases of the layer's batch norms."""
    return 4 * width if block.reduces else (10 + 2 * _skip(before, width)) * width


def _skip(before: Any, width: Any) -> Any:
    """1 where the cell's skip connection is a convolution, since the width changes; else 0."""
    return np.not_equal(before, width).astype(np.int64)


def _check_positive(**arguments: int) -> None:
    for name, value in arguments.items():
        if value < 1:
            raise BenchbedError(f"nats-sss network: {name}={value}, expected a positive integer")
