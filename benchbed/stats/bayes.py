"""How probable it is that one method is better than another, beside the tests that only say what chance would do."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .paired import checked

PRIOR = 0.5  # weight of the pseudo-difference of zero, that of one pair being 1: the paper's
DRAWS = 20_000  # of the posterior: the standard error of a probability is below 0.004
ROOM = 2**22  # numbers in work at once


class Posterior(NamedTuple):
    """Probabilities that sum to 1: better and worse by more than the region of practical equivalence, same within."""

    better: float
    same: float
    worse: float


def signed_rank(
    differences: Sequence[float], rope: float = 0.0, prior: float = PRIOR, draws: int = DRAWS, seed: int = 0
) -> Posterior:
    """The Bayesian signed-rank test of paired differences, in their unit.

    Benavoli, Corani, Mangili, Zaffalon and Ruggeri (ICML 2014); with a region of practical equivalence of `rope` to
    either side of zero, Benavoli, Corani, Demsar and Zaffalon (JMLR 18, 2017), section 4.2.1: the differences and a
    pseudo-difference of zero have weights w ~ Dirichlet(prior, 1, ..., 1); sums of two differences are above 2 rope
    with the weight sum_ij w_i w_j [z_i + z_j > 2 rope], below and between alike, one at the edge counting half to each
    side; the probabilities are the shares of draws in which each of the three weighs most.

    Raises ValueError without differences, for one that is not finite, for a negative rope, or a prior that is not
    positive.
    """
    d = checked(differences)
    if not rope >= 0 or not prior > 0:
        raise ValueError(f"rope {rope:g}, prior {prior:g}: expected a rope of 0 or more and a prior above 0")
    z = np.concatenate([[0.0], d])
    order = np.argsort(z, kind="stable")
    z, concentration = z[order], np.concatenate([[prior], np.ones(d.size)])[order]
    above = [np.searchsorted(z, 2 * rope - z, side) for side in ("left", "right")]
    below = [np.searchsorted(z, -2 * rope - z, side) for side in ("left", "right")]
    rng, counts, left = np.random.default_rng(seed), np.zeros(3), draws
    while left:
        now = min(left, max(1, ROOM // z.size))
        w = rng.dirichlet(concentration, now)
        until = np.concatenate([np.zeros((now, 1)), np.cumsum(w, axis=1)], axis=1)  # weight of the first k
        better = sum((w * (1 - until[:, k])).sum(1) for k in above) / 2
        worse = sum((w * until[:, k]).sum(1) for k in below) / 2
        weights = np.round(np.stack([better, 1 - better - worse, worse], axis=1), 12)
        most = weights == weights.max(1, keepdims=True)
        counts += (most / most.sum(1, keepdims=True)).sum(0)
        left -= now
    return Posterior(*(counts / draws).tolist())
