"""Bootstrap intervals of a mean."""

import warnings
from typing import NamedTuple

import numpy as np
import scipy  # loads scipy.stats when it is asked for: most commands need no interval

FEW = 5  # values: of 300 normal samples each, 54 % of intervals cover at 2 values, 70 % at 3, 84 % at 5
FEW_SEEDS = f"An interval of fewer than {FEW} seeds is too narrow; of two it is no more than their values."
EQUAL = 5e-10  # values closer than this are one, as in the paired tests
BCA_UP_TO = 2000  # values; above, BCa's jackknife, a mean without each value, grows with the square of their number


class Interval(NamedTuple):
    """A mean, its sample standard deviation (n - 1) and a bootstrap interval; NaN where n is too small for one."""

    n: int
    mean: float
    deviation: float
    low: float
    high: float


def mean_interval(values: list[float], level: float = 0.95, resamples: int = 9999, seed: int = 0) -> Interval:
    """The BCa bootstrap interval of the mean (Efron 1987), by scipy; above 2,000 values the percentile interval.

    For paired comparisons give the differences.

    Values that are all equal, to nine decimals, have an interval of no width. Raises ValueError without values, for one
    that is not finite, and for a level outside (0, 1).
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0:
        raise ValueError("an interval needs at least one value")
    if not np.isfinite(sample).all():
        raise ValueError(f"value {sample[~np.isfinite(sample)][0]:g}: an interval takes finite numbers")
    if not 0 < level < 1:
        raise ValueError(f"level {level:g}: expected a number in (0, 1)")
    mean = float(sample.mean())
    if sample.size == 1:
        return Interval(1, mean, np.nan, np.nan, np.nan)
    deviation = float(sample.std(ddof=1))
    if np.ptp(sample) < EQUAL:
        return Interval(int(sample.size), mean, 0.0, mean, mean)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # BCa of very few values degenerates and says so; the NaN below says it too
        found = scipy.stats.bootstrap(
            (sample,),
            np.mean,
            confidence_level=level,
            n_resamples=resamples,
            method="BCa" if sample.size <= BCA_UP_TO else "percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return Interval(int(sample.size), mean, deviation, float(found.low), float(found.high))
