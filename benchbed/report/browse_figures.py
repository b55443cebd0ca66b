"""Every figure of a table as the page of `table browse` names it: of what, in which unit, which way is better."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..tables import Figure, Table
from ..tables.table import COSTS

# By its name, what a further figure is: (pattern, part of the page, unit, better); the first that fits. Nothing else
# is known of a further figure, so of any other it is not said which way is better.
FURTHER = (
    (r"@L(inf|[0-9])", "Accuracy under attack", "%", 1),
    (r"(^|_)(val_|test_)?acc(s|uracy|uracies)?(_|$)", "Further figures", "%", 1),
    (r"(^|_)(latency|energy|seconds|params|flops|macs|memory)(_|$)", "Further figures", "", -1),
    (r"", "Further figures", "", 0),
)
NAMES = {"params": "parameters", "flops": "FLOPs", "latency": "latency"}
UNITS = {"params": "", "flops": "", "latency": "s"}


class Shown(NamedTuple):
    """One figure: its numbers, by place, and the words that go with it."""

    id: str  # as the table's arrays are named, 'accuracy/cifar10_test_200'
    label: str
    part: str  # of the page's lists of figures
    values: np.ndarray
    better: int  # 1: higher, -1: lower, 0: not said
    unit: str = ""
    note: str = ""
    decimals: int | None = None  # how many are printed; None: six significant digits
    runs: np.ndarray | None = None  # how many runs each value is the mean of


def shown(table: Table) -> list[Shown]:
    """All figures: accuracies, costs, training seconds, spreads between seeds, further ones, by part."""
    units: dict[str, str] = table.meta.get("units") or {}
    parts = (_accuracies(table), _costs(table, units), _seconds(table, units), _spreads(table), _further(table))
    return [one for part in parts for one in part]


def _accuracies(table: Table) -> Iterator[Shown]:
    for figure in table.figures:
        runs = table.n_seeds(*figure)
        note = "mean, number of seeds not recorded" if runs is None else f"mean over the seeds run ({_counts(runs)})"
        meaning = (table.meta.get("splits") or {}).get(figure.split)
        yield Shown(
            f"accuracy/{figure}", _words(figure), "Accuracy", table.values(*figure), 1, "%",
            note + (f"; {figure.split}: {meaning}" if meaning else ""), 4, runs,
        )  # fmt: skip


def _costs(table: Table, units: dict[str, str]) -> Iterator[Shown]:
    for kind in COSTS:
        for dataset in table.datasets:
            if f"{kind}/{dataset}" in table.arrays:
                note = units.get(kind, COSTS[kind])
                label = f"{NAMES[kind]}, {dataset}"
                yield Shown(f"{kind}/{dataset}", label, "Cost", table.cost(kind, dataset), -1, UNITS[kind], note)


def _seconds(table: Table, units: dict[str, str]) -> Iterator[Shown]:
    for figure in table.figures:
        if f"seconds/{figure}" in table.arrays:
            label = f"training seconds, {_words(figure)}"
            note = units.get("seconds", "of the training whose network the figure scores")
            yield Shown(f"seconds/{figure}", label, "Training time", table.train_seconds(*figure), -1, "s", note)


def _spreads(table: Table) -> Iterator[Shown]:
    """Rounded to the four decimals that are printed: it is computed here, and no figure of the table's."""
    for figure in table.figures:
        if f"seeds/{figure}" in table.arrays:
            seeds = table.seeds(*figure)
            several = np.isfinite(seeds).sum(-1) > 1
            spread = np.full(several.shape, np.nan)
            spread[several] = np.nanstd(seeds[several], axis=-1, ddof=1).round(4)
            if several.any():
                note = "standard deviation between seeds, in points; missing with one seed"
                label, part = f"spread, {_words(figure)}", "Spread between seeds"
                yield Shown(f"spread/{figure}", label, part, spread, 0, "points", note, 4)


def _further(table: Table) -> Iterator[Shown]:
    for name in table.further_names:
        _, part, unit, better = next(known for known in FURTHER if re.search(known[0], name))
        values = table.further(name)
        if unit == "%" and not ((values >= 0) & (values <= 100) | np.isnan(values)).all():
            unit, better = "", 0
        note = "a further figure of the table's sources" + ("" if unit else ", in the unit of its source")
        yield Shown(f"further/{name}", name, part, values, better, unit, note)


def _words(figure: Figure) -> str:
    return f"{figure.dataset} {figure.split}, {figure.epochs} epoch{'s' * (figure.epochs != 1)}"


def _counts(runs: np.ndarray) -> str:
    """'2 seeds: 7,456 cells, 3 seeds: 8,169 cells'."""
    numbers, cells = np.unique(runs[runs > 0], return_counts=True)
    pairs = zip(numbers.tolist(), cells.tolist(), strict=True)
    return ", ".join(f"{n} seed{'s' * (n != 1)}: {count:,} cells" for n, count in pairs) or "none"


def start(table: Table, figures: list[Shown]) -> dict[str, Any]:
    """What the page begins with: the first data set's test accuracy after full training against its parameters."""
    known = {one.id for one in figures if np.isfinite(one.values).any()}
    full = [f for f in table.figures if f.epochs == table.full_epochs] or list(table.figures)
    chosen = next((f for f in full if f.split != "valid"), full[0]) if full else None
    y = f"accuracy/{chosen}" if chosen else next(one.id for one in figures if one.id in known)
    costs = [f"{kind}/{chosen.dataset}" for kind in COSTS] if chosen else []
    x = next((i for i in [*costs, *(one.id for one in figures)] if i in known and i != y), None)
    return {"x": x, "y": y}
