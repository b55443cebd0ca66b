"""fisher: how much the loss would change if a channel were masked, squared, summed over all channels, on one batch.

Theis et al., "Faster gaze prediction with dense networks and Fisher pruning", 2018; as a proxy by Abdelfattah et al.,
ICLR 2021. Read at the output of every convolution and linear layer, so that it does not matter who shares a ReLU.
"""

import torch
from torch import Tensor, nn

from ..proxy import BatchOptions, Case, Proxy
from ._layers import gradients, layers, loss


class Fisher(Proxy[BatchOptions]):
    """Sum over channels of the mean over images of (sum over pixels of a dL/da)^2 / 2, a the channel's activation."""

    def score(self, case: Case) -> float:
        network, outputs = case.network(), list[Tensor]()

        def keep(module: nn.Module, given: object, out: Tensor) -> None:
            outputs.append(out)

        for layer in layers(network):
            layer.register_forward_hook(keep)
        value = loss(network, case.batch(self.options.batch))
        total = torch.zeros((), dtype=torch.float64)
        for out, g in zip(outputs, gradients(value, outputs), strict=True):
            of_channel = (out.detach() * g).flatten(2).sum(2) if out.ndim > 2 else out.detach() * g
            total += of_channel.double().square().mean(0).sum().cpu() / 2
        return float(total)
