"""The interval of a mean over seeds: Student's t, which covers what it says where seeds are few."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import scipy  # loads scipy.stats when it is asked for: most commands need no interval

EQUAL = 5e-10  # values closer than this are one, as in the paired tests


class Interval(NamedTuple):
    """A mean, its sample standard deviation (n - 1) and its interval.

    The deviation is NaN of one value; low and high are NaN of one value, and of values that are all equal: neither says
    anything of the spread.
    """

    n: int
    mean: float
    deviation: float
    low: float
    high: float

    def span(self, form: str = ".2f") -> str:
        """`3.90 to 4.55`, or why there is no interval; form: how a number is formatted."""
        if math.isfinite(self.low + self.high):
            return f"{self.low:{form}} to {self.high:{form}}"
        return "one value" if self.n == 1 else "all equal"


def mean_interval(values: Iterable[float], level: float = 0.95) -> Interval:
    """Student's t interval of the mean (Student, Biometrika 6, 1908). For paired comparisons give the differences.

    How often it covers the mean of values that are not normal, and how often the bootstrap does, was simulated:
    results/coverage.md.

    Raises ValueError without values, for one that is not finite, and for a level outside (0, 1).
    """
    sample = np.asarray(list(values), dtype=np.float64)
    if sample.size == 0:
        raise ValueError("an interval needs at least one value")
    if not np.isfinite(sample).all():
        raise ValueError(f"value {sample[~np.isfinite(sample)][0]:g}: an interval takes finite numbers")
    if not 0 < level < 1:
        raise ValueError(f"level {level:g}: expected a number in (0, 1)")
    n, mean = int(sample.size), float(sample.mean())
    if n == 1:
        return Interval(n, mean, math.nan, math.nan, math.nan)
    if np.ptp(sample) < EQUAL:
        return Interval(n, mean, 0.0, math.nan, math.nan)
    deviation = float(sample.std(ddof=1))
    reach = float(scipy.stats.t.ppf((1 + level) / 2, n - 1)) * deviation / math.sqrt(n)
    return Interval(n, mean, deviation, mean - reach, mean + reach)
