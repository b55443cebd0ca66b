"""How good a benchmark a built table is: class by class, how its ranking repeats and how it agrees with another's.

Classes, not architectures, are the unit: the members of a class share their accuracy, and counting them would count
one training many times.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from ..tables.figures import Figure
from ..tables.table import Table
from .classes import CellClass

DECILE = 0.9


class Reference(NamedTuple):
    """Another table's figure, by class: the mean over its members, in percent, NaN where it has none."""

    name: str
    values: np.ndarray


def by_class(table: Table, groups: list[CellClass], figure: Figure) -> np.ndarray:
    """float64 (classes,): the mean accuracy over a class's members."""
    flat = table.values(*figure).reshape(-1)
    return np.array([flat[group.places].mean() for group in groups])


def seeds_by_class(table: Table, groups: list[CellClass], figure: Figure) -> np.ndarray:
    """float64 (classes, seeds): of each class's first member; members share them."""
    seeds = table.seeds(*figure)
    flat = seeds.reshape(-1, seeds.shape[-1])
    return np.array([flat[group.places[0]] for group in groups], dtype=np.float64)


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation with mean ranks for ties; NaN for fewer than three pairs or a constant."""
    there = np.isfinite(x) & np.isfinite(y)
    if there.sum() < 3 or np.ptp(x[there]) == 0 or np.ptp(y[there]) == 0:
        return float("nan")
    return float(stats.spearmanr(x[there], y[there]).statistic)


def partial_spearman(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> float:
    """Rank correlation of x and y with z partialled out: (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2)(1 - r_yz^2))."""
    there = np.isfinite(x) & np.isfinite(y) & np.isfinite(z)
    xy, xz, yz = spearman(x[there], y[there]), spearman(x[there], z[there]), spearman(y[there], z[there])
    return (xy - xz * yz) / float(np.sqrt((1 - xz**2) * (1 - yz**2)))


def agreement(own: np.ndarray, other: np.ndarray, params: np.ndarray) -> dict[str, Any]:
    """How the ranking `own` agrees with `other` over classes: all, parameters out, and in the other's top decile."""
    there = np.isfinite(own) & np.isfinite(other)
    x, y, p = own[there], other[there], params[there]
    top = y >= np.quantile(y, DECILE)
    return {
        "n": int(there.sum()),
        "spearman": spearman(x, y),
        "parameters_out": partial_spearman(x, y, p),
        "top_decile": spearman(x[top], y[top]),
        "n_top_decile": int(top.sum()),
    }


def between_seeds(seeds: np.ndarray) -> float:
    """The mean Spearman over pairs of seeds, from (classes, seeds)."""
    count = seeds.shape[1]
    pairs = [spearman(seeds[:, i], seeds[:, j]) for i in range(count) for j in range(i)]
    return float(np.mean(pairs)) if pairs else float("nan")
