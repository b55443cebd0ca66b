"""Gradients where each cell of a supernet has gates of its own, for what compares cells that share an alpha.

gates (L, Q, O): on the images' device. mask: the operations that there are, all of which run. Always float32, which
differences of gradients need. None stands for a weight that took no part.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..layers.plan import Run, plan
from ..objective import Batch, Layers
from ..supernet import Supernet


def _loss(network: Supernet, leaf: Layers, mask: Layers, batch: Batch) -> Tensor:
    steps = plan(leaf.flatten(0, 1), mask.bool().flatten(0, 1), Run.GATED)
    with torch.enable_grad(), torch.autocast(leaf.device.type, enabled=False):
        return F.cross_entropy(network.forward_layers(batch.images, leaf, steps), batch.labels)


def layer_gradients(
    network: Supernet, gates: Layers, mask: Layers, batch: Batch
) -> tuple[Tensor, Tensor, list[Tensor | None]]:
    """The loss, dL/dgates, and dL/dw of every weight."""
    leaf = gates.detach().requires_grad_()
    loss = _loss(network, leaf, mask, batch)
    found: tuple[Tensor | None, ...]
    found = torch.autograd.grad(loss, [leaf, *network.parameters()], allow_unused=True)
    return loss.detach(), torch.zeros_like(gates) if found[0] is None else found[0], list(found[1:])


def layer_product(
    network: Supernet, gates: Layers, mask: Layers, batch: Batch, along: Layers
) -> tuple[Tensor, list[Tensor | None]]:
    """The loss, and d<along, dL/dgates>/dw of every weight, by differentiating twice."""
    leaf = gates.detach().requires_grad_()
    loss = _loss(network, leaf, mask, batch)
    with torch.enable_grad():
        (by_gates,) = torch.autograd.grad(loss, [leaf], create_graph=True)
        product = (by_gates * along).sum()
    return loss.detach(), list(torch.autograd.grad(product, list(network.parameters()), allow_unused=True))
