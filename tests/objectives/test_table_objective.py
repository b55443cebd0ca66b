"""The table objective against enumeration of all cells, finite differences and the contract."""

import itertools
from functools import cache

import numpy as np
import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.objectives.table import TableObjective, imageless
from benchbed.searcher import renormalised
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.testing.objective_suite import CHECKS

SPACE = NB201()
ACCURACY = np.random.default_rng(0).uniform(10, 95, (5,) * 6)
CELLS = list(itertools.product(range(5), repeat=6))


@cache
def objective() -> TableObjective:
    return TableObjective(SPACE, ACCURACY)


def rows(seed: int) -> torch.Tensor:
    """Random rows that sum to 1, (6, 5)."""
    drawn = torch.rand(6, 5, generator=torch.Generator().manual_seed(seed)) ** 3
    return drawn / drawn.sum(1, keepdim=True)


def enumerated(p: np.ndarray) -> float:
    """The expected accuracy under independent choices, cell by cell."""
    weights = [np.prod([p[i, k] for i, k in enumerate(cell)]) for cell in CELLS]
    return float(sum(w * ACCURACY[cell] for w, cell in zip(weights, CELLS, strict=True)) / sum(weights))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check):
    check(lambda: (TableObjective(SPACE, ACCURACY), Streams(0)))


def test_one_hot_gates_give_the_tables_value():
    for cell in CELLS[::97]:
        gates = torch.from_numpy(SPACE.gates(SPACE.architecture_of(cell)))
        measured = objective().measure(gates)
        assert float(measured.accuracy) == np.float32(ACCURACY[cell])
        assert float(objective().loss(gates, None)) == np.float32(1 - ACCURACY[cell] / 100)
        assert measured.images == 0


@pytest.mark.parametrize("seed", range(3))
def test_probabilities_give_the_expectation_over_independent_choices(seed):
    p = rows(seed)
    expected = enumerated(p.double().numpy())
    assert float(objective().measure(p).accuracy) == pytest.approx(expected, rel=1e-6)
    assert float(objective().loss(p, None)) == pytest.approx(1 - expected / 100, rel=1e-6)


def test_the_gradient_is_that_of_finite_differences():
    p, step = rows(3), 1e-6
    _, gradient = objective().gate_gradient(p, None)
    for i, k in itertools.product(range(6), range(5)):
        sides = []
        for sign in (1, -1):
            moved = p.double()
            moved[i, k] += sign * step
            sides.append(1 - float(objective().value(moved[None])[0]) / 100)
        assert float(gradient[i, k]) == pytest.approx((sides[0] - sides[1]) / (2 * step), abs=1e-6)


def test_through_a_softmax_the_gradient_is_the_multilinear_one():
    """dL/dalpha_k = p_k (V - V_k) / 100, with V_k the expectation given operation k, by enumeration."""
    alpha = torch.randn(6, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64).requires_grad_()
    p = alpha.softmax(1)
    _, gradient = objective().gate_gradient(p.detach().float(), None)
    (found,) = torch.autograd.grad(p, alpha, gradient.double())
    numbers = p.detach().numpy()
    whole = enumerated(numbers)
    for i, k in ((0, 1), (3, 4), (5, 0)):
        given = numbers.copy()
        given[i] = np.eye(5)[k]
        expected = numbers[i, k] * (whole - enumerated(given)) / 100
        assert float(found[i, k]) == pytest.approx(expected, abs=1e-7)


def test_a_masked_row_is_normalised():
    p, allowed = rows(5), torch.ones(6, 5, dtype=torch.bool)
    allowed[2, 3] = False
    masked = p * allowed
    assert float(objective().measure(masked).accuracy) == pytest.approx(enumerated(masked.double().numpy()), rel=1e-6)
    assert float(objective().measure(masked).accuracy) == pytest.approx(
        float(objective().measure(renormalised(masked, allowed)).accuracy), rel=1e-6
    )


def test_a_row_of_zeros_is_none():
    p = rows(6)
    p[1] = 0
    none = p.clone()
    none[1, 0] = 1
    assert SPACE.positions[1].operations[0] == "none"
    assert float(objective().loss(p, None)) == float(objective().loss(none, None))
    loss, gradient = objective().gate_gradient(p, None)
    assert loss.isfinite()
    assert gradient.isfinite().all()
    assert (gradient[1] == 0).all()


def test_many_gates_at_once_are_each_their_own():
    many = torch.stack([rows(n) for n in range(6)]).reshape(2, 3, 6, 5)
    measured = objective().measure(many)
    assert measured.loss.shape == measured.accuracy.shape == (2, 3)
    assert float(measured.accuracy[1, 2]) == pytest.approx(enumerated(rows(5).double().numpy()), rel=1e-6)


def test_there_is_nothing_but_accuracy():
    assert objective().provides == frozenset()
    assert objective().batch("train") is None
    assert objective().weights() == objective().state() == {}
    assert objective().network is None
    task = imageless("table-cifar10", "t", "cifar10", "f" * 64)
    assert (len(task.train), len(task.valid), task.fingerprint) == (0, 0, "f" * 64)


def test_a_missing_cell_is_refused():
    gaps = ACCURACY.copy()
    gaps[0, 1, 2, 3, 4, 0] = gaps[4, 4, 4, 4, 4, 4] = np.nan
    with pytest.raises(BenchbedError, match=r"^objective 'table' needs every cell: mine lacks 2 of 15,625$"):
        TableObjective(SPACE, gaps, "mine")
