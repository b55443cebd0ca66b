"""Gradients where each cell of a supernet has gates of its own, for what compares cells that share an alpha.

gates (L, Q, O) and mask, the operations that there are, all of which run: on the CPU; gradients are on the images'
device. Always float32, which differences of gradients need. None stands for a weight that took no part.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..layers.plan import Run, plan
from ..objective import Batch, Layers
from ..supernet import Supernet


def _loss(network: Supernet, gates: Layers, mask: Layers, batch: Batch) -> tuple[Tensor, Tensor]:
    """The loss, and the gates that it is differentiable in."""
    steps = plan(gates.flatten(0, 1), mask.bool().flatten(0, 1), Run.GATED)
    leaf = gates.detach().to(batch.images.device).requires_grad_()
    with torch.enable_grad(), torch.autocast(leaf.device.type, enabled=False):
        return F.cross_entropy(network.forward_layers(batch.images, leaf, steps), batch.labels), leaf


def layer_gradients(
    network: Supernet, gates: Layers, mask: Layers, batch: Batch
) -> tuple[Tensor, Tensor, list[Tensor | None]]:
    """The loss, dL/dgates, and dL/dw of every weight."""
    loss, leaf = _loss(network, gates, mask, batch)
    found: tuple[Tensor | None, ...]
    found = torch.autograd.grad(loss, [leaf, *network.parameters()], allow_unused=True)
    return loss.detach(), torch.zeros_like(leaf) if found[0] is None else found[0], list(found[1:])


def layer_product(
    network: Supernet, gates: Layers, mask: Layers, batch: Batch, along: Layers
) -> tuple[Tensor, list[Tensor | None]]:
    """The loss, and d<along, dL/dgates>/dw of every weight, by differentiating twice."""
    loss, leaf = _loss(network, gates, mask, batch)
    with torch.enable_grad():
        (by_gates,) = torch.autograd.grad(loss, [leaf], create_graph=True)
        product = (by_gates * along.to(leaf.device)).sum()
    return loss.detach(), list(torch.autograd.grad(product, list(network.parameters()), allow_unused=True))
