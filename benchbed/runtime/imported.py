"""What a user's files held when Python imported them, in a session in which they are edited.

A result is known by the text of what made it, and Python runs what it imported: the two must be one.
"""

import sys
from contextlib import suppress
from importlib import invalidate_caches
from importlib.util import cache_from_source
from pathlib import Path

from .closure import closure

_held: dict[object, dict[Path, tuple[str, bytes]]] = {}  # file -> (module, its text), by what was imported


def note(key: object, file: Path, module: str) -> None:
    """Remembers what `file` and the modules of the user's that it imports hold now, under `key`."""
    _held[key] = {where: (name, where.read_bytes()) for name, where in [(module, file), *closure(file, module)]}


def changed(key: object) -> list[Path]:
    """The files that hold something else than when they were noted under `key`; none where nothing was."""
    return [file for file, (_, text) in _held.get(key, {}).items() if not file.is_file() or file.read_bytes() != text]


def forget(key: object) -> None:
    """Has Python import anew what was noted under `key`, at the next import of it."""
    for file, (module, _) in _held.pop(key, {}).items():
        sys.modules.pop(module, None)
        with suppress(OSError, NotImplementedError):  # bytecode is told by the second: it may be of the text before
            Path(cache_from_source(str(file))).unlink()
    invalidate_caches()
