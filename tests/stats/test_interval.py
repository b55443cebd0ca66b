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


@pytest.mark.parametrize(
    ("draw", "n", "least"),
    [
        ("normal", 5, 0.78),
        ("normal", 10, 0.88),
        ("normal", 40, 0.91),
        ("exponential", 10, 0.80),
        ("exponential", 40, 0.88),
    ],
)
def test_it_covers_the_mean_about_as_often_as_it_says(draw: str, n: int, least: float) -> None:
    """95 % nominal; a bootstrap of few values is known to be short, the more so the more they are skewed.

    Of 200 intervals that cover 95 % of the time, fewer than 91 % or more than 99 % do so with probability 0.0062.
    """
    rng, samples = np.random.default_rng(2), 200
    hits = 0
    for _ in range(samples):
        values = rng.normal(0, 1, n) if draw == "normal" else rng.exponential(1, n) - 1
        found = mean_interval(values.tolist(), resamples=999)
        hits += found.low <= 0 <= found.high
    assert least <= hits / samples <= 0.99


def test_above_2000_values_it_is_the_percentile_interval() -> None:
    values = np.random.default_rng(3).exponential(1, 2001)
    found = mean_interval(values.tolist(), resamples=999)
    percentile = stats.bootstrap((values,), np.mean, n_resamples=999, method="percentile", rng=np.random.default_rng(0))
    assert (found.low, found.high) == pytest.approx(tuple(percentile.confidence_interval), abs=1e-12)
    bca = stats.bootstrap((values,), np.mean, n_resamples=999, method="BCa", rng=np.random.default_rng(0))
    assert found.low == pytest.approx(bca.confidence_interval.low, abs=0.1 * (found.high - found.low))


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


@pytest.mark.parametrize(
    ("values", "level", "words"),
    [
        ([np.nan, 1.0], 0.95, "value nan: an interval takes finite numbers"),
        ([1.0, np.inf], 0.95, "value inf"),
        ([1.0, 2.0, 3.0], 2.0, "level 2: expected a number in"),
    ],
)
def test_bad_input(values: list[float], level: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        mean_interval(values, level)


def test_values_that_differ_by_rounding_alone() -> None:
    found = mean_interval([0.1 + 0.2, 0.3, 0.3])
    assert found.low == pytest.approx(0.3)
    assert found.high == pytest.approx(0.3)
