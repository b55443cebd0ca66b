"""NAS-Bench-Macro: a chain of eight blocks with three operations each, 6,561 networks.

Su et al., "Prioritized Architecture Sampling with Monto-Carlo Tree Search", CVPR 2021, and the repository that
publishes the benchmark, xiusu/NAS-Bench-Macro. A 3x3 stem of C = 32 channels; three stages of two, three and three
blocks, whose first block halves the image and doubles the width; a 1x1 convolution to 1,280 channels; average
pooling; linear. A block is the identity (where it changes the shape, a strided 1x1 convolution with batch norm), or
MobileNetV2's inverted residual with kernel 3 and expansion 3, or with kernel 5 and expansion 6.

An identity that keeps the shape does nothing, so of the 6,561 strings 3,969 are different networks; the benchmark
trained those alone and repeats their figures.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ...errors import BenchbedError, unknown
from ...space import Architecture, Position, Space
from ..formulas import counts_by

OPERATIONS = ("identity", "k3e3", "k5e6")  # the digits 0, 1, 2 of the published file
IDENTITY, K3E3, K5E6 = range(3)
KERNELS = {K3E3: (3, 3), K5E6: (5, 6)}  # operation: (kernel, expansion)
STAGES = (2, 3, 3)  # blocks a stage; the first of each has stride 2
CHANNELS = 32  # C of the published networks
HEAD = 40  # the last convolution has 40 C channels: 1,280 in the published networks


class Block(NamedTuple):
    """The shape of one block of the chain."""

    name: str
    in_channels: int
    out_channels: int
    stride: int


def blocks(channels: int = CHANNELS) -> tuple[Block, ...]:
    """The eight blocks, from the image on."""
    found, width = [], channels
    for stage, count in enumerate(STAGES, 1):
        for number in range(1, count + 1):
            first = number == 1
            found.append(Block(f"s{stage}b{number}", width, width * 2 if first else width, 2 if first else 1))
            width = found[-1].out_channels
    return tuple(found)


class Macro(Space):
    """The chains of NAS-Bench-Macro, written as in its file: a digit a block, such as `22212220`."""

    positions = tuple(Position(block.name, OPERATIONS, (True,) * len(OPERATIONS)) for block in blocks())
    supernet = "benchbed.spaces.macro.supernet:MacroSupernet"
    network = "benchbed.spaces.macro.network:MacroNetwork"
    sized_by = ("channels",)

    def parse(self, text: str) -> Architecture:
        """The chain of eight digits 0 to 2, and of nothing else. Raises BenchbedError that names the wrong one."""
        shown = repr(text) if len(text) <= 40 else f"{text[:37]!r}..."
        if len(text) != len(self.positions):
            raise BenchbedError(f"macro architecture {shown}: {len(text)} characters where the chain has 8 digits")
        for position, digit in zip(self.positions, text, strict=True):
            if digit not in "012":
                known = ", ".join(f"{k} ({name})" for k, name in enumerate(OPERATIONS))
                raise BenchbedError(f"macro architecture {shown}: {digit!r} at {position.name} is not one of {known}")
        return self.architecture_of(tuple(int(digit) for digit in text))

    def architecture_of(self, choices: tuple[int, ...]) -> Architecture:
        """The chain with operation number `choices[i]` at block i. Raises BenchbedError unless eight of 0 to 2."""
        if len(choices) != len(self.positions):
            raise BenchbedError(f"macro choices: {len(choices)} numbers where the chain has 8 blocks")
        for position, k in zip(self.positions, choices, strict=True):
            if not 0 <= k < len(OPERATIONS):
                raise BenchbedError(f"macro block {position.name}: operation number {k} is not one of 0 to 2")
        return Architecture("".join(map(str, choices)), choices)

    def canonical(self, arch: Architecture) -> str:
        """The chain with each stage's identities of stride 1, which do nothing, moved to its end. 3,969 values.

        This is also the string under which the benchmark trained the network.
        """
        found, at = "", 0
        for count in STAGES:
            stage = arch.text[at : at + count]
            kept = stage[0] + stage[1:].replace("0", "")
            found += kept.ljust(count, "0")
            at += count
        return found

    def counts(
        self, arch: Architecture, images: tuple[int, int, int], classes: int, *, channels: int, cells: int
    ) -> dict[str, int]:
        """`parameters`, and `flops` of square images; there is no N; `Space.counts`."""
        return counts_by(parameters, flops, arch, images, 1, channels=channels, classes=classes)

    def facts(self, arch: Architecture) -> dict[str, Any]:
        """`params`, `flops` of the published CIFAR-10 network (32 channels); `canonical`.

        `parameter_free`: the share of the eight blocks, 0 to 1, that are an identity.
        """
        return {
            "params": parameters(arch),
            "flops": flops(arch),
            "parameter_free": arch.choices.count(IDENTITY) / len(arch.choices),
            "canonical": self.canonical(arch),
        }

    def unit_costs(self, kind: str) -> tuple[float, np.ndarray]:
        """Of the published network; see `Space.unit_costs`."""
        if kind not in ("params", "flops"):
            raise unknown("cost", kind, ("params", "flops"))
        count = parameters if kind == "params" else flops
        base = count(self.architecture_of((IDENTITY,) * len(self.positions)))
        found = np.zeros((len(self.positions), len(OPERATIONS)))
        for i in range(len(self.positions)):
            for k in KERNELS:
                choices = [IDENTITY] * len(self.positions)
                choices[i] = k
                found[i, k] = count(self.architecture_of(tuple(choices))) - base
        return float(base), found


def all_architectures() -> Iterator[Architecture]:
    """All 6,561 chains, in lexicographic order: the order of a flattened table array."""
    space = Macro()
    return (space.architecture_of(choices) for choices in product(range(len(OPERATIONS)), repeat=sum(STAGES)))


def parameters(arch: Architecture, channels: int = CHANNELS, classes: int = 10, in_channels: int = 3) -> int:
    """Trainable parameters of the network. At the defaults the published figure, of all 6,561.

    Convolutions have no bias, batch norms are affine (2 a channel). Raises BenchbedError where an argument is below 1.
    """
    _check_positive(channels=channels, classes=classes, in_channels=in_channels)
    total = 9 * in_channels * channels + 2 * channels
    for block, k in zip(blocks(channels), arch.choices, strict=True):
        c, d = block.in_channels, block.out_channels
        if k in KERNELS:
            kernel, expansion = KERNELS[k]
            hidden = c * expansion
            total += c * hidden + 2 * hidden + kernel**2 * hidden + 2 * hidden + hidden * d + 2 * d
        elif block.stride == 2:
            total += c * d + 2 * d
    width, head = block.out_channels, HEAD * channels
    return total + width * head + 2 * head + head * classes + classes


def flops(arch: Architecture, channels: int = CHANNELS, classes: int = 10, in_channels: int = 3, size: int = 32) -> int:
    """Cost of one image of `size` x `size` pixels, by the benchmark's convention; its file gives it of all 6,561.

    The multiply-accumulates of convolutions and of the linear layer; biases, batch norm, activations, pooling and sums
    are free. A stride of 2 rounds the size up. Raises BenchbedError where an argument is below 1.
    """
    _check_positive(channels=channels, classes=classes, in_channels=in_channels, size=size)
    total = 9 * in_channels * channels * size**2
    for block, k in zip(blocks(channels), arch.choices, strict=True):
        c, d = block.in_channels, block.out_channels
        out = -(-size // block.stride)
        if k in KERNELS:
            kernel, expansion = KERNELS[k]
            hidden = c * expansion
            total += c * hidden * size**2 + (kernel**2 * hidden + hidden * d) * out**2
        elif block.stride == 2:
            total += c * d * out**2
        size = out
    width, head = block.out_channels, HEAD * channels
    return total + width * head * size**2 + head * classes


def _check_positive(**arguments: int) -> None:
    for name, value in arguments.items():
        if value < 1:
            raise BenchbedError(f"macro network: {name}={value}, expected a positive integer")
