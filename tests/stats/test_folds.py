"""tau within folds against its definition, and its interval against draws of which the truth is known."""

from itertools import combinations

import numpy as np
import pytest

from benchbed.stats.folds import tau_within
from benchbed.stats.kendall import kendall


def test_one_fold_is_kendalls_tau_b_with_ties() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.integers(6, size=40).astype(float), rng.integers(9, size=40).astype(float)
    assert tau_within(x, y, np.zeros(40, dtype=int)).value == pytest.approx(kendall(x, y))


def test_only_pairs_of_one_fold_count() -> None:
    rng = np.random.default_rng(4)
    x, y, fold = rng.normal(size=30), rng.normal(size=30), np.arange(30) % 4
    pairs = [(i, j) for i, j in combinations(range(30), 2) if fold[i] == fold[j]]
    by_hand = np.mean([np.sign(x[i] - x[j]) * np.sign(y[i] - y[j]) for i, j in pairs])
    assert tau_within(x, y, fold).value == pytest.approx(by_hand)
    shifted = x + 100 * fold  # as a whole, what a predictor says of its fold may lie anywhere
    assert tau_within(shifted, y, fold).value == pytest.approx(by_hand)
    assert kendall(shifted, y) != pytest.approx(by_hand, abs=0.01)


def test_a_perfect_order_has_one_without_spread_and_a_constant_none() -> None:
    x, fold = np.arange(24.0), np.arange(24) % 3
    found = tau_within(x, 2 * x, fold)
    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))
    assert np.isnan(tau_within(np.ones(24), x, fold).value)


def test_the_interval_has_the_truth_as_often_as_it_says() -> None:
    """Of pairs of a normal distribution of correlation r, tau is 2 asin(r) / pi (Kruskal 1958)."""
    rng, r, hits = np.random.default_rng(5), 0.6, 0
    for _ in range(300):
        x = rng.normal(size=100)
        y = r * x + np.sqrt(1 - r * r) * rng.normal(size=100)
        found = tau_within(x, y, np.arange(100) % 5)
        hits += found.low <= 2 * np.arcsin(r) / np.pi <= found.high
    assert 0.93 <= hits / 300 <= 1
