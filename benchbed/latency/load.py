"""A cost by what a user gives: a latency file, a file and a column, or `macs` and `params`."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..errors import BenchbedError
from ..space import Space
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
    if source in COUNTED:
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
    path, column = split_source(source)
    try:
        stamp = path.stat()
    except OSError as error:
        raise BenchbedError(
            f"cannot read latency table {path}: {error.strerror} (expected FILE, FILE:COLUMN, {', '.join(COUNTED)})"
        ) from None
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
    if split_source(source)[0].suffix.lower() == ".csv":
        return load_cost(source, space, name).fingerprint
    times = read_entries(split_source(source)[0], name).times
    return hashlib.sha256(json.dumps(sorted(times.items())).encode()).hexdigest()


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
