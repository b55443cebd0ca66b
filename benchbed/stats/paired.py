"""Two methods on the same seeds or data sets: tests, an effect size, correction for many comparisons, and power.

What is compared are paired differences: method minus method on the same supernet, seed or data set. Every test has
two sides.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy

EXACT = 20  # pairs up to which every assignment of signs is counted: 2^20
QUANTILES = 20_000  # of the chi-squared in `power`: its error is below 1e-4
DIGITS = 9  # differences are rounded to so many decimals, so that ties are not broken by rounding errors


class Test(NamedTuple):
    """n: the pairs; statistic: as the test's docstring has it; p: two-sided."""

    n: int
    statistic: float
    p: float


def wilcoxon(differences: Sequence[float]) -> Test:
    """The signed-rank test that differences are symmetric about zero. Wilcoxon, Biometrics Bulletin 1 (1945).

    The statistic is the smaller of the sums of ranks. Zeros are kept as Pratt (1959) has it; without ties and zeros p
    is exact up to 50 pairs, with them up to 13. All zero: nothing speaks against the hypothesis, p = 1. Raises
    ValueError without differences, or for one that is not finite.
    """
    d = checked(differences)
    if not d.any():
        return Test(d.size, 0.0, 1.0)
    found = scipy.stats.wilcoxon(d, zero_method="pratt" if (d == 0).any() else "wilcox")
    return Test(d.size, float(found.statistic), float(found.pvalue))


def permutation(differences: Sequence[float], resamples: int = 99_999, seed: int = 0) -> Test:
    """The paired permutation test of the mean difference: its signs are exchangeable. Fisher, 1935, section 21.

    Exact up to 20 pairs; beyond, by `resamples` random assignments of signs, of which the observed one counts as one.
    The statistic is the mean. Raises as `wilcoxon` does.
    """
    d = checked(differences)
    observed = abs(d.sum()) * (1 - 1e-12)  # as great, up to the order of summation
    if d.size <= EXACT:
        sums = np.zeros(1)
        for x in d:  # all sums of +-x, one pair after the other
            sums = np.concatenate([sums + x, sums - x])
        p = float((np.abs(sums) >= observed).mean())
    else:
        signs = np.random.default_rng(seed).integers(0, 2, (resamples, d.size), dtype=np.int8) * 2 - 1
        p = float(((np.abs(signs @ d) >= observed).sum() + 1) / (resamples + 1))
    return Test(d.size, float(d.mean()), p)


def least_p(pairs: int, resamples: int = 99_999) -> float:
    """The least p that `permutation` gives of so many pairs."""
    return 2.0 ** (1 - pairs) if pairs <= EXACT else 1 / (resamples + 1)


def differ(differences: Sequence[float]) -> bool:
    """Whether any pair differs, by more than a rounding error: where none does, no test has anything to say."""
    return bool(checked(differences).any())


def cliffs_delta(a: Sequence[float], b: Sequence[float]) -> float:
    """P(a > b) - P(a < b) over all pairs of one value of each, in [-1, 1]. Cliff, Psychological Bulletin 114 (1993)."""
    x, y = checked(a), checked(b)
    return float(np.sign(x[:, None] - y[None, :]).mean())


def holm(p: Sequence[float]) -> list[float]:
    """p values adjusted for as many comparisons as there are, in the order given. Holm, 1979.

    A comparison is significant at a level where its adjusted p is at most that level. Raises ValueError for a value
    outside [0, 1].
    """
    raw = np.asarray(p, dtype=np.float64)
    if not ((raw >= 0) & (raw <= 1)).all():
        raise ValueError(f"p values lie in [0, 1], got {list(p)}")
    order = np.argsort(raw, kind="stable")
    stepped = np.maximum.accumulate(np.minimum(raw[order] * np.arange(raw.size, 0, -1), 1.0))
    adjusted = np.empty_like(raw)
    adjusted[order] = stepped
    return [float(x) for x in adjusted]


def power(n: int, effect: float, deviation: float, level: float = 0.05) -> float:
    """The chance that a paired t test of n pairs finds a mean difference `effect` at `level`, two-sided.

    deviation: the differences' own standard deviation, in the effect's unit. By the noncentral t distribution (Cohen,
    Statistical Power Analysis, 1988, chapter 2), as a mean over its chi-squared's quantiles: scipy's own is NaN for
    great effects. Raises ValueError for fewer than two pairs, a deviation that is not positive, a level outside (0, 1).
    """
    if n < 2 or not deviation > 0 or not 0 < level < 1:
        raise ValueError(f"pairs {n}, deviation {deviation:g}, level {level:g}: expected 2 or more, above 0, (0, 1)")
    edge, shift = scipy.stats.t.ppf(1 - level / 2, n - 1), effect / deviation * math.sqrt(n)
    spread = edge * np.sqrt(scipy.stats.chi2.ppf((np.arange(QUANTILES) + 0.5) / QUANTILES, n - 1) / (n - 1))
    return float((scipy.stats.norm.sf(spread - shift) + scipy.stats.norm.cdf(-spread - shift)).mean())


def least_pairs(level: float = 0.05, comparisons: int = 1) -> int:
    """The fewest pairs at which `permutation` can be significant: no p of k comparisons is below k/2^(n-1)."""
    return 1 + math.ceil(math.log2(comparisons / level) - 1e-12)


def seeds_needed(
    effect: float, deviation: float, wanted: float = 0.8, level: float = 0.05, comparisons: int = 1, most: int = 100_000
) -> int:
    """The least number of paired seeds at which a difference of `effect` is found with probability `wanted`.

    By the paired t test's power, and never fewer than `least_pairs`, below which a report can tell nothing apart.
    comparisons: how many such tests share the level (Bonferroni: the hardest step of Holm's). Raises ValueError for an
    effect of zero, a deviation that is not positive, a probability outside (0, 1), and where more than `most` seeds are
    needed.
    """
    if effect == 0 or not math.isfinite(effect):
        raise ValueError(f"effect {effect:g}: expected a difference to be found, a finite number that is not zero")
    if not deviation > 0 or not math.isfinite(deviation):
        raise ValueError(f"deviation {deviation:g}: expected a positive number")
    if not 0 < wanted < 1 or not 0 < level < 1 or comparisons < 1:
        raise ValueError(
            f"power {wanted:g}, level {level:g}, comparisons {comparisons}: expected (0, 1), (0, 1), 1 or more"
        )
    shared = level / comparisons

    def enough(n: int) -> bool:
        return power(n, abs(effect), deviation, shared) >= wanted

    least = high = max(2, least_pairs(level, comparisons))
    while not enough(high):
        if high >= most:
            raise ValueError(f"more than {most:,} seeds are needed for {effect:g} at a deviation of {deviation:g}")
        high = min(2 * high, most)
    low = max(high // 2, least - 1)
    while high - low > 1:  # power rises with n
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def checked(values: Sequence[float]) -> np.ndarray:
    """The values as an array, rounded to DIGITS. Raises ValueError without values, or for one that is not finite."""
    found = np.round(np.asarray(values, dtype=np.float64), DIGITS)
    if found.ndim != 1 or found.size == 0:
        raise ValueError(f"expected a list of numbers, got {found.size} of them in {found.ndim} dimensions")
    if not np.isfinite(found).all():
        raise ValueError(f"value {found[~np.isfinite(found)][0]:g}: a test takes finite numbers")
    return found
