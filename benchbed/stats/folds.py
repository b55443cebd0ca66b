"""Kendall's tau of predictions by cross-validation: within folds, with an interval over the items.

Items of one fold were predicted by one predictor, those of another fold by another, whose predictions lie higher or
lower as a whole; so only pairs of one fold are counted. tau-b = S / sqrt(U V), with S the sum over these pairs of
sign(x_i - x_j) sign(y_i - y_j), and U, V how many are untied in x and in y. Its standard error is that of a U-statistic
of pairs to first order (Hoeffding, Annals of Mathematical Statistics 19, 1948): 2 sd(t_i) / sqrt(n), where t_i is the
mean over the pairs of item i, on tau's scale. How often the interval has a predictor's tau on the items that it never
saw was measured: results/surrogate.md.
"""

import numpy as np
from jaxtyping import Int, Num

from .agreement import Estimate

NORMAL = 1.959964  # of a normal distribution 95 % are within so many deviations


def tau_within(x: Num[np.ndarray, " n"], y: Num[np.ndarray, " n"], fold: Int[np.ndarray, " n"]) -> Estimate:
    """tau-b over the pairs of one fold, and its 95 % interval, in -1 to 1; NaN where all of these are tied."""
    own, pairs = np.zeros(len(x)), np.zeros(len(x))
    untied = np.zeros(2)
    for number in np.unique(fold):
        here = np.flatnonzero(fold == number)
        a, b = (np.sign(v[here, None] - v[None, here]) for v in (x.astype(np.float64), y.astype(np.float64)))
        own[here], pairs[here] = (a * b).sum(1), len(here) - 1
        untied += np.count_nonzero(a), np.count_nonzero(b)
    known = pairs > 0
    if not untied.all() or known.sum() < 3:
        return Estimate(np.nan, np.nan, np.nan, len(x))
    scale = np.sqrt(untied.prod())  # both directions of each pair, as in `own`
    tau = float(own.sum() / scale)
    each = own[known] / pairs[known] * (pairs.sum() / scale)
    reach = NORMAL * 2 * float(each.std(ddof=1)) / np.sqrt(len(each))
    return Estimate(tau, max(-1.0, tau - reach), min(1.0, tau + reach), len(x))
