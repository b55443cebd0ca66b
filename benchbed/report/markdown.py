"""Tables in Markdown, and a study's files written whole or not at all."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..runtime.files import one_line, own_tag, write_atomic
from ..stats.interval import Interval

# -- tables and files --------------------------------------------------------------------------------------------------


def in_words(i: Interval, signed: bool = False) -> str:
    """A mean with its 95 % interval, where there is one: `4.21 (3.90 to 4.55)`."""
    sign = "+" if signed else ""
    interval = f" ({i.low:{sign}.2f} to {i.high:{sign}.2f})" if math.isfinite(i.low) and math.isfinite(i.high) else ""
    return f"{i.mean:{sign}.2f}{interval}"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table in Markdown."""
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    return [lines[0], "|" + "---|" * len(head), *lines[1:]]


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def write_files(place: Path, files: Mapping[str, str | bytes]) -> None:
    """Files by name into the folder, each whole or not at all. Raises BenchbedError where the system refuses."""
    with one_line(place, "make"):
        place.mkdir(parents=True, exist_ok=True)
    tag = own_tag()  # shards of a sweep report at the same time
    for name, content in files.items():
        write_atomic(place / name, content.encode() if isinstance(content, str) else content, tag)
