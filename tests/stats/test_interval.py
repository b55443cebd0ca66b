"""The bootstrap interval of a mean: closed forms, coverage by simulation, and where it has to give up."""

import numpy as np
import pytest
from scipy import stats

from benchbed.stats.interval import mean_interval


def test_mean_and_deviation_are_the_samples() -> None:
    found = mean_interval([1.0, 2.0, 4.0, 9.0])
    assert found.n == 4
    assert found.mean == 4.0
    assert found.deviation == pytest.approx(np.sqrt((9 + 4 + 0 + 25) / 3))


def test_of_many_normal_values_it_is_the_normal_interval() -> None:
    """By the central limit theorem: mean +- 1.96 s / sqrt(n); of 2,000 values within 3 % of its width."""
    values = np.random.default_rng(1).normal(10, 3, 2000)
    found = mean_interval(values.tolist())
    half = stats.norm.ppf(0.975) * values.std(ddof=1) / np.sqrt(len(values))
    assert found.low == pytest.approx(values.mean() - half, abs=0.06 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.06 * half)
    narrower = mean_interval(values.tolist(), level=0.5)
    assert narrower.high - narrower.low == pytest.approx(2 * stats.norm.ppf(0.75) / 1.959964 * half, rel=0.06)


@pytest.mark.parametrize("draw", ["normal", "exponential"])
def test_it_covers_the_mean_about_as_often_as_it_says(draw: str) -> None:
    """95 % nominal, ten values each, as in a table of ten seeds: a bootstrap of ten is known to be a little short."""
    rng, samples = np.random.default_rng(2), 200
    hits = 0
    for _ in range(samples):
        values = rng.normal(0, 1, 10) if draw == "normal" else rng.exponential(1, 10) - 1
        found = mean_interval(values.tolist(), resamples=999)
        hits += found.low <= 0 <= found.high
    shortest, longest = (0.88, 0.99) if draw == "normal" else (0.80, 0.99)
    assert shortest <= hits / samples <= longest


def test_it_moves_and_scales_with_the_values() -> None:
    values = [1.0, 3.0, 3.5, 7.0, 11.0]
    one, other = mean_interval(values), mean_interval([10 * x + 5 for x in values])
    assert other[1:] == pytest.approx((10 * one.mean + 5, 10 * one.deviation, 10 * one.low + 5, 10 * one.high + 5))


def test_a_skewed_sample_has_a_skewed_interval() -> None:
    """What BCa is for: the long tail's side is farther from the mean."""
    found = mean_interval([0.0, 0.0, 0.0, 0.1, 0.2, 0.2, 0.3, 5.0, 0.1, 0.0])
    assert found.high - found.mean > 2 * (found.mean - found.low)


def test_the_same_values_give_the_same_interval() -> None:
    values = np.random.default_rng(0).normal(size=30).tolist()
    assert mean_interval(values) == mean_interval(values)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)


def test_where_there_is_no_interval() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        mean_interval([])
    one = mean_interval([3.0])
    assert (one.n, one.mean) == (1, 3.0)
    assert np.isnan([one.deviation, one.low, one.high]).all()
    assert mean_interval([2.0, 2.0, 2.0]) == (3, 2.0, 0.0, 2.0, 2.0)


@pytest.mark.parametrize(
    "values", [[1.0, 2.0], [1.0, 1.0, 2.0], [0.0, 0.0, 0.0, 0.0, 1.0], [0.1, 0.1, 0.1 + 1e-17, 0.2]]
)
def test_very_few_values_still_give_an_interval_around_the_mean(values: list[float]) -> None:
    found = mean_interval(values)
    assert min(values) <= found.low <= found.mean <= found.high <= max(values)
    assert found.low < found.high


def test_values_that_differ_by_rounding_alone() -> None:
    found = mean_interval([0.1 + 0.2, 0.3, 0.3])
    assert found.low == pytest.approx(0.3)
    assert found.high == pytest.approx(0.3)
