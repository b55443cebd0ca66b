"""The figures of a report: what the searches did over time, how methods rank, which cells they chose, and fronts."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import BenchbedError
from ..pipeline.history import Epoch
from ..space import Space
from ..stats.pareto import front
from ..stats.ranks import ranks
from .collect import Clock
from .curves import CURVES, STEPPED, curves, on_grid, searches_of
from .draw import colours_of, picture, text_drawing
from .groups import Group, Row, slug
from .hover import Hover, Point, tell
from .looks import Look, Looks
from .networks import Network, networks, space_of
from .plots import legend_below, panelled, pdf_bytes, svg_bytes, tidy
from .rank_diagram import critical_difference_figure
from .saving import empty_figure
from .tables import number
from .which import table_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

MOST_THIN = 20  # seeds whose own trajectories are drawn beside their mean
MOST_RANKED = 30  # methods of a critical-difference diagram
MOST_TOLD = 240  # probabilities of a figure that are told under the pointer


class Figure(NamedTuple):
    """A figure in both formats; `text` instead where there is nothing to draw but words. kind: what it shows.

    hover: the values at its marks. looks: of the methods that a caption is about and that the picture does not name.
    """

    name: str  # of its files
    kind: str  # curves, ranks, alpha, cell or front
    caption: str
    svg: bytes = b""
    pdf: bytes = b""
    text: str = ""
    hover: Mapping[str, Sequence[Point] | str] = MappingProxyType({})
    looks: tuple[Look, ...] = ()


def figures(
    group: Group,
    histories: Mapping[str, Sequence[Epoch]],
    clocks: Mapping[str, Clock] | None = None,
    looks: Looks | None = None,
) -> tuple[list[Figure], list[str]]:
    """(every figure of a group that its records allow, a line for each that they do not).

    looks: of all groups that a page shows; None: of this one alone.
    """
    found: list[Figure] = []
    absent: list[str] = []
    looks = looks or Looks([group])
    searches = searches_of(group, histories)
    space = space_of(group)
    if searches:
        stepped = {} if clocks is None else searches_of(group, {k: on_grid(c) for k, c in clocks.items()})
        caption = f"{CURVES} {STEPPED.format(', '.join(stepped))}" if stepped else CURVES
        hover: Hover = {}
        drawing = curves({**searches, **stepped}, looks, hover)
        found.append(_drawn(f"{group.slug}-curves", "curves", caption, drawing, hover))
    else:
        absent.append("no anytime curves: no search's history.jsonl is there")
    for kind, axis, x in _axes(group, networks(group, table_of(group))):
        hover = {}
        drawing = pareto(group, axis, x, looks, hover)
        found.append(_drawn(f"{group.slug}-{kind}", "front", FRONT, drawing, hover))
    try:
        found.append(_ranks(group, looks))
    except ValueError as error:
        absent.append(f"no critical-difference diagram: {error}")
    if space is None:
        absent.append(f"no trajectories and drawings: space '{group.space}' is not known here (add --plugin FILE)")
    else:
        for name, (row, runs) in searches.items():
            if any(np.shape(run[0].probabilities) != space.mask.shape for run in runs):
                absent.append(f"no trajectory of {name}: its probabilities are not of the shape of '{group.space}'")
            elif any(e.probabilities != run[0].probabilities for run in runs for e in run):  # not uniform sampling
                found.append(_alpha(group, name, runs, space)._replace(looks=(looks.of_searcher(row),)))
        found += _cells(group, space, looks)
    return found, absent


def _drawn(name: str, kind: str, caption: str, figure: "Drawing", hover: Hover) -> Figure:
    return Figure(name, kind, caption, svg_bytes(figure), pdf_bytes(figure), hover=hover)


# -- ranks -----------------------------------------------------------------------------------------------------------


def _ranks(group: Group, looks: Looks) -> Figure:
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
    hover: Hover = {}
    drawing = critical_difference_figure([r.name for r in rows], found, [looks.of_row(r) for r in rows], hover)
    return _drawn(f"{group.slug}-ranks", "ranks", caption, drawing, hover)


# -- alpha -----------------------------------------------------------------------------------------------------------


def _alpha(group: Group, name: str, runs: Sequence[Sequence[Epoch]], space: Space) -> Figure:
    caption = (
        f"Alpha of {name}: mean probability of each operation at each position over epochs, of {len(runs)} search(es)"
        + (", each of them thin." if 1 < len(runs) <= MOST_THIN else ".")
    )
    hover: Hover = {}
    return _drawn(f"{group.slug}-alpha-{slug(name)}", "alpha", caption, trajectories(runs, space, hover), hover)


def trajectories(runs: Sequence[Sequence[Epoch]], space: Space, hover: Hover | None = None) -> "Drawing":
    """A panel a position, a line an operation: probabilities (P, O) after each epoch that every run has come to.

    hover: takes the values at some epochs of each line, the first and the last among them.
    """
    epochs = min(map(len, runs))
    values = np.array([[e.probabilities for e in run[:epochs]] for run in runs])  # (runs, epochs, P, O)
    count = len(space.positions)
    columns, wide, high = (7, 1.45, 1.15) if count > 12 else (min(3, count), 2.3, 1.6)  # inches a panel
    size = wide * columns, 0.6 + high * math.ceil(count / columns)
    figure, all_axes = panelled(count, *size, columns, sharex=True, sharey=True)
    colours, at, shown = colours_of(space), np.arange(1, epochs + 1), {}
    lines = sum(len(position.operations) for position in space.positions)
    some = np.unique(np.linspace(0, epochs - 1, max(1, min(5, MOST_TOLD // lines)) + 1).round().astype(int))[1:]
    for i, (position, axes) in enumerate(zip(space.positions, all_axes, strict=True)):
        for k, operation in enumerate(position.operations):
            if 1 < len(runs) <= MOST_THIN:
                axes.plot(at, values[:, :, i, k].T, c=colours[operation], lw=0.4, alpha=0.35)
            mean = values[:, :, i, k].mean(0)
            how = {"c": colours[operation], "lw": 1.6, "marker": ".", "ms": 3.5, "markevery": some.tolist()}
            (shown[operation],) = axes.plot(at, mean, **how)
            words = [f"{mean[e]:.3f} after epoch {at[e]}: mean of n = {len(runs)}" for e in some]
            tell(shown[operation], hover, [Point(w, f"{operation} at {position.name}") for w in words])
        axes.set_title(position.name, fontsize=8, loc="left")
        tidy(axes)
        axes.set_ylim(0, 1)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.supxlabel("epoch", fontsize=8)
    figure.supylabel("mean probability", fontsize=8)
    figure.legend(shown.values(), shown.keys(), loc="outside upper center", ncols=5, frameon=False, fontsize=8)
    return figure


# -- cells -----------------------------------------------------------------------------------------------------------


def _cells(group: Group, space: Space, looks: Looks) -> list[Figure]:
    """What each setting chose most often, drawn once where several settings chose the same."""
    chosen: dict[str, dict[str, Look]] = {}
    for row in group.rows:
        architecture, times = favourite(row)
        words = f"{row.name} ({times} of {len(row.records)} seeds)"
        chosen.setdefault(architecture, {})[words] = looks.of_row(row)
    found: list[Figure] = []
    for count, (architecture, names) in enumerate(chosen.items(), 1):
        name, caption = f"{group.slug}-cell-{count}", f"Chosen most often by {'; '.join(names)}: {architecture}"
        try:
            arch = space.parse(architecture)
        except BenchbedError as error:
            found.append(Figure(name, "cell", caption, text=f"not drawn: {error}"))
            continue
        try:
            found.append(Figure(name, "cell", caption, picture(space, arch, "svg"), picture(space, arch, "pdf")))
        except BenchbedError:  # positions that are no graph: listed
            found.append(Figure(name, "cell", caption, text=text_drawing(space, arch)))
        found[-1] = found[-1]._replace(looks=tuple(names.values()))
    return found


def favourite(row: Row) -> tuple[str, int]:
    """(the architecture that a setting chose in most seeds, in how many); of equals the best by validation accuracy."""
    counts = Counter(r.architecture for r in row.records)
    valid = {r.architecture: r.valid_accuracy or 0.0 for r in row.records}
    best = max(counts, key=lambda text: (counts[text], valid[text], text))
    return best, counts[best]


# -- fronts ----------------------------------------------------------------------------------------------------------

FRONT = (
    "Cost and test accuracy of every run's architecture, a mark a run; the line is their Pareto front: no run is "
    "cheaper and better."
)
COUNTS = {
    "params": "parameters of the trained network, millions",
    "flops": "FLOPs (multiply-accumulates) of the trained network, millions",
}


def _axes(group: Group, trained: Mapping[str, Network]) -> list[tuple[str, str, dict[str, float]]]:
    """(kind, words of the axis, cost by run) of each cost that the records have, and of the networks' sizes."""
    found = []
    units = dict.fromkeys((r.cost["device"], r.cost["unit"]) for r in group.records if r.cost)
    for device, unit in units:
        paid = [r for r in group.records if r.cost and (r.cost["device"], r.cost["unit"]) == (device, unit)]
        costs = {r.id: float(r.cost["chosen"]) for r in paid if r.cost}
        found.append((f"front-{slug(str(device))}", f"{device}, {unit}", costs))
    orders: list[list[str]] = []
    for kind, words in COUNTS.items():
        counted = {name: n / 1e6 for name, one in trained.items() if (n := getattr(one, kind)) is not None}
        if len(set(counted.values())) > 1 and (order := sorted(counted, key=lambda name: counted[name])) not in orders:
            orders.append(order)  # FLOPs that order all as parameters do would be the same picture twice
            found.append((f"front-{kind}", words, counted))
    return found


def pareto(
    group: Group, axis: str, costs: Mapping[str, float], looks: Looks | None = None, hover: Hover | None = None
) -> "Drawing":
    """A point a run, a look a setting; the front over all of them as steps. hover: takes each run's values."""
    looks = looks or Looks([group])
    figure = empty_figure(6.0, 4.0)
    axes = figure.subplots()
    everything = [r for r in group.records if r.id in costs]
    x, y = np.array([costs[r.id] for r in everything]), np.array([r.test_accuracy for r in everything])
    best = front(x, y)
    axes.step(x[best], y[best], where="post", c="0.3", lw=1, zorder=1, label="Pareto front")
    for row in group.rows:
        own = [r for r in row.records if r.id in costs]
        if own:
            points = [costs[r.id] for r in own], [r.test_accuracy for r in own]
            (marks,) = axes.plot(*points, **looks.of_row(row).mark(5), alpha=0.8, label=row.name)
            said = [f"{number(r.test_accuracy)} % test accuracy at {costs[r.id]:,.4g}, {axis}" for r in own]
            tell(marks, hover, [Point(words, row.name, r.seed) for words, r in zip(said, own, strict=True)])
    axes.set(xlabel=axis, ylabel="test accuracy, %")
    tidy(axes)
    legend_below(figure, 2)
    return figure
