"""The published regularisers and reward at their published values; a cost that is cut off must fail (bugs 19, 20)."""

import numpy as np
import pytest
import torch
from torch import Tensor

from benchbed.cost import Cost
from benchbed.errors import BenchbedError
from benchbed.latency.costs import AdditiveCost
from benchbed.latency.penalty import (
    CostOptions,
    check_cost,
    cost_figures,
    penalised,
    rewarded,
    with_cost,
    within_limit,
)
from benchbed.objective import Decisions
from benchbed.searcher import arch_gradient, masked_softmax
from benchbed.searchers.darts import DARTS
from benchbed.searchers.proxyless import ProxylessNAS
from benchbed.searchers.reinforce import Reinforce
from benchbed.selector import Selection
from benchbed.streams import Streams
from benchbed.testing.searcher_suite import COSTS, require_cheapest
from benchbed.testing.toys import ToySpace, random_table

SPACE = ToySpace()
MASK = torch.from_numpy(SPACE.mask)
TOY = AdditiveCost(SPACE, 1.5, COSTS.numpy(), "toy", "ms")  # 1.5 to 4.5 ms


class Detached(AdditiveCost):
    """As NNI 3.0: the cost is computed from plain floats, so no gradient reaches alpha."""

    def value(self, gates: Tensor) -> Tensor:
        return torch.tensor(super().value(gates).tolist(), dtype=torch.float64)


DETACHED = Detached(SPACE, 1.5, COSTS.numpy(), "toy", "ms")


def options(**given: object) -> CostOptions:
    return CostOptions.model_validate({"table": "toy", "target": 2.0, **given})


@pytest.mark.parametrize(("expected", "added"), [(60, -0.025), (100, 0.025), (80, 0.0)])
def test_add_linear_is_the_published_one(expected, added):
    o = options(target=80, weight=0.1)
    total = penalised(torch.tensor(1.3, dtype=torch.float64), torch.tensor(float(expected)).double(), o)
    assert float(total) == pytest.approx(1.3 + added, abs=1e-12)


@pytest.mark.parametrize(
    ("expected", "beta", "factor"), [(60, 0.3, 0.97983), (60, 0.6, 0.96008), (100, 0.3, 1.01501), (100, 0.6, 1.03025)]
)
def test_mul_log_is_the_published_one(expected, beta, factor):
    o = options(target=80, regulariser="mul#log", scale=1.0, exponent=beta)
    total = penalised(torch.tensor(2.0, dtype=torch.float64), torch.tensor(float(expected), dtype=torch.float64), o)
    assert float(total) / 2 == pytest.approx(factor, abs=5e-6)


@pytest.mark.parametrize(("latency", "factor"), [(60, 1.02919), (100, 0.97793)])
def test_the_reward_is_the_published_one(latency, factor):
    o = options(target=80, reward_exponent=0.1)
    found = rewarded(torch.tensor([70.0]), torch.tensor([float(latency)], dtype=torch.float64), o)
    assert float(found) == pytest.approx(0.7 * factor, abs=5e-6)


def test_the_reward_falls_with_the_cost_and_is_zero_above_the_limit():
    costs = torch.linspace(40, 160, 30, dtype=torch.float64)
    falling = rewarded(torch.full((30,), 70.0), costs, options(target=80))
    assert bool((falling.diff() < 0).all())
    limited = rewarded(torch.full((30,), 70.0), costs, options(target=80, limit=100))
    assert torch.equal(limited > 0, costs <= 100)
    assert torch.equal(limited[costs <= 100], falling[costs <= 100])


KINDS = [options(), options(regulariser="mul#log", scale=1.0)]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda o: o.regulariser)


def penalty_gradient(cost: Cost, kind: CostOptions, alpha: Tensor) -> Tensor:
    """d L/dalpha where the loss itself is flat in alpha: the penalty's part alone."""
    problem = with_cost(random_table(SPACE, 0), cost, kind)
    p = masked_softmax(alpha, MASK)
    return arch_gradient(problem, alpha, torch.tensor(0.7), torch.zeros(3, 4), p)


@kinds
def test_the_penaltys_gradient_is_that_of_finite_differences(kind):
    alpha = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    found, step = penalty_gradient(TOY, kind, alpha), 1e-5
    problem = with_cost(random_table(SPACE, 0), TOY, kind)
    for i, k in zip(*np.nonzero(SPACE.mask), strict=True):
        sides = []
        for sign in (1, -1):
            moved = alpha.detach().clone()
            moved[i, k] += sign * step
            sides.append(float(problem.penalise(torch.tensor(0.7).double(), masked_softmax(moved, MASK))))
        assert float(found[i, k]) == pytest.approx((sides[0] - sides[1]) / (2 * step), abs=1e-7)


@kinds
def test_a_step_down_the_penalty_lowers_the_expected_cost(kind):
    alpha = torch.randn(3, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    gradient = penalty_gradient(TOY, kind, alpha)
    assert float(gradient.abs().sum()) > 1e-3
    with torch.no_grad():
        before = TOY.value(masked_softmax(alpha, MASK))
        after = TOY.value(masked_softmax(alpha - 0.1 * gradient, MASK))
    assert float(after) < float(before)


@kinds
def test_a_detached_cost_gives_no_gradient_and_would_fail_the_tests_above(kind):
    alpha = torch.randn(3, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert float(penalty_gradient(DETACHED, kind, alpha).abs().sum()) == 0


def test_mul_log_scales_the_losss_own_gradient():
    kind = options(regulariser="mul#log", scale=0.5, exponent=0.3)
    alpha = torch.zeros(3, 4).requires_grad_()
    p, gates = masked_softmax(alpha, MASK), torch.arange(12.0).reshape(3, 4) * MASK
    problem = with_cost(random_table(SPACE, 0), DETACHED, kind)
    factor = 0.5 * float(torch.log(DETACHED.value(p.detach())) / np.log(2.0)) ** 0.3
    (plain,) = torch.autograd.grad(p, alpha, gates, retain_graph=True)
    assert torch.allclose(arch_gradient(problem, alpha, torch.tensor(0.7), gates, p), factor * plain, rtol=1e-5)


QUICK = {"alpha_lr": 0.05, "warmup": 0.0}


@pytest.mark.parametrize(
    ("searcher", "given"),
    [
        (DARTS, {"alpha_lr": 0.05, "alpha_weight_decay": 0.0}),
        (ProxylessNAS, QUICK),
        (ProxylessNAS, {**QUICK, "mode": "full"}),
    ],
)
def test_the_contract_suite_finds_a_detached_cost(searcher, given):
    with pytest.raises(AssertionError, match="is the cost ignored"):
        require_cheapest(searcher, given, DETACHED)


def test_a_reward_needs_no_gradient():
    """REINFORCE is the control of the control: it learns from a detached cost as well."""
    require_cheapest(Reinforce, QUICK, Detached(SPACE, 1.0, COSTS.numpy(), "toy", "ms"))


def test_mode_two_pays_for_the_pair_alone_or_for_all():
    """Both move only the pair, and both in the direction of q_a q_b (F_a - F_b)."""
    for paid in ("pair", "all"):
        searcher = ProxylessNAS(SPACE, ProxylessNAS.Options(**QUICK, paid=paid), Streams(0))
        _, pair, q = searcher.arch_gates()
        seen = searcher.paid_gates(q)
        assert torch.allclose(seen.sum(1), torch.ones(3))
        whole = searcher.probabilities()
        assert torch.allclose(seen.detach(), whole if paid == "all" else q.detach())
        gradient = torch.autograd.grad(TOY.value(seen), searcher.alpha)[0]
        mass = (whole * pair).sum(1, keepdim=True) if paid == "all" else 1.0
        f = COSTS * MASK
        closed = mass * q * (f - (q * f).sum(1, keepdim=True)) * pair
        assert torch.allclose(gradient, closed.detach(), atol=1e-6)
        assert bool((gradient[~pair] == 0).all())


def test_decided_rows_are_paid_as_decided_and_pull_no_alpha():
    decided = random_table(SPACE, 0).decided(Decisions.none(SPACE).decide(1, 0)).decided(
        Decisions.none(SPACE).decide(0, 2)
    )  # fmt: skip
    problem = with_cost(decided, TOY, options(weight=1.0))
    alpha = torch.zeros(3, 4).requires_grad_()
    p = masked_softmax(alpha, MASK)
    total = problem.penalise(torch.tensor(0.0), p)
    expected = 1.5 + float(COSTS[0, 2] + COSTS[1, 0]) + float(COSTS[2].mean())
    assert float(total.detach()) == pytest.approx((expected - 2.0) / 2.0, rel=1e-6)
    gradient = torch.autograd.grad(total, alpha)[0]
    assert bool((gradient[:2] == 0).all())
    assert float(gradient[2].abs().sum()) > 0
    gates = torch.zeros(1, 3, 4)
    gates[0, range(3), [0, 1, 0]] = 1
    paid = options(target=2.0, reward_exponent=1.0)
    reward = with_cost(decided, TOY, paid).reward(torch.tensor([50.0]), gates)
    assert float(reward) == pytest.approx(0.5 * 2.0 / (1.5 + float(COSTS[0, 2] + COSTS[1, 0] + COSTS[2, 0])))


def test_without_a_cost_the_problem_is_the_objectives_alone():
    problem = with_cost(random_table(SPACE, 0), None, None)
    assert float(problem.penalise(torch.tensor(0.3), torch.zeros(3, 4))) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"target": 1.2}, r"target of 1.2 ms is below the fastest architecture on toy: c-a-b costs 1.5 ms"),
        ({"limit": 1.2}, r"limit of 1.2 ms is below the fastest architecture on toy: c-a-b costs 1.5 ms"),
    ],
)
def test_a_target_that_nothing_meets_names_the_fastest(given, text):
    with pytest.raises(BenchbedError, match=text):
        check_cost(TOY, options(**given))


@pytest.mark.parametrize("fixed", [0.5, 1.0])
def test_mul_log_is_refused_where_the_least_is_not_above_one(fixed):
    cost = AdditiveCost(SPACE, fixed, COSTS.numpy(), "toy", "ms")
    check_cost(cost, options())
    with pytest.raises(BenchbedError, match=f"the least cost, {fixed:g} ms of c-a-b, is not above 1"):
        check_cost(cost, options(regulariser="mul#log"))
    with pytest.raises(BenchbedError, match="target of 1 ms is not above 1 ms"):
        check_cost(cost, options(regulariser="mul#log", target=1.0))
    check_cost(TOY, options(regulariser="mul#log"))


def test_above_the_limit_the_most_probable_architecture_within_it_is_selected():
    p = masked_softmax(torch.randn(3, 4, generator=torch.Generator().manual_seed(2)) * 2, MASK)
    dear = TOY.greatest().architecture
    picked = within_limit(Selection(dear, np.zeros((3, 4)), {"a": 1}), p, TOY, options(limit=2.5))
    members = [SPACE.architecture_of((i, j, k)) for i in range(3) for j in range(2) for k in range(3)]
    within = [a for a in members if TOY.of(a) <= 2.5]
    assert picked.architecture == max(within, key=lambda a: float(np.prod([p[i, k] for i, k in enumerate(a.choices)])))
    assert picked.notes == {"a": 1, "limit": 2.5, "over_the_limit": str(dear), "cost_of_that": TOY.of(dear)}
    cheap = Selection(TOY.least().architecture, np.zeros((3, 4)), {})
    assert within_limit(cheap, p, TOY, options(limit=2.5)) is cheap
    assert within_limit(Selection(dear, np.zeros((3, 4)), {}), p, TOY, options()).architecture == dear


def test_figures_of_a_record():
    chosen = SPACE.parse("a-c-b")
    found = cost_figures(TOY, options(limit=4.0), chosen, 2.25)
    assert found["latency_ms"] == TOY.of(chosen) == found["cost"]["chosen"]
    assert found["cost"] | {"chosen": 0} == {
        "device": "toy", "unit": "ms", "target": 2.0, "limit": 4.0, "expected": 2.25, "chosen": 0,
        "least": 1.5, "greatest": TOY.greatest().value,
    }  # fmt: skip
    assert cost_figures(None, None, chosen, None) == {"latency_ms": None, "cost": None}
    assert (
        cost_figures(AdditiveCost(SPACE, 1, COSTS.numpy(), "macs", "M"), options(), chosen, 1.0)["latency_ms"] is None
    )
