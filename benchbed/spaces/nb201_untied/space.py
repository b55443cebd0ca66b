"""NAS-Bench-201 without a repeated motif: each of the 3N cells has six decisions of its own.

ProxylessNAS argues against repeating one searched cell (Cai et al., ICLR 2019, section 1). This is NAS-Bench-201's
network (Dong and Yang, ICLR 2020) with that restriction lifted: 5^(18N) networks, of which the 15,625 with all cells
equal are the benchmark's. No table holds the others; they are scored by training.
"""

import hashlib
from collections import Counter
from typing import Any

import numpy as np

from ...errors import BenchbedError, unknown
from ...space import Architecture, Position, Space
from ..formulas import counts_by
from ..nb201.space import CONV1, CONV3, EDGES, NB201, NONE, OPERATIONS, SKIP, flops, parameters

SEPARATOR = "/"  # between the cells of a string
STAGES = 3
MOST_CELLS = 50  # a stage


class NB201Untied(Space):
    """3N cells of NAS-Bench-201 in a row, written as their official strings with '/' between them.

    `cells` is N, the cells a stage (5 in the benchmark). Positions are named `cell:edge`, such as `3:0->2`, with cells
    counted from 1 at the image.
    """

    supernet = "benchbed.spaces.nb201_untied.supernet:NB201UntiedSupernet"
    network = "benchbed.spaces.nb201_untied.network:NB201UntiedNetwork"
    sized_by = ("channels",)

    def __init__(self, cells: object = 5):
        """Raises BenchbedError unless `cells` is a whole number from 1 to 50."""
        if type(cells) is not int or not 1 <= cells <= MOST_CELLS:
            raise BenchbedError(f"space option cells = {cells!r}: expected a whole number from 1 to {MOST_CELLS}")
        self.cells, self.cell = cells, NB201()
        free = (True,) * len(OPERATIONS)
        self.positions = tuple(
            Position(f"{number}:{a}->{b}", OPERATIONS, free)
            for number in range(1, STAGES * cells + 1)
            for a, b in EDGES
        )

    def sizes(self, channels: int, cells: int) -> dict[str, Any]:
        """C as given; N is the space's own."""
        return {"channels": channels, "cells": self.cells}

    def parse(self, text: str) -> Architecture:
        """The network of 3N official strings joined by '/'. Raises BenchbedError that names the cell and its token."""
        parts, count = text.split(SEPARATOR), STAGES * self.cells
        if len(parts) != count:
            raise BenchbedError(
                f"nb201-untied architecture of {len(parts)} cells where {count} joined by '{SEPARATOR}' are expected"
                f" (space option cells = {self.cells})"
            )
        choices: list[int] = []
        for number, part in enumerate(parts, 1):
            try:
                choices += self.cell.parse(part).choices
            except BenchbedError as error:
                raise BenchbedError(f"cell {number}: {error}") from None
        return Architecture(text, tuple(choices))

    def architecture_of(self, choices: tuple[int, ...]) -> Architecture:
        """The network with operation number `choices[6 c + e]` on edge e of cell c."""
        if len(choices) != len(self.positions):
            raise BenchbedError(
                f"nb201-untied choices: {len(choices)} numbers where {len(self.positions)} are expected"
            )
        texts = []
        for number, cell in enumerate(split(choices), 1):
            try:
                texts.append(self.cell.architecture_of(cell).text)
            except BenchbedError as error:
                raise BenchbedError(f"cell {number}: {error}") from None
        return Architecture(SEPARATOR.join(texts), choices)

    def canonical(self, arch: Architecture) -> str:
        """A digest of the function that the network computes; `0` where the images do not reach its end.

        Two networks share it exactly if they are equal up to the order and grouping of sums, by the rules of
        `NB201.canonical` across cells: a cell that passes its input on does nothing, wherever in its stage it stands.
        """
        terms: Counter[str] = Counter(["image"])
        for number, cell in enumerate(split(arch.choices)):
            if number and number % self.cells == 0:
                terms = Counter([_digest("reduction", terms)])
            terms = _through(cell, terms)
            if not terms:
                return "0"
        return _digest("output", terms)

    def counts(
        self, arch: Architecture, images: tuple[int, int, int], classes: int, *, channels: int, cells: int
    ) -> dict[str, int]:
        """`parameters`, and `flops` where the images are halved evenly; N is the space's own; `Space.counts`."""
        return counts_by(self.parameters, self.flops, arch, images, 4, channels=channels, classes=classes)

    def facts(self, arch: Architecture) -> dict[str, Any]:
        """`params`, `flops` of the CIFAR-10 network of 16 channels; how many cells differ; the canonical form."""
        convolutions = sum(k in (CONV1, CONV3) for k in arch.choices)
        return {
            "params": self.parameters(arch),
            "flops": self.flops(arch),
            "cells": STAGES * self.cells,
            "distinct_cells": len(set(split(arch.choices))),
            "parameter_free": 1 - convolutions / len(arch.choices),
            "canonical": self.canonical(arch),
        }

    def unit_costs(self, kind: str) -> tuple[float, np.ndarray]:
        """Of the CIFAR-10 network of 16 channels; see `Space.unit_costs`."""
        if kind not in ("params", "flops"):
            raise unknown("cost", kind, ("params", "flops"))
        found = np.zeros((len(self.positions), len(OPERATIONS)))
        for number in range(STAGES * self.cells):
            stage = number // self.cells
            area, width = (32 // 2**stage) ** 2, 16 * 2**stage
            rows = slice(number * len(EDGES), (number + 1) * len(EDGES))
            for column, kernel in ((CONV1, 1), (CONV3, 9)):
                weights = kernel * width**2
                found[rows, column] = weights + 2 * width if kind == "params" else weights * area
        return float((parameters if kind == "params" else flops)(_EMPTY, cells=1)), found

    def parameters(self, arch: Architecture, channels: int = 16, classes: int = 10, in_channels: int = 3) -> int:
        """Trainable parameters, as `nb201.parameters` counts them."""
        size = {"channels": channels, "classes": classes, "in_channels": in_channels}
        without = parameters(_EMPTY, cells=1, **size)
        for number, cell in enumerate(split(arch.choices)):
            width = channels * 2 ** (number // self.cells)
            ones, threes = cell.count(CONV1), cell.count(CONV3)
            without += threes * (9 * width**2 + 2 * width) + ones * (width**2 + 2 * width)
        return without

    def flops(
        self, arch: Architecture, channels: int = 16, classes: int = 10, in_channels: int = 3, size: int = 32
    ) -> int:
        """Cost of one image, as `nb201.flops` counts it."""
        total = flops(_EMPTY, cells=1, channels=channels, classes=classes, in_channels=in_channels, size=size)
        for number, cell in enumerate(split(arch.choices)):
            stage = number // self.cells
            area, width = (size // 2**stage) ** 2, channels * 2**stage
            total += (9 * cell.count(CONV3) + cell.count(CONV1)) * width**2 * area
        return total


_EMPTY = Architecture("", (NONE,) * len(EDGES))


def split(choices: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The choices of each cell."""
    return [choices[i : i + len(EDGES)] for i in range(0, len(choices), len(EDGES))]


def _through(cell: tuple[int, ...], terms: Counter[str]) -> Counter[str]:
    """The terms, with multiplicity, of a cell's output where its input is the sum of `terms`."""
    nodes = [terms]
    for node in (1, 2, 3):
        arriving: Counter[str] = Counter()
        for k, (source, target) in zip(cell, EDGES, strict=True):
            if target != node or k == NONE or not nodes[source]:
                continue
            arriving.update(nodes[source] if k == SKIP else [_digest(OPERATIONS[k], nodes[source])])
        nodes.append(arriving)
    return nodes[3]


def _digest(operation: str, terms: Counter[str]) -> str:
    """A name of fixed length for an operation of a sum: written out it would grow with every cell."""
    return hashlib.sha256(f"{operation} {sorted(terms.items())}".encode()).hexdigest()[:16]
