"""Values that a page shows under the pointer: titles in an SVG, without a script.

A figure's artists are marked by a gid, and the marks' values kept beside it; an SVG of the figure then has a `<g>` of
that id, in it a `<use>` a mark, in the order of the points. The file of the figure itself is left as it is.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from .commands import seed_ranges

if TYPE_CHECKING:
    from matplotlib.artist import Artist

REACH = 6  # points: how far from a mark's middle the pointer may be


class Point(NamedTuple):
    """What stands at a mark: who has the value there, of which seed; None: of several, and the value says so."""

    value: str
    who: str
    seed: int | None = None


Hover = dict[str, Sequence[Point] | str]  # by gid: a title of its own for each mark, or one for the whole


def tell(artist: "Artist", hover: Hover | None, said: Sequence[Point] | str) -> None:
    """Has `said` told of an artist; of marks without a line one by one, in their order. None: nobody asks."""
    if hover is not None:
        gid = f"hover-{len(hover)}"
        artist.set_gid(gid)
        hover[gid] = said


def with_titles(svg: str, hover: Mapping[str, Sequence[Point] | str]) -> str:
    """An SVG with the titles in it; marks in one place share theirs. Raises ValueError where marks and points differ.

    Over each mark lies a disc that cannot be seen, so that a pointer need not hit a dot of a millimetre.
    """
    from markupsafe import escape

    places: dict[tuple[float, float], list[Point]] = {}
    for gid, said in hover.items():
        begin = svg.index(f'<g id="{gid}">') + len(f'<g id="{gid}">')
        if isinstance(said, str):
            svg = f"{svg[:begin]}<title>{escape(said)}</title>{svg[begin:]}"
            continue
        body = svg[begin : _end_of_group(svg, begin)]
        found = re.findall(r'<use xlink:href="(#\w+)" x="([-\d.]+)" y="([-\d.]+)"', body)
        marks = [(x, y) for shape, x, y in found if shape == found[0][0]]  # of two colours: one half of each, once
        for (x, y), point in zip(marks, said, strict=True):
            places.setdefault((round(float(x), 1), round(float(y), 1)), []).append(point)
    discs = [
        f'<circle cx="{x:g}" cy="{y:g}" r="{REACH}"><title>{escape(_words(points))}</title></circle>'
        for (x, y), points in places.items()
    ]  # fmt: skip
    end = svg.rindex("</svg>")
    return f'{svg[:end]}<g class="hover">{"".join(discs)}</g>{svg[end:]}' if discs else svg


def _end_of_group(svg: str, begin: int) -> int:
    """Where the `</g>` stands that closes the group whose content begins there."""
    depth = 1
    for tag in re.finditer(r"<g[ >]|</g>", svg[begin:]):
        depth += 1 if tag[0] != "</g>" else -1
        if depth == 0:
            return begin + tag.start()
    raise ValueError("an SVG group without an end")


def _words(points: Sequence[Point]) -> str:
    """A line a value, and below it who has it, with its seeds."""
    values: dict[str, dict[str, list[int]]] = {}
    for point in points:
        seeds = values.setdefault(point.value, {}).setdefault(point.who, [])
        if point.seed is not None:
            seeds.append(point.seed)
    lines = []
    for value, owners in values.items():
        lines.append(value)
        for who, seeds in owners.items():
            lines.append(f"{who}, {_seeds(sorted(seeds))}" if seeds else who)
    return "\n".join(lines)


def _seeds(seeds: Sequence[int]) -> str:
    """`seed 3`, `seeds 0 to 4, 7`."""
    ends = [tuple(map(int, text.split(":"))) for text in seed_ranges(seeds)]
    words = [str(a) if b == a + 1 else f"{a} to {b - 1}" for a, b in ends]
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(words)}"
