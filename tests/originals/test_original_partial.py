"""PC-DARTS and FairDARTS beside their authors' code, on the space of DARTS."""

import argparse
from typing import Any

import pytest
import torch
from torch import nn

from benchbed.spaces.darts.space import Darts
from benchbed.spaces.darts.space_s5 import DartsS5
from benchbed.spaces.nb201.space import NB201

from . import cells201, darts_space
from .clones import clone
from .ours import CLASSES, gradient, hand_over, objective, searcher


def test_pc_darts(ledger: Any) -> None:
    model_search, architect = darts_space.modules(clone("PC-DARTS"), "model_search", "architect")
    on = objective(Darts(), channels=8, cells=3, partial=4)
    of = searcher("pc-darts", on)
    network = model_search.Network(8, CLASSES, 3, nn.CrossEntropyLoss())
    hand_over(on.weights(), darts_space.names(on.network), network)
    theirs = network.arch_parameters()
    for there, ours in zip(theirs, [*of.alpha.detach().split(14), *of.beta.detach().split(14)], strict=True):
        there.data.copy_(ours)
    rates = {"momentum": 0.9, "weight_decay": 3e-4, "arch_learning_rate": 6e-4, "arch_weight_decay": 1e-3}
    step = architect.Architect(network, argparse.Namespace(**rates)).step
    step(*on.batch("train"), *on.batch("valid"), 0.1, None, unrolled=False)
    ours = gradient(of, on)
    ledger.equal("pc-darts", "gradient of alpha", "PC-DARTS", torch.cat([theirs[0].grad, theirs[1].grad]), ours)
    beta = torch.cat([theirs[2].grad, theirs[3].grad])
    ledger.equal("pc-darts", "gradient of the edges' beta", "PC-DARTS", beta, of.beta.grad)
    ledger.equal("pc-darts", "alpha after Adam's step", "PC-DARTS", torch.cat(theirs[:2]), of.alpha)


def test_partial_channels_on_nas_bench_201(ledger: Any) -> None:
    on = objective(NB201(), channels=8, cells=cells201.CELLS, partial=4)
    of = searcher("pc-darts", on, edges="none")
    network = cells201.drnas(on, "softmax", channels=8, k=4)
    network._arch_parameters.data.copy_(of.alpha.detach())
    cells201.entropy(network, on.batch("valid")).backward()
    theirs = network._arch_parameters.grad
    why = "there is no code of PC-DARTS' authors on this space: DrNAS' cell of partial channels, `edges=none`"
    ledger.equal("pc-darts", "gradient, NAS-Bench-201", "DrNAS", theirs, gradient(of, on), why)


@pytest.mark.parametrize(("kind", "loss"), [("l2", "ConvSeparateLoss"), ("l1", "TriSeparateLoss")])
def test_fair_darts(kind: str, loss: str, ledger: Any) -> None:
    names = ("model_search", "architect", "separate_loss")
    model_search, architect, losses = darts_space.modules(clone("FairDARTS") / "fairdarts", *names)
    on = objective(DartsS5(), channels=2, cells=3)
    of = searcher("fair-darts", on, zero_one=kind)
    network = model_search.Network(2, CLASSES, 3, getattr(losses, loss)(weight=10.0))
    hand_over(on.weights(), darts_space.names(on.network), network)
    for there, ours in zip(network.arch_parameters(), of.alpha.detach().split(14), strict=True):
        there.data.copy_(ours)
    rates = {"momentum": 0.9, "weight_decay": 3e-4, "arch_learning_rate": 3e-3, "arch_weight_decay": 1e-3}
    own = float(of.own_loss())
    of_entropy = float(on.loss(of.gates().detach(), on.batch("valid")))
    entropy, zero_one = architect.Architect(network, argparse.Namespace(**rates, arch_lr_gamma=0.9)).step(
        *on.batch("valid")
    )
    found = torch.cat([alpha.grad for alpha in network.arch_parameters()])
    both = torch.tensor([entropy, 10 * zero_one]), torch.tensor([of_entropy, own])
    ledger.equal("fair-darts", f"cross entropy and zero-one loss, {kind}", "FairDARTS", *both)
    ledger.equal("fair-darts", f"gradient, {kind}", "FairDARTS", found, gradient(of, on))
