"""Blank: alpha stays where it starts, uniform; the weights train at the mixture of all operations.

Wang et al., "Rethinking Architecture Selection in Differentiable NAS", ICLR 2021 (DARTS-PT), section 4 ("fixed alpha"):
alpha learns nothing, so whatever a selector finds it finds in the weights. With `alpha_init` 0 every operation has
exactly the same probability. The official code trains at alpha = 0.001 randn, nearly uniform: `alpha_init=1e-3`.
Magnitude has nothing to go by here: with exactly equal probabilities it draws, and the record says so.
"""

import torch
from pydantic import Field
from torch import Tensor

from benchbed.cost import Problem
from benchbed.objective import Batch, Objective, Tree
from benchbed.searcher import Clock, Searcher, masked_softmax
from benchbed.searcher import Options as PluginOptions
from benchbed.space import Space
from benchbed.streams import Streams


class Options(PluginOptions):
    """Where alpha stands."""

    alpha_init: float = Field(
        0.0, ge=0, description="standard deviation of the fixed alpha; 0: exactly uniform (official code: 0.001)"
    )


class Blank(Searcher[Options]):
    """Trains the supernet at fixed gates; no architecture step is ever made, so no cost is ever paid."""

    evaluation = "mixture"  # the weights were trained at it

    def __init__(self, space: Space, options: Options, streams: Streams):
        super().__init__(space, options, streams)
        # as an AlphaSearcher begins, so that the official start is that of DARTS with the same seed
        start = torch.randn(self.mask.shape, generator=streams.generator("alpha")) * options.alpha_init
        self.alpha = start.masked_fill(~self.mask, 0.0) + 0.0  # no negative zeros: they would differ by seed

    def arch_steps_due(self, clock: Clock) -> int:
        return 0

    def weight_gates(self, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        return self.probabilities()

    def arch_step(self, problem: Problem, batch: Batch | None, clock: Clock) -> dict[str, float]:
        return {}

    def probabilities(self) -> Tensor:
        return masked_softmax(self.alpha, self.mask)

    def state(self) -> Tree:
        return {"alpha": self.alpha.clone()}

    def load_state(self, tree: Tree) -> None:
        self.alpha = tree["alpha"].clone()
