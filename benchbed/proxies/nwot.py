"""nwot: log det of how alike the images' patterns of active ReLUs are (NAS without training).

Mellor et al., ICML 2021. K counts, for each pair of images, the ReLU inputs of equal sign; the official code has a ReLU
an edge and counts those that reach the output, so a ReLU that several edges share counts once for each of them here.
One forward pass, no labels.
"""

import torch
from jaxtyping import Float64
from pydantic import Field
from torch import Tensor

from ..proxy import BatchOptions, Case, Proxy
from ._layers import Activations


class Options(BatchOptions):
    """The authors' batch; NAS-Bench-Suite-Zero takes 64."""

    batch: int = Field(128, ge=2, description="images of a batch")


class Nwot(Proxy[Options]):
    """log |det K|, K = sum over ReLUs of c c' + (1 - c)(1 - c)', c whether inputs are positive, a row an image."""

    of_gates = True

    def score(self, case: Case) -> float:
        network, batch = case.network(), case.batch(self.options.batch)
        with torch.no_grad(), Activations(alike) as found:
            network(batch.images)
        total = sum(
            (one.readers * one.seen for one in found), torch.zeros(len(batch.images), len(batch.images)).double()
        )
        return float(torch.linalg.slogdet(total).logabsdet)


def alike(x: Tensor) -> Float64[Tensor, "n n"]:
    """How many values of each two images have the same sign."""
    signs = torch.where(x.flatten(1) > 0, 1.0, -1.0)
    return ((signs @ signs.T).double().cpu() + signs.shape[1]) / 2  # of +-1: as many equal as unequal give 0
