"""The shapes of a DARTS network's cells, and what their operations cost (Liu et al., ICLR 2019, section 3.1)."""

from typing import NamedTuple

MULTIPLIER = 4  # nodes whose outputs a cell joins
STEM_MULTIPLIER = 3  # the CIFAR stem has 3C channels
STEMS = ("cifar", "imagenet")
KERNELS = {"sep_conv_3x3": 3, "sep_conv_5x5": 5, "dil_conv_3x3": 3, "dil_conv_5x5": 5}


class CellShape(NamedTuple):
    """One cell: `before` and `previous`, channels of its two inputs; `channels` of each of its nodes."""

    reduction: bool  # its nodes are of half the size of its inputs
    after_reduction: bool  # the input from two cells back is of twice the size of the other
    before: int
    previous: int
    channels: int


def cell_shapes(channels: int, cells: int, stem: str = "cifar") -> list[CellShape]:
    """The cells from the stem on: reductions at L//3 and 2L//3, which double the channels."""
    before = previous = STEM_MULTIPLIER * channels if stem == "cifar" else channels
    reduced, found = stem == "imagenet", []
    for number in range(cells):
        reduction = number in (cells // 3, 2 * cells // 3)
        channels *= 1 + reduction
        found.append(CellShape(reduction, reduced, before, previous, channels))
        before, previous, reduced = previous, MULTIPLIER * channels, reduction
    return found


def operation_cost(name: str, channels: int, stride: int) -> tuple[int, int]:
    """(weights of its convolutions, parameters of its affine batch norms) of an operation.

    Each weight is also a multiply-accumulate per pixel of the output: all its convolutions but the first have stride
    1, and that one is counted at its output. A pooling has no batch norm outside of the supernet.
    """
    if name in KERNELS:
        times = 2 if name.startswith("sep") else 1
        return times * (KERNELS[name] ** 2 * channels + channels**2), times * 2 * channels
    if name == "skip_connect" and stride == 2:
        return channels**2, 2 * channels
    return 0, 0


def fixed_parameters(shapes: list[CellShape], stem: str, channels: int, in_channels: int, classes: int) -> int:
    """Parameters of the stem, of all cells' preprocessing and of the classifier."""
    convolutions, norms = zip(*stem_layers(stem, channels, in_channels), strict=True)
    total = sum(weights for weights, _ in convolutions) + 2 * sum(norms)
    for shape in shapes:
        total += (shape.before + shape.previous) * shape.channels + 2 * 2 * shape.channels
    last = MULTIPLIER * shapes[-1].channels
    cost: int = total + last * classes + classes
    return cost


def stem_layers(stem: str, channels: int, in_channels: int) -> list[tuple[tuple[int, int], int]]:
    """Of each 3x3 convolution of the stem: (its weights, how often the size has been halved after it), channels."""
    if stem == "cifar":
        return [((9 * in_channels * STEM_MULTIPLIER * channels, 0), STEM_MULTIPLIER * channels)]
    half = channels // 2
    return [((9 * in_channels * half, 1), half), ((9 * half * channels, 2), channels), ((9 * channels**2, 3), channels)]


def areas(shapes: list[CellShape], stem: str, size: tuple[int, int]) -> list[tuple[int, int]]:
    """Pixels of each cell's input (of its preprocessing) and of its nodes. Sizes round up."""
    height, width = size
    for _ in range(0 if stem == "cifar" else 3):
        height, width = halved((height, width))
    found = []
    for shape in shapes:
        before = height * width
        if shape.reduction:
            height, width = halved((height, width))
        found.append((before, height * width))
    return found


def fixed_flops(shapes: list[CellShape], stem: str, channels: int, images: tuple[int, int, int], classes: int) -> int:
    """Multiply-accumulates of one image in the stem, in all preprocessing and in the classifier."""
    total = 0
    for (weights, halvings), _ in stem_layers(stem, channels, images[0]):
        height, width = images[1:]
        for _ in range(halvings):
            height, width = halved((height, width))
        total += weights * height * width
    for shape, (before, _) in zip(shapes, areas(shapes, stem, images[1:]), strict=True):
        total += (shape.before + shape.previous) * shape.channels * before
    return total + MULTIPLIER * shapes[-1].channels * classes


def halved(size: tuple[int, int]) -> tuple[int, int]:
    """After a convolution or pooling of stride 2."""
    return -(-size[0] // 2), -(-size[1] // 2)
