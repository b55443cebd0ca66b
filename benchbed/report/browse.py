"""`table browse`: a table as one HTML page on which its cells are searched, plotted, drawn and compared, offline.

Style, scripts and data are in the page, and its policy forbids every request. The scripts, the files of `browser/`,
know no space by name: positions, operations, how a native string is put together and how a cell is drawn are data.
"""

import hashlib
import json
from base64 import b64encode
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BenchbedError
from ..runtime.files import one_line, write_atomic
from ..space import Architecture, Space
from ..tables import Table
from ..tables.notations import numbered
from .browse_columns import packed
from .browse_figures import Shown, shown, start
from .draw import ABSENT, colours_of, graphs

COUNTED = ("params/", "flops/")  # figures that need no training
MOST = 1 << 17  # architectures of a page: every step of it looks at all of them
MARK = '<meta name="generator" content="benchbed table browse">'  # by which a page of ours is known
STYLES = ("page.css", "cells.css")
SCRIPTS = (
    "data.js", "cells.js", "query.js", "state.js", "plot.js", "list.js", "drawing.js", "pinned.js", "controls.js",
    "main.js",
)  # fmt: skip
_FIRST = ord("0")  # an operation's letter in a cell's code: '0', '1', ...; '-' where the position is dropped


def write_page(table: Table, out: Path, force: bool = False) -> int:
    """Writes the page whole or not at all; returns its size in bytes. The same table gives the same bytes.

    Raises BenchbedError for a table that a page cannot hold, and where `out` cannot be written or is a file that is no
    such page, unless `force`.
    """
    if out.is_dir():
        raise BenchbedError(f"--out {out} is a folder: expected a file, such as {out / f'{table.name}.html'}")
    if out.is_file() and not force and not _is_ours(out):
        raise BenchbedError(f"{out} is there already and no page of 'table browse': give another name, or --force to "
                            "replace it")  # fmt: skip
    text = page(table).encode()
    write_atomic(out, text)
    return len(text)


def _is_ours(path: Path) -> bool:
    with one_line(path, "read"), open(path, "rb") as file:
        return MARK.encode() in file.read(1000)


def page(table: Table) -> str:
    """The page's text. Raises BenchbedError for a table that it cannot hold."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    folder = files("benchbed.report") / "browser"
    style = "\n" + "".join((folder / name).read_text("utf-8") for name in STYLES)
    parts = [(folder / name).read_text("utf-8") for name in SCRIPTS]
    script = "\n".join(["", '(() => {"use strict";', *parts, "})();", ""])
    data = payload(table)
    environment = Environment(loader=PackageLoader("benchbed.report", "browser"), autoescape=True,
                              undefined=StrictUndefined)  # fmt: skip
    return environment.get_template("page.html.j2").render(
        mark=Markup(MARK), name=table.name, space=table.meta["space"], fingerprint=table.fingerprint,
        made=table.meta.get("made") or "", notes=table.meta.get("notes") or [],
        count=len(data["codes"]) // data["width"], sources=table.meta.get("sources") or [],
        style=Markup(style), script=Markup(script), style_hash=_hash(style), script_hash=_hash(script),
        data=Markup(_json(data)),
    )  # fmt: skip


def payload(table: Table) -> dict[str, Any]:
    """All that the page's scripts know. Rows are the architectures with a figure, by the official index if there is.

    Sizes that a formula gives to every member of the space make none of them one with a figure, unless all are such.
    """
    figures = shown(table)
    there = np.zeros(len(table.places), dtype=bool)
    for one in [figure for figure in figures if not figure.id.startswith(COUNTED)] or figures:
        there |= np.isfinite(one.values.reshape(-1))
    if not (count := int(there.sum())):
        raise BenchbedError(f"table {table.name} has no value of any architecture, so there is nothing to browse")
    if count > MOST:
        raise BenchbedError(f"table {table.name} has figures of {count:,} architectures: a page holds at most {MOST:,}")
    order = np.arange(there.size) if table.order is None else table.order
    rows = order[there[order]].astype(np.intp)
    space, choices = table.space, table.places.choices()[rows]
    columns = _Columns(rows)
    architectures = [table.places.architecture(int(place)) for place in rows]
    strings = [one.text for one in architectures]
    template = _template(space, strings, choices)
    return {
        "width": len(space.positions),
        "codes": _codes(choices),
        "positions": [p._asdict() for p in space.positions],
        "nodes": [{"incoming": node.incoming} for node in space.nodes],
        "template": template,
        "strings": None if template else strings,
        "index": None if table.order is None else columns.add(_index(table)),
        "classes": _classes(space, architectures),
        "notations": numbered(space),
        "graphs": [graph._asdict() for graph in graphs(space) or ()],
        "colours": colours_of(space),
        "absent": ABSENT,
        "figures": [_facts(one, columns) for one in figures],
        "start": start(table, figures),
        "columns": columns.packed,
    }  # fmt: skip


class _Columns:
    """The packed columns of a page; equal ones, as the same run's seconds of two splits, are one."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows, self.packed = rows, list[dict[str, Any]]()
        self._at: dict[str, int] = {}

    def add(self, values: np.ndarray) -> int:
        form = packed(values.reshape(-1)[self.rows])
        key = hashlib.sha256(json.dumps(form).encode()).hexdigest()
        if key not in self._at:
            self._at[key] = len(self.packed)
            self.packed.append(form)
        return self._at[key]


def _facts(one: Shown, columns: _Columns) -> dict[str, Any]:
    facts = {key: value for key, value in one._asdict().items() if key not in ("values", "runs")}
    runs = None if one.runs is None else columns.add(np.where(one.runs > 0, one.runs, np.nan))
    return {**facts, "column": columns.add(one.values), "runs": runs}


def _codes(choices: np.ndarray) -> str:
    """All cells in one text, a letter a position."""
    letters = np.where(choices < 0, ord("-"), choices.astype(np.int64) + _FIRST)
    return "".join(map(chr, letters.reshape(-1).tolist()))


def _index(table: Table) -> np.ndarray:
    assert table.order is not None
    found = np.full(len(table.places), np.nan)
    found[table.order] = np.arange(len(table.order))
    return found


def _classes(space: Space, architectures: list[Architecture]) -> list[list[int]]:
    """Rows that compute the same function, as the space's canonical form has it; those that are alone are left out."""
    found: dict[Any, list[int]] = {}
    for row, one in enumerate(architectures):
        found.setdefault(space.canonical(one), []).append(row)
    return [rows for rows in found.values() if len(rows) > 1]


def _template(space: Space, strings: list[str], choices: np.ndarray) -> dict[str, Any] | None:
    """How a native string is made of its operations: `pieces` of text around a word a position, or None.

    The words are the operations' names or their numbers, whichever give every string of the table.
    """
    if (choices < 0).any():
        return None
    for words in ([list(p.operations) for p in space.positions],
                  [[str(k) for k in range(len(p.operations))] for p in space.positions]):  # fmt: skip
        pieces, rest = [], strings[0]
        for position, k in zip(words, choices[0], strict=True):
            before, found, rest = rest.partition(position[k])
            pieces.append(before)
            if not found:
                break
        else:
            pieces.append(rest)
            if all(_filled(pieces, words, row) == text for row, text in zip(choices.tolist(), strings, strict=True)):
                return {"pieces": pieces, "words": words}
    return None


def _filled(pieces: list[str], words: list[list[str]], row: list[int]) -> str:
    return "".join(piece + position[k] for piece, position, k in zip(pieces, words, row, strict=False)) + pieces[-1]


def _hash(text: str) -> str:
    return "sha256-" + b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(data: Any) -> str:
    """JSON that may stand in a script element: no '<' of it can end it or begin a comment."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
