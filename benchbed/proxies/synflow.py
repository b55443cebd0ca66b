"""synflow: how much all paths of a linear network weigh: sum |w dR/dw| at absolute weights, an image of ones, no norm.

Tanaka et al., "Pruning neural networks without any data", NeurIPS 2020; as a proxy by Abdelfattah et al., ICLR 2021. No
images and no labels. Parameters and buffers are made absolute, batch norm is left out, and everything is float64: in
float32 it overflows on deep networks. The score is log(1 + sum): the logarithm as NAS-Bench-Suite-Zero has it (the
ranks are the same), with 0 for a network through which nothing flows.
"""

import math

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..proxy import Case, Proxy
from ._layers import gradients, weights


class Synflow(Proxy):
    """log(1 + sum over convolutions and linear layers of |w dR/dw|), R the sum of the logits of an image of ones."""

    def score(self, case: Case) -> float:
        network = linear(case.network().double())
        of = weights(network)
        ones = torch.ones(1, *case.shape, dtype=torch.float64, device=case.device)
        found = gradients(network(ones).sum(), of)
        return math.log1p(sum(float((w.detach() * g).abs().sum()) for w, g in zip(of, found, strict=True)))


def linear(network: nn.Module) -> nn.Module:
    """The network with absolute weights and without batch norm: linear in images that are not negative."""
    with torch.no_grad():
        for value in [*network.parameters(), *(b for b in network.buffers() if b.is_floating_point())]:
            value.abs_()
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.forward = nn.Identity().forward  # type: ignore[method-assign]
    return network
