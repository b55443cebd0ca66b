"""Student's t interval of a mean: scipy's own, coverage by simulation, and where there is none."""

import math

import numpy as np
import pytest
from scipy import stats

from benchbed.stats.interval import mean_interval


def test_mean_and_deviation_are_the_samples() -> None:
    found = mean_interval([1.0, 2.0, 4.0, 9.0])
    assert found.n == 4
    assert found.mean == 4.0
    assert found.deviation == pytest.approx(np.sqrt((9 + 4 + 0 + 25) / 3))


@pytest.mark.parametrize(("n", "level"), [(2, 0.95), (3, 0.95), (10, 0.95), (10, 0.5), (2001, 0.99)])
def test_it_is_scipys(n: int, level: float) -> None:
    values = np.random.default_rng(n).exponential(1, n)
    found = mean_interval(values.tolist(), level)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(level)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), rel=1e-12)


def test_of_ten_values_by_hand() -> None:
    """Student's own first example (1908, section IX): the sleep of ten patients, the differences of two drugs."""
    found = mean_interval([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])
    assert found.mean == pytest.approx(1.58)
    assert found.deviation == pytest.approx(1.23, abs=0.005)
    assert found.span() == "0.70 to 2.46"


@pytest.mark.parametrize(
    ("draw", "n", "least", "most"),
    [("normal", 2, 0.91, 0.99), ("normal", 5, 0.91, 0.99), ("normal", 40, 0.91, 0.99), ("exponential", 10, 0.84, 0.96)],
)
def test_it_covers_the_mean_about_as_often_as_it_says(draw: str, n: int, least: float, most: float) -> None:
    """Of 200 intervals that cover 95 % of the time, fewer than 91 % or more than 99 % do so with probability 0.0062.

    Of ten exponential values Student's t covers 90 %.
    """
    rng, samples = np.random.default_rng(2), 200
    hits = 0
    for _ in range(samples):
        values = rng.normal(0, 1, n) if draw == "normal" else rng.exponential(1, n) - 1
        found = mean_interval(values.tolist())
        hits += found.low <= 0 <= found.high
    assert least <= hits / samples <= most


def test_it_moves_and_scales_with_the_values() -> None:
    values = [1.0, 3.0, 3.5, 7.0, 11.0]
    one, other = mean_interval(values), mean_interval([10 * x + 5 for x in values])
    assert other[1:] == pytest.approx((10 * one.mean + 5, 10 * one.deviation, 10 * one.low + 5, 10 * one.high + 5))


def test_where_there_is_no_interval_it_says_why() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        mean_interval([])
    one = mean_interval([3.0])
    assert (one.n, one.mean) == (1, 3.0)
    assert np.isnan([one.deviation, one.low, one.high]).all()
    assert one.span() == "one value"
    for values in ([2.0, 2.0, 2.0], [0.1 + 0.2, 0.3, 0.3]):
        found = mean_interval(values)
        assert (found.n, found.deviation) == (3, 0.0)
        assert math.isnan(found.low)
        assert math.isnan(found.high)
        assert found.span() == "all equal"


def test_a_difference_shows_its_signs() -> None:
    assert mean_interval([-1.0, 1.0, 3.0]).span("+.1f") == "-4.0 to +6.0"


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

