"""DARTS: a normal and a reduction cell of 14 edges and eight operations, nodes that keep two inputs.

Liu, Simonyan and Yang, "DARTS: Differentiable Architecture Search", ICLR 2019, section 3.1 and the authors' code. A
cell has two inputs (nodes 0 and 1, the outputs of the two cells before it) and four nodes, each with an edge from every
earlier one; an architecture keeps two edges a node. The output joins the four nodes. `none` takes part in the search
and may not be selected.
"""

from collections import Counter
from copy import copy
from typing import Any

import numpy as np

from ...errors import BenchbedError, unknown
from ...space import Architecture, Node, Position, Space
from . import costs as costs
from .genotype import FORM, GROUPS, INPUTS, NODES, read_genotype, show, write_genotype
from .published import CELLS, published

OPERATIONS = (
    "none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3",
    "dil_conv_5x5",
)  # fmt: skip
EDGES = tuple((source, node) for node in NODES for source in range(node))  # (source, node), in the published order
# of the networks that are trained from scratch: what the counts are of (section 3.2; ImageNet: section 3.3)
SIZES = {"cifar": {"channels": 36, "cells": 20}, "imagenet": {"channels": 48, "cells": 14}}
IMAGES = {"cifar": ((3, 32, 32), 10), "imagenet": ((3, 224, 224), 1000)}


def positions_of(normal: tuple[tuple[str, ...], ...], reduce: tuple[tuple[str, ...], ...]) -> tuple[Position, ...]:
    """The 28 positions, named `normal:0->2`, from the operations of each edge; `none` may not be selected."""
    return tuple(
        Position(f"{group}:{a}->{b}", ops, tuple(op != "none" for op in ops), b > INPUTS, group)
        for group, edges in zip(GROUPS, (normal, reduce), strict=True)
        for (a, b), ops in zip(EDGES, edges, strict=True)
    )


class Darts(Space):
    """Cells in the community's notation, `Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=[2, 3, 4, 5], ...`.

    Written with a node's inputs by source; read in any order, they are a sum. Option `stem`: 'cifar', a 3x3
    convolution, or 'imagenet', three of stride 2.

    The networks are sized by C, `channels`, and L, `cells`: 16 and 8 in the published searches, 36 and 20 where a cell
    is trained (ImageNet: 48 and 14), which is also what the counts of `facts` are of, without the auxiliary head.
    """

    supernet = "benchbed.spaces.darts.supernet:DartsSupernet"
    network = "benchbed.spaces.darts.network:DartsNetwork"
    positions = positions_of((OPERATIONS,) * len(EDGES), (OPERATIONS,) * len(EDGES))
    nodes = tuple(
        Node(group, tuple(g * len(EDGES) + e for e, edge in enumerate(EDGES) if edge[1] == node), INPUTS)
        for g, group in enumerate(GROUPS)
        for node in NODES
    )

    def __init__(self, stem: object = "cifar"):
        """Raises BenchbedError for another stem."""
        if stem not in costs.STEMS:
            raise unknown("space option stem", str(stem), costs.STEMS)
        self.stem, self.size_of = stem, SIZES[stem]
        self.images, self.classes = IMAGES[stem]

    def sizes(self, channels: int, cells: int) -> dict[str, Any]:
        """C, L, the stem, and the operations of each position by name: a column is no operation's identity."""
        operations = tuple(position.operations for position in self.positions)
        return {"channels": channels, "cells": cells, "stem": self.stem, "operations": operations}

    def parse(self, text: str) -> Architecture:
        """The cells of a genotype. Raises BenchbedError, one line that names the node, pair or operation at fault."""
        choices = [-1] * len(self.positions)
        for group, pairs in read_genotype(text).items():
            for i, (operation, source) in enumerate(pairs):
                node = NODES[i // INPUTS]
                place = GROUPS.index(group) * len(EDGES) + EDGES.index((source, node))
                choices[place] = self._number(place, operation)
        return self.architecture_of(tuple(choices))

    def _number(self, place: int, operation: str) -> int:
        """The number of an operation at a position; refused by name where it is unknown or has its place elsewhere."""
        position = self.positions[place]
        if operation in position.operations:
            return position.operations.index(operation)
        anywhere = {name for p in self.positions for name in p.operations}
        if operation in anywhere:
            here = ", ".join(position.operations)
            raise BenchbedError(f"operation '{operation}' at edge {position.name}: this edge has {here}")
        raise unknown(f"operation at edge {position.name}", show(operation)[1:-1], anywhere)

    def resolve(self, text: str) -> tuple["Darts", Architecture]:
        """A genotype, or a published cell by its name, such as DARTS_V2: see `_darts_published.CELLS`."""
        if "(" in text:
            return self, self.parse(text)
        if text not in CELLS:
            error = unknown("published darts cell", show(text)[1:-1], CELLS)
            raise BenchbedError(f"{error}; or a genotype, {FORM}")
        return self, self.parse(published(text))

    def architecture_of(self, choices: tuple[int, ...]) -> Architecture:
        """The cells with operation number `choices[i]` on edge i, -1 where it is dropped. Two edges a node are kept."""
        if len(choices) != len(self.positions):
            raise BenchbedError(f"darts choices: {len(choices)} numbers where there are {len(self.positions)} edges")
        for position, k in zip(self.positions, choices, strict=True):
            if not -1 <= k < len(position.operations):
                last = len(position.operations) - 1
                raise BenchbedError(f"darts edge {position.name}: operation number {k} is not one of 0 to {last}")
        self.check_topology(choices)
        cells = {
            group: [
                (self.positions[i].operations[choices[i]], EDGES[e][0])
                for e, i in enumerate(range(g * len(EDGES), (g + 1) * len(EDGES)))
                if choices[i] >= 0
            ]
            for g, group in enumerate(GROUPS)
        }
        return Architecture(write_genotype(cells), choices)

    def canonical(self, arch: Architecture) -> str:
        """The text: a genotype has one here, whatever order its nodes' inputs were given in.

        Cells that are equal up to a renaming of their nodes are told apart, as everywhere in the field.
        """
        return arch.text

    def for_images(self, shape: tuple[int, int, int], classes: int) -> "Darts":
        """This space with the counts of such images; every size is one that its networks take."""
        found = copy(self)
        found.images, found.classes = shape, classes
        return found

    def facts(self, arch: Architecture) -> dict[str, Any]:
        """`params`, `flops` at C and L of the published training, which are given, too; `parameter_free` of 16 edges.

        A strided skip connection has weights and is counted among the parameter-free edges all the same: it is what
        collapsed searches return.
        """
        names = [op for _, op in self.describe_choices(arch) if op != "dropped"]
        facts: dict[str, Any] = {
            "params": self._sum(arch, *self.unit_costs("params")),
            "flops": self._sum(arch, *self.unit_costs("flops")),
            **self.size_of,
            "stem": self.stem,
            "images": list(self.images),
            "classes": self.classes,
            "parameter_free": sum(name not in costs.KERNELS for name in names) / len(names),
        }
        half = len(names) // len(GROUPS)
        for g, group in enumerate(GROUPS):
            counts = Counter(names[g * half : (g + 1) * half])
            facts[group] = ", ".join(f"{name} {count}" for name, count in counts.most_common())
        return facts

    def counts(
        self, arch: Architecture, images: tuple[int, int, int], classes: int, *, channels: int, cells: int
    ) -> dict[str, int]:
        """Without the auxiliary head; `Space.counts`."""
        there = self.for_images(images, classes)
        return {kind: there._sum(arch, *there.costs_at(kind, channels, cells)) for kind in ("params", "flops")}

    @staticmethod
    def _sum(arch: Architecture, fixed: float, each: np.ndarray) -> int:
        return int(fixed + float(sum(each[i, k] for i, k in enumerate(arch.choices) if k >= 0)))

    def unit_costs(self, kind: str) -> tuple[float, np.ndarray]:
        """Of the network of `facts`, C=36, L=20 (ImageNet: 48 and 14), on the images at hand; `Space.unit_costs`."""
        return self.costs_at(kind, **self.size_of)

    def costs_at(self, kind: str, channels: int, cells: int) -> tuple[float, np.ndarray]:
        """`unit_costs` at any C and L: exact, in closed form."""
        if kind not in ("params", "flops"):
            raise unknown("cost of darts", kind, ("params", "flops"))
        shapes = costs.cell_shapes(channels, cells, self.stem)
        pixels = costs.areas(shapes, self.stem, self.images[1:])
        each = np.zeros(self.mask.shape)
        for i, position in enumerate(self.positions):
            from_input = EDGES[i % len(EDGES)][0] < INPUTS
            for shape, (_, area) in zip(shapes, pixels, strict=True):
                if GROUPS[shape.reduction] != position.group:
                    continue
                stride = 2 if shape.reduction and from_input else 1
                for k, name in enumerate(position.operations):
                    weights, norm = costs.operation_cost(name, shape.channels, stride)
                    each[i, k] += weights + norm if kind == "params" else weights * area
        if kind == "params":
            return float(costs.fixed_parameters(shapes, self.stem, channels, self.images[0], self.classes)), each
        return float(costs.fixed_flops(shapes, self.stem, channels, self.images, self.classes)), each
