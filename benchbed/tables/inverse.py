"""Figures in, cells out: which cells of a table have these accuracies, on which data sets and splits. Numpy alone.

A printed row of a method is often the figures of one cell of the benchmark. `whois` says which cells' figures equal
the given ones, each to the decimals that it is printed with, and nothing about how they came to be equal.
"""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import BenchbedError
from ..space import Architecture
from .figures import Figure
from .table import Table
from .trusted import trusted

MOST_FIGURES = 8  # of a question: more than a benchmark of three data sets has for one cell
NEAREST = 3  # cells that are named where none has all figures
_LOOKED = 200  # cells of the least distance, figure by figure, among which the nearest are looked for
_SLACK = 1e-4  # points: what single precision loses


class Given(NamedTuple):
    """One figure of a question, as it was written: percent, and how far a cell's value may be from it."""

    text: str
    value: float
    tolerance: float


class Whois(NamedTuple):
    """A cell. `figures`: for each given figure, in its order, which one of the cell's it is held against, and that
    one's value in percent; `equal`: whether each is within its tolerance. `number`: the cell's index in the benchmark's
    own files, None where the table has no order."""

    architecture: Architecture
    number: int | None
    figures: tuple[tuple[Figure, float], ...]
    equal: tuple[bool, ...]


class Found(NamedTuple):
    """The answer: the cells that have all figures, in the table's order; where there is none, the nearest ones."""

    given: tuple[Given, ...]
    cells: tuple[Whois, ...]
    nearest: tuple[Whois, ...]


def given_figure(figure: str | float, tolerance: float | None = None) -> Given:
    """A figure as it was written, "94.36" or 94.36; half of its last decimal is its tolerance unless one is given.

    Raises BenchbedError for words, and for what no accuracy in percent can be.
    """
    text = str(figure).strip()
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise BenchbedError(f"whois '{text}': expected an accuracy in percent, such as 94.36") from None
    value, exponent = float(number), number.as_tuple().exponent
    if not isfinite(value) or not 0 <= value <= 100:
        raise BenchbedError(f"whois {text}: an accuracy in percent is expected, from 0 to 100")
    assert isinstance(exponent, int)
    return Given(text, value, 0.5 * 10.0 ** min(exponent, 0) if tolerance is None else tolerance)


def equal_to(given: Given, values: np.ndarray) -> np.ndarray:
    """bool: which values, in percent, the figure may have been written for; a missing one is none."""
    close: np.ndarray = np.abs(values - given.value) <= given.tolerance + _SLACK
    return close


def whois(
    table: Table | str | Path, figures: Sequence[str | float], epochs: int | None = None, tolerance: float | None = None
) -> Found:
    """The cells of which each given accuracy is another figure, in whatever order they are given.

    table: or its name, or its file. epochs: of the trainings, the full ones by default. tolerance: in points, in place
    of half of a figure's last decimal. Raises BenchbedError for no figure or too many, one that is none, and epochs
    that the table does not have.
    """
    table = table if isinstance(table, Table) else trusted(table)
    if tolerance is not None and not (isfinite(tolerance) and tolerance >= 0):
        raise BenchbedError(f"--tolerance {tolerance:g}: expected points of accuracy, at least 0")
    given = tuple(given_figure(figure, tolerance) for figure in figures)
    columns = _columns(table, table.full_epochs if epochs is None else epochs)
    if not 1 <= len(given) <= min(MOST_FIGURES, len(columns)):
        raise BenchbedError(
            f"whois with {len(given)} figures: table {table.name} has {len(columns)} of a cell, so 1 to "
            f"{min(MOST_FIGURES, len(columns))} can be asked for"
        )
    values = np.stack([table.values(*figure).reshape(-1) for figure in columns])
    away = np.abs(values[None] - np.array([g.value for g in given])[:, None, None])  # (given, columns, cells)
    away[np.isnan(away)] = np.inf
    limits = np.array([g.tolerance + _SLACK for g in given])
    candidates = np.flatnonzero((away.min(1) <= limits[:, None]).all(0))
    ranked = [_assigned(away[:, :, place], limits) for place in candidates.tolist()]
    cells = [
        _cell(table, int(place), columns, chosen, away, limits)
        for place, (wrong, _, chosen) in zip(candidates, ranked, strict=True)
        if wrong == 0
    ]
    nearest: list[Whois] = []
    if not cells:
        least = away.min(1)
        order = np.lexsort((least.clip(max=100).sum(0), (least > limits[:, None]).sum(0)))[:_LOOKED]
        tried = sorted((*_assigned(away[:, :, place], limits), place) for place in order.tolist())
        nearest = [_cell(table, place, columns, chosen, away, limits) for *_, chosen, place in tried[:NEAREST]]
    return Found(given, tuple(cells), tuple(nearest))


def _columns(table: Table, epochs: int) -> list[Figure]:
    """The table's figures after so many epochs, each data set's validation first."""
    columns = [figure for figure in table.figures if figure.epochs == epochs]
    if not columns:
        known = ", ".join(str(e) for e in sorted({figure.epochs for figure in table.figures}))
        raise BenchbedError(f"--epochs {epochs}: table {table.name} has {known}")
    splits = ("valid", "test", "valid+test")
    return sorted(columns, key=lambda f: (table.datasets.index(f.dataset), splits.index(f.split)))


def _assigned(away: np.ndarray, limits: np.ndarray) -> tuple[int, float, tuple[int, ...]]:
    """(figures that are off, distance in all, a column for each figure): the best way to hold figures against a cell.

    away: (given, columns), in points. Each figure has a column of its own.
    """
    count = len(away)
    # Of a figure the nearest `count` columns suffice: the others can take no more than count - 1 of them.
    near = [np.argsort(row, kind="stable")[:count] for row in away]
    best: tuple[int, float, tuple[int, ...]] | None = None
    stack: list[tuple[int, int, float, tuple[int, ...]]] = [(0, 0, 0.0, ())]
    while stack:
        row, wrong, distance, chosen = stack.pop()
        if best is not None and (wrong, distance) >= best[:2]:
            continue
        if row == count:
            best = (wrong, distance, chosen)
            continue
        for column in near[row][::-1].tolist():
            if column not in chosen:
                off = float(away[row, column])
                stack.append((row + 1, wrong + int(off > limits[row]), distance + off, (*chosen, column)))
    assert best is not None
    return best


def _cell(
    table: Table, place: int, columns: Sequence[Figure], chosen: Sequence[int], away: np.ndarray, limits: np.ndarray
) -> Whois:
    architecture = table.places.architecture(place)
    number = None if table.order is None else table.index(architecture)
    figures = tuple((columns[c], float(table.values(*columns[c]).reshape(-1)[place])) for c in chosen)
    equal = tuple(bool(away[row, c, place] <= limits[row]) for row, c in enumerate(chosen))
    return Whois(architecture, number, figures, equal)


def text(found: Found, table: str, most: int = 10) -> str:
    """The answer for a reader."""
    asked = " ".join(g.text for g in found.given)
    if found.cells:
        count = len(found.cells)
        lines = [f"{count:,} cell{'s' * (count > 1)} of table {table} {'have' if count > 1 else 'has'} {asked}"]
        lines += [line for cell in found.cells[:most] for line in _lines(found, cell)]
        if count > most:
            lines.append(f"and {count - most:,} more: --most {count} shows all, another figure leaves fewer")
    else:
        lines = [f"no cell of table {table} has {asked}; the nearest:"]
        lines += [line for cell in found.nearest[:most] for line in _lines(found, cell)]
    return "\n".join([*lines, "", "That figures are equal says nothing about how they came to be so."])


def _lines(found: Found, cell: Whois) -> list[str]:
    where = "" if cell.number is None else f"index {cell.number:,}  "
    lines = ["", f"{where}{cell.architecture}"]
    for given, (figure, value), equal in zip(found.given, cell.figures, cell.equal, strict=True):
        lines.append(f"  {given.text:>8}  {'=' if equal else '!'} {value:.4f}  {figure.dataset} {figure.split}")
    return lines
