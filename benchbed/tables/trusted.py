"""Whether a table's content is what its fingerprint says, looked at once for a file as long as it stays the same.

Once a process; of large files (single trainings are gigabytes) what is known is kept beside the imported tables, in
`checked.json`: path, inode, size and time of the last change.
"""

import json
import os
from pathlib import Path

from ..errors import BenchbedError
from ..runtime.files import own_tag, write_atomic
from ..runtime.reading import LIMITS, parse_json, read_bytes
from . import store
from .table import Table

CHECKED = "checked.json"
LARGE = 1 << 26  # bytes of a file that is remembered: 64 MB take a tenth of a second
_MOST = 200  # files that are remembered
_here: set[str] = set()  # what this process has looked at


def trusted(name: str | Path, surrogates: bool = False) -> Table:
    """The table, whole. Raises BenchbedError where its content was changed after it was made, and as `Table.open`.

    surrogates: whether the caller says of a predicted figure that it is one; a surrogate is refused elsewhere.
    """
    table = Table.open(name)
    if table.predicts and not surrogates:
        raise BenchbedError(f"table {table.name} is a surrogate, whose figures are predicted: this is of trained ones, "
                            f"so give the table that it learned from, {table.meta['surrogate']['table']}")  # fmt: skip
    _, path = store.find(name)
    key, is_large = _key(path, table.fingerprint), path.stat().st_size >= LARGE
    if key in _here or (is_large and key in _known()):
        return table
    if not table.is_whole():
        raise BenchbedError(
            f"table {table.name} ({path}) does not have the content that its fingerprint {table.fingerprint[:16]} is "
            "of: it was changed after it was made; import its source again with 'table import --force'"
        )
    _here.add(key)
    if is_large:
        _remember(key)
    return table


def _key(path: Path, fingerprint: str) -> str:
    status = os.stat(path)
    return f"{fingerprint} {status.st_ino} {status.st_size} {status.st_mtime_ns} {path.absolute()}"


def _known() -> list[str]:
    try:
        found = parse_json(read_bytes(store.home() / CHECKED, LIMITS.json_bytes))
    except ValueError:  # a BenchbedError too: it is made anew
        return []
    return [key for key in found if isinstance(key, str)] if isinstance(found, list) else []


def _remember(key: str) -> None:
    if not store.home().is_dir():  # nothing is imported: the table lies elsewhere, and is small or looked at again
        return
    try:
        write_atomic(store.home() / CHECKED, json.dumps([*_known(), key][-_MOST:], indent=0).encode(), own_tag())
    except BenchbedError:  # a folder that cannot be written to: looked at again in the next process
        return
