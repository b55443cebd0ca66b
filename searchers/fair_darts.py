"""FairDARTS: each operation has a sigmoid gate of its own, and a loss that drives gates to zero or one.

Chu et al., "Fair DARTS: Eliminating Unfair Advantages in Differentiable Architecture Search", ECCV 2020. In place of a
softmax, in which operations of a position compete, every operation o of every position flows by

    g_o = sigmoid(alpha_o),     rows of g sum to anything between 0 and their length

and to the loss that alpha descends comes, over the N gates in all, the zero-one loss

    l2:     - w / N sum (g_o - 1/2)^2               l1:     - w / N sum |g_o - 1/2|

with w = 10. Alpha starts at zero, where neither pulls. Probabilities are the shares g_o / sum g of a row, its strength
is sum g, so that what weights train at and are measured at is g, and nodes compare their inputs by g, as the authors
do. A cost is that of the shares.

The paper's cell keeps of the two inputs that a node keeps those whose gate is at least `threshold`, and so may have
fewer than two. Architectures of the DARTS space have two inputs a node: `magnitude` keeps both, and every epoch's line
of the history counts the gates at or above the threshold (`open_gates`).

On a table the loss is known for rows that sum to 1 alone: refused.
"""

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from benchbed.errors import BenchbedError
from benchbed.objective import Batch, Objective
from benchbed.searcher import AlphaOptions, Clock, GradientSearcher
from benchbed.space import Space


class Options(AlphaOptions):
    """The zero-one loss, the threshold, and Adam on alpha. Defaults: the authors' search of the DARTS space."""

    alpha_lr: float = Field(3e-3, gt=0, description="Adam's learning rate of alpha (official: 3e-3)")
    alpha_beta1: float = Field(0.9, ge=0, lt=1, description="Adam's first beta (official: 0.9)")
    alpha_init: float = Field(0.0, ge=0, description="standard deviation of alpha at the start (official: 0)")
    zero_one: Literal["l2", "l1"] = Field("l2", description="distance from 1/2: squared (official) or absolute")
    zero_one_weight: float = Field(10.0, ge=0, description="w, the weight of the zero-one loss (official: 10)")
    threshold: float = Field(0.85, gt=0, lt=1, description="gates from here on count as open (official: 0.85)")


class FairDARTS(GradientSearcher[Options]):
    """Mixes operations that do not compete, each by a sigmoid."""

    evaluation = "mixture"  # not measured: what weights train at
    simplex = False  # noise that scales rows to sum 1 would make it another method

    @classmethod
    def check(cls, options: Options, space: Space, objective: Objective | None) -> None:
        if objective is not None and "weights" not in objective.provides:
            raise BenchbedError(
                "searcher 'fair-darts' gates operations by sigmoids, whose rows do not sum to 1, and a table knows the "
                "loss of rows that do alone: take objective 'supernet'"
            )

    def gates(self) -> Tensor:
        """g (P, O), differentiable in alpha. An operation that is left alone flows whole."""
        return torch.where(self.mask.sum(1, keepdim=True) > 1, self.alpha.sigmoid(), 1.0) * self.mask

    def weight_gates(self, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        return self.gates().detach()

    def arch_gates(self) -> tuple[Tensor, Tensor, Tensor]:
        g = self.gates()
        return g.detach(), self.mask, g

    def paid_gates(self, p: Tensor) -> Tensor:
        return self.distribution()

    def own_loss(self) -> Tensor:
        away = (self.gates() - 0.5)[self.mask]
        distance = away.square() if self.options.zero_one == "l2" else away.abs()
        return -self.options.zero_one_weight * distance.mean()

    def distribution(self) -> Tensor:
        """Of a row's gates, the shares."""
        return normalize(self.gates(), p=1, dim=1)

    def strength(self) -> Tensor:
        return self.gates().detach().sum(1)

    def progress(self) -> dict[str, Any]:
        return {"open_gates": int((self.gates() >= self.options.threshold).sum())}
