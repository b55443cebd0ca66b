"""A chain of layers as a picture: a line a stage in text, a row of blocks in a figure."""

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ..space import Layer
from .saving import empty_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KERNEL = re.compile("^(?:k|sep|dil|avg|max|conv)([0-9])")  # of an operation that names it; a width is none
IDENTITY = "·"  # a block that was replaced by the identity, in text


def chain_text(layers: Sequence[Layer], columns: int) -> str:
    """A line a group: its name, channels and size of its last layer, and its operations; at most `columns` wide."""
    lines = []
    for group, found in groupby(layers, key=lambda layer: layer.group):
        members = list(found)
        last = members[-1]
        head = f"{group[:10]:<10} {f'{last.width}x{last.size}x{last.size}':<14} "
        words = [IDENTITY * 4 if m.operation == "zero" else m.operation for m in members]
        row = head
        for word in words:
            if len(row) + len(word) > columns and row.strip():
                lines.append(row.rstrip())
                row = " " * len(head)
            row += f"{word:<6}"
        lines.append(row.rstrip()[:columns])
    return "\n".join(lines)


def chain_figure(layers: Sequence[Layer], colours: Mapping[str, str], absent: Sequence[str]) -> "Figure":
    """The matplotlib figure (Agg): a block a layer, stages set apart and named with their channels and size.

    A block's height grows with its kernel, so that large ones stand out; what is absent is drawn broken and flat.
    """
    from matplotlib.patches import FancyBboxPatch

    wide, pitch, gap, height = 0.34, 0.42, 0.3, 1.8  # inches, and data units
    at, x, previous = list[float](), 0.0, layers[0].group
    for layer in layers:
        x += gap if layer.group != previous else 0.0
        at.append(x)
        x, previous = x + pitch, layer.group
    figure = empty_figure(x + 0.4, height, layout=None)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.2, x + 0.2), ylim=(-height / 2, height / 2), aspect="equal")
    axes.axis("off")
    axes.plot([0, at[-1]], [0, 0], color="#222222", linewidth=1.0, zorder=1)
    for layer, left in zip(layers, at, strict=True):
        gone = layer.operation in absent
        colour = colours.get(layer.operation, "#555555")
        found = KERNEL.search(layer.operation)
        kernel = int(found[1]) if found else 1
        tall = 0.24 if gone else 0.5 + 0.08 * kernel
        axes.add_patch(
            FancyBboxPatch(
                (left, -tall / 2), wide, tall, boxstyle="round,pad=0,rounding_size=0.05", facecolor="white",
                edgecolor=colour, linewidth=1.0 if gone else 1.8, linestyle=(0, (3, 3)) if gone else "solid", zorder=2,
            )
        )  # fmt: skip
        words: dict[str, Any] = {
            "rotation": 0 if gone else 90,
            "fontsize": 6 if gone else 7.5,
            "color": "#777777" if gone else "#111111",
        }
        axes.text(left + wide / 2, 0, layer.operation, ha="center", va="center", zorder=3, **words)
    for group in dict.fromkeys(layer.group for layer in layers):
        places = [i for i, layer in enumerate(layers) if layer.group == group]
        last = layers[places[-1]]
        middle = (at[places[0]] + at[places[-1]] + wide) / 2
        axes.text(middle, 0.7, group, ha="center", va="center", fontsize=6.5, color="#555555")
        shape = f"{last.width}\n{last.size}x{last.size}"
        axes.text(middle, -0.72, shape, ha="center", va="center", fontsize=6, color="#555555")
    return figure
