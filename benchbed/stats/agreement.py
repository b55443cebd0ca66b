"""How well one ranking agrees with another: rank correlations, the precision of a top, and bootstrap intervals."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy

from .kendall import kendall, kendall_of_resamples

RESAMPLES = 1000


class Estimate(NamedTuple):
    """A statistic over n items, and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f}, n = {self.n:,})"


def estimate(statistic: Callable[..., float], *samples: np.ndarray, resamples: int = RESAMPLES) -> Estimate:
    """The statistic of samples with a row an item, and its percentile interval from drawing items with replacement."""
    n, rng = len(samples[0]), np.random.default_rng(0)
    drawn = rng.integers(n, size=(resamples, n))
    if statistic is kendall:
        x, y = samples
        draws = kendall_of_resamples(x, y, drawn)
    else:
        draws = np.array([statistic(*(s[rows] for s in samples)) for rows in drawn])
    low, high = np.nanquantile(draws, [0.025, 0.975]) if np.isfinite(draws).any() else (np.nan, np.nan)
    return Estimate(float(statistic(*samples)), float(low), float(high), n)


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation, ties at their mean rank, over the pairs that are there; NaN for fewer than three or where one
    side is constant."""
    there = np.isfinite(x) & np.isfinite(y)
    x, y = x[there], y[there]
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(scipy.stats.rankdata(x), scipy.stats.rankdata(y))[0, 1])


def top_precision(x: np.ndarray, y: np.ndarray, fraction: float) -> float:
    """The share of x's greatest that are among y's greatest; both tops hold ceil(fraction n) of the n pairs present.

    Items that are tied at a top's edge count in part: the mean over ways to break ties, independently in x and y. By
    chance it is the fraction. NaN without a pair. Raises ValueError for a fraction outside (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction {fraction:g}: expected a number above 0 and at most 1")
    there = np.isfinite(x) & np.isfinite(y)
    count = int(there.sum())
    if count == 0:
        return float("nan")
    k = math.ceil(round(fraction * count, 9))
    return float((_membership(x[there], k) * _membership(y[there], k)).sum() / k)


def _membership(x: np.ndarray, k: int) -> np.ndarray:
    """How much of each item is among the k greatest: 0, 1, or a part where it is tied at the edge."""
    edge = np.partition(x, len(x) - k)[len(x) - k]
    above, tied = x > edge, x == edge
    weights: np.ndarray = above + tied * ((k - above.sum()) / tied.sum())
    return weights
