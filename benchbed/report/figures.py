"""The figures of a report: what the searches did over time, how methods rank, which cells they chose, and fronts."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy

from ..errors import BenchbedError
from ..pipeline.history import Epoch
from ..space import Space
from ..spaces.load import load_space
from ..stats.pareto import front
from ..stats.ranks import Ranks, cliques, ranks
from .collect import Clock
from .draw import PALETTE, colours_of, picture, text_drawing
from .groups import Group, Row, slug
from .plots import legend_below, panelled, pdf_bytes, svg_bytes
from .saving import empty_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

MOST_THIN = 20  # seeds whose own trajectories are drawn beside their mean
MOST_RANKED = 30  # methods of a critical-difference diagram
LINES = ("-", "--", ":", "-.")
STEP = 0.28  # inches between two names of that diagram, and between two bars
LETTER = 0.082  # inches of a letter at most


class Figure(NamedTuple):
    """A figure in both formats; `text` instead where there is nothing to draw but words. kind: what it shows."""

    name: str  # of its files
    kind: str  # curves, ranks, alpha, cell or front
    caption: str
    svg: bytes = b""
    pdf: bytes = b""
    text: str = ""


def figures(
    group: Group, histories: Mapping[str, Sequence[Epoch]], clocks: Mapping[str, Clock] | None = None
) -> tuple[list[Figure], list[str]]:
    """(every figure of a group that its records allow, a line for each that they do not)."""
    found: list[Figure] = []
    absent: list[str] = []
    searches = searches_of(group, histories)
    space = _space(group)
    if searches:
        stepped = {} if clocks is None else searches_of(group, {k: on_grid(c) for k, c in clocks.items()})
        caption = f"{CURVES} {STEPPED.format(', '.join(stepped))}" if stepped else CURVES
        found.append(_drawn(f"{group.slug}-curves", "curves", caption, curves({**searches, **stepped})))
    else:
        absent.append("no anytime curves: no search's history.jsonl is there")
    for kind, axis, x in _axes(group):
        found.append(_drawn(f"{group.slug}-{kind}", "front", FRONT, pareto(group, axis, x)))
    try:
        found.append(_ranks(group))
    except ValueError as error:
        absent.append(f"no critical-difference diagram: {error}")
    if space is None:
        absent.append(f"no trajectories and drawings: space '{group.space}' is not known here (add --plugin FILE)")
    else:
        for name, runs in searches.items():
            if any(np.shape(run[0].probabilities) != space.mask.shape for run in runs):
                absent.append(f"no trajectory of {name}: its probabilities are not of the shape of '{group.space}'")
            elif any(e.probabilities != run[0].probabilities for run in runs for e in run):  # not uniform sampling
                found.append(_alpha(group, name, runs, space))
        found += _cells(group, space)
    return found, absent


def _drawn(name: str, kind: str, caption: str, figure: "Drawing") -> Figure:
    return Figure(name, kind, caption, svg_bytes(figure), pdf_bytes(figure))


def _space(group: Group) -> Space | None:
    try:
        return load_space(group.space, dict(group.space_options))
    except BenchbedError:
        return None


# -- anytime curves --------------------------------------------------------------------------------------------------

CURVES = (
    "Anytime curves: validation accuracy at the searcher's evaluation gates (a supernet's, or a table's of what the "
    "search leans to) over the seconds of the search; mean over seeds with its 95 % t interval, epoch by epoch."
)


STEPPED = (
    "Of {}, which search on a table alone, the incumbent's accuracy after the few epochs that a search buys, over the "
    "table's seconds."
)
STEPS = 60  # of the simulated clock, equal parts of what was spent


def on_grid(clock: Clock) -> list[Epoch]:
    """The incumbent's accuracy at STEPS equal parts of the clock, so that seeds can be averaged; none before it."""
    grid = clock.spent * np.arange(1, STEPS + 1) / STEPS
    since = np.array([at for at, _ in clock.incumbents])
    last = np.searchsorted(since, grid, side="right") - 1
    return [
        Epoch(float(at), clock.incumbents[k][1] if k >= 0 else math.nan, ()) for at, k in zip(grid, last, strict=True)
    ]


def searches_of(group: Group, histories: Mapping[str, Sequence[Epoch]]) -> dict[str, list[Sequence[Epoch]]]:
    """The histories of each setting of a searcher, a search once, whatever selectors used it."""
    by_setting: dict[str, dict[str, Sequence[Epoch]]] = {}
    for row in sorted(group.rows, key=lambda row: bool(row.control)):  # a control has no settings of a search to name
        runs = {r.search: histories[r.search] for r in row.records if r.search in histories}
        if runs:
            known = next((name for name, other in by_setting.items() if other.keys() & runs.keys()), None)
            name = known or _free(row.searcher + (f" ({row.note})" if row.note else ""), by_setting)
            by_setting.setdefault(name, {}).update(runs)
    return {name: list(runs.values()) for name, runs in sorted(by_setting.items())}


def _free(name: str, taken: Mapping[str, Any]) -> str:
    return name if name not in taken else next(f"{name} {i}" for i in range(2, 1000) if f"{name} {i}" not in taken)


def curves(searches: Mapping[str, Sequence[Sequence[Epoch]]]) -> "Drawing":
    """The figure of `curves_on`."""
    figure = empty_figure(6.0, 3.6)
    curves_on(figure.subplots(), searches)
    legend_below(figure, 3)
    return figure


def curves_on(axes: "Axes", searches: Mapping[str, Sequence[Sequence[Epoch]]]) -> None:
    """Draws mean validation accuracy over mean seconds, epoch by epoch, as far as every seed of a searcher has come."""
    longest, shortest = 0.0, math.inf
    for number, (name, runs) in enumerate(searches.items()):
        epochs = min(map(len, runs))
        seconds = np.array([[e.seconds for e in run[:epochs]] for run in runs]).mean(0)
        accuracy = np.array([[e.accuracy for e in run[:epochs]] for run in runs])
        colour, style = PALETTE[number % 8], LINES[number // 8 % 4]
        mean, dots = accuracy.mean(0), "o" if epochs < 3 else ""
        axes.plot(seconds, mean, style, c=colour, lw=1.4, marker=dots, ms=3, label=name)
        if len(runs) > 1:
            reach = scipy.stats.t.ppf(0.975, len(runs) - 1) * accuracy.std(0, ddof=1) / math.sqrt(len(runs))
            low, high = np.clip([mean - reach, mean + reach], 0, 100)  # no accuracy lies beyond
            axes.fill_between(seconds, low, high, color=colour, alpha=0.15, lw=0)
        longest, shortest = max(longest, float(seconds[-1])), min(shortest, float(seconds[0]))
    if shortest > 0 and longest / shortest > 50:
        axes.set_xscale("log")
    axes.set(xlabel="seconds of search", ylabel="validation accuracy, %")
    _tidy(axes)


def _tidy(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.2, lw=0.6)


# -- ranks -----------------------------------------------------------------------------------------------------------


def _ranks(group: Group) -> Figure:
    """Raises ValueError, in words, where the records do not allow a diagram."""
    if len(group.rows) < 2:
        raise ValueError("there is one setting only")
    tested = [row for row in group.rows if row.best or not math.isnan(row.p)]
    rows = tested[:MOST_RANKED]
    if len(rows) < 2:
        raise ValueError("no two settings share two seeds")
    seeds = group._replace(rows=tuple(rows)).shared_seeds
    if len(seeds) < 2:
        raise ValueError(f"the settings share {len(seeds)} seed(s), it needs two")
    scores = np.array([[row.seeds[s].test_accuracy for row in rows] for s in seeds])
    found = ranks(scores)
    less = f"= {found.p_F:.3g}" if found.p_F == found.p_F else "not defined, as all seeds rank alike"
    caption = (
        f"Critical-difference diagram (Demsar, 2006): mean ranks of test accuracy over {len(seeds)} shared seeds; "
        f"Friedman p = {found.p:.3g}, Iman and Davenport p {less}; a bar joins settings that Nemenyi's test "
        f"does not tell apart at {found.level:g}."
    )
    if len(rows) < len(tested):
        caption += f" The best {len(rows)} of {len(group.rows)} settings."
    elif len(rows) < len(group.rows):
        caption += f" Of {len(group.rows)} settings the {len(rows)} that share seeds with the best."
    return _drawn(f"{group.slug}-ranks", "ranks", caption, critical_difference_figure([r.name for r in rows], found))


# -- alpha -----------------------------------------------------------------------------------------------------------


def _alpha(group: Group, name: str, runs: Sequence[Sequence[Epoch]], space: Space) -> Figure:
    caption = (
        f"Alpha of {name}: probability of each operation at each position over epochs; mean over {len(runs)} search(es)"
        + (", each of them thin." if 1 < len(runs) <= MOST_THIN else ".")
    )
    return _drawn(f"{group.slug}-alpha-{slug(name)}", "alpha", caption, trajectories(runs, space))


def trajectories(runs: Sequence[Sequence[Epoch]], space: Space) -> "Drawing":
    """A panel a position, a line an operation: probabilities (P, O) after each epoch that every run has come to."""
    epochs = min(map(len, runs))
    values = np.array([[e.probabilities for e in run[:epochs]] for run in runs])  # (runs, epochs, P, O)
    count = len(space.positions)
    columns, wide, high = (7, 1.45, 1.15) if count > 12 else (min(3, count), 2.3, 1.6)  # inches a panel
    size = wide * columns, 0.6 + high * math.ceil(count / columns)
    figure, all_axes = panelled(count, *size, columns, sharex=True, sharey=True)
    colours, at, shown = colours_of(space), np.arange(1, epochs + 1), {}
    for i, (position, axes) in enumerate(zip(space.positions, all_axes, strict=True)):
        for k, operation in enumerate(position.operations):
            if 1 < len(runs) <= MOST_THIN:
                axes.plot(at, values[:, :, i, k].T, c=colours[operation], lw=0.4, alpha=0.35)
            (shown[operation],) = axes.plot(at, values[:, :, i, k].mean(0), c=colours[operation], lw=1.6)
        axes.set_title(position.name, fontsize=8, loc="left")
        _tidy(axes)
        axes.set_ylim(0, 1)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.supxlabel("epoch", fontsize=8)
    figure.supylabel("probability", fontsize=8)
    figure.legend(shown.values(), shown.keys(), loc="outside upper center", ncols=5, frameon=False, fontsize=8)
    return figure


# -- cells -----------------------------------------------------------------------------------------------------------


def _cells(group: Group, space: Space) -> list[Figure]:
    """What each setting chose most often, drawn once where several settings chose the same."""
    chosen: dict[str, list[str]] = {}
    for row in group.rows:
        architecture, times = favourite(row)
        chosen.setdefault(architecture, []).append(f"{row.name} ({times} of {len(row.records)} seeds)")
    found = []
    for number, (architecture, names) in enumerate(chosen.items(), 1):
        name, caption = f"{group.slug}-cell-{number}", f"Chosen most often by {'; '.join(names)}: {architecture}"
        try:
            arch = space.parse(architecture)
        except BenchbedError as error:
            found.append(Figure(name, "cell", caption, text=f"not drawn: {error}"))
            continue
        try:
            found.append(Figure(name, "cell", caption, picture(space, arch, "svg"), picture(space, arch, "pdf")))
        except BenchbedError:  # positions that are no graph: listed
            found.append(Figure(name, "cell", caption, text=text_drawing(space, arch)))
    return found


def favourite(row: Row) -> tuple[str, int]:
    """(the architecture that a setting chose in most seeds, in how many); of equals the best by validation accuracy."""
    counts = Counter(r.architecture for r in row.records)
    valid = {r.architecture: r.valid_accuracy or 0.0 for r in row.records}
    best = max(counts, key=lambda text: (counts[text], valid[text], text))
    return best, counts[best]


# -- fronts ----------------------------------------------------------------------------------------------------------

FRONT = (
    "Cost and test accuracy of every run's architecture; the line is their Pareto front: no run is cheaper and better."
)


def _axes(group: Group) -> list[tuple[str, str, dict[str, float]]]:
    """(kind, words of the axis, cost by run) of each cost that the records have."""
    found = []
    units = dict.fromkeys((r.cost["device"], r.cost["unit"]) for r in group.records if r.cost)
    for device, unit in units:
        paid = [r for r in group.records if r.cost and (r.cost["device"], r.cost["unit"]) == (device, unit)]
        costs = {r.id: float(r.cost["chosen"]) for r in paid if r.cost}
        found.append((f"front-{slug(str(device))}", f"{device}, {unit}", costs))
    counted = {r.id: r.facts["params"] / 1e6 for r in group.records if isinstance(r.facts.get("params"), int | float)}
    if len(set(counted.values())) > 1:
        found.append(("front-params", "parameters, millions", counted))
    return found


def pareto(group: Group, axis: str, costs: Mapping[str, float]) -> "Drawing":
    """A point a run, a colour a setting; the front over all of them as steps."""
    figure = empty_figure(6.0, 4.0)
    axes = figure.subplots()
    everything = [r for r in group.records if r.id in costs]
    x, y = np.array([costs[r.id] for r in everything]), np.array([r.test_accuracy for r in everything])
    best = front(x, y)
    axes.step(x[best], y[best], where="post", c="0.3", lw=1, zorder=1, label="Pareto front")
    for number, row in enumerate(group.rows):
        own = [r for r in row.records if r.id in costs]
        if own:
            points = [costs[r.id] for r in own], [r.test_accuracy for r in own]
            marker = "osD^vPX*"[number // 8 % 8]
            axes.scatter(*points, s=22, color=PALETTE[number % 8], marker=marker, lw=0, alpha=0.7, label=row.name)
    axes.set(xlabel=axis, ylabel="test accuracy, %")
    _tidy(axes)
    legend_below(figure, 2)
    return figure


def critical_difference_figure(names: Sequence[str], found: Ranks) -> "Drawing":
    """The critical-difference diagram of mean ranks (Demsar, JMLR 7, 2006, figure 1).

    Mean ranks on a line, best at the left; bars join methods that one critical difference does not tell apart.

    names: the methods in the order of `found.mean`. Raises ValueError for another number of names.
    """
    if len(names) != len(found.mean):
        raise ValueError(f"{len(names)} names for {len(found.mean)} methods")
    k, mean = len(names), found.mean.tolist()
    order = sorted(range(k), key=lambda i: (mean[i], i))
    left, right = order[: (k + 1) // 2], order[(k + 1) // 2 :][::-1]
    bars = cliques(mean, found.difference)
    side = 0.3 + LETTER * (max(map(len, names)) + 6)  # for the names and their ranks
    wide, high = 2 * side + max(2.4, 0.55 * k), 0.95 + STEP * (len(bars) * 0.5 + max(len(left), len(right)))
    figure = empty_figure(wide, high, layout=None)
    axes = figure.add_axes((0, 0, 1, 1))  # in inches from here on
    axes.set(xlim=(0, wide), ylim=(-high + 0.75, 0.75))
    axes.axis("off")

    def at(rank: float) -> float:
        return side + (rank - 1) / (k - 1) * (wide - 2 * side)

    _axis(axes, k, at, found)
    for number, group in enumerate(bars):
        y = -0.12 - number * STEP * 0.5
        axes.plot([at(mean[group[0]]) - 0.04, at(mean[group[-1]]) + 0.04], [y, y], c="k", lw=3, solid_capstyle="butt")
    below = -0.12 - len(bars) * STEP * 0.5
    for place, methods in (("left", left), ("right", right)):
        for row, i in enumerate(methods):
            y = below - 0.1 - row * STEP
            edge, align = (side - 0.1, "right") if place == "left" else (wide - side + 0.1, "left")
            axes.plot([at(mean[i]), at(mean[i]), edge], [0, y, y], c="0.35", lw=0.8)
            gap = -0.06 if place == "left" else 0.06
            axes.text(edge + gap, y, f"{names[i]}  {mean[i]:.2f}", ha=align, va="center", fontsize=9)
    return figure


def _axis(axes: "Axes", k: int, at: Callable[[float], float], found: Ranks) -> None:
    """The line of ranks, and the critical difference above it."""
    axes.plot([at(1), at(k)], [0, 0], c="k", lw=1)
    for rank in range(1, k + 1):
        axes.plot([at(rank)] * 2, [0, 0.07], c="k", lw=1)
        axes.text(at(rank), 0.1, str(rank), ha="center", va="bottom", fontsize=8)
    end = at(1) + min(found.difference, k - 1) / (k - 1) * (at(k) - at(1))
    axes.plot([at(1), at(1), at(1), end, end, end], [0.42, 0.34, 0.38, 0.38, 0.34, 0.42], c="k", lw=1)
    label = f"critical difference {found.difference:.2f} at {found.level:g}; mean ranks over {found.n} seeds"
    axes.text(at(1), 0.46, label, ha="left", va="bottom", fontsize=8)
