"""Tables of plain text that fit their width: columns are left out by rank, names and numbers are never cut."""

import textwrap
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console

GAP = "  "
LEAST = 20  # letters of a column that breaks its lines


class Column(NamedTuple):
    """rank: 0 always stands there; of the others the greatest is left out first. wraps: breaks its lines at spaces."""

    heading: str
    right: bool = False
    rank: int = 0
    wraps: bool = False


def fitted(columns: Sequence[Column], rows: Iterable[Sequence[str]], width: int) -> list[str]:
    """The table's lines, the headings first, at most `width` wide where that can be without cutting.

    Columns without a word are left out; those that do not fit are named in a last line.
    """
    rows = list(rows)
    shown = [k for k in range(len(columns)) if any(row[k] for row in rows)]
    if not shown:
        return []
    wide = {k: max(cell_len(text) for text in (columns[k].heading, *(row[k] for row in rows))) for k in shown}
    least = {k: min(wide[k], max(LEAST, _longest_word(k, rows))) if columns[k].wraps else wide[k] for k in shown}
    left_out = []
    while sum(least[k] for k in shown) + len(GAP) * (len(shown) - 1) > width:
        ranked = [k for k in shown if columns[k].rank]
        if not ranked:
            break
        last = max(ranked, key=lambda k: columns[k].rank)
        shown.remove(last)
        left_out.append(last)
    room = width - sum(least[k] for k in shown) - len(GAP) * (len(shown) - 1)
    for k in shown:
        more = min(max(room, 0), wide[k] - least[k])
        least[k] += more
        room -= more
    lines = [line for row in ([c.heading for c in columns], *rows) for line in _row(columns, row, shown, least)]
    if not any(columns[k].heading for k in shown):
        del lines[0]
    if left_out:
        lines.append(f"(for want of room without: {', '.join(columns[k].heading for k in sorted(left_out))})")
    return lines


def _longest_word(k: int, rows: Sequence[Sequence[str]]) -> int:
    return max((cell_len(word) for row in rows for word in row[k].split()), default=0)


def _row(columns: Sequence[Column], row: Sequence[str], shown: Sequence[int], wide: dict[int, int]) -> list[str]:
    """The lines of one row: one, or as many as its longest broken text has."""
    parts = {k: wrapped(row[k], wide[k]) if columns[k].wraps else [row[k]] for k in shown}
    lines = []
    for number in range(max(map(len, parts.values()), default=0)):
        cells = []
        for k in shown:
            text = parts[k][number] if number < len(parts[k]) else ""
            room = " " * (wide[k] - cell_len(text))
            cells.append(room + text if columns[k].right else text + room)
        lines.append(GAP.join(cells).rstrip())
    return lines


def wrapped(text: str, width: int, first: str = "", later: str = "") -> list[str]:
    """Its lines, broken at spaces alone: a path, a command or an architecture stays whole, and may be longer.

    first, later: what stands before the first line and before the others.
    """
    found = textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )
    return found or [""]


def labelled(pairs: Iterable[tuple[str, str]], width: int) -> list[str]:
    """Labels and their texts in two columns, the texts broken at spaces."""
    return fitted([Column(""), Column("", wraps=True)], list(pairs), width)


def put(console: Console, lines: Iterable[str]) -> None:
    """Prints lines as they are: no markup, and none broken or cut."""
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
