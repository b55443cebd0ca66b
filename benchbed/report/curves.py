"""Anytime curves: what searches had found after how many seconds, the mean over seeds with its interval."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy

from ..pipeline.history import Epoch
from .collect import Clock
from .groups import Group, Row
from .hover import Hover, Point, tell
from .looks import Looks
from .plots import legend_below, tidy
from .saving import empty_figure
from .tables import brief

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = (
    "Anytime curves: mean over seeds of the validation accuracy at the searcher's evaluation gates (a supernet's, or a "
    "table's of what the search leans to) over the mean seconds of the search, epoch by epoch. The band is the 95 % t "
    "interval of the mean; a search of one seed has none."
)
STEPPED = (
    "Of {}, which search on a table alone, the incumbent's accuracy after the few epochs that a search buys, over the "
    "table's seconds."
)
STEPS = 60  # of the simulated clock, equal parts of what was spent
MOST_DOTS = 9  # of a curve


def on_grid(clock: Clock) -> list[Epoch]:
    """The incumbent's accuracy at STEPS equal parts of the clock, so that seeds can be averaged; none before it."""
    grid = clock.spent * np.arange(1, STEPS + 1) / STEPS
    since = np.array([at for at, _ in clock.incumbents])
    last = np.searchsorted(since, grid, side="right") - 1
    return [
        Epoch(float(at), clock.incumbents[k][1] if k >= 0 else math.nan, ()) for at, k in zip(grid, last, strict=True)
    ]


class Searched(NamedTuple):
    """The searches of one setting of a searcher: a row that they stand behind, and their histories by seed's order."""

    row: Row
    runs: list[Sequence[Epoch]]


def searches_of(group: Group, histories: Mapping[str, Sequence[Epoch]]) -> dict[str, Searched]:
    """The histories of each setting of a searcher by its name, a search once, whatever selectors used it."""
    by_setting: dict[str, tuple[Row, dict[str, Sequence[Epoch]]]] = {}
    for row in sorted(group.rows, key=lambda row: bool(row.control)):  # a control has no settings of a search to name
        runs = {r.search: histories[r.search] for r in row.records if r.search in histories}
        if runs:
            known = next((name for name, (_, other) in by_setting.items() if other.keys() & runs.keys()), None)
            name = known or _free(row.searcher + (f" ({row.note})" if row.note else ""), by_setting)
            by_setting.setdefault(name, (row, {}))[1].update(runs)
    return {name: Searched(row, list(runs.values())) for name, (row, runs) in sorted(by_setting.items())}


def _free(name: str, taken: Mapping[str, Any]) -> str:
    return name if name not in taken else next(f"{name} {i}" for i in range(2, 1000) if f"{name} {i}" not in taken)


def curves(searches: Mapping[str, Searched], looks: Looks, hover: Hover | None = None) -> "Figure":
    """The figure of `curves_on`."""
    figure = empty_figure(6.0, 3.6)
    curves_on(figure.subplots(), searches, looks, hover)
    legend_below(figure, 3)
    return figure


def curves_on(axes: "Axes", searches: Mapping[str, Searched], looks: Looks, hover: Hover | None = None) -> None:
    """Draws mean validation accuracy over mean seconds, epoch by epoch, as far as every seed of a searcher has come.

    hover: takes the values at the dots.
    """
    longest, shortest = 0.0, math.inf
    for name, (row, runs) in searches.items():
        epochs, n, look = min(map(len, runs)), len(runs), looks.of_searcher(row)
        seconds = np.array([[e.seconds for e in run[:epochs]] for run in runs]).mean(0)
        accuracy = np.array([[e.accuracy for e in run[:epochs]] for run in runs])
        mean = accuracy.mean(0)
        there = np.flatnonzero(np.isfinite(mean))
        some = there[np.linspace(0, len(there) - 1, min(MOST_DOTS, len(there))).round().astype(int)]
        said = [f"{mean[i]:.2f} % after {brief(float(seconds[i]))} s: mean of n = {n}" for i in some]
        if n > 1:
            reach = scipy.stats.t.ppf(0.975, n - 1) * accuracy.std(0, ddof=1) / math.sqrt(n)
            low, high = np.clip([mean - reach, mean + reach], 0, 100)  # no accuracy lies beyond
            axes.fill_between(seconds, low, high, color=look.colour, alpha=0.15, lw=0)
            spans = [f", 95 % interval {low[i]:.2f} to {high[i]:.2f}" for i in some]
            said = [words + span for words, span in zip(said, spans, strict=True)]
        how = look.mark(3.2) | {"ls": look.line, "lw": 1.4, "markevery": some.tolist()}
        (line,) = axes.plot(seconds, mean, **how, label=name)
        tell(line, hover, [Point(words, name) for words in said])
        longest, shortest = max(longest, float(seconds[-1])), min(shortest, float(seconds[0]))
    if shortest > 0 and longest / shortest > 50:
        axes.set_xscale("log")
    axes.set(xlabel="mean seconds of search", ylabel="mean validation accuracy, %")
    tidy(axes)
