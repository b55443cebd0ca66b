"""DARTS-: an auxiliary skip connection beside every mixture takes from skip its unfair start, then fades.

Chu et al., "DARTS-: Robustly Stepping out of Performance Collapse Without Indicators", ICLR 2021, section 3.3. A skip
connection helps any deep network to train, whatever it is worth as a part of the cell, and its alpha is paid for both.
So every position gives, in weight steps and in architecture steps alike,

    sum_o p_o o(x) + beta x,      p = softmax(alpha),      beta from 1 to 0

and alpha is learned by DARTS' rule with beta x there: what skip has to offer is only what it adds to that. In gates it
is p + beta at the position's skip connection, so rows sum to 1 + beta, and dL/dalpha goes through p alone. With
beta = 0 it is DARTS bit for bit. Both orders of DARTS run. beta falls as in the authors' code (DARTS- adb81a8,
src/utils.py, DecayScheduler), e epochs of E being done:

    linear       beta (E - e) / E              cosine    beta (1 + cos(pi e / E)) / 2
    slow-cosine  beta cos(pi e / (2 E))        none      beta

At skips of stride 2 (DARTS' reduction cells) the authors' auxiliary operation has weights of its own; here it shares
those of the skip that is a candidate. Supernets are measured at p, without it: in the last epoch 1 / E is left of it,
and while a selector tunes. A space without a skip connection at every position is refused, and so is a table, whose
rows are normalised.
"""

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from benchbed.cost import Problem
from benchbed.errors import BenchbedError
from benchbed.objective import Batch, DecidedObjective, Decisions, Keep, Objective, Weights
from benchbed.searcher import Clock
from benchbed.space import Space
from benchbed.streams import Streams

from .darts import DARTS
from .darts import Options as DARTSOptions

SKIPS = ("skip_connect", "identity")  # names in the spaces


class MinusOptions(DARTSOptions):
    """DARTS' step, and the auxiliary skip connection's weight."""

    beta: float = Field(1.0, ge=0, description="weight of the auxiliary skip connection at the start (official: 1)")
    decay: Literal["linear", "cosine", "slow-cosine", "none"] = Field(
        "linear", description="how it falls over the epochs (official script: linear)"
    )


class DARTSMinus(DARTS):
    """DARTS with a fading skip connection beside each mixture."""

    Options = MinusOptions
    needs = frozenset({"weights"})
    simplex: ClassVar[bool] = False  # rows sum to 1 + beta
    options: MinusOptions

    def __init__(self, space: Space, options: MinusOptions, streams: Streams):
        super().__init__(space, options, streams)
        self.skips = torch.zeros(self.mask.shape)  # 1 at the skip connections
        for i, position in enumerate(space.positions):
            self.skips[i, [k for k, name in enumerate(position.operations) if name in SKIPS]] = 1.0

    @classmethod
    def needed(cls, options: DARTSOptions) -> frozenset[str]:
        return cls.needs

    @classmethod
    def check(cls, options: DARTSOptions, space: Space, objective: Objective | None) -> None:
        lacking = [p.name for p in space.positions if not set(SKIPS) & set(p.operations)]
        if lacking:
            raise BenchbedError(
                f"searcher 'darts-minus' weighs a skip connection at every position, and {len(lacking)} of "
                f"{len(space.positions)} have none, such as '{lacking[0]}'"
            )

    def beta(self, clock: Clock) -> float:
        """The weight of the auxiliary skip connection in this epoch."""
        o, share = self.options, clock.epoch / clock.epochs
        falls = {"linear": 1 - share, "cosine": (1 + math.cos(math.pi * share)) / 2,
                 "slow-cosine": math.cos(math.pi / 2 * share), "none": 1.0}  # fmt: skip
        return o.beta * falls[o.decay]

    def auxiliary(self, clock: Clock) -> Tensor:
        """(P, O): beta at the skip connections that may flow, where anything is still mixed."""
        return self.beta(clock) * self.skips * self.mask * (self.mask.sum(1, keepdim=True) > 1)

    def weight_gates(self, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        return self.probabilities() + self.auxiliary(clock)

    def arch_step(self, problem: Problem, batch: Batch | None, clock: Clock) -> dict[str, float]:
        beside = problem._replace(objective=Beside(problem.objective, self.auxiliary(clock)))
        return {**super().arch_step(beside, batch, clock), "beta": self.beta(clock)}


class Beside(DecidedObjective):
    """The objective with the auxiliary connection in it: what DARTS' architecture step asks, it asks beside that."""

    def __init__(self, base: Objective, auxiliary: Tensor):
        super().__init__(base, Decisions.none(base.space))
        self.auxiliary = auxiliary

    def loss(self, gates: Tensor, batch: Batch | None, weights: Weights | None = None) -> Tensor:
        return self.base.loss(gates + self.auxiliary, batch, weights)

    def gate_gradient(
        self, gates: Tensor, batch: Batch | None, need: Tensor | None = None, keep: Keep = "outputs"
    ) -> tuple[Tensor, Tensor]:
        return self.base.gate_gradient(gates + self.auxiliary, batch, need, keep)

    def lookahead(self, gates: Tensor, batch: Batch | None) -> tuple[Weights, float]:
        return self.base.lookahead(gates + self.auxiliary, batch)
