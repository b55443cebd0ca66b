"""The scores as the published codes have them: a module an edge, none shared, every edge run, masks and hooks.

Its network of a NAS-Bench-201 cell takes the weights of `NB201Network`, whose state it loads, and scores the same.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbed.objective import Batch
from benchbed.spaces.nb201.network import CONV_1X1, CONV_3X3, EDGES, NONE, POOL, NB201Network


class Zero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mul(0.0)


class Cell(nn.Module):
    """(n, C, h, w) to the same shape; `state` holds what belongs to `benchbed.spaces.nb201.network.Cell`."""

    def __init__(self, choices: tuple[int, ...], edges: nn.ModuleDict):
        super().__init__()
        self.ops = nn.ModuleList()
        for (node, source), op in zip(EDGES, choices, strict=True):
            if op in (CONV_1X1, CONV_3X3):
                self.ops.append(nn.Sequential(nn.ReLU(), edges[f"{node}<-{source}"]))
            else:
                pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
                self.ops.append(Zero() if op == NONE else pool if op == POOL else nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        nodes = [x]
        for node in (1, 2, 3):
            of = [(k, source) for k, (target, source) in enumerate(EDGES) if target == node]
            nodes.append(sum(self.ops[k](nodes[source]) for k, source in of))  # type: ignore[arg-type]
        return nodes[3]


class Reduction(nn.Module):
    def __init__(self, of: nn.Module):
        super().__init__()
        self.first, self.second = nn.ReLU(), nn.ReLU()
        self.conv_a, self.conv_b, self.shortcut = of.conv_a, of.conv_b, of.shortcut
        self.pool = nn.AvgPool2d(2, 2, ceil_mode=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv_b(self.second(self.conv_a(self.first(x)))) + self.shortcut(self.pool(x))
        return out


class Network(nn.Module):
    """With the very weights of an NB201Network."""

    def __init__(self, of: NB201Network, choices: tuple[int, ...]):
        super().__init__()
        self.stem, self.last_bn, self.classifier, self.last = of.stem, of.last_bn, of.classifier, nn.ReLU()
        self.blocks = nn.Sequential(
            *(Reduction(b) if hasattr(b, "shortcut") else Cell(choices, b.edges) for b in of.blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.classifier(self.last(self.last_bn(self.blocks(self.stem(x)))).mean((2, 3)))
        return out


def layers(network: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def synflow(network: nn.Module, batch: Batch) -> float:
    network.double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.forward = lambda x: x  # type: ignore[method-assign]
    for value in network.state_dict().values():
        value.abs_()
    network(torch.ones_like(batch.images[:1]).double()).sum().backward()
    grads = [
        (m.weight, torch.zeros_like(m.weight) if m.weight.grad is None else m.weight.grad) for m in layers(network)
    ]
    return math.log1p(sum(float((w.detach() * g).abs().sum()) for w, g in grads))


def snip(network: nn.Module, batch: Batch) -> float:
    """By a mask of ones on every weight."""
    masks = []
    for m in layers(network):
        mask = nn.Parameter(torch.ones_like(m.weight))
        masks.append(mask)
        m.weight.requires_grad = False
        m.forward = _masked(m, mask)  # type: ignore[method-assign]
    F.cross_entropy(network(batch.images), batch.labels).backward()
    return sum(float(mask.grad.abs().sum()) for mask in masks if mask.grad is not None)


def _masked(m: nn.Conv2d | nn.Linear, mask: Tensor) -> Callable[[Tensor], Tensor]:
    if isinstance(m, nn.Conv2d):
        return lambda x: F.conv2d(x, m.weight * mask, m.bias, m.stride, m.padding)
    return lambda x: F.linear(x, m.weight * mask, m.bias)


def nwot(network: nn.Module, batch: Batch) -> float:
    n = len(batch.images)
    total = np.zeros((n, n))

    def look(module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        x = (given[0].flatten(1) > 0).float()
        total[:] += (x @ x.T).numpy() + ((1 - x) @ (1 - x.T)).numpy()

    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(look)
    network(batch.images)
    return float(np.linalg.slogdet(total)[1])


def jacov(network: nn.Module, batch: Batch) -> float:
    x = batch.images.clone().requires_grad_()
    logits = network(x)
    logits.backward(torch.ones_like(logits))
    assert x.grad is not None
    values = np.linalg.eigvals(np.corrcoef(x.grad.flatten(1).numpy())).real + 1e-5
    return -float(np.sum(np.log(values) + 1 / values))


SCORES = {"synflow": synflow, "snip": snip, "nwot": nwot, "jacov": jacov}
