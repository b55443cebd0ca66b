"""ENAS: its step against the enumeration of all draws, its baselines, and what the authors' code makes of both."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from benchbed.cost import Problem, without_cost
from benchbed.searcher import Clock
from benchbed.searchers.enas import ENAS
from benchbed.streams import Streams
from benchbed.testing.toys import ToySpace, random_table

PATHS = torch.tensor(list(itertools.product(range(3), range(2), range(4))))
LAST = Clock(0, 3, 5, 4)


def made(seed: int = 0, spread: float = 0.5, **options: Any) -> ENAS:
    searcher = ENAS(ToySpace(), ENAS.Options(**{"samples": 1, **options}), Streams(seed))
    torch.manual_seed(seed)
    for weight in searcher.controller.parameters():
        torch.nn.init.normal_(weight, std=spread)
    return searcher


def flat(gradients: Any) -> Tensor:
    return torch.cat([g.flatten() for g in gradients])


def step(searcher: ENAS, path: Tensor, problem: Problem | None = None) -> Tensor:
    """The gradient that the optimiser is given where the draw is this path; theta stays."""
    controller, found = searcher.controller, []
    searcher.controller.draw = lambda n, generator: controller.follow(n, lambda i, p: path[i].expand(n))
    searcher.optimiser.step = lambda: found.append(flat(p.grad for p in controller.parameters()).clone())
    searcher.arch_step(problem or without_cost(random_table(ToySpace(), 0)), None, LAST)
    return found[0]


def rewards() -> Tensor:
    table = random_table(ToySpace(), 0)
    gates = torch.stack([torch.nn.functional.one_hot(path, 4) for path in PATHS]).float()
    return table.measure(gates).accuracy / 100


def test_the_mean_step_is_the_gradient_of_the_expected_reward(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over all 24 draws, whatever the baseline is; without one, 1/M of many draws is as good."""
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: None)
    for b in (0.0, 0.4, 5.0):
        searcher = made(entropy_weight=0.0)
        own = searcher.controller.follow(24, lambda i, p: PATHS[:, i])
        expected = (own.log_p.exp() * rewards()).sum()
        exact = -flat(torch.autograd.grad(expected, list(searcher.controller.parameters())))
        mean = torch.zeros_like(exact)
        for p, path in zip(own.log_p.exp().detach(), PATHS, strict=True):
            searcher.average = b
            mean += p * step(searcher, path)
        torch.testing.assert_close(mean, exact, rtol=1e-3, atol=2e-6)
        assert float(exact.abs().max()) > 1e-3


def test_a_reward_is_held_against_the_earlier_ones_alone() -> None:
    searcher = made(decay=0.9)
    found = searcher.advantages(torch.tensor([1.0, 2.0]), torch.zeros(2))
    assert found.tolist() == pytest.approx([0.0, 1.0])
    found = searcher.advantages(torch.tensor([3.0, 0.0]), torch.tensor([0.5, 0.0]))
    b = 0.9 * 1 + 0.1 * 2
    assert found.tolist() == pytest.approx([3.5 - b, -(0.9 * b + 0.1 * 3.5)])


def test_the_official_baseline_is_one_number_an_epoch_and_a_hundredth_of_the_reward_itself() -> None:
    searcher, zero = made(baseline="official"), torch.zeros(3)
    first = searcher.advantages(torch.tensor([0.2, 0.9, 0.4]), torch.tensor([0.01, 0.02, 0.03]))
    assert first.tolist() == pytest.approx([0.01, 0.02, 0.03], abs=1e-6)  # entropy alone
    searcher.end_epoch(random_table(ToySpace(), 0), LAST)
    assert searcher.held == pytest.approx(0.4)  # the last draw's accuracy
    for _ in range(2):
        later = searcher.advantages(torch.tensor([0.2, 0.9, 0.7]), zero)
        assert later.tolist() == pytest.approx([0.99 * (r - 0.4) for r in (0.2, 0.9, 0.7)], abs=1e-6)
    searcher.end_epoch(random_table(ToySpace(), 0), LAST)
    assert searcher.held == pytest.approx(0.99 * 0.4 + 0.01 * 0.7)


def test_the_official_first_epoch_learns_nothing_of_accuracy() -> None:
    assert not step(made(baseline="official", entropy_weight=0.0), PATHS[5]).any()


@pytest.mark.parametrize("path", PATHS[::7])
def test_the_official_entropy_is_differentiated_and_falls(path: Tensor) -> None:
    """The difference is -log pi dH/dtheta times its weight; a descent by it lowers H, where a bonus is to keep it."""
    gradients = {}
    for kind in ("detached", "official"):
        searcher = made(entropy=kind, entropy_weight=0.01)
        searcher.average = 0.3
        gradients[kind] = step(searcher, path)
    controller = made().controller
    own = controller.follow(1, lambda i, p: path[i].expand(1))
    by_entropy = flat(torch.autograd.grad(own.entropy.sum(), list(controller.parameters()), allow_unused=True,
                                          materialize_grads=True))  # fmt: skip
    difference = gradients["official"] - gradients["detached"]
    torch.testing.assert_close(difference, float(-own.log_p.detach()) * 0.01 * by_entropy, rtol=1e-3, atol=1e-6)
    assert float(difference @ by_entropy) > 0


def test_a_cost_is_paid_by_the_reward() -> None:
    table, costs = random_table(ToySpace(), 0), torch.rand(3, 4, generator=torch.Generator().manual_seed(1))
    problem = Problem(table, lambda loss, p: loss, lambda a, g: a / 100 - (costs * g).sum((1, 2)))
    free, paid = made(entropy_weight=0.0), made(entropy_weight=0.0)
    free.average = paid.average = 0.0
    worth = float(rewards()[9])
    cost = sum(float(costs[i, k]) for i, k in enumerate(PATHS[9]))
    torch.testing.assert_close(step(paid, PATHS[9], problem), step(free, PATHS[9]) * (1 - cost / worth), rtol=1e-3,
                               atol=1e-6)  # fmt: skip


def test_the_controller_steps_at_the_end_of_an_epoch_after_the_weights() -> None:
    searcher = made(updates=7)
    due = [(e, s) for e in range(2) for s in range(4) for _ in range(searcher.arch_steps_due(Clock(e, s, 2, 4)))]
    assert due == [(0, 3)] * 7 + [(1, 3)] * 7
    assert not ENAS.arch_first


def test_every_draw_of_a_step_has_a_validation_batch_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    searcher, table, asked = made(samples=4), random_table(ToySpace(), 0), []
    monkeypatch.setattr(table, "batch", lambda split: asked.append(split))
    logged = searcher.arch_step(without_cost(table), None, LAST)
    assert asked == ["valid"] * 4
    assert logged["reward"] == pytest.approx(1 - logged["loss"], abs=1e-5)
    assert 0 < logged["entropy"] <= float(torch.tensor([3.0, 2.0, 4.0]).log().sum()) + 1e-5
