"""snip: how much the loss would change if a weight were masked, |w dL/dw|, summed over all weights, on one batch.

Lee et al., "SNIP", ICLR 2019, as a proxy by Abdelfattah et al., ICLR 2021.
"""

from ..proxy import BatchOptions, Case, Proxy
from ._layers import gradients, loss, weights


class Snip(Proxy[BatchOptions]):
    """Sum over the weights of convolutions and linear layers of |w dL/dw|: the gradient of a mask of ones."""

    def score(self, case: Case) -> float:
        network = case.network()
        of = weights(network)
        found = gradients(loss(network, case.batch(self.options.batch)), of)
        return sum(float((w.detach() * g).abs().sum()) for w, g in zip(of, found, strict=True))
