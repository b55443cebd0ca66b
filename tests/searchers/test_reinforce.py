"""REINFORCE against the enumeration of every possible step (float64)."""

import itertools
import math

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from benchbed.cost import Problem, without_cost
from benchbed.searcher import Clock
from benchbed.searchers.reinforce import Reinforce, score_gradient
from benchbed.space import Position
from benchbed.streams import Streams
from benchbed.testing.toys import ToySpace, ToyTable, random_table

CLOCK = Clock(0, 0, 1, 1)


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class OnePosition(ToySpace):
    def __init__(self, n):
        self.positions = (Position("only", tuple("abcdefgh"[:n]), (True,) * n),)


def _table(n):
    return ToyTable(OnePosition(n), torch.rand(n, generator=torch.Generator().manual_seed(n)))


def _searcher(space, alpha=None, **options):
    made = Reinforce(space, Reinforce.Options(**options), Streams(0))
    if alpha is not None:
        with torch.no_grad():
            made.alpha.copy_(alpha)
    return made


def _expected_step(n, samples, baseline, before):
    """(mean of alpha's ascent direction over all n^M steps, the exact gradient of E[R]) at one position."""
    table = _table(n)
    made = _searcher(table.space, torch.linspace(-0.5, 0.8, n)[None], samples=samples, baseline=baseline)
    p, rewards = made.probabilities()[0], 1 - table.losses
    exact, mean = p * (rewards - (p * rewards).sum()), torch.zeros(n)
    for drawn in itertools.product(range(n), repeat=samples):
        chosen = torch.tensor(drawn)
        made.baseline = before
        advantages = made.advantages(rewards[chosen])
        mean += p[chosen].prod() * score_gradient(advantages, F.one_hot(chosen, n).double()[:, None], p[None])[0]
    return mean, exact


UNBIASED = [("none", None), ("ema", 0.3), ("ema", -5.0), ("leave-one-out", None), ("leave-one-out", 0.3)]


@pytest.mark.parametrize(("baseline", "before"), [*UNBIASED, ("ema", None)])
@pytest.mark.parametrize(("n", "samples"), [(3, 3), (4, 2), (2, 8)])
def test_mean_over_every_step_is_the_gradient_of_the_expected_reward(baseline, before, n, samples):
    mean, exact = _expected_step(n, samples, baseline, before)
    assert torch.allclose(mean, exact, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("n", "samples"), [(3, 3), (2, 10), (4, 1)])
def test_the_official_baseline_shrinks_the_gradient(n, samples):
    """It enters with weight 0.99 what it is held against: (1 - 0.99 / M), and (1 - 1 / M) at the first step."""
    for before, share in ((0.4, 0.99), (None, 1.0)):
        mean, exact = _expected_step(n, samples, "official", before)
        assert torch.allclose(mean, (1 - share / samples) * exact, rtol=1e-9, atol=1e-12)


def test_the_factors_of_the_reference():
    for samples, factor in ((3, 0.67), (10, 0.901)):
        mean, exact = _expected_step(2, samples, "official", 0.1)
        assert float(mean[0] / exact[0]) == pytest.approx(factor, abs=1e-9)


def test_baselines_follow_the_rewards():
    ema, official = (_searcher(ToySpace(), baseline=b, decay=0.9) for b in ("ema", "official"))
    for made in (ema, official):
        for reward in (1.0, 2.0, 4.0):
            made.advantages(torch.full((3,), reward))
    assert ema.baseline == pytest.approx(0.9 * (0.9 * 1 + 0.1 * 2) + 0.1 * 4)
    assert official.baseline == pytest.approx(4 + 0.01 * (2 + 0.01 * (1 - 2) - 4))


def test_the_ema_holds_a_step_against_earlier_steps_alone():
    made = _searcher(ToySpace(), baseline="ema", decay=0.9)
    made.advantages(torch.tensor([1.0, 3.0]))
    assert made.advantages(torch.tensor([7.0, 2.0])).tolist() == pytest.approx([5.0, 0.0])
    assert made.baseline == pytest.approx(0.9 * 2 + 0.1 * 4.5)


def test_a_constant_reward_held_against_itself_moves_nothing():
    for baseline, before in (
        ("ema", 0.7),
        ("ema", None),
        ("leave-one-out", None),
        ("official", None),
        ("official", 0.7),
    ):
        made = _searcher(ToySpace(), baseline=baseline)
        made.baseline = before
        assert made.advantages(torch.full((5,), 0.7)).abs().max() < 1e-15


def test_covariance_of_the_score_is_that_of_a_draw():
    p = torch.tensor([0.1, 0.2, 0.3, 0.4])
    scores = [score_gradient(torch.ones(1), F.one_hot(torch.tensor([[k]]), 4).double(), p[None])[0] for k in range(4)]
    assert sum(w * s for w, s in zip(p, scores, strict=True)).abs().max() < 1e-15
    covariance = sum(w * torch.outer(s, s) for w, s in zip(p, scores, strict=True))
    assert torch.allclose(covariance, p.diag() - torch.outer(p, p), atol=1e-15)


def _true_gradient(table, made, reward):
    """The gradient of E[reward] by enumeration of all architectures."""
    alpha = made.alpha.detach().clone().requires_grad_()
    p = alpha.masked_fill(~made.mask, -torch.inf).softmax(1)
    expected = torch.zeros(())
    for choices in itertools.product(*(range(len(q.operations)) for q in table.space.positions)):
        expected = expected + math.prod(p[i, k] for i, k in enumerate(choices)) * reward(choices)
    return torch.autograd.grad(expected, alpha)[0]


@pytest.mark.parametrize("baseline", ["ema", "leave-one-out", "none"])
def test_real_steps_average_to_the_true_gradient(baseline):
    """Through arch_step, draws included, three positions and a cost; within 4 standard errors in every entry."""
    table, costs = random_table(ToySpace(), 0), torch.rand(3, 4, generator=torch.Generator().manual_seed(1))
    alpha = 0.5 * torch.randn(3, 4, generator=torch.Generator().manual_seed(2))
    made = _searcher(table.space, alpha, baseline=baseline, samples=20, alpha_lr=1e-12)
    problem = Problem(table, lambda loss, p: loss, lambda a, g: a / 100 - 0.5 * (costs * g).sum((1, 2)))
    found = []
    for _ in range(150):
        made.arch_step(problem, None, CLOCK)
        found.append(-made.alpha.grad)
    grads = torch.stack(found)
    exact = _true_gradient(table, made, lambda c: 1 - table.losses[c] - 0.5 * sum(costs[i, k] for i, k in enumerate(c)))
    error = grads.std(0) / len(grads) ** 0.5
    assert (grads.mean(0) - exact).abs()[made.mask].max() < 0.05
    assert ((grads.mean(0) - exact).abs() <= 4 * error + 1e-9).all()
    assert (exact.abs() > 8 * error).any()  # the gradient stands clear of the noise, so a wrong one would be seen
    assert (grads[:, ~made.mask] == 0).all()


def test_a_step_ascends():
    table = _table(3)
    made = _searcher(table.space, torch.zeros(1, 3), samples=64, alpha_lr=0.1, baseline="leave-one-out")
    logged = made.arch_step(without_cost(table), None, CLOCK)
    assert int(made.probabilities().argmax()) == int(table.losses.argmin())
    assert logged["reward"] == pytest.approx(1 - logged["loss"], abs=1e-6)


def test_leave_one_out_of_a_single_draw_is_refused():
    with pytest.raises(ValidationError, match="leave-one-out needs samples of at least 2"):
        Reinforce.Options(baseline="leave-one-out", samples=1)


def test_schedule():
    made = _searcher(ToySpace(), warmup=0.5, every=4)
    due = [sum(made.arch_steps_due(Clock(e, s, 4, 10)) for s in range(10)) for e in range(4)]
    assert due == [0, 0, 2, 2]
    assert [made.arch_steps_due(Clock(2, s, 4, 3)) for s in range(3)] == [0, 0, 1]  # fewer batches than `every`


def test_the_baseline_is_part_of_the_state():
    made, other = _searcher(ToySpace()), _searcher(ToySpace())
    made.advantages(torch.tensor([0.5, 0.25]))
    other.load_state(made.state())
    assert other.baseline == made.baseline == 0.375
