"""Which architectures are trained: one of each class of those that compute the same function. Numpy only."""

from collections import defaultdict
from collections.abc import Callable, Hashable
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from ..errors import BenchbedError
from ..space import Architecture, Space, counted

MOST = 200_000  # architectures of a space that can be a table
TRIES = 100  # draws an architecture that is wanted
_ORDER = 201  # seeds the order of training, the same on every machine


class CellClass(NamedTuple):
    """Architectures that compute one function. `trained` is the one of them that is trained.

    `places`: int (members,), where they stand in a table's flattened array.
    """

    trained: Architecture
    places: np.ndarray


def classes(space: Space) -> list[CellClass]:
    """Every class of the space, in the order in which they are trained.

    Of its members the one with the fewest parameters is trained, so that no operation that cannot change the output
    has any; of several the first. The order is one fixed permutation: the first n are a sample drawn without
    replacement, and a build that was stopped holds one. Raises BenchbedError for a space of over 200,000, or one that
    drops positions: `drawn` has some of it.
    """
    if not countable(space):
        raise BenchbedError(
            f"the space has {counted(space.size())} architectures: a table is built of at most {MOST:,}; give "
            "--sample N for N of them, drawn at random"
        )
    groups = grouped(space, space.canonical).values()
    found = [CellClass(cells[0], np.array(sorted(places))) for cells, places in groups]
    order = np.random.default_rng(_ORDER).permutation(len(found))
    return [found[i] for i in order]


class Group(NamedTuple):
    """Architectures of one form, that with the fewest parameters first, and where they stand in a table's array."""

    cells: list[Architecture]
    places: list[int]


def grouped(space: Space, form: Callable[[Architecture], Hashable]) -> dict[Hashable, Group]:
    """Every architecture of a countable space by its form; of equally many parameters the first is first."""
    members: dict[Hashable, list[tuple[float, int, Architecture]]] = defaultdict(list)
    for place, choices in enumerate(product(*map(range, shape_of(space)))):
        cell = space.architecture_of(choices)
        members[form(cell)].append((_weight(space, cell), place, cell))
    found = {}
    for key, group in members.items():
        group.sort(key=lambda member: member[:2])
        found[key] = Group([cell for _, _, cell in group], [place for _, place, _ in group])
    return found


def countable(space: Space) -> bool:
    """Whether a table can hold every architecture of the space."""
    return not any(position.droppable for position in space.positions) and prod(shape_of(space)) <= MOST


def drawn(space: Space, count: int) -> list[Architecture]:
    """So many architectures of a space of any size, uniform draws, none computing what an earlier one does.

    The draws are one fixed sequence: a smaller count gives the first of them, so that a build can be asked for more.
    Raises BenchbedError where the space seems to have fewer.
    """
    rng, found = np.random.default_rng(_ORDER), dict[Hashable, Architecture]()
    for _ in range(TRIES * count):
        if len(found) == count:
            break
        one = space.random(rng)
        found.setdefault(space.canonical(one), one)
    if len(found) < count:
        raise BenchbedError(f"--sample {count}: {TRIES * count:,} draws gave {len(found):,} different architectures")
    return list(found.values())


def sampled(space: Space, count: int | None) -> list[CellClass]:
    """What a build trains: the first `count` classes (None: all), or so many draws of a space that is too large.

    The places of draws are those in a list of their strings, sorted.
    """
    if count is None or countable(space):
        return classes(space)[:count]
    found = drawn(space, count)
    place = {text: i for i, text in enumerate(sorted(one.text for one in found))}
    return [CellClass(one, np.array([place[one.text]])) for one in found]


def shape_of(space: Space) -> tuple[int, ...]:
    """The number of operations at each position: the shape of a table's arrays."""
    return tuple(len(position.operations) for position in space.positions)


def _weight(space: Space, cell: Architecture) -> float:
    """The number of parameters where the space counts them; counting is slow, so NAS-Bench-201's is by formula."""
    from .nb201.space import CONV1, CONV3, NB201

    if isinstance(space, NB201):  # at every width and depth a 3x3 convolution holds more than six 1x1 ones
        return 9 * cell.choices.count(CONV3) + cell.choices.count(CONV1)
    return float(space.facts(cell).get("params", 0))
