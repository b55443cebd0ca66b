"""grad-norm: the sum over layers of the norm of the loss's gradient, on one batch.

Abdelfattah et al., "Zero-cost proxies for lightweight NAS", ICLR 2021.
"""

from ..proxy import BatchOptions, Case, Proxy
from ._layers import gradients, loss, weights


class GradNorm(Proxy[BatchOptions]):
    """Sum over convolutions and linear layers of |dL/dw|_2."""

    def score(self, case: Case) -> float:
        network = case.network()
        found = gradients(loss(network, case.batch(self.options.batch)), weights(network))
        return sum(float(g.norm()) for g in found)
