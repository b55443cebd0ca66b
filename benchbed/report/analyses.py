"""The figures of DARTS-PT's analyses, as SVG: the strength of operations, and selectors over a search's training."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from .draw import PALETTE
from .plots import Curve, svg_bytes
from .saving import empty_figure

MOST_COLUMNS = 7
COLLAPSED = "#D55E00"


def strength_svg(candidates: Sequence[tuple[str, str, float, float]]) -> bytes:
    """A panel an edge: every operation's probability against its discretisation accuracy, a point a search.

    candidates: (edge, operation, probability, accuracy minus the mean of that search's edge, in points). An operation
    has the same colour in all panels, and the panels share the axis of accuracy: edges where the choice matters show.
    """
    edges = list(dict.fromkeys(edge for edge, *_ in candidates))
    names = list(dict.fromkeys(operation for _, operation, *_ in candidates))
    columns = min(len(edges), 3 if len(edges) <= 9 else MOST_COLUMNS)
    rows = math.ceil(len(edges) / columns)
    wide = 0.8 + 2.0 * columns
    figure = empty_figure(wide, 1.2 + 1.9 * rows)
    all_axes = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten()
    for axes, edge in zip(all_axes, edges, strict=False):
        for number, name in enumerate(names):
            own = [(p, accuracy) for where, what, p, accuracy in candidates if (where, what) == (edge, name)]
            if own:
                axes.scatter(*zip(*own, strict=True), s=22, c=PALETTE[number % len(PALETTE)], lw=0, label=name)
        axes.set_title(edge, fontsize=9, loc="left")
        axes.axhline(0, lw=0.5, c="0.7", zorder=0)
        axes.tick_params(labelsize=7)
        axes.margins(x=0.12)
        axes.locator_params(axis="x", nbins=4)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in all_axes[len(edges) :]:
        axes.set_visible(False)
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
    figure = empty_figure(6.4, 5.4 if free else 3.8)
    panels = figure.subplots(2 if free else 1, 1, sharex=True, squeeze=False, height_ratios=[3, 2][: 2 if free else 1])
    above = panels[0, 0]
    offsets = np.linspace(-0.5, 0.5, len(accuracy)) * 0.012 if len(accuracy) > 1 else [0.0]
    span = max((x for curve in accuracy for x, _ in curve.points), default=1.0)
    for number, (curve, offset) in enumerate(zip(accuracy, offsets, strict=True)):
        known = [
            (i.mean - i.low, i.high - i.mean) if math.isfinite(i.low + i.high) else (0.0, 0.0) for _, i in curve.points
        ]
        x, y = [at + offset * span for at, _ in curve.points], [i.mean for _, i in curve.points]
        colour = PALETTE[number % len(PALETTE)]
        above.errorbar(x, y, yerr=np.array(known).T, label=curve.name, c=colour, marker="o", ms=3.5, lw=1.2, capsize=2)
    above.set_ylabel("test accuracy of the selected, %")
    for axes in panels[:, 0]:
        axes.spines[["top", "right"]].set_visible(False)
        for number, epoch in enumerate(collapsed):
            axes.axvline(epoch, c=COLLAPSED, lw=0.8, ls=":", label="" if number else "collapse of a search")
    if free:
        below = panels[1, 0]
        for points in free.values():
            below.plot(*zip(*points, strict=True), c="0.5", lw=0.8)
        below.axhline(threshold, c=COLLAPSED, lw=0.6)
        below.set(ylim=(-0.03, 1.03), ylabel="parameter-free, argmax")
    panels[-1, 0].set_xlabel("epochs of the search")
    panels[-1, 0].locator_params(axis="x", integer=True)
    handles = above.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return svg_bytes(figure)
