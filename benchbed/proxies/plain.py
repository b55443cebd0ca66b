"""plain: the sum over all weights of w dL/dw with its sign, on one batch. A control, near chance.

Abdelfattah et al., ICLR 2021. Batch norm makes it nearly nothing: where the loss does not change with a weight's scale,
the sum over that layer's weights is zero (Euler), so what is left is the classifier's.
"""

from ..proxy import BatchOptions, Case, Proxy
from ._layers import gradients, loss, weights


class Plain(Proxy[BatchOptions]):
    """Sum over the weights of convolutions and linear layers of w dL/dw."""

    def score(self, case: Case) -> float:
        network = case.network()
        of = weights(network)
        found = gradients(loss(network, case.batch(self.options.batch)), of)
        return sum(float((w.detach() * g).sum()) for w, g in zip(of, found, strict=True))
