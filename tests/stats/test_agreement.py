"""Rank agreement against scipy, enumerations and closed forms."""

from itertools import combinations, pairwise, permutations

import numpy as np
import pytest
from scipy import stats

from benchbed.stats.agreement import best_of_liked, estimate, estimate_of_difference, spearman, top_precision
from benchbed.stats.kendall import kendall


def test_spearman_is_scipys_with_ties_and_without_what_is_missing() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 9, 200).astype(float), rng.normal(size=200)
    assert spearman(x, y + x) == pytest.approx(stats.spearmanr(x, y + x).statistic)
    gappy = y + x
    gappy[::7] = np.nan
    there = np.isfinite(gappy)
    assert spearman(x, gappy) == pytest.approx(stats.spearmanr(x[there], gappy[there]).statistic)
    assert np.isnan(spearman(x, np.ones(200)))
    assert np.isnan(spearman(x[:2], y[:2]))


def test_kendall_counts_pairs() -> None:
    """tau-b by its definition, on ranks with ties, and without what is missing."""
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 6, 40).astype(float), rng.integers(0, 5, 40).astype(float)
    y[3] = np.nan
    pairs = [(i, j) for i, j in combinations(range(40), 2) if 3 not in (i, j)]
    signs = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i, j in pairs]
    balance = sum(a * b for a, b in signs)
    untied = [sum(s[side] != 0 for s in signs) for side in (0, 1)]
    assert kendall(x, y) == pytest.approx(balance / np.sqrt(untied[0] * untied[1]))
    assert kendall(x, x) == pytest.approx(1)
    assert np.isnan(kendall(x, np.ones(40)))


def test_precision_of_a_top() -> None:
    y = np.arange(10.0)
    assert top_precision(y, y, 0.3) == 1.0
    assert top_precision(-y, y, 0.3) == 0.0
    x = y.copy()
    x[[9, 0]] = x[[0, 9]]  # one of the true three leaves
    assert top_precision(x, y, 0.3) == pytest.approx(2 / 3)
    assert top_precision(y, y, 0.25) == 1.0  # ceil: three
    assert top_precision(np.ones(10), y, 0.3) == pytest.approx(0.3)  # says nothing: chance
    assert top_precision(-y, y, 1.0) == 1.0
    y[0] = np.nan
    assert top_precision(np.arange(10.0), y, 1 / 3) == 1.0


def test_ties_at_the_edge_are_the_mean_over_their_orders() -> None:
    x, y, k = np.array([3.0, 2.0, 2.0, 2.0, 1.0]), np.array([5.0, 4.0, 4.0, 1.0, 9.0]), 2

    def tops(values: np.ndarray) -> list[set[int]]:
        orders = (p for p in permutations(range(5)) if all(values[a] >= values[b] for a, b in pairwise(p)))
        return [set(p[:k]) for p in orders]

    overlaps = [len(a & b) / k for a in tops(x) for b in tops(y)]
    assert top_precision(x, y, k / 5) == pytest.approx(np.mean(overlaps))


def test_the_interval_covers_a_known_correlation() -> None:
    """A normal pair of correlation r has Spearman 6/pi asin(r/2) and Kendall 2/pi asin(r)."""
    rng, r, hits = np.random.default_rng(5), 0.6, np.zeros(2)
    true = 6 / np.pi * np.arcsin(r / 2), 2 / np.pi * np.arcsin(r)
    for _ in range(30):
        x = rng.normal(size=80)
        y = r * x + np.sqrt(1 - r**2) * rng.normal(size=80)
        for i, statistic in enumerate((spearman, kendall)):
            found = estimate(statistic, x, y, resamples=200)
            hits[i] += found.low <= true[i] <= found.high
            assert found.n == 80
    assert (hits >= 0.85 * 30).all()


def test_a_difference_is_paired() -> None:
    """Of means it is the mean of the differences; of tau it covers what two rankings of one deviation differ by, 0."""
    rng = np.random.default_rng(3)
    one, other = rng.normal(size=(2, 60))

    def mean(values: np.ndarray, _: np.ndarray) -> float:
        return float(values.mean())

    found, wanted = estimate_of_difference(mean, one, other, one), estimate(mean, one - other, one)
    assert found == pytest.approx(wanted)
    assert estimate_of_difference(kendall, one, one, other)[:3] == (0.0, 0.0, 0.0)
    hits, widths = 0, []
    for _ in range(40):
        truth, noise, apart, too = rng.normal(size=(4, 80))
        pair = truth + noise + 0.2 * apart, truth + noise + 0.2 * too  # they share nearly all that they err by
        found = estimate_of_difference(kendall, *pair, truth, resamples=200)
        alone = estimate(kendall, pair[0], truth, resamples=200)
        hits += found.low <= 0 <= found.high
        widths.append((found.high - found.low) / (alone.high - alone.low))
    assert hits >= 34
    assert np.mean(widths) < 0.7


def test_a_fraction_is_one() -> None:
    with pytest.raises(ValueError, match="fraction 0: expected"):
        top_precision(np.ones(3), np.ones(3), 0.0)


def test_what_is_nan_is_not_liked() -> None:
    liking = np.array([np.nan, 3.0, 2.0, 1.0])
    truth = np.array([90.0, 50.0, 60.0, 70.0])
    assert best_of_liked(liking, truth, 2) == 60
    assert np.isnan(best_of_liked(liking, truth, 4))
