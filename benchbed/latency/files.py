"""Reads latency files: the authors' YAML, our own measured JSON, a CSV of whole networks. Strict, and without torch."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from ..errors import BenchbedError, unknown
from ..runtime.reading import LIMITS, parse_json, parse_yaml
from ..runtime.reading import read_text as text_of
from ..space import Space
from ..tables.csv_reader import Sheet, strict_number
from ..tables.notations import KEYS, native

FORMAT = "benchbed-latency"
UNIT = "ms"
AUTHORS_FIELDS = ("count", "mean", "var")  # of mobile_trim.yaml; times in ms
OTHER_COLUMNS = ("index",)  # no device


class Entries(NamedTuple):
    """times: ms by key. device: what was measured, as the file says, or its name."""

    times: dict[str, float]
    device: str


def read_text(path: Path) -> str:
    """The file. Raises BenchbedError where it cannot be read or is no text."""
    return text_of(path, LIMITS.text_bytes, "latency table ")


def read_entries(path: Path, space: str) -> Entries:
    """A look-up table, YAML of the authors' or JSON of our own; the space's name is checked where the file tells it.

    Raises BenchbedError, one line, for a file that is neither, another space or unit, and a time that is not positive.
    """
    text = read_text(path)
    if text.lstrip().startswith("{"):
        return _ours(path, text, space)
    return Entries(_authors(path, text), path.stem)


def check_time(path: Path, key: str, value: object) -> float:
    """A time in ms. Raises BenchbedError that names the key unless it is a positive finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise BenchbedError(f"latency table {path}: {key} takes {value!r} ms, expected a positive number")
    return float(value)


def _authors(path: Path, text: str) -> dict[str, float]:
    """`KEY:` and under it count, mean and var, of which mean is read: the published file's YAML."""
    try:
        tree = parse_yaml(text)
    except ValueError as error:
        raise BenchbedError(f"latency table {path} is neither YAML nor JSON: {error}") from None
    if tree is None:
        raise BenchbedError(f"latency table {path} is empty")
    times = {}
    for key, node in _mapping(path, tree, "'KEY:' and its times").items():
        fields = _mapping(path, node, f"'KEY:' and under it {', '.join(AUTHORS_FIELDS)}", AUTHORS_FIELDS)
        mean = fields.get("mean")
        times[key] = check_time(path, key, _number(mean.value if isinstance(mean, yaml.ScalarNode) else None))
    return times


def _mapping(path: Path, node: yaml.Node, wanted: str, names: Sequence[str] | None = None) -> dict[str, yaml.Node]:
    """A node's values by name. Raises BenchbedError, with the line, for another node, another name or a repetition."""

    def wrong(at: yaml.Node, what: str) -> BenchbedError:
        return BenchbedError(f"latency table {path} line {at.start_mark.line + 1}: {what}")

    if not isinstance(node, yaml.MappingNode):
        raise wrong(node, f"expected {wanted}, got {str(node.value)[:60]!r}")
    found: dict[str, yaml.Node] = {}
    for name, value in node.value:
        if not isinstance(name, yaml.ScalarNode) or (names is not None and name.value not in names):
            accepted = ", ".join(names or ["KEY"])
            raise wrong(name, f"expected one of {accepted} (times in ms), got {str(name.value)[:60]!r}")
        if name.value in found:
            raise wrong(name, f"{name.value} appears twice")
        found[name.value] = value
    return found


def _number(text: str | None) -> float | str | None:
    found = strict_number(text or "")
    return text if math.isnan(found) else found


def read_ours(path: Path) -> dict[str, Any]:
    """A measured table whole, its header as the writer left it. Raises BenchbedError for anything else."""
    return _ours_tree(path, read_text(path))


def _ours_tree(path: Path, text: str) -> dict[str, Any]:
    try:
        tree = parse_json(text)
    except ValueError as error:
        raise BenchbedError(f"latency table {path} is not JSON: {error}") from None
    if not isinstance(tree, dict) or tree.get("format") != FORMAT or not isinstance(tree.get("entries"), dict):
        raise BenchbedError(f"latency table {path} is not a file of 'latency measure': it lacks format '{FORMAT}'")
    return tree


def _ours(path: Path, text: str, space: str) -> Entries:
    tree = _ours_tree(path, text)
    if tree.get("unit") != UNIT:
        raise BenchbedError(f"latency table {path} is in {tree.get('unit')!r}: expected unit '{UNIT}'")
    if tree.get("space") != space:
        raise BenchbedError(f"latency table {path} is of space '{tree.get('space')}', not of '{space}'")
    times = {}
    for key, found in tree["entries"].items():
        times[key] = check_time(path, key, found.get("median") if isinstance(found, dict) else found)
    device = str(tree.get("device_name", tree.get("device")))
    if not device.isprintable():
        raise BenchbedError(f"latency table {path} has device_name {device!r}: expected printable characters")
    return Entries(times, device)


def read_whole(path: Path, column: str | None, space: Space) -> tuple[np.ndarray, str]:
    """(ms, one axis a position, NaN where an architecture is missing; the column): a CSV with a column a device.

    Raises BenchbedError that names the line for a string of another space, a repetition or a time that is not positive.
    """
    sheet = Sheet(path)
    strings = next((name for name in KEYS if name in sheet.header), None)
    if strings is None:
        raise BenchbedError(f"latency table {path} has no column of architectures: expected {KEYS[0]}")
    devices = [name for name in sheet.header if name not in (*KEYS, *OTHER_COLUMNS)]
    if column is None:
        if len(devices) != 1:
            some = ", ".join(devices[:4])
            raise BenchbedError(
                f"latency table {path} has {len(devices)} devices: give one as {path.name}:DEVICE ({some}, ...)"
            )
        column = devices[0]
    if column not in devices:
        raise unknown(f"device in latency table {path.name}:", column, devices)
    times = sheet.numbers(column)
    values = np.full([len(p.operations) for p in space.positions], np.nan)
    for row, (text, time) in enumerate(zip(sheet.text(strings), times, strict=True)):
        try:
            choices = space.parse(native(text, space)).choices
        except BenchbedError as error:
            raise BenchbedError(f"{sheet.where(row)}: {error}") from None
        if not np.isnan(values[choices]):
            raise BenchbedError(f"{sheet.where(row)}: {text} appears twice")
        if time <= 0:
            raise BenchbedError(f"{sheet.where(row)}: {column} is {time:g} ms, expected a positive number")
        values[choices] = time
    return values, column
