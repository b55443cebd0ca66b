"""OLES beside its authors' training loop: the scores that it adds up, and which operations stop."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchbed.cost import without_cost
from benchbed.objective import Batch
from benchbed.searcher import Clock
from benchbed.spaces.darts.space import EDGES, OPERATIONS, Darts

from . import clones, darts_space
from .ours import CLASSES, hand_over, images, objective, searcher

OFFICIAL = {"against": "previous", "valid": "official", "cosine": "official", "count": "official"}
RATE = 0.01  # of the weights: at 0.03 nearly every score is below their threshold, at 0.003 nearly none
STILL = 1e-12  # alpha's learning rate: their validation gradient is of before alpha's step, ours of after it


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    """Their train_search.py; it makes a folder where it is."""
    monkeypatch.chdir(tmp_path)
    with clones.script(clones.clone("oles"), "train_search", beside=darts_space.BESIDE) as found:
        yield found


class Turning:
    """Batches in their order; who asks for the first of a new pass gets the next, too, as `next(iter(queue))` does."""

    def __init__(self, batches: list[Batch]):
        self.left = iter(batches)

    def __iter__(self) -> Iterator[Batch]:
        return self.left


def batches(steps: int, opposed: int) -> tuple[list[Batch], list[Batch]]:
    """Of training and of validation, all different; opposed: one over and over, so many of its images labelled
    otherwise in validation."""
    if opposed:
        x, y = images(8, 8, 100)
        return [Batch(x, y)] * steps, [Batch(x, (y + (torch.arange(8) < opposed)) % CLASSES)] * steps
    return tuple([Batch(*images(8, 8, seed + step)) for step in range(steps)] for seed in (100, 300))  # type: ignore


def both(script: ModuleType, steps: int, opposed: int = 0, **own: Any) -> tuple[Any, nn.Module]:
    """Our searcher's modifier and their network after so many steps, at the authors' settings."""
    train, valid = batches(steps, opposed)
    on = objective(Darts(), channels=2, cells=3, lr=RATE, lr_min=RATE, clip=None)
    of = searcher("darts", on, {"oles": {**OFFICIAL, **own}}, alpha_lr=STILL)
    network = script.Network(2, CLASSES, 3, nn.CrossEntropyLoss())
    hand_over(on.weights(), darts_space.names(on.network), network)
    for there, ours in zip(network.arch_parameters(), of.base.alpha.detach().split(14), strict=True):
        there.data.copy_(ours)

    script.args.grad_clip = 1e9  # their stored gradients are clipped ones
    script.args.arch_learning_rate = STILL
    optimiser = torch.optim.SGD(network.parameters(), RATE, momentum=0.9, weight_decay=3e-4)
    architect = script.Architect(network, script.args)
    script.train(train, Turning(valid), network, architect, nn.CrossEntropyLoss(), optimiser, RATE, 0)

    turns = {"train": iter(train), "valid": iter(valid)}
    on.batch = lambda split: next(turns[split])
    for step in range(steps):
        clock, batch = Clock(0, step, 50, steps), on.batch("train")
        of.arch_step(without_cost(on), batch, clock)
        on.weight_step(of.weight_gates(on, batch, clock), batch)
    return of.modifiers["oles"], network


def theirs(script: ModuleType, network: Any, what: str) -> list[Tensor]:
    """Of each cell, (14, 8): the sum of its modules' scores ('avg'), or 1 where one is frozen ('frozen')."""
    found = []
    for cell in network.cells:
        table = torch.zeros(len(EDGES), len(OPERATIONS))
        for edge, mixed in enumerate(cell._ops):
            for column, module in enumerate(mixed._ops):
                if what == "avg":
                    table[edge, column] = float(getattr(module, "avg", 0.0))
                else:
                    table[edge, column] = any(not weight.requires_grad for weight in module.parameters())
        found.append(table)
    return found


def test_scores(script: ModuleType, ledger: Any) -> None:
    oles, network = both(script, 6)
    normal, first, second = theirs(script, network, "avg")
    skip = OPERATIONS.index("skip_connect")
    sums = oles.sums[:14], oles.sums[14:].clone()
    sums[1][:, skip] = 0.0
    options = "all official options"
    ledger.equal("darts+oles", "sum of five scores, normal cell", "oles", normal, sums[0], options)
    what = "sum of five scores, mean of the two reduction cells that share alpha"
    ledger.equal("darts+oles", what, "oles", (first + second) / 2, sums[1], options)
    why = "skip connections of stride 2 have weights, and are not in their list of operations: train_search.py"
    ledger.differs(
        "darts+oles", "the same, skip connections among them", "oles", (first + second) / 2, oles.sums[14:], why
    )


def test_scores_of_the_paper(script: ModuleType, ledger: Any) -> None:
    oles, network = both(script, 6, valid="own")
    why = "nothing zeroes the weights' gradients before alpha's step adds those of validation: their score is of " \
          "g_train + g_valid with g_train: train_search.py, train; `valid=official` is theirs"  # fmt: skip
    ledger.differs("darts+oles", "sum of five scores", "oles", theirs(script, network, "avg")[0], oles.sums[:14], why)


def test_what_stops(script: ModuleType, ledger: Any) -> None:
    oles, network = both(script, 23, opposed=2)
    normal = theirs(script, network, "frozen")[0]
    assert 0 < normal.sum() < 14 * 4
    what = f"which of 56 operations of the normal cell stop within 23 steps ({int(normal.sum())})"
    ledger.equal("darts+oles", what, "oles", normal, oles.frozen[:14], "all official options")
