"""GDAS: one path a batch, drawn by Gumbel noise; its gates' gradient reaches alpha through the soft draw.

Dong and Yang, "Searching for a Robust Neural Architecture in Four GPU Hours", CVPR 2019, equations 3 to 6. With Gumbel
noise n and a temperature tau that falls linearly over the epochs,

    soft = softmax((alpha + n) / tau),   hard = one-hot at the argmax of soft,   p = softmax(alpha)

Weight and architecture steps run `hard`, each with a draw of its own; at any tau it is a draw from p. With G = dL/dg at
g = hard, dL/dalpha is the gradient of <G, soft>, which is that of the straight-through gate hard - sg(soft) + soft:

    dL/dalpha_i = soft_i / tau (G_i - sum_j soft_j G_j)        (`gradient=all`)

That needs G of operations that did not run. The authors' code (AutoDL-Projects) saves them and puts another number in
their place: 0 in its cell of the DARTS space, which is `gradient=sampled` here, one path's cost; in its NAS-Bench-201
cell the sum of dL/dm over the entries of the position's output m, as if the operation gave ones everywhere, which is
`gradient=ones` and has no meaning on an objective without feature maps. With either, only the difference between the
drawn gate's gradient and that number counts: alpha of the drawn operation moves against those of all the others alike.

As in the authors' code the weight step comes first in a batch, then the architecture step. A cost is that of p, the
expectation over the draws.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import one_hot

from benchbed.cost import Problem
from benchbed.objective import Batch, Keep, Objective
from benchbed.searcher import AlphaOptions, Clock, GradientSearcher, masked_softmax
from benchbed.space import Space
from benchbed.streams import Streams


class Options(AlphaOptions):
    """GDAS' draws. Defaults: NAS-Bench-201's script; Adam on alpha is as DARTS'."""

    tau_start: float = Field(10.0, gt=0, description="temperature in the first epoch (official: 10)")
    tau_end: float = Field(0.1, gt=0, description="temperature in the last epoch, falling linearly (official: 0.1)")
    gradient: Literal["all", "sampled", "ones"] = Field(
        "all",
        description="gates with a gradient: all (straight-through), the drawn one alone (authors' DARTS cell), or all "
        "with ones for the outputs of operations that were not drawn (authors' NAS-Bench-201 cell)",
    )


class GDAS(GradientSearcher[Options]):
    """Draws a path a batch by Gumbel noise; a straight-through gradient moves alpha."""

    evaluation = "mixture"  # not measured: as ProxylessNAS, which trains single paths too
    arch_first = False  # AutoDL-Projects: weights, then alpha

    def __init__(self, space: Space, options: Options, streams: Streams):
        super().__init__(space, options, streams)
        self.tau = float(options.tau_start)

    @classmethod
    def needed(cls, options: Options) -> frozenset[str]:
        # a table scales rows to sum 1, so that the gradient of an operation that fills its row alone is 0
        needed = {"sampled": frozenset({"weights"}), "ones": frozenset({"network"})}
        return needed.get(options.gradient, frozenset())

    @property
    def keep(self) -> Keep:
        return "ones" if self.options.gradient == "ones" else "outputs"

    def temperature(self, clock: Clock) -> float:
        """tau of this epoch: `tau_start` in the first, `tau_end` in the last."""
        return clock.linear(self.options.tau_start, self.options.tau_end)

    def draw(self) -> tuple[Tensor, Tensor]:
        """(hard, soft): a one-hot draw (P, O), and the soft one behind it, differentiable in alpha."""
        generator = self.streams.generator("gates")
        exponential = torch.empty_like(self.alpha).exponential_(generator=generator)
        noise = -exponential.clamp_min(torch.finfo(exponential.dtype).tiny).log()
        soft = masked_softmax((self.alpha + noise) / self.tau, self.mask)
        return one_hot(soft.argmax(1), soft.shape[1]).float(), soft

    def weight_gates(self, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        self.tau = self.temperature(clock)  # also where weights are tuned and alpha rests
        with torch.no_grad():
            return self.draw()[0]

    def arch_gates(self) -> tuple[Tensor, Tensor, Tensor]:
        hard, soft = self.draw()
        return hard, hard.bool() if self.options.gradient == "sampled" else self.mask, soft

    def paid_gates(self, p: Tensor) -> Tensor:
        return masked_softmax(self.alpha, self.mask)

    def arch_step(self, problem: Problem, batch: Batch | None, clock: Clock) -> dict[str, float]:
        self.tau = self.temperature(clock)
        return super().arch_step(problem, batch, clock)
