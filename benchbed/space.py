"""The contract of a search space: positions, operations, strings, gates. Numpy only.

A space is a list of *positions* (an edge of a cell, a layer of a chain), each with its operations. **Gates** are
an array (P, O): row i says how much of each operation flows at position i; P positions, O the longest list of
operations. Where positions have different operations the rows are padded, and `mask` is False on the padding.
A column index is therefore never an operation's identity: `positions[i].operations[k]` is.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from decimal import Decimal
from importlib import import_module
from itertools import combinations
from math import prod
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .errors import BenchbedError


class Position(NamedTuple):
    """One decision of a space."""

    name: str
    operations: tuple[str, ...]
    selectable: tuple[bool, ...]  # which operations a selector may choose, in the order of `operations`
    droppable: bool = False  # whether an architecture may leave it empty; so for the inputs of a node that keeps few
    group: str = ""  # the part it belongs to, such as 'normal' or 'reduce'


class Node(NamedTuple):
    """The topology rule of one node: an architecture keeps exactly `keep` of its inputs and drops the others.

    incoming: position indices, by source, earliest first. They are droppable exactly where there are more than `keep`.
    """

    group: str
    incoming: tuple[int, ...]
    keep: int


class Architecture(NamedTuple):
    """A member of a space: a frozen value that prints as its native string.

    `choices[i]` is the index of the operation at position i, or -1 where the position was dropped.
    """

    text: str
    choices: tuple[int, ...]

    def __str__(self) -> str:
        return self.text

    def draw(self, path: str | Path | None = None, space: "Space | None" = None) -> str:
        """Its picture as SVG; also written to `path`, whose ending chooses .svg, .pdf or .png.

        space: where it is from; by default the first registered one that has this string and these choices. Raises
        BenchbedError where there is none, as for a chain of layers, whose sizes only its own space knows.
        """
        drawn: str = import_module("benchbed.report.draw").drawing(self, path, space)  # matplotlib, only when drawn
        return drawn

    def _repr_svg_(self) -> str | None:
        """For notebooks; None where it cannot be drawn, so that they show its string."""
        try:
            return self.draw()
        except BenchbedError:
            return None


class Layer(NamedTuple):
    """One layer of a chain, for pictures: `group` is the part that it stands in, such as 'stage 1'."""

    group: str
    operation: str
    width: int  # channels out
    size: int  # side of its output, in pixels


def counted(architectures: int) -> str:
    """A number of architectures, in few digits where it has many: there are spaces of more than a float holds."""
    return f"{architectures:,}" if architectures < 10**9 else f"{Decimal(architectures):.1e}"


class Space(ABC):
    """Positions, strings both ways, gates both ways, draws and neighbours.

    An implementation gives `positions`, `parse`, `architecture_of` and `canonical`; the rest follows from them.
    It must be cheap to make (no torch) and every method must be deterministic in its arguments.
    """

    positions: tuple[Position, ...]
    nodes: tuple[Node, ...] = ()  # the topology rule; a position is an input of one node at most
    supernet: ClassVar[str]  # 'module:Class' of the over-parameterised network, imported on use
    network: ClassVar[str]  # 'module:Class' of the discrete network of an architecture, imported on use
    sized_by: ClassVar[tuple[str, ...]] = ("channels", "cells")  # which options of a supernet or a score size them

    @abstractmethod
    def parse(self, text: str) -> Architecture:
        """The architecture of a native string. Raises BenchbedError that names the offending token."""

    @abstractmethod
    def architecture_of(self, choices: tuple[int, ...]) -> Architecture:
        """The architecture with operation `choices[i]` at position i. Raises BenchbedError if out of range."""

    @abstractmethod
    def canonical(self, arch: Architecture) -> Hashable:
        """A value that two architectures share exactly if they compute the same function."""

    def network_form(self, arch: Architecture) -> Hashable:
        """A value that two architectures share exactly if one network is the other but for parts that reach no output.

        Never coarser than `canonical`, which may take a convolution that is used twice for two of the same weights: two
        convolutions have weights of their own. Default: `canonical`, for spaces that share no operation.
        """
        return self.canonical(arch)

    def sizes(self, channels: int, cells: int) -> dict[str, Any]:
        """The keyword arguments that size the supernet and the network, beside `classes` and `in_channels`.

        Default: NAS-Bench-201's C and N, as far as `sized_by` names them. A space whose own options fix the size of
        its networks has an empty `sized_by` and gives those instead.
        """
        given = {"channels": channels, "cells": cells}
        return {name: given[name] for name in self.sized_by}

    def facts(self, arch: Architecture) -> dict[str, Any]:
        """What `describe` prints beside the string: plain counts such as params, flops. Default: nothing."""
        return {}

    def counts(
        self, arch: Architecture, images: tuple[int, int, int], classes: int, *, channels: int, cells: int
    ) -> dict[str, int]:
        """`params` and `flops` of the network of this size on such images, as `facts` counts the published one's.

        images: (channels, height, width). What is left out is counted on the network where it is trained, as it runs
        (`benchbed.training.counted`). Default: nothing is known.
        """
        return {}

    def layers(self, arch: Architecture) -> tuple[Layer, ...]:
        """The chain of layers from the images to the classifier, for pictures. Default: none, the space is no chain."""
        return ()

    def resolve(self, text: str) -> tuple["Space", Architecture]:
        """(space, architecture) of a native string or of a published network's name.

        The space is this one, or one of this kind with the named network's own sizes. Raises as `parse` does.
        """
        return self, self.parse(text)

    def for_images(self, shape: tuple[int, int, int], classes: int) -> "Space":
        """This space as it is on images of (channels, height, width): the same members, perhaps other counts.

        Default: itself. Raises BenchbedError where its networks are not made for such images.
        """
        return self

    def unit_costs(self, kind: str) -> tuple[float, np.ndarray]:
        """(fixed, per_operation): what every architecture costs, and float64 (P, O) what each operation adds.

        An architecture costs `fixed` plus the entries of its operations; padding is 0. kind: 'flops', the
        multiply-accumulates of one image, or 'params'. Raises BenchbedError for a kind that the space does not know.
        Default: none is known.
        """
        raise BenchbedError(f"cost '{kind}': {type(self).__name__} knows no costs by operation")

    @property
    def mask(self) -> np.ndarray:
        """bool (P, O): False on padding."""
        widest = max(len(p.operations) for p in self.positions)
        return np.array([[k < len(p.operations) for k in range(widest)] for p in self.positions])

    @property
    def selectable(self) -> np.ndarray:
        """bool (P, O): the entries that a selector may choose."""
        allowed = np.zeros_like(self.mask)
        for row, position in zip(allowed, self.positions, strict=True):
            row[: len(position.selectable)] = position.selectable
        return allowed

    def size(self) -> int:
        """The number of architectures that a selector can reach."""
        counts = [sum(position.selectable) for position in self.positions]
        ruled = {i for node in self.nodes for i in node.incoming}
        total = prod(n for i, n in enumerate(counts) if i not in ruled)
        for node in self.nodes:
            total *= sum(prod(counts[i] for i in kept) for kept in combinations(node.incoming, node.keep))
        return total

    def gates(self, arch: Architecture) -> np.ndarray:
        """float32 (P, O): the one-hot rows of an architecture; an all-zero row where a position was dropped."""
        gates = np.zeros(self.mask.shape, dtype=np.float32)
        for i, k in enumerate(arch.choices):
            if k >= 0:
                gates[i, k] = 1.0
        return gates

    def architecture(self, gates: np.ndarray) -> Architecture:
        """The exact inverse of `gates`.

        Raises BenchbedError unless each row is one-hot on its operations, or zero where the position is droppable,
        and every node keeps as many inputs as its rule says.
        """
        gates = np.asarray(gates)
        if gates.shape != self.mask.shape:
            raise BenchbedError(f"gates of shape {gates.shape} where the space has {self.mask.shape}")
        droppable = np.array([position.droppable for position in self.positions])
        total = gates.sum(1)
        one_hot = ((gates == 0) | (gates == 1)).all() and not gates[~self.mask].any()
        if not one_hot or not ((total == 1) | (droppable & (total == 0))).all():
            raise BenchbedError("gates name no architecture: every row must be one-hot on the position's operations")
        choices = tuple(int(k) if kept else -1 for k, kept in zip(gates.argmax(1), total, strict=True))
        self.check_topology(choices)
        return self.architecture_of(choices)

    def check_topology(self, choices: Sequence[int]) -> None:
        """Raises BenchbedError where a position that may not be dropped is -1, or a node keeps too many or too few."""
        for position, k in zip(self.positions, choices, strict=True):
            if k == -1 and not position.droppable:
                raise BenchbedError(f"position '{position.name}' may not be dropped")
        for node in self.nodes:
            kept = [self.positions[i].name for i in node.incoming if choices[i] >= 0]
            if len(kept) != node.keep:
                names = ", ".join(self.positions[i].name for i in node.incoming)
                raise BenchbedError(
                    f"node with inputs {names}: {len(kept)} kept where an architecture keeps {node.keep}"
                )

    def keep_strongest(self, choices: Sequence[int], strength: Sequence[float]) -> tuple[int, ...]:
        """The choices with each node's `keep` strongest inputs, the others dropped; ties to the earlier source.

        choices: an operation at every position. strength: one number a position, higher is stronger (DARTS, section
        2.4: the probability of its best operation). A space without topology keeps them all.
        """
        kept = list(choices)
        for node in self.nodes:
            by_strength = sorted(node.incoming, key=lambda i: -strength[i])  # stable: ties stay by source
            for i in by_strength[node.keep :]:
                kept[i] = -1
        return tuple(kept)

    def random(self, rng: np.random.Generator) -> Architecture:
        """One architecture: each operation uniform over the selectable ones, each node's inputs a uniform subset."""
        choices = [int(rng.choice(np.flatnonzero(row))) for row in self.selectable]
        return self.architecture_of(self.keep_strongest(choices, self._random_strength(rng)))

    def _random_strength(self, rng: np.random.Generator) -> list[float]:
        """Nothing is drawn where there is no topology: the draws of such spaces stay what they were."""
        return rng.random(len(self.positions)).tolist() if self.nodes else []

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        """Every architecture that differs in one decision, by position and then by operation.

        One decision is the operation of a position that is kept, or, at a node that drops inputs, one kept input
        given up for a dropped one with any operation.
        """
        selectable = [[int(k) for k in np.flatnonzero(row)] for row in self.selectable]
        ruled = {i for node in self.nodes for i in node.incoming}
        for i, taken in enumerate(arch.choices):
            for k in [] if taken < 0 and i in ruled else selectable[i]:
                if k != taken:
                    yield self.architecture_of((*arch.choices[:i], k, *arch.choices[i + 1 :]))
        for node in self.nodes:
            dropped = [i for i in node.incoming if arch.choices[i] < 0]
            for i in node.incoming:
                for j in dropped if arch.choices[i] >= 0 else []:
                    for k in selectable[j]:
                        changed = list(arch.choices)
                        changed[i], changed[j] = -1, k
                        yield self.architecture_of(tuple(changed))

    def describe_choices(self, arch: Architecture) -> list[tuple[str, str]]:
        """(position, operation) in words, 'dropped' where a position was dropped."""
        return [
            (p.name, p.operations[k] if k >= 0 else "dropped")
            for p, k in zip(self.positions, arch.choices, strict=True)
        ]
