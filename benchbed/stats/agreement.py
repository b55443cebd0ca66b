"""How well one ranking agrees with another: rank correlations, the precision of a top, and bootstrap intervals."""

import math
from collections.abc import Callable, Sequence
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
    return estimate_of_mean(statistic, samples[:1], *samples[1:], resamples=resamples)


def estimate_of_difference(
    statistic: Callable[..., float], one: np.ndarray, other: np.ndarray, *shared: np.ndarray, resamples: int = RESAMPLES
) -> Estimate:
    """`statistic(one, *shared) - statistic(other, *shared)`, paired: both of the same items in every resample."""
    n = len(one)
    rows = np.random.default_rng(0).integers(n, size=(resamples, n))
    draws, others = (_of_resamples(statistic, (values, *shared), rows) for values in (one, other))
    found = draws - others
    low, high = np.nanquantile(found, [0.025, 0.975]) if np.isfinite(found).any() else (np.nan, np.nan)
    return Estimate(float(statistic(one, *shared) - statistic(other, *shared)), float(low), float(high), n)


def estimate_of_mean(
    statistic: Callable[..., float], several: Sequence[np.ndarray], *shared: np.ndarray, resamples: int = RESAMPLES
) -> Estimate:
    """The mean of `statistic(one, *shared)` over several samples of the same n items; a resample is one of the items.

    The interval is of the items alone: it says nothing of how far apart the samples are.
    """
    n = len(several[0])
    rows = np.random.default_rng(0).integers(n, size=(resamples, n))
    draws = np.mean([_of_resamples(statistic, (one, *shared), rows) for one in several], axis=0)
    low, high = np.nanquantile(draws, [0.025, 0.975]) if np.isfinite(draws).any() else (np.nan, np.nan)
    return Estimate(float(np.mean([statistic(one, *shared) for one in several])), float(low), float(high), n)


def _of_resamples(statistic: Callable[..., float], samples: Sequence[np.ndarray], rows: np.ndarray) -> np.ndarray:
    if statistic is kendall:
        x, y = samples
        return kendall_of_resamples(x, y, rows)
    return np.array([statistic(*(s[row] for s in samples)) for row in rows])


def best_of_liked(liking: np.ndarray, truth: np.ndarray, count: int = 10) -> float:
    """The greatest truth among the `count` items that are liked most; NaN for fewer items. What is NaN is not liked.

    Items tied at the edge of the `count` take their places by lot: the expectation over it. With v_0 >= v_1 >= ... the
    truths of t tied items of which k are taken, v_i is the greatest with probability C(t - 1 - i, k - 1) / C(t, k).
    """
    liking, truth = liking[~np.isnan(liking)], truth[~np.isnan(liking)]
    if len(liking) < count:
        return float("nan")
    edge = np.partition(liking, len(liking) - count)[len(liking) - count]
    sure, tied = truth[liking > edge], -np.sort(-truth[liking == edge])
    least, k, t = float(sure.max(initial=-np.inf)), count - len(sure), len(tied)
    chances = [math.comb(t - 1 - i, k - 1) / math.comb(t, k) for i in range(t - k + 1)]
    return float(sum(chance * max(least, float(v)) for chance, v in zip(chances, tied, strict=False)))


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
