"""MBConv: ProxylessNAS' chain of inverted bottlenecks for ImageNet, 6^6 * 7^15 networks.

Cai, Zhu and Han, "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware", ICLR 2019, section
4.2; geometry and order of the operations are those of the authors' search code. A network is a 3x3 stem, a fixed
first block, 21 searched blocks in six stages, a 1x1 convolution, global average pooling and a linear layer. A block
is an MBConv of kernel 3, 5 or 7 and expansion 3 or 6; one that keeps size and width has an identity shortcut and may
also be `zero`, which makes it the identity.
"""

from collections.abc import Hashable, Sequence
from copy import copy
from typing import Any, NamedTuple

import numpy as np

from ...errors import BenchbedError, unknown
from ...space import Architecture, Layer, Position, Space
from .released import RELEASED

ZERO = "zero"
OPERATIONS = ("k3e3", "k3e6", "k5e3", "k5e6", "k7e3", "k7e6", ZERO)  # in the order of the authors' code
DIVISOR = 8  # widths are multiples of it
COSTS = ("flops", "params")


class Convolution(NamedTuple):
    """The stem or the head: a convolution with batch norm and ReLU6. Sizes are the side of a square, in pixels."""

    size: int
    width: int  # channels in
    out_size: int
    out_width: int
    kernel: int
    stride: int


class Block(NamedTuple):
    """One block of the chain. Sizes are the side of a square, in pixels; widths are channels."""

    position: int | None  # its row of the gates; None: the first block, which is fixed (3x3, expansion 1)
    size: int
    width: int
    out_size: int
    out_width: int
    stride: int
    has_shortcut: bool

    @property
    def operations(self) -> tuple[str, ...]:
        """What may be chosen here; nothing at the fixed block."""
        if self.position is None:
            return ()
        return OPERATIONS if self.has_shortcut else OPERATIONS[:-1]


class Geometry(NamedTuple):
    """The whole chain: `blocks` holds the fixed first block and then the searched ones, in order."""

    stem: Convolution
    blocks: tuple[Block, ...]
    head: Convolution
    classes: int  # the linear classifier reads head.out_width values

    @property
    def searched(self) -> tuple[Block, ...]:
        return tuple(b for b in self.blocks if b.position is not None)


class Sizes(NamedTuple):
    """A preset: every size of a chain, and the images and classes that it is counted for."""

    resolution: int
    in_channels: int
    classes: int
    stem_width: int
    stem_stride: int
    first_width: int
    stage_widths: tuple[int, ...]
    stage_depths: tuple[int, ...]
    stage_strides: tuple[int, ...]
    head_width: int


OFFICIAL = Sizes(224, 3, 1000, 32, 2, 16, (24, 40, 80, 96, 192, 320), (4, 4, 4, 4, 4, 1), (2, 2, 2, 1, 2, 1), 1280)
PRESETS = {
    "official": OFFICIAL,
    # ours: images of 12 to 32 pixels on a CPU, halved once, so that every kernel has pixels to see
    "small": Sizes(32, 3, 10, 16, 1, 8, (8, 24), (3, 3), (1, 2), 128),
} | {
    name: OFFICIAL._replace(stem_width=r.stem, first_width=r.first, stage_widths=r.stages, head_width=r.head)
    for name, r in RELEASED.items()
}


class MBConv(Space):
    """The MBConv chain. By default the authors' search space: 21 positions, 15 of them with `zero`.

    An architecture's string is its operations from the image to the classifier, joined by '-': k5e3-k3e3-zero-...
    The options change the chain's sizes; `geometry` says what came out.

    `preset`: the sizes to begin with: official, small (for small images on a CPU), or a released network's, such as
    proxyless-mobile. `width`: multiplies every width (the head's only above 1), rounded to multiples of 8 as published.
    `resolution`: side of the images in pixels. `stem_width`, `stem_stride`, `first_width`, `head_width`: of the fixed
    parts. `stage_widths`, `stage_depths` (blocks), `stage_strides` (of a stage's first block; 1 or 2): a list each,
    of equal lengths. Raises BenchbedError on a value out of range.
    """

    supernet = "benchbed.spaces.mbconv.supernet:MBConvSupernet"
    network = "benchbed.spaces.mbconv.network:MBConvNetwork"
    sized_by = ()

    def __init__(
        self,
        preset: str = "official",
        width: float = 1.0,
        resolution: int | None = None,
        stem_width: int | None = None,
        stem_stride: int | None = None,
        first_width: int | None = None,
        stage_widths: Sequence[int] | None = None,
        stage_depths: Sequence[int] | None = None,
        stage_strides: Sequence[int] | None = None,
        head_width: int | None = None,
    ):
        if preset not in PRESETS:
            raise unknown("mbconv preset", preset, PRESETS)
        if isinstance(width, bool) or not isinstance(width, (int, float)) or not 0 < width <= 100:
            raise BenchbedError(f"mbconv option width={width!r}: a factor above 0 is needed, such as 0.5 or 1.4")
        given = {
            "resolution": resolution, "stem_width": stem_width, "stem_stride": stem_stride,
            "first_width": first_width, "stage_widths": stage_widths, "stage_depths": stage_depths,
            "stage_strides": stage_strides, "head_width": head_width,
        }  # fmt: skip
        given = {name: value for name, value in given.items() if value is not None}
        self._own = [*(["preset"] if preset != "official" else []), *(["width"] if width != 1 else []), *given]
        self._preset = preset
        self._any_size = preset == "small" and resolution is None  # its counts are those of the images at hand
        self._sizes = scaled(_checked(PRESETS[preset], given), width)
        self.geometry = geometry_of(self._sizes)
        self.positions = _positions(self._sizes.stage_depths, self.geometry)

    def parse(self, text: str) -> Architecture:
        """The architecture of a chain of words, one a searched block, or a released network's name.

        A name is accepted where this space has that network's sizes (`resolve` finds them). Raises BenchbedError that
        names the word, its place and the nearest known one.
        """
        if text in RELEASED:
            if not self._has_sizes_of(text):
                raise BenchbedError(
                    f"network '{text}' has other sizes than this space: add --set space_options.preset={text}"
                )
            text = RELEASED[text].text
        elif text.startswith("proxyless"):
            raise unknown("released network", repr(text[:40])[1:-1], RELEASED)
        words = text.split("-")
        count = len(self.positions)
        choices = [_number(word, k, self.positions[k - 1]) for k, word in enumerate(words[:count], 1)]
        if len(words) != count:
            raise BenchbedError(f"mbconv chain of {len(words)} words where this space has {count}, joined by '-'")
        return self.architecture_of(tuple(choices))

    def architecture_of(self, choices: tuple[int, ...]) -> Architecture:
        if len(choices) != len(self.positions):
            raise BenchbedError(f"{len(choices)} mbconv choices where the chain has {len(self.positions)} positions")
        for position, k in zip(self.positions, choices, strict=True):
            if not 0 <= k < len(position.operations):
                known = len(position.operations) - 1
                raise BenchbedError(f"mbconv position {position.name}: operation number {k} is not one of 0 to {known}")
        return Architecture("-".join(p.operations[k] for p, k in zip(self.positions, choices, strict=True)), choices)

    def canonical(self, arch: Architecture) -> Hashable:
        """The blocks that do something, each with its geometry: where in a stage a `zero` stands changes nothing."""
        return tuple(
            (block.size, block.width, block.out_width, block.stride, block.operations[k])
            for block, k in zip(self.geometry.searched, arch.choices, strict=True)
            if block.operations[k] != ZERO
        )

    def resolve(self, text: str) -> tuple["MBConv", Architecture]:
        """(space, architecture); a released network's name leads to the space of its own sizes.

        A resolution that was set stays; raises BenchbedError where other sizes were set.
        """
        if text not in RELEASED or self._has_sizes_of(text):
            return self, self.parse(text)
        if own := [option for option in self._own if option != "resolution"]:
            raise BenchbedError(f"network '{text}' has its own sizes: leave out space_options.{own[0]}")
        space = MBConv(text, resolution=self._sizes.resolution)
        return space, space.parse(text)

    def _has_sizes_of(self, name: str) -> bool:
        images = {key: getattr(self._sizes, key) for key in ("resolution", "in_channels", "classes")}
        return self._sizes == PRESETS[name]._replace(**images)

    def counts(
        self, arch: Architecture, images: tuple[int, int, int], classes: int, *, channels: int, cells: int
    ) -> dict[str, int]:
        """Of the space's own sizes, for there are no C and N; `Space.counts`."""
        facts = self.for_images(images, classes).facts(arch)
        return {kind: facts[kind] for kind in ("params", "flops")}

    def for_images(self, shape: tuple[int, int, int], classes: int) -> "MBConv":
        """This space counted for such images. Raises BenchbedError where they are not square, or not of its resolution.

        The preset small takes images of any size, unless a resolution was set.
        """
        channels, height, width = shape
        if height != width:
            raise BenchbedError(f"images of {height}x{width} pixels: the chains of space 'mbconv' are of square images")
        if height != self._sizes.resolution and not self._any_size:
            raise BenchbedError(
                f"space 'mbconv' is set to images of {self._sizes.resolution} pixels and these have {height}: add "
                f"--set space_options.resolution={height} (or space_options.preset=small, made for small images)"
            )
        fitted = copy(self)
        fitted._sizes = self._sizes._replace(resolution=height, in_channels=channels, classes=classes)
        fitted.geometry = geometry_of(fitted._sizes)
        return fitted

    def sizes(self, channels: int, cells: int) -> dict[str, Any]:
        """The chain itself; it has no C and N."""
        return {"geometry": self.geometry}

    def unit_costs(self, kind: str) -> tuple[float, np.ndarray]:
        """Of one image of the space's resolution: `flops` are multiply-accumulates of convolutions and linear layer,
        `params` trainable values. Batch norm, activations, pooling, sums and biases cost no flops."""
        if kind not in COSTS:
            raise unknown("cost of mbconv", kind, COSTS)
        flops = kind == "flops"
        per_operation = np.zeros(self.mask.shape)
        for block in self.geometry.searched:
            assert block.position is not None
            for k, word in enumerate(block.operations):
                per_operation[block.position, k] = (
                    0 if word == ZERO else _block_cost(block, *kernel_and_expansion(word), flops)
                )
        g = self.geometry
        fixed = _convolution_cost(g.stem, flops) + _convolution_cost(g.head, flops)
        fixed += sum(_block_cost(b, 3, 1, flops) for b in g.blocks if b.position is None)
        fixed += g.head.out_width * g.classes + (0 if flops else g.classes)
        return float(fixed), per_operation

    def facts(self, arch: Architecture) -> dict[str, Any]:
        """Counts with this space's images and classes.

        `params` and `flops` (multiply-accumulates): as `unit_costs` counts. `depth`: searched blocks that are not
        zero. `preset`: whose sizes. `images` (channels, height, width) and `classes`: what was counted for.
        """
        g = self.geometry
        counted = {}
        for kind in ("params", "flops"):
            fixed, per_operation = self.unit_costs(kind)
            counted[kind] = int(fixed + (per_operation * self.gates(arch)).sum())
        depth = sum(b.operations[k] != ZERO for b, k in zip(g.searched, arch.choices, strict=True))
        return {
            **counted,
            "depth": depth,
            "preset": self._preset,
            "images": [g.stem.width, g.stem.size, g.stem.size],
            "classes": g.classes,
        }

    def layers(self, arch: Architecture) -> tuple[Layer, ...]:
        g, first = self.geometry, self.geometry.blocks[0]
        searched = (
            Layer(f"stage {position.name.partition('.')[0]}", position.operations[k], block.out_width, block.out_size)
            for position, block, k in zip(self.positions, g.searched, arch.choices, strict=True)
        )
        return (
            Layer("stem", "conv3x3", g.stem.out_width, g.stem.out_size),
            Layer("first", "k3e1", first.out_width, first.out_size),
            *searched,
            Layer("head", "conv1x1", g.head.out_width, g.head.out_size),
        )


def kernel_and_expansion(word: str) -> tuple[int, int]:
    """(k, e) of a word such as `k5e3`."""
    kernel, _, expansion = word[1:].partition("e")
    return int(kernel), int(expansion)


def scaled(sizes: Sizes, width: float) -> Sizes:
    """The sizes with every width multiplied and rounded by `divisible`; the head's is never made smaller."""
    return sizes._replace(
        stem_width=divisible(sizes.stem_width * width),
        first_width=divisible(sizes.first_width * width),
        stage_widths=tuple(divisible(wide * width) for wide in sizes.stage_widths),
        head_width=divisible(sizes.head_width * max(width, 1.0)),
    )


def geometry_of(sizes: Sizes) -> Geometry:
    """The chain of these sizes. A stride of 2 halves an image's side and rounds up, as the padding of 'same' does."""
    out = -(-sizes.resolution // sizes.stem_stride)
    stem = Convolution(sizes.resolution, sizes.in_channels, out, sizes.stem_width, 3, sizes.stem_stride)
    blocks = [Block(None, out, sizes.stem_width, out, sizes.first_width, 1, False)]
    for width, depth, stride in zip(sizes.stage_widths, sizes.stage_depths, sizes.stage_strides, strict=True):
        for step in [stride] + [1] * (depth - 1):
            size, before = blocks[-1].out_size, blocks[-1].out_width
            shortcut = step == 1 and before == width
            blocks.append(Block(len(blocks) - 1, size, before, -(-size // step), width, step, shortcut))
    size, width = blocks[-1].out_size, blocks[-1].out_width
    return Geometry(stem, tuple(blocks), Convolution(size, width, size, sizes.head_width, 1, 1), sizes.classes)


def divisible(channels: float) -> int:
    """The multiple of 8 nearest to `channels`, at least 8, and never below 90 % of it."""
    rounded = max(DIVISOR, int(channels + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded + DIVISOR if rounded < 0.9 * channels else rounded


def _checked(preset: Sizes, given: dict[str, Any]) -> Sizes:
    for name, value in given.items():
        if name.startswith("stage_"):
            allowed = (1, 2) if name == "stage_strides" else None
            if not isinstance(value, (list, tuple)) or not value or not all(_whole(v, allowed) for v in value):
                wanted = "strides of 1 or 2" if allowed else "whole numbers of at least 1"
                raise BenchbedError(f"mbconv option {name}={value!r}: a list of {wanted} is needed")
            given[name] = tuple(value)
        elif not _whole(value, (1, 2) if name == "stem_stride" else None):
            wanted = "1 or 2" if name == "stem_stride" else "a whole number of at least 1"
            raise BenchbedError(f"mbconv option {name}={value!r}: {wanted} is needed")
    sizes = preset._replace(**given)
    lengths = {name: len(getattr(sizes, name)) for name in ("stage_widths", "stage_depths", "stage_strides")}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} {count}" for name, count in lengths.items())
        raise BenchbedError(f"mbconv stages: lists of different lengths ({said})")
    return sizes


def _whole(value: object, allowed: tuple[int, ...] | None) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    return whole and (allowed is None or value in allowed)


def _positions(depths: Sequence[int], geometry: Geometry) -> tuple[Position, ...]:
    """Named stage.block, counted from 1; everything that a block offers may be selected."""
    names = [f"{stage}.{number}" for stage, depth in enumerate(depths, 1) for number in range(1, depth + 1)]
    pairs = zip(names, geometry.searched, strict=True)
    return tuple(Position(name, b.operations, (True,) * len(b.operations)) for name, b in pairs)


def _number(word: str, place: int, position: Position) -> int:
    """The operation number of a word of a chain."""
    where = f"word {place} (position {position.name})"
    if word == ZERO and ZERO not in position.operations:
        known = ", ".join(position.operations)
        raise BenchbedError(f"mbconv {where} is '{ZERO}', and that block changes size or width: it takes {known}")
    if word not in position.operations:
        raise unknown(f"mbconv operation at {where}", repr(word[:40])[1:-1], position.operations)
    return position.operations.index(word)


def _convolution_cost(c: Convolution, flops: bool) -> int:
    weights = c.kernel**2 * c.width * c.out_width
    return weights * c.out_size**2 if flops else weights + 2 * c.out_width


def _block_cost(b: Block, kernel: int, expansion: int, flops: bool) -> int:
    """1x1 expansion (none at expansion 1), depthwise, 1x1 projection, each with an affine batch norm."""
    wide = b.width * expansion
    expand, depthwise, project = (b.width * wide if expansion > 1 else 0), kernel**2 * wide, wide * b.out_width
    if flops:
        return expand * b.size**2 + (depthwise + project) * b.out_size**2
    return expand + depthwise + project + 2 * ((wide if expansion > 1 else 0) + wide + b.out_width)
