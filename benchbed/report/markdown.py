"""Tables in Markdown, and a study's files written whole or not at all."""

import json
import math
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ..runtime.files import make_folder, one_line, own_tag, write_atomic
from ..stats.interval import Interval, mean_interval

K = TypeVar("K", bound=Hashable)


def in_words(i: Interval, signed: bool = False, digits: int = 2) -> str:
    """A mean with its 95 % interval, or why it has none: `4.21 (3.90 to 4.55)`, `4.21 (all equal)`."""
    form = f"{'+' if signed else ''}.{digits}f"
    return f"{i.mean:{form}}" + (f" ({i.span(form)})" if i.n > 1 else "")


def with_deviation(i: Interval) -> str:
    """A mean with its sample deviation, `67.05 ± 1.35`; of one value alone the value."""
    return f"{i.mean:.2f}" + (f" ± {i.deviation:.2f}" if i.n > 1 else "")


def p_in_words(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def mean_in_words(values: Iterable[float], signed: bool = False, digits: int = 2) -> str:
    """The mean of the values that are finite, `in_words`; empty where none is."""
    there = [v for v in values if math.isfinite(v)]
    return in_words(mean_interval(there), signed, digits) if there else ""


def means(rows: Iterable[Any], by: Callable[[Any], K], columns: Sequence[str]) -> dict[K, dict[str, Interval]]:
    """By key, in the order of the rows: each column's mean over the rows of that key, with its interval."""
    groups: dict[K, list[Any]] = {}
    for row in rows:
        groups.setdefault(by(row), []).append(row)
    return {
        key: {column: mean_interval([float(getattr(row, column)) for row in own]) for column in columns}
        for key, own in groups.items()
    }


_BAR = re.compile(r"(?<!\\)((?:\\\\)*)\|")
_MARKUP = re.compile(r"<(?=[A-Za-z/!?])(?!/?u>)")  # a tag or a comment; an underline is ours
_LINK = re.compile(r"\]\((?=\s*(?:javascript|data|vbscript|https?|file):)", re.IGNORECASE)


def escaped(text: str) -> str:
    """A text from a record or a file as a field of a Markdown table: as `in_prose`, and no field of its own."""
    return _BAR.sub(r"\1\\|", in_prose(text))


def in_prose(text: str) -> str:
    """A text from a record or a file, as words of a Markdown page: no tag, no link, no line of its own."""
    line = "".join(letter if letter.isprintable() or letter == "\xa0" else " " for letter in text)
    return _LINK.sub(r"]\\(", _MARKUP.sub("&lt;", line))


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table in Markdown. A cell is one line, and has no bar but those that it has already escaped."""
    lines = [f"| {' | '.join(map(escaped, row))} |" for row in (head, *rows)]
    return [lines[0], "|" + "---|" * len(head), *lines[1:]]


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """A line a row; a number that is not there, NaN, or infinite is null, for JSON has neither."""
    return "".join(json.dumps(without_nan(row), allow_nan=False) + "\n" for row in rows)


def without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_files(place: Path, files: Mapping[str, str | bytes]) -> None:
    """Files by name into the folder, each whole or not at all. Raises BenchbedError where the system refuses."""
    with one_line(place, "make"):
        make_folder(place)
    tag = own_tag()  # shards of a sweep report at the same time
    for name, content in files.items():
        write_atomic(place / name, content.encode() if isinstance(content, str) else content, tag)
