"""fisher: how much the loss would change if a channel were masked, squared, summed over all channels, on one batch.

Theis et al., "Faster gaze prediction with dense networks and Fisher pruning", 2018; as a proxy by Abdelfattah et al.,
ICLR 2021. Read at the output of every convolution and linear layer, so that it does not matter who shares a ReLU. Their
code hands a channel's value to each of its weights before it sums (zero-cost-nas, fisher.py, `reshape_elements`; NASLib
too): `over=weights`.
"""

from typing import Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from ..proxy import BatchOptions, Case, Proxy
from ._layers import gradients, layers, loss


class Options(BatchOptions):
    """The batch, and what is summed over."""

    over: Literal["channels", "weights"] = Field(
        "channels", description="weights: a channel counts once a weight of it, as in the authors' code"
    )


class Fisher(Proxy[Options]):
    """Sum over channels of the mean over images of (sum over pixels of a dL/da)^2 / 2, a the channel's activation."""

    def score(self, case: Case) -> float:
        network, outputs = case.network(), dict[nn.Module, Tensor]()

        def keep(module: nn.Module, given: object, out: Tensor) -> None:
            outputs[module] = out

        for layer in layers(network):
            layer.register_forward_hook(keep)
        value = loss(network, case.batch(self.options.batch))
        total = torch.zeros((), dtype=torch.float64)
        for (module, out), g in zip(outputs.items(), gradients(value, list(outputs.values())), strict=True):
            of_channel = (out.detach() * g).flatten(2).sum(2) if out.ndim > 2 else out.detach() * g
            found = of_channel.double().square().mean(0).sum().cpu() / 2
            total += found * (cast(Tensor, module.weight)[0].numel() if self.options.over == "weights" else 1)
        return float(total)
