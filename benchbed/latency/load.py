"""A cost by what a user gives: a latency file, a file and a column, a table's further figure, `macs` or `params`."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..errors import BenchbedError
from ..space import Space
from ..tables.trusted import trusted
from .costs import AdditiveCost, WholeCost
from .files import UNIT, read_entries, read_whole
from .layout import Layout, layout_of

COUNTED = {"macs": "flops", "params": "params"}  # our name of the cost -> the space's
MILLION = 1e6


def split_source(source: str) -> tuple[Path, str | None]:
    """FILE or FILE:COLUMN; a file whose own name holds a colon is that file."""
    whole = Path(source)
    head, colon, column = source.rpartition(":")
    return (whole, None) if whole.exists() or not colon or not head else (Path(head), column)


def absolute_source(source: str) -> str:
    """The source with its file's absolute path."""
    if source in COUNTED or _of_table(source):
        return source
    path, column = split_source(source)
    return str(path.absolute()) + ("" if column is None else f":{column}")


def load_cost(source: str, space: Space, name: str) -> AdditiveCost | WholeCost:
    """The cost of `source` on `space`, whose name is `name`.

    `macs` and `params` are in millions, of the space's own network. Raises BenchbedError, one line, for whatever the
    file refuses, for another space's table, and for a key that it lacks: no operation is free for want of an entry.
    """
    if source in COUNTED:
        fixed, entries = space.unit_costs(COUNTED[source])
        return AdditiveCost(space, fixed / MILLION, np.asarray(entries) / MILLION, source, "M")
    if _of_table(source):
        return _further(source, space, name)
    path, column = split_source(source)
    try:
        stamp = path.stat()
    except OSError as error:
        forms = ", ".join(("FILE", "FILE:COLUMN", "table:NAME:FIGURE", *COUNTED))
        raise BenchbedError(f"cannot read latency table {path}: {error.strerror} (expected {forms})") from None
    if path.suffix.lower() == ".csv":
        key = tuple(p.operations for p in space.positions)
        return _whole(path, column, _Of(space, key), (stamp.st_mtime_ns, stamp.st_size))
    if column is not None:
        raise BenchbedError(f"latency table {path} is of one device: leave out ':{column}'")
    return additive(path, space, name)


def content_of(source: str, space: Space, name: str) -> str:
    """SHA-256 of what the source says, wherever it lies and whatever images the space is then counted for."""
    if source in COUNTED:
        return hashlib.sha256(source.encode()).hexdigest()
    if _of_table(source) or split_source(source)[0].suffix.lower() == ".csv":
        return load_cost(source, space, name).fingerprint
    times = read_entries(split_source(source)[0], name).times
    return hashlib.sha256(json.dumps(sorted(times.items())).encode()).hexdigest()


def _of_table(source: str) -> bool:
    return source.startswith("table:") and not Path(source).exists()


def _further(source: str, space: Space, name: str) -> WholeCost:
    """A further figure of an imported table, in the unit of its source, which goes by the figure's own name."""
    where, colon, figure = source.removeprefix("table:").rpartition(":")
    if not colon:
        raise BenchbedError(f"cost '{source}': expected table:NAME:FIGURE, such as table:nb201:pixel3_latency")
    table = trusted(where)
    if table.meta["space"] != name:
        raise BenchbedError(f"cost '{source}': table {table.name} is of space '{table.meta['space']}', not '{name}'")
    values = table.further(figure)
    if values.shape != tuple(len(p.operations) for p in space.positions):
        raise BenchbedError(f"cost '{source}': the table lists some architectures of '{name}', a cost needs all")
    if (values <= 0).any():
        raise BenchbedError(f"cost '{source}': {figure} goes down to {np.nanmin(values):g}, expected numbers above 0")
    return WholeCost(space, values, figure, figure)


class _Of:
    """A space that is equal to another of the same operations: what a cached file depends on."""

    def __init__(self, space: Space, key: tuple[tuple[str, ...], ...]):
        self.space, self.key = space, (type(space), key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Of) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@lru_cache(maxsize=64)
def _whole(path: Path, column: str | None, of: _Of, stamp: tuple[int, int]) -> WholeCost:
    values, device = read_whole(path, column, of.space)
    return WholeCost(of.space, values, device, UNIT)


def additive(path: Path, space: Space, name: str) -> AdditiveCost:
    """The cost by a look-up table. Raises BenchbedError that names the first key it lacks, and counts the others."""
    entries, layout = read_entries(path, name), layout_of(space, name)
    needed = layout.distinct_keys()
    missing = [key for key in needed if key not in entries.times]
    if len(missing) == len(needed):
        raise BenchbedError(
            f"latency table {path} is of another space than '{name}': it has none of its keys, such as {missing[0]}"
        )
    if missing:
        raise BenchbedError(
            f"latency table {path} lacks {len(missing)} of the {len(needed)} keys of space '{name}': {missing[0]}"
        )
    fixed, per_operation = tabulated(space, layout, entries.times)
    return AdditiveCost(space, fixed, per_operation, entries.device, UNIT)


def tabulated(space: Space, layout: Layout, times: dict[str, float]) -> tuple[float, np.ndarray]:
    """(fixed, (P, O)) of times by key."""
    per_operation = np.zeros(space.mask.shape)
    for i, row in enumerate(layout.operations):
        for k, parts in enumerate(row):
            per_operation[i, k] = sum(times[key] * count for key, count in parts)
    return sum(times[key] * count for key, count in layout.fixed), per_operation
