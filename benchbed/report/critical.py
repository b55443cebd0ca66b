"""The critical-difference diagram of mean ranks (Demsar, JMLR 7, 2006, figure 1)."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..stats.ranks import Ranks, cliques
from .saving import empty_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEP = 0.28  # inches between two names, and between two bars
LETTER = 0.082  # inches of a letter at most


def critical_difference_figure(names: Sequence[str], found: Ranks) -> "Figure":
    """Mean ranks on a line, best at the left; bars join methods that one critical difference does not tell apart.

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
