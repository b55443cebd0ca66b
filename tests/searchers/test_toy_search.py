"""Whole searches where the answer is known: a teacher's data that one operation of three can explain.

proxylessnas.md, oracle 24. Images x are noise, labels come from a linear teacher on |x|; the student is one mixed
operation of x, |x| and 0 below a linear classifier. With a cost, the cheapest operation wins instead.
"""

import itertools
from typing import Any

import pytest
import torch
from torch import nn

from benchbed import registry
from benchbed.cost import Problem, without_cost
from benchbed.layers.mixed import mixed
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.space import Architecture, Position, Space
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task
from benchbed.training.search_loop import train_epoch

OPERATIONS = ("identity", "absolute", "zero")
BEST, CHEAPEST = 1, 2
EPOCHS = 8
COSTS = torch.tensor([[2.0, 3.0, 1.0]])


class Student(nn.Module):
    """`forward(images, gates, plan)`: a mixed operation, then a linear classifier."""

    def __init__(self, classes: int, in_channels: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(16 * in_channels, classes)

    def forward(self, images: torch.Tensor, gates: torch.Tensor, plan: Any) -> torch.Tensor:
        operations = (lambda x: x, torch.abs, torch.zeros_like)
        candidates = [(how, gates[0, k], operations[k]) for k, how in plan[0]]
        return self.classifier(mixed(images, candidates, lambda: torch.zeros_like(images)).flatten(1))


class ToySpace(Space):
    positions = (Position("only", OPERATIONS, (True,) * 3),)
    supernet = network = f"{__name__}:Student"
    sized_by = ()

    def parse(self, text: str) -> Architecture:
        return self.architecture_of((OPERATIONS.index(text),))

    def architecture_of(self, choices: tuple[int, ...]) -> Architecture:
        return Architecture(OPERATIONS[choices[0]], choices)

    def canonical(self, arch: Architecture) -> Any:
        return arch.choices


def _task() -> Task:
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(1200, 1, 4, 4, generator=draw)
    labels = (images.abs().flatten(1) @ torch.randn(16, 4, generator=draw)).argmax(1)
    train, valid = Split(images[:600], labels[:600]), Split(images[600:], labels[600:])
    return Task("teacher", 4, (1, 4, 4), train, valid, Seal(lambda: valid), "teacher", {})


def _search(name: str, options: dict[str, Any], seed: int, weight: float = 0.0) -> torch.Tensor:
    """The probabilities (3,) after a search in which `weight` times the expected cost is added to the loss."""
    space, streams = ToySpace(), Streams(seed)
    supernet = SupernetOptions(batch=50, valid_batch=100, lr=0.1, clip=None)
    objective = SupernetObjective(space, _task(), supernet, streams, EPOCHS)
    searcher_class = registry.load("searcher", name)
    searcher = searcher_class(space, searcher_class.Options(**options), streams)
    problem = without_cost(objective)
    if weight:
        problem = Problem(
            objective,
            lambda loss, p: loss + weight * (p * COSTS).sum(),
            lambda accuracy, gates: accuracy / 100 - weight * (gates * COSTS).sum((1, 2)),
        )
    for epoch in range(EPOCHS):
        train_epoch(problem, searcher, epoch, EPOCHS)
    return searcher.probabilities()[0]


SEARCHES = {
    "two": ("proxyless", {"mode": "two", "alpha_lr": 0.1}),
    "full": ("proxyless", {"mode": "full", "alpha_lr": 0.1}),
    "echo": ("proxyless", {"mode": "echo", "alpha_lr": 0.1}),
    "reinforce": ("reinforce", {"alpha_lr": 0.1}),
}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", SEARCHES)
def test_the_operation_that_explains_the_data_is_found(name: str, seed: int) -> None:
    assert float(_search(*SEARCHES[name], seed)[BEST]) > 0.9


@pytest.mark.parametrize("name", SEARCHES)
def test_with_a_large_cost_the_cheapest_operation_wins(name: str) -> None:
    assert float(_search(*SEARCHES[name], 0, weight=10.0)[CHEAPEST]) > 0.9


def test_full_and_echo_are_the_same_search() -> None:
    torch.testing.assert_close(_search(*SEARCHES["full"], 0), _search(*SEARCHES["echo"], 0), rtol=1e-3, atol=1e-4)


def test_a_greater_weight_of_the_cost_gives_no_dearer_network() -> None:
    found = [float((_search(*SEARCHES["full"], 0, weight) * COSTS[0]).sum()) for weight in (0.0, 0.05, 0.5, 5.0)]
    assert all(b <= a + 0.05 for a, b in itertools.pairwise(found)), found
    assert found[-1] < found[0] - 1
