"""swap: how many patterns of active and inactive its units show over a few images.

Peng et al., "SWAP-NAS: sample-wise activation patterns for ultra-fast NAS", ICLR 2024: 16 images, mean of 32 draws of
the weights, here of N(0, 1) as in the authors' script. `mu` and `sigma` regularise by the parameters. Units that
several edges share have one pattern, however many read it, so they cannot count twice.
"""

import math

import torch
from jaxtyping import Int64
from pydantic import Field, model_validator
from torch import Tensor

from ..proxy import BatchOptions, Case, Proxy
from ._counts import count
from ._layers import Activations, gaussian


class Options(BatchOptions):
    """The authors' images and draws, and their regularisation by size."""

    batch: int = Field(16, ge=2, le=62, description="images of a batch")
    draws: int = Field(32, ge=1, description="draws of the weights that are averaged")
    mu: float | None = Field(None, description="parameters around which the score is kept; none: not regularised")
    sigma: float | None = Field(None, gt=0, description="how widely, in squared parameters")

    @model_validator(mode="after")
    def _both(self) -> "Options":
        if (self.mu is None) != (self.sigma is None):
            raise ValueError("mu and sigma regularise together: give both or none")
        return self


class Swap(Proxy[Options]):
    """The number of distinct columns of the sign matrix (images, ReLU outputs), x exp(-(params - mu)^2 / sigma)."""

    def score(self, case: Case) -> float:
        images = case.batch(self.options.batch).images
        found = []
        for draw in range(self.options.draws):
            network = gaussian(case, "swap", draw)
            with torch.no_grad(), Activations(patterns) as activations:
                network(images)
            units = [one.seen for one in activations]
            found.append(len(torch.cat(units).unique()) if units else 0)
        return sum(found) / len(found) * self._regular(case)

    def _regular(self, case: Case) -> float:
        if self.options.mu is None or self.options.sigma is None:
            return 1.0
        return math.exp(-((count(case, "params") - self.options.mu) ** 2) / self.options.sigma)


def patterns(x: Tensor) -> Int64[Tensor, " distinct"]:
    """The distinct patterns of the units, each as a number of as many bits as there are images."""
    bits = (x.flatten(1) > 0).long() << torch.arange(len(x), device=x.device)[:, None]
    found: Tensor = bits.sum(0).unique()
    return found
