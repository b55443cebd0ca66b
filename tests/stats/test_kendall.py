"""tau-b of many resamples at once against scipy's of each, to the last digit."""

import numpy as np
import pytest
from scipy import stats

from benchbed.stats.agreement import estimate
from benchbed.stats.kendall import AT_ONCE, BLOCK, kendall, kendall_of_resamples

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("n", [3, 20, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
@pytest.mark.parametrize("kinds", [(0, 0), (4, 0), (4, 7), (2, 2)])
def test_each_resample_is_scipys(n: int, kinds: tuple[int, int]) -> None:
    x, y = (RNG.integers(0, k, n).astype(float) if k else RNG.normal(size=n) for k in kinds)
    rows = RNG.integers(n, size=(AT_ONCE + 5, n))
    found = kendall_of_resamples(x, y, rows)
    for row, value in zip(rows, found, strict=True):
        own = stats.kendalltau(x[row], y[row], method="asymptotic").statistic
        assert value == own or (np.isnan(own) and np.isnan(value))


def test_what_is_missing_is_left_out_of_each_resample() -> None:
    x, y = RNG.normal(size=300), RNG.integers(0, 9, 300).astype(float)
    x[::7], y[::11] = np.nan, np.inf
    rows = RNG.integers(300, size=(20, 300))
    assert kendall_of_resamples(x, y, rows).tolist() == [kendall(x[row], y[row]) for row in rows]
    lost = np.full(300, np.nan)
    assert np.isnan(kendall_of_resamples(x, lost, rows)).all()


def test_a_resample_of_too_few_or_of_equal_items_has_none() -> None:
    x = np.array([1.0, 2.0, 3.0, np.nan])
    rows = np.array([[0, 0, 0, 0], [0, 1, 3, 3], [0, 1, 2, 3], [2, 1, 0, 0]])
    assert np.isnan(kendall_of_resamples(x, x, rows)[:2]).all()
    assert kendall_of_resamples(x, -x, rows)[2:].tolist() == [-1.0, -1.0]


def test_the_interval_is_that_of_one_resample_after_another() -> None:
    x = RNG.normal(size=400)
    y = x + RNG.normal(size=400)
    assert estimate(kendall, x, y) == estimate(lambda a, b: kendall(a, b), x, y)
