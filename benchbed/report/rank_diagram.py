"""The critical-difference diagram: how methods rank over seeds, and which of them a test does not tell apart."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..stats.ranks import Ranks, cliques
from .hover import Hover, Point, tell
from .looks import Look
from .saving import empty_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEP = 0.28  # inches between two names of that diagram, and between two bars
LETTER = 0.082  # inches of a letter at most


def critical_difference_figure(
    names: Sequence[str], found: Ranks, looks: Sequence[Look] | None = None, hover: Hover | None = None
) -> "Figure":
    """The critical-difference diagram of mean ranks (Demsar, JMLR 7, 2006, figure 1).

    Mean ranks on a line, best at the left; bars join methods that one critical difference does not tell apart.

    names: the methods in the order of `found.mean`; looks: theirs, grey without. hover: takes the mean ranks. Raises
    ValueError for another number of names.
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
        ends = [at(mean[group[0]]) - 0.04, at(mean[group[-1]]) + 0.04]
        (bar,) = axes.plot(ends, [y, y], c="k", lw=3, solid_capstyle="butt")
        tell(bar, hover, f"not told apart: {', '.join(names[i] for i in group)}")
    below = -0.12 - len(bars) * STEP * 0.5
    for place, methods in (("left", left), ("right", right)):
        for row, i in enumerate(methods):
            y = below - 0.1 - row * STEP
            edge, align = (side - 0.1, "right") if place == "left" else (wide - side + 0.1, "left")
            colour = looks[i].colour if looks else "0.35"
            axes.plot([at(mean[i]), at(mean[i]), edge], [0, y, y], c=colour, lw=1.1 if looks else 0.8)
            if looks:
                (mark,) = axes.plot([edge], [y], **looks[i].mark(5), zorder=3)
                words = f"mean rank {mean[i]:.2f} of {k} over {found.n} seeds"
                tell(mark, hover, [Point(words, names[i])])
            gap = -0.1 if place == "left" else 0.1
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
