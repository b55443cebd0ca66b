"""beta-DARTS beside its authors' code: the term, its gradient, and what their epochs and orders make of it."""

import argparse
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from benchbed.searcher import Clock
from benchbed.spaces.nb201.space import NB201

from . import cells201
from .clones import clone
from .ours import CLASSES, alpha_of, gradient, objective, searcher

RATES = argparse.Namespace(momentum=0.9, weight_decay=3e-4, arch_learning_rate=3e-4, arch_weight_decay=1e-3)


def ready(network: type) -> type:
    """Their network of NAS-Bench-201 with what an unrolled step asks of it: a copy, and weights without alpha."""

    class Ready(network):  # type: ignore[misc, valid-type]
        def new(self) -> Any:
            return deepcopy(self)

        def named_parameters(self, *args: Any, **own: Any) -> Iterator[tuple[str, nn.Parameter]]:
            return ((name, w) for name, w in super().named_parameters(*args, **own) if "arch" not in name)

    return Ready


def both(of_epochs: int, order: int = 1, **own: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Their gradient and ours in epoch 30 of so many."""
    root = clone("Beta-DARTS")
    model, architect = cells201.modules(root, "nasbench201.model", "optimizers.darts.architect")
    on = objective(NB201(), channels=cells201.CHANNELS, cells=cells201.CELLS)
    of = searcher("darts", on, {"beta-darts": own}, order=order)
    made = ready(model.Network)(cells201.CHANNELS, cells201.CELLS, 4, CLASSES, nn.CrossEntropyLoss())
    network = cells201.with_weights(made, on, alpha_of(of), "_arch_parameters")
    theirs = architect.Architect(network, RATES)
    optimiser = torch.optim.SGD(network.get_weights(), 0.1)
    theirs.step(*on.batch("train"), *on.batch("valid"), 0.1, optimiser, epoch=30, unrolled=order == 2)
    return network.arch_parameters()[0].grad, gradient(of, on, Clock(30, 0, of_epochs, 1))


def test_the_term(ledger: Any) -> None:
    (architect,) = cells201.modules(clone("Beta-DARTS"), "optimizers.darts.architect")
    alpha = torch.randn(6, 5)
    theirs = architect.Architect.mlc_loss(None, alpha)
    ours = torch.stack([row.exp().sum().log() for row in alpha]).mean()
    ledger.equal("darts+beta-darts", "the term, written out", "Beta-DARTS", theirs, ours)


def test_its_gradient_in_a_hundred_epochs(ledger: Any) -> None:
    ledger.equal("darts+beta-darts", "gradient in epoch 30 of 100", "Beta-DARTS", *both(100))


def test_its_epochs_are_always_a_hundred(ledger: Any) -> None:
    why = "lambda is 50 * epoch / 100 with a literal 100: architect.py, _backward_step; `literal_100=true` is theirs"
    ledger.differs("darts+beta-darts", "gradient in epoch 30 of 50", "Beta-DARTS", *both(50), why)
    found = both(50, literal_100=True)
    ledger.equal("darts+beta-darts", "gradient in epoch 30 of 50", "Beta-DARTS", *found, "`literal_100=true`")


def test_its_second_order_leaves_the_term_out(ledger: Any) -> None:
    why = "the unrolled step takes no epoch and leaves the term out: architect.py, _backward_step_unrolled"
    ledger.differs("darts+beta-darts", "gradient in epoch 30 of 100, order 2", "Beta-DARTS", *both(100, 2), why)
    found = both(100, 2, weight=0.0)
    ledger.equal("darts+beta-darts", "gradient, order 2", "Beta-DARTS", *found, "`weight=0`")
