"""DARTS of both orders beside its authors' code, and beside AutoDL's on NAS-Bench-201."""

import argparse
from typing import Any

import pytest
import torch
from torch import nn

from benchbed.spaces.darts.space import Darts
from benchbed.spaces.nb201.space import NB201

from . import cells201, darts_space
from .clones import clone
from .ours import CLASSES, gradient, hand_over, objective, searcher

RATES = argparse.Namespace(momentum=0.9, weight_decay=3e-4, arch_learning_rate=3e-4, arch_weight_decay=1e-3)


def after_a_weight_step(on: Any, of: Any, network: nn.Module, weights: list[Any]) -> torch.optim.Optimizer:
    """Their optimiser; on both sides there is momentum from now on."""
    optimiser = torch.optim.SGD(weights, 0.1, momentum=0.9, weight_decay=3e-4)
    cells201.entropy(network, on.batch("train")).backward()
    optimiser.step()
    on.weight_step(of.probabilities(), on.batch("train"))
    return optimiser


@pytest.mark.parametrize("order", [1, 2])
def test_both_orders_on_the_space_of_darts(order: int, ledger: Any) -> None:
    model_search, architect = darts_space.modules(clone("darts") / "cnn", "model_search", "architect")
    on = objective(Darts(), channels=2, cells=3, clip=None)
    of = searcher("darts", on, order=order)
    network = model_search.Network(2, CLASSES, 3, nn.CrossEntropyLoss())
    hand_over(on.weights(), darts_space.names(on.network), network)
    for there, ours in zip(network.arch_parameters(), of.alpha.detach().split(14), strict=True):
        there.data.copy_(ours)
    optimiser = after_a_weight_step(on, of, network, list(network.parameters()))

    batches = (*on.batch("train"), *on.batch("valid"))
    architect.Architect(network, RATES).step(*batches, 0.1, optimiser, unrolled=order == 2)
    alphas = network.arch_parameters()
    ours = gradient(of, on)
    ledger.equal("darts", f"gradient, order {order}, DARTS space", "darts", torch.cat([a.grad for a in alphas]), ours)
    ledger.equal("darts", f"alpha after Adam's step, order {order}", "darts", torch.cat(list(alphas)), of.alpha)


@pytest.mark.parametrize("order", [1, 2])
def test_both_orders_on_nas_bench_201(order: int, ledger: Any) -> None:
    scripts = clone("AutoDL-Projects") / "exps" / "NAS-Bench-201-algos"
    (script,) = cells201.modules(clone("AutoDL-Projects"), str(scripts / f"DARTS-V{order}.py"))
    on = objective(NB201(), channels=cells201.CHANNELS, cells=cells201.CELLS, clip=None)
    of = searcher("darts", on, order=order)
    network = cells201.with_weights(cells201.autodl("Darts")(), on, of.alpha, "arch_parameters")
    optimiser = after_a_weight_step(on, of, network, network.get_weights())
    network.zero_grad()
    if order == 1:  # written into the middle of their loop over batches
        cells201.entropy(network, on.batch("valid")).backward()
    else:
        step, entropy = script.backward_step_unrolled, nn.CrossEntropyLoss()
        step(nn.DataParallel(network), entropy, *on.batch("train"), optimiser, *on.batch("valid"))
    found = network.arch_parameters.grad
    ledger.equal("darts", f"gradient, order {order}, NAS-Bench-201", "AutoDL-Projects", found, gradient(of, on))
