"""How a method looks: the same colour, line and marker in every figure of a report and beside its row of the table.

A searcher with its settings has a colour, a selector with its settings a marker. Both are given out once, over all
groups of a report in the order of their names, so that what a group lacks changes nothing. More searchers than
colours take the colours again, with another line and another filling; controls are grey, with marks of their own.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from .groups import CONSTANT, PURE_RANDOM, RANDOM_CELL, UNIFORM, Group, Row, own_settings

# Blue, vermillion, green, purple, orange and sky blue after Okabe and Ito (2008), their lightness spread until each has
# a contrast of 3:1 with white paper (WCAG 2.1, 1.4.11) and all are told apart without one of the three kinds of cones.
COLOURS = ("#1B508E", "#9A4510", "#02A966", "#C37FAA", "#CF7D0A", "#2A86F5")
CONTROL = "#505050"
MARKERS = "osD^vP*X<>ph"  # each of them can be filled and hollow
CONTROL_MARKERS = "x+1234|_"
FILLS: tuple[Literal["full", "none", "left", "right", "top", "bottom"], ...] = (
    "full", "none", "left", "right", "top", "bottom"
)  # fmt: skip

Dashes = tuple[float, tuple[float, ...]]
Key = tuple[str, ...]


class Look(NamedTuple):
    """colour: of lines and marks. dashes: matplotlib's (offset, (on, off, ...)), () for a whole line."""

    colour: str
    dashes: Dashes
    marker: str
    fill: Literal["full", "none", "left", "right", "top", "bottom"] = "full"

    @property
    def line(self) -> str | Dashes:
        """matplotlib's line style."""
        return self.dashes if self.dashes[1] else "-"

    def mark(self, size: float) -> dict[str, Any]:
        """What matplotlib's `plot` takes for a mark of so many points, without a line."""
        width = 1.0 if self.fill != "full" or self.marker in CONTROL_MARKERS else 0.5
        return {
            "c": self.colour, "marker": self.marker, "ms": size, "fillstyle": self.fill, "mew": width,
            "markerfacecoloralt": "none", "ls": "",
        }  # fmt: skip


class Looks:
    """The looks of a report's groups; `of_row` is a method's, `of_searcher` that of what it searched with."""

    def __init__(self, groups: Iterable[Group]):
        groups = list(groups)
        self._differ = {part: _differing(groups, part) for part in ("searcher", "selector")}
        rows = [row for group in groups for row in group.rows]
        searchers = sorted({self._key(row, "searcher") for row in rows})
        methods = [key for key in searchers if not _is_random(key)]
        selectors = sorted({self._key(row, "selector") for row in rows if not _is_cell(row)})
        self._colours = {key: (COLOURS[i % len(COLOURS)], i // len(COLOURS)) for i, key in enumerate(methods)}
        self._colours |= {key: (CONTROL, i) for i, key in enumerate(k for k in searchers if _is_random(k))}
        self._markers = {key: i for i, key in enumerate(selectors)}
        self._cells = self._places(groups)

    def of_row(self, row: Row) -> Look:
        if _is_cell(row):
            place = self._cells[row.records[0].id]
            return Look(CONTROL, _dashes(place), _marker(CONTROL_MARKERS, place))
        (colour, cycle), place = self._colours[self._key(row, "searcher")], self._markers[self._key(row, "selector")]
        if cycle >= len(FILLS):  # a number, which nothing else is
            return Look(colour, _dashes(cycle), f"${len(MARKERS) * cycle + place}$")
        return Look(colour, _dashes(cycle), _marker(MARKERS, place), FILLS[cycle])

    def of_searcher(self, row: Row) -> Look:
        """Of the search behind a row, whatever selected from it: it is drawn as a line, with dots on it."""
        colour, cycle = self._colours[self._key(row, "searcher")]
        return Look(colour, _dashes(cycle), "o", FILLS[min(cycle, 1)])

    def _key(self, row: Row, part: str) -> Key:
        """The searcher's or the selector's name, and of its settings those in which rows of one group differ."""
        record = row.records[0]
        name, own = str(getattr(record, part)), own_settings(record)
        return name, *(f"{key}={own.get(key)}" for key in self._differ[part][name])

    def _places(self, groups: Sequence[Group]) -> dict[str, int]:
        """By a row's first record, for constant and random cells: the place of its mark among them.

        The searcher says nothing of them, but where a group has several of one kind.
        """
        found: dict[str, Key] = {}
        for group in groups:
            cells = [(row, (row.control, *self._key(row, "selector"))) for row in group.rows if _is_cell(row)]
            kinds = Counter(kind for _, kind in cells)
            found |= {row.records[0].id: kind if kinds[kind] == 1 else (*kind, row.name) for row, kind in cells}
        ordered = {key: place for place, key in enumerate(sorted(set(found.values())))}
        return {name: ordered[key] for name, key in found.items()}


def _differing(groups: Sequence[Group], part: str) -> Mapping[str, list[str]]:
    """By name: the settings in which rows with that searcher (or selector) differ within a group.

    A searcher's are all that are no selector's: two lengths of a search are two methods.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for group in groups:
        by_name: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in group.rows:
            by_name[str(getattr(row.records[0], part))].append(own_settings(row.records[0]))
        for name, alike in by_name.items():
            keys = {
                key for own in alike for key in own if (key.partition(".")[0] == "selector") == (part == "selector")
            }
            found[name] |= {key for key in keys if len({str(own.get(key)) for own in alike}) > 1}
    return defaultdict(list, {name: sorted(keys - {"selector"}) for name, keys in found.items()})


def _is_random(key: Key) -> bool:
    return key[0] in (UNIFORM, *PURE_RANDOM)


def _is_cell(row: Row) -> bool:
    """Whether it is a cell that nothing was searched for."""
    return row.control in (CONSTANT, RANDOM_CELL)


def _marker(markers: str, place: int) -> str:
    return markers[place] if place < len(markers) else f"${place}$"


def _dashes(cycle: int) -> Dashes:
    """A whole line, then a dash and one dot more each time."""
    return (0, ()) if cycle == 0 else (0, (5, 1.5, *(1, 1.5) * (cycle - 1)))
