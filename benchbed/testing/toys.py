"""A space and an objective small enough to know every answer by enumeration."""

import itertools
from collections.abc import Hashable

import numpy as np
import torch
from torch import Tensor

from ..errors import BenchbedError, unknown
from ..objective import Batch, Evaluation, Keep, Measure, Weightless
from ..space import Architecture, Node, Position, Space

DROPPED = "_"


class ToySpace(Space):
    """Three positions of three, two and four operations, written 'a-c-d'; 'a' may not be selected at the third.

    Rows are padded and the same operation has different columns at different positions, so that code which takes a
    column for an operation's identity fails on it.
    """

    supernet = "none:none"
    network = "none:none"
    positions: tuple[Position, ...] = (
        Position("first", ("a", "b", "c"), (True, True, True)),
        Position("second", ("c", "a"), (True, True)),
        Position("third", ("b", "c", "d", "a"), (True, True, True, False)),
    )

    def parse(self, text: str) -> Architecture:
        words = text.split("-")
        if len(words) != len(self.positions):
            raise BenchbedError(f"{text!r}: {len(words)} words where {len(self.positions)} joined by '-' are expected")
        for word, position in zip(words, self.positions, strict=True):
            if word not in position.operations and not (word == DROPPED and position.droppable):
                raise unknown(f"operation at position '{position.name}'", repr(word)[1:-1], position.operations)
        chosen = (-1 if w == DROPPED else p.operations.index(w) for w, p in zip(words, self.positions, strict=True))
        return self.architecture_of(tuple(chosen))

    def architecture_of(self, choices: tuple[int, ...]) -> Architecture:
        inside = len(choices) == len(self.positions) and all(
            -1 <= k < len(p.operations) for k, p in zip(choices, self.positions, strict=True)
        )
        if not inside:
            raise BenchbedError(f"choices {choices} name no architecture of the toy space")
        self.check_topology(choices)
        words = (DROPPED if k < 0 else p.operations[k] for k, p in zip(choices, self.positions, strict=True))
        return Architecture("-".join(words), choices)

    def canonical(self, arch: Architecture) -> Hashable:
        return arch.choices

    def unit_costs(self, kind: str) -> tuple[float, np.ndarray]:
        """As many parameters as an operation's letter is late in the alphabet: 'a' has none."""
        if kind != "params":
            return super().unit_costs(kind)
        each = np.zeros(self.mask.shape)
        for row, position in zip(each, self.positions, strict=True):
            row[: len(position.operations)] = [ord(operation) - ord("a") for operation in position.operations]
        return 1.0, each


class ToyCell(ToySpace):
    """A toy with topology, in two groups: a node that has two inputs and keeps both, nodes that keep two of three.

    A dropped input is written '_'. 'c' may be selected at every position, at another column here and there.
    """

    positions = (
        Position("x<-0", ("a", "c"), (False, True), group="normal"),
        Position("x<-1", ("c", "b"), (True, True), group="normal"),
        Position("y<-0", ("a", "b", "c"), (True, True, True), droppable=True, group="normal"),
        Position("y<-1", ("c", "b", "a"), (True, True, False), droppable=True, group="normal"),
        Position("y<-x", ("b", "c"), (True, True), droppable=True, group="normal"),
        Position("z<-0", ("c", "a"), (True, True), droppable=True, group="reduce"),
        Position("z<-1", ("a", "c"), (True, True), droppable=True, group="reduce"),
        Position("z<-x", ("b", "c"), (True, True), droppable=True, group="reduce"),
    )
    nodes = (Node("normal", (0, 1), 2), Node("normal", (2, 3, 4), 2), Node("reduce", (5, 6, 7), 2))


class ToyTable(Weightless):
    """A function of gates with no weights: loss = sum over architectures of loss(a) prod_i gates[i, a_i].

    `losses` has one axis a position; accuracy is 100 (1 - loss). Everything about it can be enumerated. The axis of
    a droppable position has one more entry, its last: the loss without that position, at 1 - sum_k gates[i, k].
    """

    provides = frozenset({"fidelity"})
    steps_per_epoch = 4

    def __init__(self, space: Space, losses: Tensor):
        self.space, self.losses = space, losses.double()

    @classmethod
    def of_costs(cls, space: Space, costs: Tensor) -> "ToyTable":
        """The additive table: the loss of an architecture is the sum of its operations' costs (P, O)."""
        losses = torch.zeros(_sizes(space), dtype=torch.float64)
        for choices in itertools.product(*map(range, losses.shape)):
            losses[choices] = sum(
                float(costs[i, k]) for i, k in enumerate(choices) if k < len(space.positions[i].operations)
            )
        return cls(space, losses)

    def value(self, gates: Tensor) -> Tensor:
        """The multilinear extension at gates (P, O), in float64, differentiable."""
        value = self.losses
        for row, position in zip(gates.double(), self.space.positions, strict=True):
            row = row[: len(position.operations)]
            if position.droppable:
                row = torch.cat([row, 1 - row.sum(0, keepdim=True)])
            value = torch.tensordot(row, value, dims=([0], [0]))
        return value

    def loss(self, gates: Tensor, batch: Batch | None, weights: dict[str, Tensor] | None = None) -> Tensor:
        return self.value(gates).float()

    def gate_gradient(
        self, gates: Tensor, batch: Batch | None, need: Tensor | None = None, keep: Keep = "outputs"
    ) -> tuple[Tensor, Tensor]:
        point = gates.detach().requires_grad_()
        loss = self.loss(point, batch)
        (gradient,) = torch.autograd.grad(loss, point)
        return loss.detach(), gradient if need is None else gradient * need

    def measure(self, gates: Tensor, batch: Batch | None = None) -> Measure:
        flat = gates.detach().reshape(-1, *gates.shape[-2:])
        losses = torch.stack([self.loss(g, batch).detach() for g in flat]).reshape(gates.shape[:-2])
        return Measure(losses, 100 * (1 - losses), 0)

    def evaluate(self, architecture: Architecture, fidelity: int) -> Evaluation:
        """The table's own value whatever the fidelity; an epoch takes a second."""
        loss = float(self.value(torch.from_numpy(self.space.gates(architecture))))
        return Evaluation(100 * (1 - loss), float(fidelity))

    def weight_step(self, gates: Tensor, batch: Batch | None) -> Tensor:
        return self.value(gates.detach()).float()


def random_table(space: Space, seed: int) -> ToyTable:
    """A table of uniform losses in [0, 1)."""
    return ToyTable(space, torch.from_numpy(np.random.default_rng(seed).random(_sizes(space))))


def _sizes(space: Space) -> list[int]:
    return [len(p.operations) + p.droppable for p in space.positions]
