"""Many methods on many seeds or data sets: Friedman's test, Nemenyi's critical difference, and cliques of equals.

After Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7 (2006), sections 3.2.1 to 3.2.4.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float


class Ranks(NamedTuple):
    """How k methods rank over n blocks (seeds, data sets).

    mean: (k,) mean ranks, 1 is best; chi2, p: Friedman's, corrected for ties; F, p_F: Iman and Davenport's, less
    conservative, with k - 1 and (k - 1)(n - 1) degrees of freedom; where all blocks rank alike F is infinite, which is
    no probability of 0 that few blocks could show, so p_F is NaN. difference: two mean ranks farther apart than this
    differ at `level` (Nemenyi).
    """

    n: int
    mean: Float[np.ndarray, " k"]
    chi2: float
    p: float
    F: float
    p_F: float
    level: float
    difference: float


def ranks(scores: Float[np.ndarray, "n k"], level: float = 0.05) -> Ranks:
    """Scores with a row a block and a column a method, higher is better; ties share their mean rank.

    Raises ValueError for fewer than two blocks or methods, or a score that is not finite.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2:
        raise ValueError(f"scores of {scores.ndim} dimension(s): ranks need a row a block and a column a method")
    n, k = scores.shape
    if n < 2 or k < 2:
        raise ValueError(f"{n} blocks and {k} methods: ranks need at least two of each")
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite: ranks need every method on every block")
    of_each = scipy.stats.rankdata(-np.round(scores, 9), axis=1)
    mean = of_each.mean(0)
    spread = n * float(((mean - (k + 1) / 2) ** 2).sum())
    within = float(((of_each - (k + 1) / 2) ** 2).sum()) / (n * (k - 1))  # k (k + 1) / 12 without ties
    chi2 = 0.0 if within == 0 else spread / within
    degrees = (k - 1) * (n - 1)
    left = n * (k - 1) - chi2
    f = math.inf if left <= 1e-9 else (n - 1) * chi2 / left
    p = float(scipy.stats.chi2.sf(chi2, k - 1))
    p_f = math.nan if math.isinf(f) else float(scipy.stats.f.sf(f, k - 1, degrees))
    return Ranks(n, mean, chi2, p, f, p_f, level, critical_difference(k, n, level))


def critical_difference(methods: int, blocks: int, level: float = 0.05) -> float:
    """Nemenyi's: q sqrt(k (k + 1) / (6 n)), q the studentized range's quantile over sqrt(2)."""
    q = float(scipy.stats.studentized_range.ppf(1 - level, methods, np.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * blocks))


def cliques(mean: Sequence[float], difference: float) -> list[tuple[int, ...]]:
    """The greatest groups of two or more methods within one critical difference, as places in `mean`, best first.

    What a critical-difference diagram joins with a bar.
    """
    order = sorted(range(len(mean)), key=lambda i: (mean[i], i))
    found: list[tuple[int, ...]] = []
    end = 0
    for start in range(len(order)):
        last = start
        while last + 1 < len(order) and mean[order[last + 1]] - mean[order[start]] <= difference:
            last += 1
        if last > start and last > end:
            found.append(tuple(order[start : last + 1]))
        end = max(end, last)
    return found
