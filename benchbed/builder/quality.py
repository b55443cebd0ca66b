"""How good a benchmark a built table is: class by class, how its ranking repeats and how it agrees with another's.

Classes, not architectures, are the unit: the members of a class share their accuracy, and counting them would count
one training many times. Rank correlations are Spearman's with mean ranks for ties; intervals are percentile bootstraps
over classes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..errors import BenchbedError
from ..spaces.classes import CellClass, classes
from ..spaces.nb201.space import NB201, is_connected
from ..stats.agreement import RESAMPLES, Estimate, estimate, spearman
from ..tables.figures import Figure
from ..tables.table import Table

DECILE = 0.9
FEWEST = 10  # classes in the top decile whose ranks are worth correlating


class Quality(NamedTuple):
    """`between`: mean Spearman over pairs of seeds, None for one seed. `agreement`: by the reference's data set, the
    Spearman with it, the same with log parameters partialled out, and inside the reference's top decile; 'counting' is
    the Spearman of the number of parameters alone with it, over all classes and in that decile, which is left out where
    it holds fewer than ten. `controls`: by name, (accuracy, share of classes below).
    `dead`: the accuracy of cells without a path from input to output, `chance` that of guessing. Percent."""

    dataset: str
    trained: int
    whole: int
    accuracy: tuple[float, float, float]  # least, median, greatest
    between: Estimate | None
    agreement: dict[str, dict[str, Estimate]]
    controls: dict[str, tuple[float, float]]
    dead: float | None
    chance: float


def trained(table: Table, figure: Figure) -> list[CellClass]:
    """The classes that have the figure."""
    flat = table.values(*figure).reshape(-1)
    return [group for group in classes(table.space) if np.isfinite(flat[group.places[0]])]


def by_class(table: Table, groups: Sequence[CellClass], figure: Figure) -> np.ndarray:
    """float64 (classes,): the mean accuracy over a class's members."""
    flat = table.values(*figure).reshape(-1)
    return np.array([flat[group.places].mean() for group in groups])


def seeds_by_class(table: Table, groups: Sequence[CellClass], figure: Figure) -> np.ndarray:
    """float64 (classes, seeds): of each class's first member; members share them."""
    seeds = table.seeds(*figure)
    flat = seeds.reshape(-1, seeds.shape[-1])
    return np.array([flat[group.places[0]] for group in groups], dtype=np.float64)


def log_parameters(table: Table, groups: Sequence[CellClass], dataset: str) -> np.ndarray:
    """float64 (classes,): the log of the lightest member's number of parameters."""
    flat = table.cost("params", dataset).reshape(-1)
    return np.log([float(flat[group.places].min()) for group in groups])


def partial_spearman(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> float:
    """Rank correlation of x and y with z partialled out: (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2)(1 - r_yz^2)).

    NaN where x or y is a function of z's ranks, so that nothing is left.
    """
    there = np.isfinite(x) & np.isfinite(y) & np.isfinite(z)
    xy, xz, yz = spearman(x[there], y[there]), spearman(x[there], z[there]), spearman(y[there], z[there])
    left = (1 - xz**2) * (1 - yz**2)
    return (xy - xz * yz) / float(np.sqrt(left)) if left > 1e-12 else float("nan")


def top_spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation over the classes in the top decile of y."""
    top = y >= np.nanquantile(y, DECILE)
    return spearman(x[top], y[top])


def between_seeds(seeds: np.ndarray) -> float:
    """The mean Spearman over pairs of seeds, from (classes, seeds); NaN for one seed."""
    count = seeds.shape[1]
    pairs = [spearman(seeds[:, i], seeds[:, j]) for i in range(count) for j in range(i)]
    return float(np.mean(pairs)) if pairs else float("nan")


def quality(table: Table, reference: Table | None = None, resamples: int = RESAMPLES, skip: int = 0) -> Quality:
    """The quality of a built table, beside a reference of the same space where one is given.

    skip: so many classes, the first in the order of training, are left out: what was chosen on them is not judged by
    them.
    Raises BenchbedError for a table that no build has made, or a reference of another space.
    """
    if "recipe" not in table.meta:
        raise BenchbedError(f"table {table.name} was not made by 'table build': its classes were not trained once")
    if reference is not None and reference.meta["space"] != table.meta["space"]:
        raise BenchbedError(f"table {reference.name} is of space {reference.meta['space']}, and {table.name} of "
                            f"{table.meta['space']}")  # fmt: skip
    dataset = table.datasets[0]
    figure = Figure(dataset, "test", table.full_epochs)
    groups = trained(table, figure)[skip:]
    own, seeds = by_class(table, groups, figure), seeds_by_class(table, groups, figure)
    agreement = {}
    for other in reference.datasets if reference is not None else ():
        assert reference is not None
        if Figure(other, "test", reference.full_epochs) in reference.figures:
            agreement[other] = _agreement(own, reference, groups, other, resamples)
    return Quality(
        dataset=dataset,
        trained=len(groups),
        whole=len(classes(table.space)),
        accuracy=(float(own.min()), float(np.median(own)), float(own.max())),
        between=estimate(between_seeds, seeds, resamples=resamples) if seeds.shape[1] > 1 else None,
        agreement=agreement,
        controls=_controls(table, own, figure),
        dead=_dead(table, table.values(*figure).reshape(-1)),
        chance=100 / table.meta["classes"],
    )


def _agreement(
    own: np.ndarray, reference: Table, groups: Sequence[CellClass], dataset: str, resamples: int
) -> dict[str, Estimate]:
    other = by_class(reference, groups, Figure(dataset, "test", reference.full_epochs))
    params = log_parameters(reference, groups, dataset)
    there = np.isfinite(other)
    x, y, p = own[there], other[there], params[there]
    found = {
        "spearman": estimate(spearman, x, y, resamples=resamples),
        "parameters out": estimate(partial_spearman, x, y, p, resamples=resamples),
        "counting": estimate(spearman, p, y, resamples=resamples),
    }
    top = int((y >= np.quantile(y, DECILE)).sum())
    if top >= FEWEST:
        found["top decile"] = estimate(top_spearman, x, y, resamples=resamples)._replace(n=top)
        found["counting, top"] = estimate(top_spearman, p, y, resamples=resamples)._replace(n=top)
    return found


def _controls(table: Table, own: np.ndarray, figure: Figure) -> dict[str, tuple[float, float]]:
    """The cells of one operation on every edge: accuracy, and the share of classes that it beats, in percent."""
    found = {}
    for k, name in enumerate(table.space.positions[0].operations):
        if all(k < len(p.operations) and p.operations[k] == name for p in table.space.positions):
            value = float(table.values(*figure)[(k,) * len(table.space.positions)])
            if np.isfinite(value):
                found[f"all {name}"] = (value, float(100 * (own < value).mean()))
    return found


def _dead(table: Table, flat: np.ndarray) -> float | None:
    """The mean accuracy of dead cells, which are one class; None where it was not trained or the space has none."""
    if not isinstance(table.space, NB201):
        return None
    place = next(p for p in range(flat.size) if not is_connected(table.places.architecture(p)))
    return float(flat[place]) if np.isfinite(flat[place]) else None


def text(found: Quality, name: str, reference: str | None) -> str:
    """The figures for a reader, a line each."""
    low, middle, high = found.accuracy
    lines = [
        f"table {name}, {found.dataset}: {found.trained:,} of {found.whole:,} classes, "
        f"{found.whole - found.trained:,} missing",
        f"test accuracy    {low:.2f} to {high:.2f} %, median {middle:.2f}",
        f"between seeds    {found.between if found.between is not None else 'one seed: not known'}",
    ]
    for dataset, values in found.agreement.items():
        lines.append(f"with {reference} on {dataset}, Spearman (95 % percentile bootstrap):")
        lines += [f"  {key:<15}{value}" for key, value in values.items()]
    lines += [
        f"{key:<17}{value:.2f} %, above {share:.1f} % of the classes" for key, (value, share) in found.controls.items()
    ]
    if found.dead is not None:
        lines.append(f"dead cells       {found.dead:.2f} % (guessing: {found.chance:.2f})")
    return "\n".join(lines)
