"""A table's file: an npz without pickle, where it lives, and what it is called.

Every array is a member of its own, stored and not compressed, and is read when it is asked for. `meta` is a JSON text
in UTF-8 bytes. The fingerprint is the SHA-256 of the space's name and of every array, by name, dtype, shape and
content: two tables share it exactly if they answer every query alike, wherever and whenever they were imported.
"""

import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BenchbedError, unknown
from ..files import one_line, write_atomic

FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def home() -> Path:
    """The folder of the imported tables: below $BENCHBED_HOME, else in the platform's folder for user data."""
    if place := os.environ.get("BENCHBED_HOME"):
        return Path(place) / "tables"
    from platformdirs import user_data_path

    return user_data_path("benchbed", appauthor=False) / "tables"


def names() -> list[str]:
    """The imported tables, by name."""
    folder = home()
    with one_line(folder, "read"):
        return sorted(p.stem for p in folder.glob("*.npz") if _NAME.fullmatch(p.stem)) if folder.is_dir() else []


def path_of(name: str) -> Path:
    """Where the table of this name lies or would lie. Raises BenchbedError if the name cannot be a file's."""
    if not _NAME.fullmatch(name) or name.endswith(".npz"):
        raise BenchbedError(f"table name {name!r}: expected letters, digits, '.', '_' and '-', not ending in .npz")
    return home() / f"{name}.npz"


def find(name_or_path: str | Path) -> tuple[str, Path]:
    """The name and the file of a table. A text with a path separator, or that ends in .npz, is a path."""
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(".npz") or os.sep in text:
        path = Path(name_or_path)
        return path.stem, path
    path = path_of(text)
    if not path.is_file():
        known = names()
        if not known:
            raise BenchbedError(f"unknown table '{text}': none is imported; 'table fetch nb201' downloads one")
        raise unknown("table", text, known)
    return text, path


def fingerprint(space: str, arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the content, 64 hexadecimal digits; independent of time, place and the arrays' order."""
    total = hashlib.sha256(f"benchbed table {FORMAT} {space}\n".encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def write(path: Path, meta: dict[str, Any], arrays: Mapping[str, np.ndarray], compressed: bool = False) -> None:
    """Writes the table whole or not at all, and makes its folder. Raises BenchbedError where that fails.

    `compressed`: smaller and slower to open, for a table that is sent around.
    """
    text = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    save(buffer, allow_pickle=False, meta=text, **arrays)
    with one_line(path.parent, "make"):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, buffer.getvalue(), tag=f".{os.getpid()}")


class Arrays:
    """The arrays of a file, each read on use. Raises BenchbedError where the file is damaged or no table."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with one_line(path, "read"), self._whole():
            self._archive = zipfile.ZipFile(path)  # numpy's own reader leaves a damaged file open
        self._names = {name.removesuffix(".npy") for name in self._archive.namelist()}

    def meta(self) -> dict[str, Any]:
        """The JSON that stands beside the arrays."""
        if "meta" not in self._names:
            raise BenchbedError(f"{self.path} is no table of benchbed's: 'table import' makes one from a source")
        with self._whole():
            meta = json.loads(self["meta"].tobytes())
        if not isinstance(meta, dict) or meta.get("format") != FORMAT:
            raise BenchbedError(f"{self.path} is not of table format {FORMAT}: import its source again")
        for key in ("space", "fingerprint", "figures", "seeds"):
            if key not in meta:
                raise BenchbedError(f"{self.path} is damaged (its metadata has no '{key}'): import its source again")
        return meta

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        with self._whole(), self._archive.open(f"{name}.npy") as member:
            array: np.ndarray = np.lib.format.read_array(member, allow_pickle=False)
        array.flags.writeable = False
        return array

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names - {"meta"}))

    @contextmanager
    def _whole(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, PermissionError, IsADirectoryError):
            raise
        except Exception as error:  # a damaged archive can fail in any way
            reason = (str(error) or type(error).__name__).splitlines()[0][:100]
            raise BenchbedError(
                f"table {self.path} is cut off or damaged ({reason}): import its source again"
            ) from None
