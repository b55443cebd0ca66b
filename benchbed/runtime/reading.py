"""The one way in for what comes from outside: text, JSON and TOML of a bounded size and form, and nothing but a file.

A file may be a stranger's. So it is opened only if it is a regular file (a link to one is followed: people link their
data), no more of it is read than its kind may have, and what it says is counted before anything is made of it: depth,
values, digits and letters. `archives` does the same for zip files and numpy's arrays, `pickles` for pickles; no other
module of benchbed calls a parser of Python's own (`tests/test_one_reader.py` looks).

The parsers raise `Unfit`, a ValueError whose text is the reason alone; who reads a file puts its name before it.
"""

import hashlib
import io
import json
import os
import re
import stat
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..errors import BenchbedError

# Without the first a pipe's name would wait for a writer; without the last Windows changes line ends.
_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class Limits:
    """What a file may have, by its kind. Every published file that benchbed knows is far below.

    The numbers keep what a hostile file can make Python hold below about half a gigabyte. Files that are larger than
    that as they were published (archives, pickles) are measured by their own size instead: see `archives`, `pickles`.
    """

    json_bytes: int = 32 << 20  # NAS-Bench-Macro's has 1.2 MB
    json_values: int = 2_000_000
    lines_bytes: int = 128 << 20  # of a file with a JSON text a line: a history, what failed
    depth: int = 64  # of JSON and TOML
    digits: int = 20  # of a whole number: 64 bits
    letters: int = 1 << 20  # of one text in JSON
    toml_bytes: int = 1 << 20
    dotted: int = 32  # parts of a dotted key, whose cost grows with their square
    source_bytes: int = 4 << 20  # of a plug-in
    text_bytes: int = 16 << 20  # of a latency table: the published one has 10 kB
    csv_weight: int = 128 << 20  # bytes of the text in memory: a character that is not ASCII weighs four
    csv_rows: int = 1_200_000  # a grid has at most 2^20
    csv_fields: int = 6_000_000
    csv_columns: int = 10_000


LIMITS = Limits()


class Unfit(ValueError):
    """Why a text is not read: a few words, without the file's name."""


# -- the file ----------------------------------------------------------------------------------------------------------


@contextmanager
def opened(path: Path, most: int | None = None, what: str = "") -> Iterator[io.BufferedReader]:
    """The regular file at `path`, to be read; `what` stands before its name, such as 'latency table '.

    Raises BenchbedError that names it for what is not there, is not a regular file (it is not even opened: a pipe would
    wait for a writer), has more than `most` bytes, or fails while it is read.
    """
    try:
        descriptor = _descriptor(path)
    except (OSError, ValueError) as error:
        raise BenchbedError(f"cannot read {what}{path}: {reason(error)}{near(path)}") from None
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        if most is not None and size > most:
            raise BenchbedError(f"cannot read {what}{path}: it has {size:,} bytes, and at most {most:,} are read")
        try:
            yield file
        except OSError as error:
            raise BenchbedError(f"cannot read {what}{path}: {reason(error)}") from None


def parse_yaml(text: str) -> Any:
    """YAML as a tree of nodes (`yaml.Node`) whose scalars are text, with their lines; None where it is empty.

    Raises Unfit. libyaml bounds the depth, and an alias is the node that it stands for, not a copy.
    """
    import yaml

    try:
        return yaml.compose(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    except (yaml.YAMLError, RecursionError) as error:
        raise Unfit(" ".join(str(error).split())[:200]) from None


def near(path: Path) -> str:
    """A hint at the file of the folder whose name is most like that of `path`, which is missing; '' without one."""
    try:
        if path.exists():
            return ""
        found = get_close_matches(path.name, os.listdir(path.parent), 1, 0.7)
    except (OSError, ValueError):
        return ""
    return f"; did you mean '{path.parent / found[0]}'?" if found else ""


def read_at(path: Path, file: io.BufferedReader, count: int, first: int) -> bytes:
    """`count` bytes from byte `first` of the file that is open, or those up to its end; threads may read at once."""
    if sys.platform == "win32":  # no pread there, and no open file is replaced
        with open(path, "rb") as again:
            again.seek(first)
            return again.read(count)
    return os.pread(file.fileno(), count, first)


def _descriptor(path: Path) -> int:
    _refuse_other(os.stat(path).st_mode)
    descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    try:
        _refuse_other(os.fstat(descriptor).st_mode)  # another thing may have taken the name since
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def _refuse_other(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise Unfit("Is a directory")
    if not stat.S_ISREG(mode):
        raise Unfit(f"it is {_KINDS.get(stat.S_IFMT(mode), 'something else')}, expected a regular file")


def reason(error: BaseException) -> str:
    """The error in a few words: the first line of what it says."""
    said = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return str(said).splitlines()[0][:120]


def read_bytes(path: Path, most: int, what: str = "") -> bytes:
    """The file's content. Raises BenchbedError as `opened` does."""
    with opened(path, most, what) as file:
        return file.read(os.fstat(file.fileno()).st_size)  # what is appended meanwhile is left for the next look


def read_text(path: Path, most: int, what: str = "") -> str:
    """The file as UTF-8. Raises BenchbedError as `opened` does, and where it is no such text."""
    data = read_bytes(path, most, what)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BenchbedError(f"cannot read {what}{path}: it is not UTF-8 text (byte {error.start:,})") from None


def sha256_of(path: Path) -> str:
    """The SHA-256 of the file's content, in hexadecimal digits. Raises BenchbedError as `opened` does."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- JSON --------------------------------------------------------------------------------------------------------------

_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'  # to the end where it is not closed: no second attempt from inside it
_MARKS = re.compile(_STRING + r"|[\[\]{}]", re.DOTALL)


def parse_json(data: bytes | str, finite: bool = True) -> Any:
    """The value of a JSON text. Raises Unfit where it is none, or one that no file of benchbed's or its sources has.

    finite: refuses NaN and infinities, which JSON has not and Python writes. Refused are also a member that stands
    twice, a whole number beyond 64 bits, half of a character, a null character, and what is beyond `LIMITS`.
    """
    if len(data) > LIMITS.lines_bytes:
        raise Unfit(f"it has {len(data):,} bytes, and at most {LIMITS.lines_bytes:,} are read")
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        _refuse_form(text)
        value = json.loads(
            text,
            object_pairs_hook=_members,
            parse_int=_whole,
            parse_float=_finite if finite else float,
            parse_constant=_no_constant if finite else float,
        )
    except RecursionError:
        raise Unfit(f"it is nested more than {LIMITS.depth} deep") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Unfit(reason(error)) from None
    if "\\u" in text or not text.isascii():
        refuse_letters(value)
    return value


def _refuse_form(text: str) -> None:
    """Counts values and depth before the parser runs, and measures the longest text."""
    marks = text.count("[") + text.count("{")
    if text.count(",") + marks > LIMITS.json_values:
        raise Unfit(f"it has more than {LIMITS.json_values:,} values")
    if marks <= LIMITS.depth and len(text) <= LIMITS.letters:
        return
    depth = 0
    for found in _MARKS.finditer(text):
        mark = text[found.start()]
        if mark == '"':
            if found.end() - found.start() > LIMITS.letters:
                raise Unfit(f"it has a text of more than {LIMITS.letters:,} letters")
            continue
        depth += 1 if mark in "[{" else -1
        if depth > LIMITS.depth:
            raise Unfit(f"it is nested more than {LIMITS.depth} deep")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Unfit(f"the member {twice[:40]!r} appears twice")
    return found


def _whole(text: str) -> int:
    if len(text) > LIMITS.digits + text.startswith("-"):
        raise Unfit(f"a whole number of {len(text)} digits, and at most {LIMITS.digits} are read")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise Unfit(f"{text[:40]} is beyond what a number can be")
    return value


def _no_constant(name: str) -> float:
    raise Unfit(f"{name} is not a number")


def refuse_letters(value: object) -> None:
    """Raises Unfit for a text with half of a character, which cannot be printed, or a null, which no path can hold."""
    if isinstance(value, str):
        if "\0" in value:
            raise Unfit("it has a text with a null character, which no name or path can hold")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise Unfit("it has a text with half of a character (a lone surrogate)") from None
    elif isinstance(value, dict):
        for key, inner in value.items():
            refuse_letters(key)
            refuse_letters(inner)
    elif isinstance(value, list):
        for inner in value:
            refuse_letters(inner)


def parse_line(line: str | bytes) -> Any:
    """One line of our own that may hold what Python writes for numbers that are not finite. Raises Unfit."""
    return parse_json(line, finite=False)


# -- TOML --------------------------------------------------------------------------------------------------------------

_TOML_TEXT = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"""|\Z)' + r"|'''(?:[^']|'(?!''))*+(?:'''|\Z)"
    r'|"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"?' + r"|'[^'\n]*+'?" + r"|#[^\n]*+",
    re.DOTALL,
)  # fmt: skip
_BARE = r"[A-Za-z0-9_-]"
_LONG_KEY = re.compile(rf"(?<!{_BARE})(?:{_BARE}++[ \t]*+\.[ \t]*+){{{LIMITS.dotted},}}")
_LONG_NUMBER = re.compile(r"(?<![A-Za-z0-9_-])[+-]?[0-9][0-9A-Fa-f_xob]{39,}")


def parse_toml(text: str) -> dict[str, Any]:
    """The table of a TOML text. Raises a ValueError: TOMLDecodeError where it is none, Unfit beyond `LIMITS`."""
    bare = _TOML_TEXT.sub("s", text)
    if _LONG_KEY.search(bare):
        raise Unfit(f"it has a key of more than {LIMITS.dotted} parts")
    if _LONG_NUMBER.search(bare):
        raise Unfit("it has a number of more than 40 digits")
    depth = 0
    for mark in re.findall(r"[\[\]{}]", bare):
        depth += 1 if mark in "[{" else -1
        if depth > LIMITS.depth:
            raise Unfit(f"it is nested more than {LIMITS.depth} deep")
    try:
        found = tomllib.loads(text)
        _refuse_deep(found)
        refuse_letters(found)
    except RecursionError:
        raise Unfit(f"it is nested more than {LIMITS.depth} deep") from None
    except (Unfit, tomllib.TOMLDecodeError):
        raise
    except ValueError as error:  # a number that int() or a date that datetime refuses
        raise Unfit(reason(error)) from None
    return found


def _refuse_deep(value: object, above: int = 0) -> None:
    if above > LIMITS.depth:
        raise Unfit(f"it is nested more than {LIMITS.depth} deep")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**LIMITS.digits:
        raise Unfit(f"it has a whole number of more than {LIMITS.digits} digits")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in inner:
        _refuse_deep(part, above + 1)


# -- CSV ---------------------------------------------------------------------------------------------------------------


def csv_lines(file: io.BufferedReader) -> Iterator[str]:
    """The lines of a CSV file, with their ends. Raises Unfit beyond the limit; UnicodeDecodeError for no UTF-8."""
    weight = 0
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    while line := text.readline(LIMITS.csv_weight):
        weight += len(line) if line.isascii() else 4 * len(line)
        if weight > LIMITS.csv_weight:
            raise Unfit(f"it has more than {LIMITS.csv_weight:,} characters (one that is not ASCII counts four)")
        yield line
    text.detach()


def csv_cell(value: object) -> object:
    """What a report writes for a value: a text that a spreadsheet would run as a formula gets an apostrophe before it.

    Such a text begins with = + - @, a tab or a return, and is no plain number. `plain_cell` takes it off again.
    """
    if not isinstance(value, str) or value[:1] not in _FORMULA or not value:
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


_FORMULA = frozenset("=+-@\t\r")


def plain_cell(text: str) -> str:
    """What `csv_cell` was given."""
    return text[1:] if text[:1] == "'" and text[1:2] in _FORMULA and len(text) > 1 else text
