"""What a space's networks are made of, as keys of a look-up table: the fixed parts, and what each operation adds.

The keys of `mbconv` are those of the authors' published table (ProxylessNAS' `mobile_trim.yaml`), so that it can be
read as it is and our own measurements look alike:

    expanded_conv-input:56x56x24-output:56x56x24-expand:3-kernel:3-stride:1-idskip:1      (height x width x channels)

Those of `nb201` follow the same grammar; an operation of a cell stands once in each of its three stages, in every cell.
"""

from typing import NamedTuple

from ..errors import BenchbedError
from ..space import Space
from ..spaces.nb201.space import NB201, NONE, OPERATIONS

Parts = tuple[tuple[str, int], ...]  # (key, how often)

NB201_CHANNELS, NB201_CELLS, NB201_SIZE, NB201_CLASSES = 16, 5, 32, 10  # the published CIFAR-10 network


class Layout(NamedTuple):
    """fixed: what every network has. operations: position by position, what each operation adds; nothing for a zero."""

    fixed: Parts
    operations: tuple[tuple[Parts, ...], ...]

    def distinct_keys(self) -> list[str]:
        """Every key once, in the order of the network."""
        rows = [self.fixed, *(parts for row in self.operations for parts in row)]
        return list(dict.fromkeys(key for parts in rows for key, _ in parts))


def layout_of(space: Space, name: str) -> Layout:
    """The layout of a space. Raises BenchbedError for a space whose networks are not described here."""
    if isinstance(space, NB201):
        return _nb201(space)
    if (geometry := getattr(space, "geometry", None)) is not None:
        return _chain(space, geometry)
    raise BenchbedError(f"space '{name}' has no look-up tables: expected nb201 or mbconv, or a table of whole networks")


def shape(size: int, channels: int) -> str:
    """A square image's shape in a key."""
    return f"{size}x{size}x{channels}"


def _nb201(space: NB201) -> Layout:
    stages = [(NB201_SIZE // 2**s, NB201_CHANNELS * 2**s) for s in range(3)]
    fixed = [f"stem-input:{shape(NB201_SIZE, 3)}-output:{shape(*stages[0])}"]
    fixed += [f"reduction-input:{shape(*stages[s])}-output:{shape(*stages[s + 1])}" for s in range(2)]
    fixed.append(f"head-input:{shape(*stages[2])}-output:{NB201_CLASSES}")
    added = tuple(
        () if k == NONE else tuple((f"{op}-input:{shape(*at)}-output:{shape(*at)}", NB201_CELLS) for at in stages)
        for k, op in enumerate(OPERATIONS)
    )
    return Layout(tuple((key, 1) for key in fixed), (added,) * len(space.positions))


def _chain(space: Space, geometry: object) -> Layout:
    from ..spaces.mbconv.space import Block, Geometry, kernel_and_expansion

    assert isinstance(geometry, Geometry)

    def block(b: Block, kernel: int, expand: int) -> str:
        return (
            f"expanded_conv-input:{shape(b.size, b.width)}-output:{shape(b.out_size, b.out_width)}"
            f"-expand:{expand}-kernel:{kernel}-stride:{b.stride}-idskip:{int(b.has_shortcut)}"
        )

    g = geometry
    fixed = [f"Conv-input:{shape(g.stem.size, g.stem.width)}-output:{shape(g.stem.out_size, g.stem.out_width)}"]
    fixed += [block(b, 3, 1) for b in g.blocks if b.position is None]
    fixed.append(f"Conv_1-input:{shape(g.head.size, g.head.width)}-output:{shape(g.head.out_size, g.head.out_width)}")
    fixed.append(f"Logits-input:{shape(g.head.out_size, g.head.out_width)}-output:{g.classes}")
    rows = []
    for b, position in zip(g.searched, space.positions, strict=True):
        words = position.operations
        rows.append(tuple(() if w == "zero" else ((block(b, *kernel_and_expansion(w)), 1),) for w in words))
    return Layout(tuple((key, 1) for key in fixed), tuple(rows))
