"""A space and an objective small enough to know every answer by enumeration."""

import itertools
from collections.abc import Hashable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import BenchbedError, unknown
from ..objective import Batch, Keep, Measure, Objective, Tree
from ..space import Architecture, Position, Space


class ToySpace(Space):
    """Three positions of three, two and four operations, written 'a-c-d'; 'a' may not be selected at the third.

    Rows are padded and the same operation has different columns at different positions, so that code which takes a
    column for an operation's identity fails on it.
    """

    supernet = "none:none"
    network = "none:none"
    positions = (
        Position("first", ("a", "b", "c"), (True, True, True)),
        Position("second", ("c", "a"), (True, True)),
        Position("third", ("b", "c", "d", "a"), (True, True, True, False)),
    )

    def parse(self, text: str) -> Architecture:
        words = text.split("-")
        if len(words) != len(self.positions):
            raise BenchbedError(f"{text!r}: {len(words)} words where {len(self.positions)} joined by '-' are expected")
        for word, position in zip(words, self.positions, strict=True):
            if word not in position.operations:
                raise unknown(f"operation at position '{position.name}'", repr(word)[1:-1], position.operations)
        chosen = (p.operations.index(w) for w, p in zip(words, self.positions, strict=True))
        return self.architecture_of(tuple(chosen))

    def architecture_of(self, choices: tuple[int, ...]) -> Architecture:
        inside = len(choices) == len(self.positions) and all(
            0 <= k < len(p.operations) for k, p in zip(choices, self.positions, strict=True)
        )
        if not inside:
            raise BenchbedError(f"choices {choices} name no architecture of the toy space")
        return Architecture("-".join(p.operations[k] for k, p in zip(choices, self.positions, strict=True)), choices)

    def canonical(self, arch: Architecture) -> Hashable:
        return arch.choices


class ToyTable(Objective):
    """A function of gates with no weights: loss = sum over architectures of loss(a) prod_i gates[i, a_i].

    `losses` has one axis a position; accuracy is 100 (1 - loss). Everything about it can be enumerated.
    """

    provides = frozenset[str]()
    steps_per_epoch = 4

    def __init__(self, space: Space, losses: Tensor):
        self.space, self.losses = space, losses.double()

    @classmethod
    def of_costs(cls, space: Space, costs: Tensor) -> "ToyTable":
        """The additive table: the loss of an architecture is the sum of its operations' costs (P, O)."""
        sizes = [len(p.operations) for p in space.positions]
        losses = torch.zeros(sizes, dtype=torch.float64)
        for choices in itertools.product(*map(range, sizes)):
            losses[choices] = sum(float(costs[i, k]) for i, k in enumerate(choices))
        return cls(space, losses)

    def value(self, gates: Tensor) -> Tensor:
        """The multilinear extension at gates (P, O), in float64, differentiable."""
        value = self.losses
        for row, size in zip(gates.double(), self.losses.shape, strict=True):
            value = torch.tensordot(row[:size], value, dims=([0], [0]))
        return value

    def batch(self, split: Literal["train", "valid"]) -> Batch | None:
        return None

    def loss(self, gates: Tensor, batch: Batch | None, weights: dict[str, Tensor] | None = None) -> Tensor:
        return self.value(gates).float()

    def gate_gradient(
        self, gates: Tensor, batch: Batch | None, need: Tensor | None = None, keep: Keep = "outputs"
    ) -> tuple[Tensor, Tensor]:
        point = gates.detach().requires_grad_()
        loss = self.value(point)
        (gradient,) = torch.autograd.grad(loss, point)
        return loss.detach().float(), gradient if need is None else gradient * need

    def measure(self, gates: Tensor, batch: Batch | None = None) -> Measure:
        flat = gates.reshape(-1, *gates.shape[-2:])
        losses = torch.stack([self.value(g) for g in flat]).float().reshape(gates.shape[:-2])
        return Measure(losses, 100 * (1 - losses), 0)

    def weight_step(self, gates: Tensor, batch: Batch | None) -> Tensor:
        return self.value(gates.detach()).float()

    def weights(self) -> dict[str, Tensor]:
        return {}

    def lookahead(self, gates: Tensor, batch: Batch | None) -> tuple[dict[str, Tensor], float]:
        return {}, 0.0

    def new_optimiser(self, lr_factor: float, epochs: int, schedule: Literal["constant", "cosine"]) -> None:
        """No weights, no optimiser."""

    def state(self) -> Tree:
        return {}

    def load_state(self, tree: Tree) -> None:
        """No state."""


def random_table(space: Space, seed: int) -> ToyTable:
    """A table of uniform losses in [0, 1)."""
    sizes = [len(p.operations) for p in space.positions]
    return ToyTable(space, torch.from_numpy(np.random.default_rng(seed).random(sizes)))
