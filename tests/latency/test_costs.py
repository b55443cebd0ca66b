"""Costs against enumeration of every architecture, finite differences and published counts (reference, oracle 15)."""

import itertools

import numpy as np
import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.latency.costs import AdditiveCost, WholeCost
from benchbed.latency.knapsack import best_choices
from benchbed.latency.load import load_cost
from benchbed.space import Architecture
from benchbed.spaces.mbconv.space import MBConv
from benchbed.spaces.nb201.space import NB201, all_architectures, flops, parameters
from benchbed.testing.toys import ToyCell, ToySpace

SPACE = ToySpace()
SIZES = [len(p.operations) for p in SPACE.positions]
MEMBERS = list(itertools.product(*map(range, SIZES)))  # padding apart; the last operation of 'third' not selectable
SELECTABLE = [c for c in MEMBERS if c[2] != 3]
ENTRIES = np.random.default_rng(0).uniform(0.5, 9, (3, 4)) * SPACE.mask
WHOLE = np.random.default_rng(1).uniform(2, 40, SIZES)


def additive() -> AdditiveCost:
    return AdditiveCost(SPACE, 3.0, ENTRIES, "toy", "ms")


def own(cost: AdditiveCost | WholeCost, choices: tuple[int, ...]) -> float:
    """What an architecture costs, from the figures alone."""
    if isinstance(cost, WholeCost):
        return float(WHOLE[choices])
    return 3.0 + sum(float(ENTRIES[i, k]) for i, k in enumerate(choices))


def draw(seed: int) -> torch.Tensor:
    """alpha in float64 (3, 4)."""
    return torch.randn(3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softmax(alpha: torch.Tensor) -> torch.Tensor:
    return alpha.masked_fill(~torch.from_numpy(SPACE.mask), -torch.inf).softmax(1)


COSTS = [additive(), WholeCost(SPACE, WHOLE, "toy", "ms")]
both = pytest.mark.parametrize("cost", COSTS, ids=["additive", "whole"])


@both
@pytest.mark.parametrize("seed", range(3))
def test_the_expectation_is_that_of_all_architectures(cost, seed):
    p = softmax(draw(seed))
    weights = [float(np.prod([p[i, k] for i, k in enumerate(c)])) for c in MEMBERS]
    expected = sum(w * own(cost, c) for w, c in zip(weights, MEMBERS, strict=True))
    assert float(cost.value(p)) == pytest.approx(expected, rel=1e-12)
    assert cost.value(p).dtype == torch.float64


@both
def test_one_hot_rows_give_the_architectures_own_cost(cost):
    for choices in MEMBERS:
        gates = torch.zeros(3, 4)
        gates[range(3), choices] = 1
        assert float(cost.value(gates)) == pytest.approx(own(cost, choices), rel=1e-14)
        assert cost.of(SPACE.architecture_of(choices)) == pytest.approx(own(cost, choices), rel=1e-14)


@both
def test_many_gates_at_once_are_each_their_own(cost):
    many = torch.stack([softmax(draw(n)) for n in range(6)]).reshape(2, 3, 3, 4)
    assert cost.value(many).shape == (2, 3)
    assert float(cost.value(many)[1, 2]) == pytest.approx(float(cost.value(softmax(draw(5)))), rel=1e-14)


@both
def test_the_gradient_through_a_softmax_is_that_of_finite_differences(cost):
    alpha, step = draw(4).requires_grad_(), 1e-5
    cost.value(softmax(alpha)).backward()
    for i, k in zip(*np.nonzero(SPACE.mask), strict=True):
        sides = []
        for sign in (1, -1):
            moved = alpha.detach().clone()
            moved[i, k] += sign * step
            sides.append(float(cost.value(softmax(moved))))
        assert float(alpha.grad[i, k]) == pytest.approx((sides[0] - sides[1]) / (2 * step), abs=1e-8)


def test_the_additive_gradient_is_p_times_f_minus_its_mean():
    alpha = draw(5).requires_grad_()
    p = softmax(alpha)
    additive().value(p).backward()
    f = torch.from_numpy(ENTRIES)
    closed = p * (f - (p * f).sum(1, keepdim=True))
    assert torch.allclose(alpha.grad, closed.detach(), atol=1e-12)


@both
def test_extremes_are_those_of_the_architectures_that_may_be_selected(cost):
    by_cost = sorted(SELECTABLE, key=lambda c: own(cost, c))
    assert cost.least().architecture.choices == by_cost[0]
    assert cost.greatest().architecture.choices == by_cost[-1]
    assert cost.least().value == pytest.approx(own(cost, by_cost[0]))
    assert cost.greatest().value == pytest.approx(own(cost, by_cost[-1]))
    assert cost.uniform() == pytest.approx(np.mean([own(cost, c) for c in MEMBERS]))


@both
@pytest.mark.parametrize("seed", range(5))
def test_best_within_a_limit_is_that_of_enumeration(cost, seed):
    scores = np.random.default_rng(seed).normal(size=(3, 4))
    costs = sorted(own(cost, c) for c in SELECTABLE)
    for limit in (costs[0], costs[len(costs) // 3], costs[len(costs) // 2] + 1e-3, costs[-1]):
        within = [c for c in SELECTABLE if own(cost, c) <= limit]
        best = max(within, key=lambda c: sum(scores[i, k] for i, k in enumerate(c)))
        assert cost.best_within(scores, limit).choices == best


@both
def test_of_equal_scores_the_cheapest_is_kept(cost):
    assert cost.best_within(np.zeros((3, 4)), 1e6) == cost.least().architecture


@both
def test_a_limit_below_the_cheapest_names_it(cost):
    with pytest.raises(BenchbedError, match=f"limit of 0.1 ms .* {cost.least().architecture} costs"):
        cost.best_within(np.zeros((3, 4)), 0.1)


def test_a_long_chain_is_solved_exactly():
    """21 rows of 7: against the optimum of a dynamic programme on whole numbers."""
    rng = np.random.default_rng(3)
    costs, scores = rng.integers(1, 40, (21, 7)), rng.integers(0, 1000, (21, 7))
    for budget in (150, 300, 500):
        best = np.full(budget + 1, -np.inf)
        best[0] = 0
        for row, gain in zip(costs, scores, strict=True):
            moved = np.full(budget + 1, -np.inf)
            for c, s in zip(row, gain, strict=True):
                moved[c:] = np.maximum(moved[c:], best[: budget + 1 - c] + s)
            best = moved
        found = best_choices(list(costs.astype(float)), list(scores.astype(float)), float(budget))
        assert found is not None
        assert sum(costs[i, k] for i, k in enumerate(found)) <= budget
        assert sum(scores[i, k] for i, k in enumerate(found)) == best.max()


def test_what_is_missing_or_negative_is_refused():
    gaps = WHOLE.copy()
    gaps[1, 0, 2] = np.nan
    with pytest.raises(BenchbedError, match=r"needs every architecture: 1 of 24 are missing, as b-c-d"):
        WholeCost(SPACE, gaps, "toy", "ms")
    with pytest.raises(BenchbedError, match="finite and not negative"):
        AdditiveCost(SPACE, 1.0, -ENTRIES, "toy", "ms")


def test_the_fingerprint_is_of_the_figures():
    assert additive().fingerprint == additive().fingerprint
    assert additive().fingerprint != AdditiveCost(SPACE, 3.0, ENTRIES, "toy", "s").fingerprint
    moved = ENTRIES.copy()
    moved[0, 0] += 1e-12
    assert additive().fingerprint != AdditiveCost(SPACE, 3.0, moved, "toy", "ms").fingerprint


def test_macs_of_the_chain_are_the_published_space_s():
    """proxylessnas.md, section 4.1: fixed 42.223616M, uniform 373.300544M, 102.528896M to 606.59072M."""
    macs = load_cost("macs", MBConv(), "mbconv")
    assert macs.fixed == pytest.approx(42.223616, abs=1e-9)
    assert macs.uniform() == pytest.approx(373.300544, abs=1e-9)
    assert macs.least().value == pytest.approx(102.528896, abs=1e-9)
    assert macs.greatest().value == pytest.approx(606.59072, abs=1e-9)


@pytest.mark.parametrize(("name", "count"), [("macs", flops), ("params", parameters)])
def test_counts_of_a_cell_are_its_formulas(name, count):
    cost = load_cost(name, NB201(), "nb201")
    cells: list[Architecture] = list(all_architectures())[::101]
    for cell in cells:
        assert cost.of(cell) == pytest.approx(count(cell) / 1e6, rel=1e-12)


def members_with_topology() -> list[Architecture]:
    """All 384 selectable members of the toy cell, by walking over neighbours."""
    space = ToyCell()
    seen = {space.random(np.random.default_rng(0))}
    todo = list(seen)
    while todo:
        new = set(space.neighbours(todo.pop())) - seen
        seen |= new
        todo += new
    return list(seen)


def test_with_topology_extremes_and_the_best_within_a_limit_are_those_of_enumeration():
    space, rng = ToyCell(), np.random.default_rng(3)
    entries, scores = rng.uniform(0.5, 9, (2, *space.mask.shape)) * space.mask
    cost, found = AdditiveCost(space, 3.0, entries, "toy", "ms"), members_with_topology()
    costs = np.array([3.0 + (entries * space.gates(arch)).sum() for arch in found])
    won = np.array([(scores * space.gates(arch)).sum() for arch in found])
    assert len(found) == space.size()
    assert cost.least().value == pytest.approx(costs.min())
    assert cost.greatest().value == pytest.approx(costs.max())
    for limit in np.quantile(costs, [0.05, 0.3, 0.7, 1.0]):
        best = found[int(np.where(costs <= limit, won, -np.inf).argmax())]
        assert cost.best_within(scores, float(limit)) == best
