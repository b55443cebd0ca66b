"""Gradients where each cell of a supernet has gates of its own, for what compares cells that share an alpha."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..layers.plan import Run, plan
from ..objective import Batch, Layers
from ..supernet import Supernet


def layer_gradients(
    network: Supernet, gates: Layers, mask: Layers, batch: Batch
) -> tuple[Tensor, Tensor, list[Tensor | None]]:
    """The loss, dL/dgates, and dL/dw of every weight, None where one took no part.

    gates: on the images' device. mask: the operations that there are, all of which run. Always float32, which
    differences of gradients need.
    """
    leaf, weights = gates.detach().requires_grad_(), list(network.parameters())
    steps = plan(leaf.flatten(0, 1), mask.bool().flatten(0, 1), Run.GATED)
    with torch.enable_grad(), torch.autocast(gates.device.type, enabled=False):
        loss = F.cross_entropy(network.forward_layers(batch.images, leaf, steps), batch.labels)
    found: tuple[Tensor | None, ...] = torch.autograd.grad(loss, [leaf, *weights], allow_unused=True)
    return loss.detach(), torch.zeros_like(gates) if found[0] is None else found[0], list(found[1:])
