"""A file of scores, a line an architecture: written, read, and what in it is not finite counted and named."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from ..errors import BenchbedError, unknown
from ..report.markdown import write_files
from ..space import Architecture, Space
from ..tables.csv_reader import Sheet, strict_number
from .cells import architectures

NOT_FINITE = ("nan", "inf", "-inf")


class Scores(NamedTuple):
    """cells: the architectures; columns: name -> float64 (cells,), NaN and infinities as the proxies gave them."""

    cells: list[Architecture]
    columns: dict[str, Float64[np.ndarray, " cells"]]


def not_finite(values: Float64[np.ndarray, " n"]) -> dict[str, int]:
    """How many are NaN and how many infinite; what there is none of is left out."""
    found = {"NaN": int(np.isnan(values).sum()), "infinite": int(np.isinf(values).sum())}
    return {word: count for word, count in found.items() if count}


def in_words(name: str, values: Float64[np.ndarray, " n"], cells: Sequence[Architecture]) -> str | None:
    """'synflow: 3 of 500 scores are not finite (2 NaN, 1 infinite), the first of CELL'; None where all are."""
    if not (found := not_finite(values)):
        return None
    first = cells[int(np.flatnonzero(~np.isfinite(values))[0])]
    kinds = ", ".join(f"{count:,} {word}" for word, count in found.items())
    return f"{name}: {sum(found.values()):,} of {len(values):,} scores are not finite ({kinds}), the first of {first}"


def write(out: Path, scores: Scores, facts: Mapping[str, Any]) -> Path:
    """OUT/scores.csv and OUT/scores.json, which says what they are of."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["arch", *scores.columns])
    for row, cell in enumerate(scores.cells):
        lines.writerow([cell.text, *(repr(float(values[row])) for values in scores.columns.values())])
    write_files(out, {"scores.csv": text.getvalue(), "scores.json": json.dumps(facts, indent=2) + "\n"})
    return out / "scores.csv"


def read(path: Path, column: str, space: Space) -> Scores:
    """One column of a CSV file of architectures, in any notation that `table import` reads.

    An empty field is no score; 'nan' and 'inf' are what they say. Raises BenchbedError, one line, for a file or a
    column that is not there, for an architecture of another space or that stands twice, and for a field
    that is no number.
    """
    sheet = Sheet(path)
    if column not in sheet.header:
        raise unknown(f"column of {path}", column, sheet.header)
    cells = architectures(space, sheet)
    at: dict[Architecture, int] = {}
    values = np.full(len(cells), np.nan)
    for row, (cell, text) in enumerate(zip(cells, sheet.text(column), strict=True)):
        if (earlier := at.setdefault(cell, row)) != row:
            raise BenchbedError(f"{sheet.where(row)}: {cell} is on line {sheet.lines[earlier]} already")
        word = text.strip()
        values[row] = strict_number(word) if word else np.nan
        if np.isnan(values[row]) and word and word.lower() not in NOT_FINITE:
            raise BenchbedError(f"{sheet.where(row)}: {column} holds {word[:40]!r}, which is not a number")
    return Scores(cells, {column: values})
