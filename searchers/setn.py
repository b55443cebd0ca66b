"""SETN: weights train on uniformly drawn paths, alpha descends the loss of the template that mixes them all.

Dong and Yang, "One-Shot Neural Architecture Search via Self-Evaluated Template Network", ICCV 2019. The template holds
every candidate. With p = softmax(alpha), by row, and u a one-hot path that is drawn uniformly,

    w      <- w - dL_train(w, u)/dw                   stochastic training: candidates get on alike (section 3.2)
    alpha  <- alpha - dL_valid(w, p)/dalpha           the evaluator: which of them lower the loss (section 3.3)

in this order in each batch, as in the authors' code for NAS-Bench-201 (AutoDL-Projects f46486e, SETN.py). So it is
DARTS' first-order step on weights that no alpha has favoured. The authors then measure the 100 cells of greatest
probability, each on a validation batch of its own, and keep the best; here a selector decides.
"""

import torch
from torch import Tensor

from benchbed.objective import Batch, Objective
from benchbed.searcher import AlphaOptions, Clock, GradientSearcher, masked_softmax, one_hot_draws


class SETN(GradientSearcher[AlphaOptions]):
    """Trains uniform paths, and alpha at the mixture of all."""

    evaluation = "mixture"  # not measured: as random, whose weights train on the same paths
    arch_first = False  # AutoDL-Projects: weights, then alpha

    def weight_gates(self, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        uniform = self.mask / self.mask.sum(1, keepdim=True).clamp_min(1)
        return one_hot_draws(uniform, torch.rand(1, len(uniform), generator=self.streams.generator("gates")))[0]

    def arch_gates(self) -> tuple[Tensor, Tensor, Tensor]:
        p = masked_softmax(self.alpha, self.mask)
        return p.detach(), self.mask, p
