"""grasp: -w H g summed over all weights, how much the gradient's norm would fall with them, on one batch.

Wang et al., "Picking winning tickets before training by preserving gradient flow", ICLR 2020. The sign is that of the
authors of the proxy (Abdelfattah et al., ICLR 2021), against GraSP's own rule, because accuracy correlates negatively
with the other: it was chosen on the benchmark that it is judged on.
"""

from ..proxy import BatchOptions, Case, Proxy
from ._layers import gradients, loss, weights


class Grasp(Proxy[BatchOptions]):
    """-sum of w (H g): g the loss's gradient in the weights of convolutions and linear layers, H its Hessian."""

    def score(self, case: Case) -> float:
        network = case.network()
        of = weights(network)
        first = gradients(loss(network, case.batch(self.options.batch)), of, create_graph=True)
        along = sum((g.detach() * g).sum() for g in first if g.requires_grad)
        if not isinstance(along, int):
            second = gradients(along, of)
            return -sum(float((w.detach() * h).sum()) for w, h in zip(of, second, strict=True))
        return 0.0
