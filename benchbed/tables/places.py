"""Where an architecture stands in a table's flattened arrays: a grid of a whole space, or a list of some of it.

A *grid* has one axis a position, so that entry [k0, k1, ...] is the architecture with operation k_i at position i; each
string has a place of its own, also where two compute the same function, because benchmarks train them apart. A *list*
is for spaces that are too large or drop positions, as DARTS': its architectures are keyed by canonical form, so that
one is found however it is written. Numpy only.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from functools import cached_property

import numpy as np

from ..errors import BenchbedError
from ..space import Architecture, Space

LARGEST = 1 << 20  # architectures of a grid
ROWS = "architectures"  # the array that holds a list's strings, in UTF-8


class Places(ABC):
    """shape: of an array with one entry an architecture. missing: how many architectures of the space have no place."""

    space: Space
    shape: tuple[int, ...]
    missing: int = 0

    def __len__(self) -> int:
        return math.prod(self.shape)

    @property
    @abstractmethod
    def strings(self) -> list[str]:
        """The native strings, by place."""

    @abstractmethod
    def of(self, architecture: Architecture) -> int:
        """The place of an architecture of the space; -1 where it has none."""

    @abstractmethod
    def architecture(self, place: int) -> Architecture:
        """The architecture at a place."""

    @abstractmethod
    def of_choices(self, choices: np.ndarray) -> np.ndarray:
        """intp (...): the places of operation numbers (..., P), -1 for an architecture that has none.

        Raises BenchbedError for another last axis and for an operation number that there is not.
        """

    @abstractmethod
    def choices(self) -> np.ndarray:
        """int16 (n, P): the operation numbers of every architecture, by place; -1 where a position is dropped."""


class Grid(Places):
    """Every architecture of a space without dropped positions."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.shape = tuple(len(p.operations) for p in space.positions)
        self._strides = np.cumprod((1, *reversed(self.shape[1:])))[::-1].astype(np.intp)

    @cached_property
    def strings(self) -> list[str]:
        from ..spaces.nb201.space import NB201, all_strings

        if type(self.space) is NB201:
            return all_strings()
        return [self.architecture(place).text for place in range(len(self))]

    def of(self, architecture: Architecture) -> int:
        return int(self.of_choices(np.array(architecture.choices)))

    def architecture(self, place: int) -> Architecture:
        return self.space.architecture_of(tuple(int(k) for k in np.unravel_index(place, self.shape)))

    def of_choices(self, choices: np.ndarray) -> np.ndarray:
        if choices.ndim == 0 or choices.shape[-1] != len(self.shape):
            raise BenchbedError(f"operation numbers of shape {choices.shape}: expected (..., {len(self.shape)})")
        if choices.size and (choices.min() < 0 or choices.max() >= min(self.shape)):  # no array of flags on the way
            wrong = (choices < 0) | (choices >= np.array(self.shape))
            for at in np.argwhere(wrong)[:1]:
                name, top = self.space.positions[at[-1]].name, self.shape[at[-1]] - 1
                raise BenchbedError(f"operation number {choices[tuple(at)]} at {name}: expected 0 to {top}")
        return np.asarray(choices.astype(np.intp, copy=False) @ self._strides)

    def choices(self) -> np.ndarray:
        return np.indices(self.shape, dtype=np.int16).reshape(len(self.shape), -1).T


class Listed(Places):
    """Some architectures of a space, in the order of their strings."""

    def __init__(self, space: Space, strings: Sequence[str]) -> None:
        """Raises BenchbedError for a string that is none of the space, or computes what an earlier one does."""
        self.space, self.shape, self.missing = space, (len(strings),), space.size() - len(strings)
        self._strings = list(strings)
        self._architectures = [space.parse(text) for text in strings]
        self._at: dict[Hashable, int] = {space.canonical(one): i for i, one in enumerate(self._architectures)}
        if len(self._at) < len(strings):
            raise BenchbedError("two of the table's architectures are the same")

    @property
    def strings(self) -> list[str]:
        return self._strings

    def of(self, architecture: Architecture) -> int:
        return self._at.get(self.space.canonical(architecture), -1)

    def architecture(self, place: int) -> Architecture:
        return self._architectures[place]

    def of_choices(self, choices: np.ndarray) -> np.ndarray:
        positions = len(self.space.positions)
        if choices.ndim == 0 or choices.shape[-1] != positions:
            raise BenchbedError(f"operation numbers of shape {choices.shape}: expected (..., {positions})")
        rows = choices.reshape(-1, positions).tolist()
        found = [self.of(self.space.architecture_of(tuple(row))) for row in rows]
        return np.array(found, dtype=np.intp).reshape(choices.shape[:-1])

    def choices(self) -> np.ndarray:
        return np.array([one.choices for one in self._architectures], dtype=np.int16)


def is_grid(space: Space) -> bool:
    """Whether a table of the space has a place for every architecture."""
    sizes = [len(p.operations) for p in space.positions]
    return not any(p.droppable for p in space.positions) and math.prod(sizes) <= LARGEST


def operations_of(space: Space) -> list[list[str]]:
    """What a table's places depend on: the operations of each position."""
    return [list(p.operations) for p in space.positions]
