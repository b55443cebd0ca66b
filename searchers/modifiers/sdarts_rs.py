"""SDARTS-RS: weights train at randomly perturbed gates, so that a rounded alpha costs less.

Chen and Hsieh, "Stabilizing Differentiable Architecture Search via Perturbation-based Regularization", ICML 2020,
random smoothing (section 3.2, equation 6), for DARTS. The architecture step is the searcher's own; each weight step
runs, g being the gates at which the searcher would have trained them (DARTS: p), at

    clip(g + u),  u ~ U(-eps, eps) for every operation,    eps = start + (end - start) * epoch / epochs

where clip puts every entry into [0, 1] and scales a row to sum 1; a row left without mass becomes one-hot at what was
its greatest entry. Alpha itself is read, never written. The ramp, its two ends (0.03 and 0.3) and the clip are those
of the official code, which the DARTS-PT code shares. (DARTS-PT's text says Gaussian noise; its code is uniform.)

While a selector tunes, the clock stands in the search's last epoch: eps there is 0.03 + 0.27 * (E - 1) / E, where
DARTS-PT's code goes on at 0.3. Rows that a selector has decided are laid over the perturbed gates and stay one-hot.
"""

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from typing_extensions import TypeVar

from benchbed.black_box import BlackBoxSearcher
from benchbed.errors import BenchbedError
from benchbed.modifier import Modifier
from benchbed.objective import Batch, Objective
from benchbed.searcher import Clock, Searcher
from benchbed.searcher import Options as PluginOptions
from benchbed.space import Space


class Options(PluginOptions):
    """How far the gates of a weight step may be from the searcher's. Defaults: the official code's."""

    radius_start: float = Field(0.03, ge=0, description="eps in the first epoch (official: 0.03)")
    radius_end: float = Field(0.3, ge=0, description="eps to which it rises linearly over the epochs (official: 0.3)")


SmoothingT = TypeVar("SmoothingT", bound=Options, default=Options)


class Smoothing(Modifier[SmoothingT]):
    """Uniform noise on the gates of weight steps."""

    role = "perturbations of the weight gates"

    @classmethod
    def fits(cls, searcher: type[Searcher], options: SmoothingT, space: Space, objective: Objective | None) -> None:
        if issubclass(searcher, BlackBoxSearcher):
            raise BenchbedError(f"it perturbs weight steps, and {searcher.__name__} shares no weights")

    def radius(self, clock: Clock) -> float:
        """eps of this epoch."""
        o = self.options
        return float(o.radius_start + (o.radius_end - o.radius_start) * clock.epoch / clock.epochs)

    def noise(self, radius: float) -> Float[Tensor, "P O"]:
        """U(-radius, radius), zero on the padding."""
        mask = self.searcher.mask
        drawn = torch.rand(mask.shape, generator=self.streams.generator("perturbation"))
        return radius * (2 * drawn - 1) * mask

    def weight_gates(self, gates: Tensor, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        return clipped(gates + self.noise(self.radius(clock)), self.searcher.mask)


def clipped(gates: Float[Tensor, "P O"], mask: Tensor) -> Float[Tensor, "P O"]:
    """Entries into [0, 1], rows to sum 1; a row without mass is one-hot at its greatest entry, padding stays 0."""
    kept = gates.clamp(0, 1) * mask
    mass = kept.sum(1, keepdim=True)
    best = gates.masked_fill(~mask, -torch.inf).argmax(1)
    one_hot = torch.nn.functional.one_hot(best, gates.shape[1]) * mask  # a dropped row has nothing that may flow
    return torch.where(mass > 0, kept / torch.where(mass > 0, mass, 1.0), one_hot.to(gates.dtype))
