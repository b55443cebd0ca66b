"""Shapley-NAS: alpha goes by what operations contribute to the supernet's accuracy, not by a gradient.

Xiao et al., "Shapley-NAS: Discovering Operation Contribution for Neural Architecture Search", CVPR 2022. alpha (P, O),
p = softmax(alpha). Weights train at p, alone for the first `warmup` of the epochs; then each epoch begins with one step

    V_o     the Shapley value of each operation for the validation accuracy at p, where what has left has p_o = 0
    s      <- mu s + (1 - mu) (V - mean V) / deviation of V        over the operations of a group (a type of cell)
    alpha  <- alpha + step s

with V by M random orders (`benchbed/selection/shapley.py`; section 3.2) and the momentum of section 3.3. Defaults:
the official code's (Euphoria16/Shapley-NAS 0649727, train_search.py), but for what it does against its own paper, which
are options: `estimate=lower` (mean less deviation over the orders, which is no estimate of the value), `batches=each`
(every order on a validation batch of its own, in place of one for all). A game is worth what `reward` says, so that a
cost is paid: without one it is the accuracy.

What differs from that code. Batch norm takes the batch's statistics always; there its mode in the estimate is that of
whatever ran before, which alternates from epoch to epoch. s begins at 0 (there at N(0, 1) 1e-3); where all values of a
group are the same, s gets 0 (there NaN). p is read once a step in both.
"""

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from benchbed.cost import Problem
from benchbed.objective import Batch, Objective, Tree
from benchbed.searcher import Clock, Searcher, masked_softmax, renormalised
from benchbed.selection.shapley import Estimate, check_empty_rows, estimated, falls
from benchbed.space import Space
from benchbed.streams import Streams


class Options(Estimate):
    """Shapley-NAS' estimate and its step on alpha."""

    truncation: float = Field(
        0.5, ge=0, lt=1, description="an order ends once v is below this share of v(all), 0: never (official: 0.5)"
    )
    warmup: float = Field(0.5, ge=0, lt=1, description="share of the epochs of weight steps alone (official: 25/50)")
    step: float = Field(0.1, gt=0, description="alpha moves by this times s (official: 0.1)")
    momentum: float = Field(0.8, ge=0, lt=1, description="mu of s (official: 0.8)")
    batches: Literal["one", "each"] = Field(
        "one", description="validation batches of a step: one for all orders; each: one an order, as the official code"
    )
    mask: Literal["as-is", "renormalised"] = Field(
        "as-is", description="whether what is left of a row sums to 1 again (official: as-is)"
    )
    alpha_init: float = Field(1e-3, ge=0, description="standard deviation of alpha at the start; 0 is exactly uniform")


class ShapleyNAS(Searcher[Options]):
    """Moves alpha by the standardised Shapley values of the operations, once an epoch."""

    evaluation = "mixture"  # the weights were trained at it
    suite_options: ClassVar[dict[str, Any]] = {"mask": "renormalised"}  # the toys' loss vanishes with a row's mass

    def __init__(self, space: Space, options: Options, streams: Streams):
        super().__init__(space, options, streams)
        start = torch.randn(self.mask.shape, generator=streams.generator("alpha")) * options.alpha_init
        self.alpha = start.masked_fill(~self.mask, 0.0)
        self.s = torch.zeros_like(self.alpha)  # the values' running mean
        self.draws = streams.generator("gates")  # of orders; made here, so that every state holds it

    @classmethod
    def check(cls, options: Options, space: Space, objective: Objective | None) -> None:
        check_empty_rows(space, objective)

    def arch_steps_due(self, clock: Clock) -> int:
        return int(clock.step == 0 and clock.epoch >= round(self.options.warmup * clock.epochs))

    def weight_gates(self, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        return self.probabilities()

    def arch_step(self, problem: Problem, batch: Batch | None, clock: Clock) -> dict[str, float]:
        o, p = self.options, self.probabilities()
        valid = problem.objective.batch("valid")

        def worth(coalitions: Tensor) -> Tensor:
            gates = p * coalitions
            if o.mask == "renormalised":
                gates = torch.stack([renormalised(g, c) for g, c in zip(gates, coalitions, strict=True)])
            return problem.reward(problem.objective.measure(gates, valid).accuracy, gates)

        whole = float(worth(self.mask[None])[0])
        orders = []
        for number in range(o.permutations):
            if number and o.batches == "each":
                valid = problem.objective.batch("valid")
            orders.append(falls(worth, self.mask, o.truncation, self.draws))
        values = self.standardised(estimated(orders, o.estimate))
        self.s = o.momentum * self.s + (1 - o.momentum) * values
        self.alpha = self.alpha + o.step * self.s
        return {"reward": whole}

    def standardised(self, values: Tensor) -> Tensor:
        """(P, O) float32: less the mean, over the deviation, of the group's operations; 0 where all are the same."""
        names = [position.group for position in self.space.positions]
        found = torch.zeros_like(values)
        for group in dict.fromkeys(names):
            here = self.mask & torch.tensor([[name == group] for name in names])
            z = values[here] - values[here].mean()
            spread = z.square().sum().div(max(len(z) - 1, 1)).sqrt()
            found[here] = z / spread if float(spread) > 0 else torch.zeros_like(z)
        return found.float()

    def probabilities(self) -> Tensor:
        return masked_softmax(self.alpha, self.mask)

    def state(self) -> Tree:
        return {"alpha": self.alpha.clone(), "s": self.s.clone()}

    def load_state(self, tree: Tree) -> None:
        self.alpha, self.s = tree["alpha"].clone(), tree["s"].clone()
