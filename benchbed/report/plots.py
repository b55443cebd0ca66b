"""The studies' figures, as SVG: fronts of cost and accuracy, operations by depth, and DARTS-PT's analyses.

The analyses': the preference for skips, the strength of operations, selectors over a search's training.
"""

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ..space import Space
from ..stats.interval import Interval
from ..stats.pareto import front
from .draw import PALETTE, colours_of
from .saving import empty_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TICKS = 24  # positions with a name under them; of more, only every so many
OWN, BLIND, DRAWN = "#0072B2", "#D55E00", "#888888"  # of Okabe and Ito's palette
LETTER, HANDLE, ROW = 0.063, 0.55, 0.16  # inches of a legend: a letter at most, a handle and its gap, a row
MARGIN = 1.0  # points of accuracy around what is shown
MOST_COLUMNS = 7  # of panels, an edge each
COLLAPSED = "#D55E00"


class Mark(NamedTuple):
    """A point of a front with its intervals; `label` is written beside it."""

    label: str
    cost: Interval
    accuracy: Interval


class Cloud(NamedTuple):
    """Points without a name: cost (n,), accuracy (n,) in percent."""

    cost: Float[np.ndarray, " n"]
    accuracy: Float[np.ndarray, " n"]


def front_svg(
    title: str, axis: str, swept: Sequence[Mark], blind: Mark, found: Cloud, drawn: Cloud, whole: Cloud | None
) -> bytes:
    """A sweep's means with their intervals over every single search, against the controls.

    axis: the cost's words. found: every search of the sweep. drawn: the random architectures. whole: all
    architectures, whose front is then drawn as a line; None where they are not known.
    """
    figure, (axes,) = panelled(1, 6.4, 4.4)
    if whole is not None:
        best = front(whole.cost, whole.accuracy)
        count = len(whole.cost)
        axes.scatter(*whole, s=2, c="0.85", lw=0, rasterized=True, label=f"all {count:,} architectures")
        axes.step(whole.cost[best], whole.accuracy[best], where="post", c="k", lw=1, label="their front")
    axes.scatter(*drawn, s=16, c=DRAWN, marker="x", lw=0.9, label="random")
    axes.scatter(*found, s=9, c=OWN, lw=0, alpha=0.45, label="searches")
    _marks(axes, swept, OWN, "o", "mean of a sweep's value")
    _marks(axes, [blind], BLIND, "s", "latency-ignorant")
    seen = np.concatenate([found.accuracy, [m.accuracy.mean for m in (*swept, blind)]])
    top = max(float(seen.max()), float(whole.accuracy.max()) if whole is not None else -np.inf)
    below = max(0.0, float(seen.min()) - 3 * MARGIN)
    axes.set(title=title, xlabel=axis, ylabel="test accuracy, %", ylim=(below, min(top + MARGIN, 101.0)))
    axes.set_xlim(left=0)
    legend_below(figure, 3)
    return svg_bytes(figure)


def accuracy_axes(rows: Sequence[tuple[str, Any]], axes: "Axes") -> None:
    """Draws rows of settings (`groups.Row`, each with a prefix of its label) from the top: seeds, mean, interval."""
    for at, (_, row) in enumerate(rows):
        found = [r.test_accuracy for r in row.records]
        axes.scatter(found, [at] * len(found), s=14, c=DRAWN, lw=0, alpha=0.6)
        reach = np.array([_reach(row.accuracy)]).T
        colour = BLIND if row.control else OWN
        axes.errorbar([row.accuracy.mean], [at], xerr=reach, fmt="o", ms=5, c=colour, capsize=3, zorder=3)
    axes.set_yticks(range(len(rows)), [prefix + row.name for prefix, row in rows])
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlabel="test accuracy, %")
    axes.spines[["top", "right"]].set_visible(False)


def legend_below(figure: "Figure", most: int) -> None:
    """A legend below the axes of at most so many columns: as many as its longest label leaves room for.

    The figure grows with the rows, so that they take nothing from the axes.
    """
    labels = [label for axes in figure.axes for label in axes.get_legend_handles_labels()[1]]
    if not labels:
        return
    column = LETTER * max(map(len, labels)) + HANDLE
    columns = max(1, min(most, int(figure.get_figwidth() / column)))
    figure.set_figheight(figure.get_figheight() + ROW * max(0, math.ceil(len(labels) / columns) - 2))
    figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=8)


def _marks(axes: "Axes", marks: Sequence[Mark], colour: str, marker: str, label: str) -> None:
    x, y = ([getattr(m, name).mean for m in marks] for name in ("cost", "accuracy"))
    bars = {name: np.array([_reach(getattr(m, name)) for m in marks]).T for name in ("cost", "accuracy")}
    style: dict[str, Any] = {"fmt": marker, "ms": 5, "lw": 1, "c": colour, "mec": "white", "mew": 0.5}
    axes.errorbar(x, y, yerr=bars["accuracy"], xerr=bars["cost"], label=label, zorder=4, **style)
    for mark, at in zip(marks, zip(x, y, strict=True), strict=True):
        axes.annotate(mark.label, at, xytext=(5, -9), textcoords="offset points", fontsize=7, color=colour, zorder=5)


def _reach(i: Interval) -> tuple[float, float]:
    """How far an interval reaches below and above its mean; nothing where there is none."""
    return (i.mean - i.low, i.high - i.mean) if math.isfinite(i.low) and math.isfinite(i.high) else (0.0, 0.0)


def preferences_svg(space: Space, panels: Mapping[str, Float[np.ndarray, "P O"]]) -> bytes:
    """A panel a device: how probable each operation is at each position, in the order of the positions.

    panels: by title, probabilities whose rows sum to 1. Operations are told by name, so that positions of different
    operations share their colours.
    """
    names = list(dict.fromkeys(name for p in space.positions for name in p.operations))
    colours = colours_of(space)
    positions = [p.name for p in space.positions]
    wide = min(12.0, max(5.0, 1.6 + 0.42 * len(positions)))
    figure, all_axes = panelled(len(panels), wide, 1.15 + 1.25 * len(panels), sharex=True)
    at = np.arange(len(positions))
    for axes, (title, p) in zip(all_axes, panels.items(), strict=True):
        below = np.zeros(len(positions))
        for name in names:
            share = np.array(
                [sum(row[k] for k, word in enumerate(q.operations) if word == name)
                 for row, q in zip(p, space.positions, strict=True)]
            )  # fmt: skip
            axes.bar(at, share, 0.9, below, color=colours[name], lw=0, label=name)
            below += share
        axes.set(ylim=(0, 1), xlim=(-0.6, len(positions) - 0.4), yticks=(0, 0.5, 1))
        axes.set_title(title, fontsize=9, loc="left")
    step = math.ceil(len(positions) / TICKS)
    all_axes[-1].set_xticks(at[::step], positions[::step], fontsize=7, rotation=90 if len(positions) > 12 else 0)
    all_axes[-1].set_xlabel("position")
    figure.supylabel("mean probability", fontsize=9)
    columns = 3 if wide < 7 else 7
    figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns, frameon=False)
    return svg_bytes(figure)


class Panel(NamedTuple):
    """A scatter: x (n,) against y (n,); pairs with a NaN are left out."""

    title: str
    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]


def scatters_svg(panels: Sequence[Panel], truth: str) -> bytes:
    """A panel a predictor, in a row of up to three, all against the same truth; the points are one image a panel."""
    columns = min(3, len(panels))
    high = 0.4 + 2.6 * math.ceil(len(panels) / columns)
    figure, all_axes = panelled(len(panels), 3.1 * columns, high, columns, sharey=True)
    for axes, panel in zip(all_axes, panels, strict=True):
        there = np.isfinite(panel.x) & np.isfinite(panel.y)
        axes.scatter(panel.x[there], panel.y[there], s=2, c=OWN, lw=0, alpha=0.3, rasterized=True)
        axes.set_title(panel.title, fontsize=8)
        axes.tick_params(labelsize=7)
    figure.supylabel(truth, fontsize=8)
    return svg_bytes(figure)


class Curve(NamedTuple):
    """A named line: (x, interval of y) by rising x."""

    name: str
    points: Sequence[tuple[float, Interval]]


def curves_svg(panels: Mapping[str, Sequence[Curve]], axis: str, least: Mapping[str, float] | None = None) -> bytes:
    """A panel a title, one below the other over the same x; means with their intervals.

    least: by title, the panels on a logarithmic scale and the value at their foot; what is below is not shown.
    """
    figure, all_axes = panelled(len(panels), 5.6, 0.9 + 2.1 * len(panels), sharex=True)
    for axes, (title, curves) in zip(all_axes, panels.items(), strict=True):
        for curve in curves:
            x, y = [at for at, _ in curve.points], [i.mean for _, i in curve.points]
            reach = np.array([_reach(i) for _, i in curve.points]).T
            axes.errorbar(x, y, yerr=reach, label=curve.name, marker="o", ms=3, lw=1.2, capsize=2)
        axes.set_title(title, fontsize=9, loc="left")
        if foot := (least or {}).get(title):
            axes.set_yscale("log")
            axes.set_ylim(bottom=foot)
    all_axes[-1].set_xlabel(axis)
    _legend(figure, all_axes[0], 3)
    return svg_bytes(figure)


def panelled(panels: int, wide: float, high: float, columns: int = 1, **how: Any) -> tuple["Figure", list[Any]]:
    """A figure of panels in rows of so many columns, and their axes; how: of `subplots`, such as sharex."""
    figure = empty_figure(wide, high)
    axes = figure.subplots(math.ceil(panels / columns), columns, squeeze=False, **how).flatten()
    for number, one in enumerate(axes):
        one.spines[["top", "right"]].set_visible(False)
        one.set_visible(number < panels)
    return figure, list(axes[:panels])


def _legend(figure: "Figure", axes: "Axes", columns: int) -> None:
    """What one panel shows, below them all."""
    handles = axes.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)


def tidy(axes: "Axes") -> None:
    """Axes open at the top and right, with a faint grid and small numbers."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.2, lw=0.6)


def svg_bytes(figure: "Figure") -> bytes:
    """The same figure gives the same bytes."""
    return _saved(figure, "svg")


def pdf_bytes(figure: "Figure") -> bytes:
    """The figure for a paper, its text as text. The same figure gives the same bytes."""
    return _saved(figure, "pdf")


def _saved(figure: "Figure", ending: str) -> bytes:
    out = io.BytesIO()
    save_figure(figure, out, ending, "study", dpi=150)
    return out.getvalue()


def skip_svg(searches: Sequence[Sequence[Sequence[float]]], edges: Sequence[tuple[float, float]]) -> bytes:
    """How a preference for skip connections comes about: the gap over training, and what was foretold of every edge.

    searches: for each, (epoch, gap, accuracy in percent) of its epochs, a point each, later ones darker. edges:
    (foretold, learned) alpha_skip - alpha_conv.
    """
    figure, (above, below) = panelled(2, 5.6, 6.4)
    for epochs in searches:
        accuracy, gaps = [a for _, _, a in epochs], [g for _, g, _ in epochs]
        above.plot(accuracy, gaps, lw=0.7, c="0.8", zorder=1)
        above.scatter(accuracy, gaps, s=18, c=[e for e, _, _ in epochs], cmap="viridis_r", lw=0, zorder=2)
    above.set(xlabel="supernet accuracy, %", ylabel="mean p(skip) - p(convolution)")
    above.set_title("every epoch of every search, later ones darker", fontsize=9, loc="left")
    for axes in (above, below):
        axes.axhline(0, lw=0.6, c="k")
    below.axvline(0, lw=0.6, c="k")
    if edges:
        below.scatter(*zip(*edges, strict=True), s=16, c=OWN, lw=0, alpha=0.7)
    below.set(xlabel="foretold by the closed form", ylabel="learned alpha(skip) - alpha(conv)")
    below.set_title("every edge and convolution of every search", fontsize=9, loc="left")
    return svg_bytes(figure)


def strength_svg(candidates: Sequence[tuple[str, str, float, float]]) -> bytes:
    """A panel an edge: every operation's probability against its discretisation accuracy, a point a search.

    candidates: (edge, operation, probability, accuracy minus the mean of that search's edge, in points). An operation
    has the same colour in all panels, and the panels share the axis of accuracy: edges where the choice matters show.
    """
    edges = list(dict.fromkeys(edge for edge, *_ in candidates))
    names = list(dict.fromkeys(operation for _, operation, *_ in candidates))
    columns = min(len(edges), 3 if len(edges) <= 9 else MOST_COLUMNS)
    wide, high = 0.8 + 2.0 * columns, 1.2 + 1.9 * math.ceil(len(edges) / columns)
    figure, all_axes = panelled(len(edges), wide, high, columns, sharey=True)
    for axes, edge in zip(all_axes, edges, strict=True):
        for number, name in enumerate(names):
            own = [(p, accuracy) for where, what, p, accuracy in candidates if (where, what) == (edge, name)]
            if own:
                axes.scatter(*zip(*own, strict=True), s=22, c=PALETTE[number % len(PALETTE)], lw=0, label=name)
        axes.set_title(edge, fontsize=9, loc="left")
        axes.axhline(0, lw=0.5, c="0.7", zorder=0)
        axes.tick_params(labelsize=7)
        axes.margins(x=0.12)
        axes.locator_params(axis="x", nbins=4)
    figure.supxlabel("probability", fontsize=9)
    figure.supylabel("discretisation accuracy,\nminus the edge's mean", fontsize=8)
    labelled = {label: h for axes in all_axes for h, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    abreast = max(1, int(wide / 1.5))
    figure.legend(
        labelled.values(), labelled.keys(), loc="outside upper left", ncols=abreast, frameon=False, fontsize=8
    )
    return svg_bytes(figure)


def trajectory_svg(
    accuracy: Sequence[Curve], free: Mapping[str, Sequence[tuple[float, float]]], threshold: float, collapsed: list[int]
) -> bytes:
    """Selectors over the epochs of their searches, and the parameter-free share of the most probable cell below.

    accuracy: a curve a selector, means with their intervals. free: by search, (epoch, share) of its epochs; none where
    the space does not tell. collapsed: the epochs from which a search's share stays at the threshold or above.
    """
    count = 2 if free else 1
    figure, panels = panelled(count, 6.4, 5.4 if free else 3.8, sharex=True, height_ratios=[3, 2][:count])
    above, last = panels[0], panels[-1]
    offsets = np.linspace(-0.5, 0.5, len(accuracy)) * 0.012 if len(accuracy) > 1 else [0.0]
    span = max((x for curve in accuracy for x, _ in curve.points), default=1.0)
    for number, (curve, offset) in enumerate(zip(accuracy, offsets, strict=True)):
        reach = np.array([_reach(i) for _, i in curve.points]).T
        x, y = [at + offset * span for at, _ in curve.points], [i.mean for _, i in curve.points]
        colour = PALETTE[number % len(PALETTE)]
        above.errorbar(x, y, yerr=reach, label=curve.name, c=colour, marker="o", ms=3.5, lw=1.2, capsize=2)
    above.set_ylabel("test accuracy of the selected, %")
    for axes in panels:
        for number, epoch in enumerate(collapsed):
            axes.axvline(epoch, c=COLLAPSED, lw=0.8, ls=":", label="" if number else "collapse of a search")
    if free:
        for points in free.values():
            last.plot(*zip(*points, strict=True), c="0.5", lw=0.8)
        last.axhline(threshold, c=COLLAPSED, lw=0.6)
        last.set(ylim=(-0.03, 1.03), ylabel="parameter-free, argmax")
    last.set_xlabel("epochs of the search")
    last.locator_params(axis="x", integer=True)
    _legend(figure, above, 4)
    return svg_bytes(figure)
