"""Lambda-DARTS: weights train so that the cells that share an alpha agree on which operations are better.

Movahedi et al., "Lambda-DARTS: Mitigating Performance Collapse by Harmonizing Operation Selection among Cells", ICLR
2023. L cells have the gates p in common, g_l = dL_train/dp_l is the gradient of those of cell l alone, and

    Lambda(w) = mean over pairs l < m of cos(g_l, g_m)                               measure=cosine
                mean over pairs l < m of <g_l, g_m> / <|g_l|, |g_m|>                 measure=sign

is how far they agree. Weights descend L_train - lambda Lambda, lambda = `weight` * epoch / (epochs - 1): with
delta_l = dLambda/dg_l the second term's gradient is, by a central difference,

    - lambda d<delta, g>/dw = lambda [dL/dw(p - e delta) - dL/dw(p + e delta)] / (2 e),    e = `epsilon` / |delta|

delta over all cells. Each weight step costs three more forward and backward passes. Alpha's step is the searcher's own.
dL/dw jumps where a ReLU changes sides, and the difference with it: on small networks, and on images whose background
is all of one colour, jumps are most of it. `derivative=exact` differentiates twice in place of it.
It needs a network whose cells take gates of their own: NAS-Bench-201's, tied, as the paper has it, and untied, where
each cell has an alpha to itself and what is aligned is their gradients. (The authors' search of the DARTS space aligns
its normal cells; that is not here.) A cell whose gradient is zero is left out; the authors' code divides by zero.
"""

from typing import Any, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from benchbed.errors import BenchbedError
from benchbed.modifier import Modifier
from benchbed.objective import Batch, Objective
from benchbed.searcher import AlphaSearcher, Clock, Searcher
from benchbed.searcher import Options as PluginOptions
from benchbed.space import Space


class Options(PluginOptions):
    """How strongly cells are aligned. Defaults: the authors' on NAS-Bench-201."""

    weight: float = Field(0.125, ge=0, description="lambda in the last epoch, rising linearly from 0 (official: 0.125)")
    epsilon: float = Field(1e-4, gt=0, description="length of the finite difference's step in p (official: 1e-4)")
    derivative: Literal["difference", "exact"] = Field(
        "difference", description="of the agreement by the weights: a finite difference (official), or differentiated"
    )
    measure: Literal["cosine", "sign"] = Field("cosine", description="how agreement is measured (official: cosine)")


class Alignment(Modifier[Options]):
    """Adds the gradient of the cells' disagreement to that of the weights."""

    needs = frozenset({"weights", "layers"})

    def __init__(self, searcher: Searcher[Any], options: Options):
        super().__init__(searcher, options)
        self.sum, self.steps = 0.0, 0  # of Lambda in this epoch

    @classmethod
    def fits(cls, searcher: type[Searcher[Any]], options: Options, space: Space, objective: Objective | None) -> None:
        if not issubclass(searcher, AlphaSearcher):
            raise BenchbedError(f"it aligns gradients of the gates of alpha, and {searcher.__name__} has none")
        if objective is not None and "layers" not in objective.provides:
            raise BenchbedError(
                "it compares cells at gates of their own, and this network takes none: take space nb201 or nb201-untied"
            )

    def strength(self, clock: Clock) -> float:
        """lambda of this epoch."""
        return self.options.weight * clock.epoch / max(clock.epochs - 1, 1)

    def weight_gates(self, gates: Tensor, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        if (strength := self.strength(clock)) == 0:
            return gates
        p = objective.layered(gates)
        value, delta = aligned(objective.layer_gradients(p, batch)[0], self.options.measure)
        self.sum, self.steps = (self.sum + value, self.steps + 1) if clock.step else (value, 1)
        length = float(delta.norm())
        if length > 0 and self.options.derivative == "exact":
            product = objective.layer_product(p, batch, delta)
            objective.add_gradient({name: -strength * w for name, w in product.items()})
        elif length > 0:
            e = self.options.epsilon / length
            behind, ahead = (objective.layer_gradients(p + side * e * delta, batch)[1] for side in (-1, 1))
            objective.add_gradient({name: strength * (behind[name] - w) / (2 * e) for name, w in ahead.items()})
        return gates

    def progress(self) -> dict[str, Any]:
        return {"alignment": self.sum / self.steps} if self.steps else {}

    def state(self) -> dict[str, Any]:
        return {"sum": self.sum, "steps": self.steps}

    def load_state(self, tree: dict[str, Any]) -> None:
        self.sum, self.steps = tree["sum"], tree["steps"]


def aligned(
    gradients: Float[Tensor, "L Q O"], measure: Literal["cosine", "sign"]
) -> tuple[float, Float[Tensor, "L Q O"]]:
    """(Lambda, dLambda/dg), over the pairs of cells whose gradients are not zero; zeros where there is no pair."""
    there = gradients.flatten(1).any(1)
    if (count := int(there.sum())) < 2:
        return 0.0, torch.zeros_like(gradients)
    g = gradients[there].detach().double().requires_grad_()
    flat = g.flatten(1)
    with torch.enable_grad():
        if measure == "cosine":
            unit = flat / flat.norm(dim=1, keepdim=True)
            agreement = unit @ unit.T
        else:
            agreement = (flat @ flat.T) / (flat.abs() @ flat.abs().T).clamp_min(torch.finfo(flat.dtype).tiny)
        value = agreement.triu(1).sum() / (count * (count - 1) / 2)
    found = torch.zeros_like(gradients)
    found[there] = torch.autograd.grad(value, g)[0].to(gradients.dtype)
    return float(value.detach()), found
