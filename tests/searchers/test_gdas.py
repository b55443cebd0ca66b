"""GDAS: one-hot forward, the soft draw's gradient, temperature and frequencies (darts-pt.md, oracle 15)."""

from itertools import pairwise

import pytest
import torch
from scipy.stats import chisquare

from benchbed.cost import Problem, without_cost
from benchbed.objectives.multilinear import Multilinear
from benchbed.searcher import Clock, masked_softmax
from benchbed.searchers.gdas import GDAS
from benchbed.space import Position
from benchbed.streams import Streams
from benchbed.testing.searcher_suite import CHECKS, Traced
from benchbed.testing.toys import ToySpace, ToyTable, random_table
from benchbed.training.search_loop import train_epoch

MASK = torch.from_numpy(ToySpace().mask)
ALPHA = torch.randn(3, 4, generator=torch.Generator().manual_seed(5)) * MASK


def _gdas(alpha=ALPHA, seed=0, **options):
    searcher = GDAS(ToySpace(), GDAS.Options(**options), Streams(seed))
    with torch.no_grad():
        searcher.alpha.copy_(alpha)
    return searcher


def _straight_through(table, tau, seed=0):
    """dL/dalpha of the gates hard - sg(soft) + soft, whose value is `hard`, by plain autograd; and both draws."""
    alpha = ALPHA.clone().requires_grad_()
    noise = -torch.empty(3, 4).exponential_(generator=Streams(seed).generator("gates")).log()
    logits = (masked_softmax(alpha, MASK).clamp_min(1e-30).log() + noise) / tau
    soft = masked_softmax(logits, MASK)
    hard = torch.zeros(3, 4).scatter(1, soft.argmax(1, keepdim=True), 1.0)
    (gradient,) = torch.autograd.grad(table.value(hard - soft.detach() + soft), alpha)
    return gradient, hard, soft.detach()


@pytest.mark.parametrize("clock", [Clock(0, 0, 5, 1), Clock(2, 0, 5, 1), Clock(4, 0, 5, 1)])
def test_forward_is_one_hot_and_the_gradient_is_the_soft_draw_s(clock):
    table = random_table(ToySpace(), 0)
    tau = 10 - 9.9 * clock.epoch / 4
    expected, hard, _ = _straight_through(table, tau)
    searcher, asked = _gdas(), []
    inner = table.gate_gradient
    table.gate_gradient = lambda gates, *rest: (asked.append((gates, rest[1])), inner(gates, *rest))[1]
    logged = searcher.arch_step(without_cost(table), None, clock)
    torch.testing.assert_close(searcher.alpha.grad, expected, rtol=1e-4, atol=1e-6)
    assert (expected.abs().max(1).values > 0).all()
    ((gates, need),) = asked
    assert torch.equal(gates, hard)
    assert torch.equal(need, MASK)
    assert logged["loss"] == pytest.approx(float(table.value(hard)))


@pytest.mark.parametrize("epochs", [2, 5, 250])
def test_temperature_falls_linearly_from_10_to_a_tenth(epochs):
    taus = [_gdas().temperature(Clock(e, 3, epochs, 9)) for e in range(epochs)]
    assert (taus[0], taus[-1]) == pytest.approx((10.0, 0.1))
    steps = {round(a - b, 9) for a, b in pairwise(taus)}
    assert len(steps) == 1
    assert _gdas().temperature(Clock(0, 0, 1, 9)) == 10.0


@pytest.mark.parametrize("tau", [10.0, 0.1])
def test_draws_follow_p_at_any_temperature(tau):
    searcher, n = _gdas(), 6000
    searcher.tau = tau
    drawn = torch.stack([searcher.draw()[0] for _ in range(n)])
    assert (drawn.sum(2) == 1).all()
    assert (drawn[:, ~MASK] == 0).all()
    for counts, p, mask in zip(drawn.sum(0), searcher.probabilities().double(), MASK, strict=True):
        expected = n * p[mask]
        assert chisquare(counts[mask].double(), expected * n / expected.sum()).pvalue > 1e-3


def test_a_hot_soft_draw_is_nearly_uniform_and_a_cold_one_nearly_one_hot():
    _, _, hot = _straight_through(random_table(ToySpace(), 0), 100.0)
    _, hard, cold = _straight_through(random_table(ToySpace(), 0), 0.01)
    assert float((hot - MASK / MASK.sum(1, keepdim=True)).abs().max()) < 0.02
    assert float((cold - hard).abs().max()) < 0.02


def test_weight_steps_run_one_path_and_come_first():
    searcher, objective, order = _gdas(), Traced(), []
    arch_step, weight_gates = searcher.arch_step, searcher.weight_gates
    searcher.arch_step = lambda *a: (order.append("alpha"), arch_step(*a))[1]
    searcher.weight_gates = lambda *a: (order.append("w"), weight_gates(*a))[1]
    train_epoch(without_cost(objective), searcher, 0, 1)
    assert order == ["w", "alpha"] * objective.steps_per_epoch
    for gates in objective.trace:
        assert sorted(gates.flatten().tolist()) == [0.0] * 9 + [1.0] * 3


def test_a_cost_is_that_of_the_probabilities():
    costs = torch.rand(3, 4, generator=torch.Generator().manual_seed(1))
    flat = ToyTable(ToySpace(), torch.zeros(3, 2, 4))
    alpha = ALPHA.clone().requires_grad_()
    (expected,) = torch.autograd.grad((masked_softmax(alpha, MASK) * costs).sum(), alpha)
    for seed in (0, 1):  # whatever is drawn
        searcher = _gdas(seed=seed)
        problem = Problem(flat, lambda loss, p: loss + (p * costs).sum(), lambda a, g: a)
        searcher.arch_step(problem, None, Clock(0, 0, 5, 1))
        torch.testing.assert_close(searcher.alpha.grad, expected)


# -- the authors' gradient of their DARTS cell -----------------------------------------------------------------------


def test_sampled_takes_the_drawn_gate_s_gradient_and_none_elsewhere():
    table = random_table(ToySpace(), 0)
    _, hard, soft = _straight_through(table, 10.0)
    _, by_gates = table.gate_gradient(hard, None)
    held = by_gates.float() * hard
    expected = soft / 10 * (held - (soft * held).sum(1, keepdim=True))
    searcher = _gdas(gradient="sampled")
    searcher.arch_step(without_cost(table), None, Clock(0, 0, 5, 1))
    torch.testing.assert_close(searcher.alpha.grad, expected)


def test_where_no_operation_is_better_only_the_true_gradient_is_zero():
    """A loss of 0.5 whatever flows: `sampled` pushes away whatever was drawn."""
    flat = ToyTable(ToySpace(), torch.full((3, 2, 4), 0.5))
    hard = _straight_through(flat, 10.0)[1].bool()
    found = {}
    for gradient in ("all", "sampled"):
        searcher = _gdas(gradient=gradient)
        searcher.arch_step(without_cost(flat), None, Clock(0, 0, 5, 1))
        found[gradient] = searcher.alpha.grad
    assert float(found["all"].abs().max()) < 1e-7
    assert (found["sampled"][hard] > 1e-3).all()
    assert (found["sampled"][MASK & ~hard] < 0).all()


def test_on_a_table_the_gradient_of_a_drawn_gate_is_zero():
    """A row is scaled to sum 1, so that its one gate can be any number: hence `sampled` is refused there."""
    space = ToySpace()
    loss = Multilinear(space, random_table(space, 0).losses)
    hard = _straight_through(random_table(space, 0), 10.0)[1].double().requires_grad_()
    (by_gates,) = torch.autograd.grad(loss(hard[None]).sum(), hard)
    assert float((by_gates * hard.detach()).abs().max()) < 1e-12
    assert float((by_gates * (MASK & ~hard.detach().bool())).abs().max()) > 1e-3


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_sampled_fulfils_the_contract_but_for_what_it_learns(check):
    """It has no baseline: a loss far from zero drowns the difference between operations (the test above)."""
    options = {"alpha_lr": 0.05, "alpha_weight_decay": 0.0, "gradient": "sampled"}
    if check.__name__ == "check_better_operation_wins":
        with pytest.raises(AssertionError, match="has no loss, but"):
            check(GDAS, options)
    else:
        check(GDAS, options)


# -- the authors' gradient of their NAS-Bench-201 cell -----------------------------------------------------------------


class Linear(ToyTable):
    """One position with outputs of two numbers: m = sum_j g_j o_j, loss <c, m>. G_j is <c, o_j>, with ones sum(c)."""

    o = torch.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, -1.0]])
    c = torch.tensor([0.5, 2.0])

    def gate_gradient(self, gates, batch, need=None, keep="outputs"):
        assert keep == "ones"
        by_gates = torch.where(gates.bool(), self.o @ self.c, self.c.sum())
        return (gates[0] @ self.o @ self.c), by_gates * need


class OneOfThree(ToySpace):
    positions = (Position("only", ("none", "a", "b"), (True,) * 3),)


@pytest.mark.parametrize("seed", range(4))
def test_ones_moves_the_drawn_operation_against_the_sum_of_the_output_s_gradient(seed):
    alpha, tau = torch.tensor([[0.3, -0.2, 0.1]]), 10.0
    searcher = GDAS(OneOfThree(), GDAS.Options(gradient="ones"), Streams(seed))
    with torch.no_grad():
        searcher.alpha.copy_(alpha)
    noise = -torch.empty(1, 3).exponential_(generator=Streams(seed).generator("gates")).log()
    soft = ((alpha + noise) / tau).softmax(1)[0]
    k = int(soft.argmax())
    given = [2.5, 2.5, 2.5]  # sum(c)
    given[k] = [0.0, 4.5, -0.5][k]  # <c, o_k>
    mean = sum(s * g for s, g in zip(soft.tolist(), given, strict=True))
    expected = [s / tau * (g - mean) for s, g in zip(soft.tolist(), given, strict=True)]
    searcher.arch_step(without_cost(Linear(OneOfThree(), torch.zeros(3))), None, Clock(0, 0, 5, 1))
    assert searcher.alpha.grad[0].tolist() == pytest.approx(expected, rel=1e-4)


def test_ones_needs_feature_maps_and_all_is_the_default():
    assert GDAS.needed(GDAS.Options(gradient="ones")) == {"network"}
    assert GDAS.needed(GDAS.Options()) == frozenset()
    assert GDAS.needed(GDAS.Options(gradient="sampled")) == {"weights"}
    assert GDAS.Options().gradient == "all"
