"""The page's colours, light and dark: those of the figures by name, so that inlined pictures follow the scheme.

A figure's file has matplotlib's colours, for white paper. On the page each of them is a variable of CSS, whose light
value is that very colour; what is not listed here stays as it is in both schemes.
"""

import re
from typing import TYPE_CHECKING

from .draw import FAINT, PALETTE
from .looks import COLOURS, CONTROL, Look

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.path import Path

# By the colour in a file: the page's, light and dark, each 3:1 from its paper at least (WCAG 2.1, 1.4.11). Of a method
# the light one is the file's; the dark ones are as far apart.
METHODS = dict(zip(COLOURS, ("#3A78DC", "#DD5520", "#2CDB90", "#B25A8E", "#F5C816", "#8CC4FA"), strict=True))
OPERATIONS = dict(
    zip(
        PALETTE,
        (("#009E73", "#2BB58C"), ("#3A9AD4", "#8CCBF5"), ("#0072B2", "#4C94D0"), ("#C48500", "#E0A32E"),
         ("#C0669A", "#D98CBB"), ("#D55E00", "#E9743B"), ("#998E00", "#F0E442"), ("#1D2126", "#E4E7EB")),
        strict=True,
    )
)  # fmt: skip
PAPER = {
    "#ffffff": ("#ffffff", "#14181D"), "#000000": ("#1D2126", "#E4E7EB"), "#111111": ("#1D2126", "#E4E7EB"),
    "#222222": ("#1D2126", "#E4E7EB"), "#555555": ("#555555", "#A7B0BA"), "#777777": ("#6D6D6D", "#A7B0BA"),
    "#4d4d4d": ("#4D4D4D", "#B9C1C9"), "#595959": ("#595959", "#B9C1C9"), "#b0b0b0": ("#B0B0B0", "#5A646E"),
    "#cfe3f2": ("#CFE3F2", "#1F3D54"), "#f4f4f4": ("#F4F4F4", "#232A31"), FAINT: ("#8C8C8C", "#7C868F"),
    CONTROL: (CONTROL, "#C0C4C8"),
}  # fmt: skip
_PAIRS = OPERATIONS | {file: (file, dark) for file, dark in METHODS.items()} | PAPER

# by the colour in a file: (variable, light, dark)
INKS = {
    file.lower(): (f"--c-{file[1:].lower()}", light.lower(), dark.lower()) for file, (light, dark) in _PAIRS.items()
}


def in_ink(svg: str) -> str:
    """An SVG's colours as variables of the page."""

    def variable(found: re.Match[str]) -> str:
        ink = INKS.get(found[0].lower())
        return f"var({ink[0]})" if ink else found[0]

    return re.sub(r"#[0-9a-fA-F]{6}\b", variable, svg)


def swatch(look: Look) -> "Markup":
    """A method's line and mark as a small picture, the same as in the figures."""
    from markupsafe import Markup
    from matplotlib.markers import MarkerStyle

    style = MarkerStyle(look.marker, fillstyle=look.fill)
    paper, dashes = "#ffffff", " ".join(f"{x * 1.4:g}" for x in look.dashes[1])
    how = f"stroke:{look.colour};stroke-width:1.6" + (f";stroke-dasharray:{dashes}" if dashes else "")
    parts = [f'<path d="M-13 0H13" style="{how}"/>']
    halves = [(style.get_path().transformed(style.get_transform()), look.colour if look.fill != "none" else paper)]
    if (other := style.get_alt_path()) is not None:
        halves.append((other.transformed(style.get_alt_transform()), paper))
    for path, inside in halves:
        parts.append(f'<path d="{_drawn(path)}" style="fill:{inside};stroke:{look.colour};stroke-width:1.4"/>')
    return Markup(f'<svg class="swatch" viewBox="-14 -7 28 14" aria-hidden="true">{in_ink("".join(parts))}</svg>')


SIZE = 9.0  # pixels of a mark in a swatch


def _drawn(path: "Path") -> str:
    """matplotlib's path of a mark, a unit wide and upwards, as an SVG's."""
    words = {1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}
    found = []
    for points, code in path.iter_segments(curves=True, simplify=False):
        places = " ".join(f"{x * s * SIZE:.2f}" for x, s in zip(points, (1, -1) * (len(points) // 2), strict=True))
        found.append(words[int(code)] + ("" if int(code) == 79 else places))
    return "".join(found)
