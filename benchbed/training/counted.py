"""What the network that is trained costs: by its space's closed form, or counted as it runs where there is none."""

from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..space import Architecture, Space
from ..task import Task


def trained_network(
    network: nn.Module, space: Space, architecture: Architecture, task: Task, *, channels: int, cells: int
) -> dict[str, Any]:
    """`params` and `flops` of the architecture's network at this size on the task's images, as a record holds them.

    Beside them `images` and `classes`, and C and N as far as the space's networks have them.
    """
    size = {"channels": channels, "cells": cells}
    own = {name: value for name, value in space.sizes(**size).items() if name in size}
    known = space.counts(architecture, task.shape, task.classes, **size)
    return {**counted(network, task.shape, task.classes), **known, **own}


def counted(network: nn.Module, images: tuple[int, int, int], classes: int) -> dict[str, Any]:
    """`params` and `flops` of a network on one image, beside what it was built for; the network stays as it was.

    flops: the multiply-accumulates of convolutions and linear layers, and one for each bias of a linear layer, as
    NAS-Bench-201 counts them; norm, activation, pooling and sums are free. params: trainable values of the modules
    that a prediction uses, so that an auxiliary head is in neither. images: (channels, height, width).
    """
    used: dict[nn.Module, None] = {}
    hooks = [m.register_forward_pre_hook(lambda module, _: used.update({module: None})) for m in network.modules()]
    first = next(network.parameters(), torch.zeros(()))
    training = {module: module.training for module in network.modules()}
    network.eval()  # nothing is drawn, and no running mean moves
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, *images, dtype=first.dtype, device=first.device))
    finally:
        for module, was in training.items():
            module.training = was
        for hook in hooks:
            hook.remove()
    biases = sum(module.bias.numel() for module in used if isinstance(module, nn.Linear) and module.bias is not None)
    own = {id(p): p.numel() for module in used for p in module.parameters(recurse=False) if p.requires_grad}
    return {
        "params": sum(own.values()),
        "flops": counter.get_total_flops() // 2 + biases,  # torch counts a multiplication and an addition apart
        "images": list(images),
        "classes": classes,
    }
