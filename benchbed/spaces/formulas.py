"""What spaces with closed forms of parameters and FLOPs share."""

from collections.abc import Callable

from ..space import Architecture


def counts_by(
    parameters: Callable[..., int],
    flops: Callable[..., int],
    arch: Architecture,
    images: tuple[int, int, int],
    multiple: int,
    **size: int,
) -> dict[str, int]:
    """`Space.counts` by two formulas, which take `size` and in_channels; flops of square images alone, by their side.

    multiple: of what the side has to be for the formula to hold.
    """
    in_channels, height, width = images
    found = {"params": parameters(arch, in_channels=in_channels, **size)}
    if height == width and height % multiple == 0:
        found["flops"] = flops(arch, in_channels=in_channels, size=height, **size)
    return found
