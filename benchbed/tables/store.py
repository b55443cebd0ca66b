"""A table's file: an npz without pickle, where it lives, and what it is called.

Every array is a member of its own, stored and not compressed, and is read when it is asked for. `meta` is a JSON text
in UTF-8 bytes. The fingerprint is the SHA-256 of the space's name and of every array, by name, dtype, shape and
content: two tables share it exactly if they answer every query alike, wherever and whenever they were imported.
"""

import hashlib
import json
import math
import os
import re
import weakref
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import BenchbedError, unknown
from ..runtime.archives import array_header, damage, open_archive, read_array, read_json_array
from ..runtime.files import atomic, make_folder, one_line
from ..runtime.reading import opened, parse_json, read_at

FORMAT = 1
EMBEDDED = Path(__file__).with_name("embedded")  # tables that come with benchbed
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ENTRIES = 1 << 17  # of a streamed array, read at once
_FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # of every member, so that the same table is the same file


class Streamed(NamedTuple):
    """An array that is too large to hold: its content comes in blocks of bytes, each time that `blocks` is called."""

    code: str  # of the type, such as '<f8'
    shape: tuple[int, ...]
    blocks: Callable[[], Iterator[bytes]]


Content = np.ndarray | Streamed


def home() -> Path:
    """The folder of the imported tables: below $BENCHBED_HOME, else in the platform's folder for user data."""
    if place := os.environ.get("BENCHBED_HOME"):
        return Path(place) / "tables"
    from platformdirs import user_data_path

    return user_data_path("benchbed", appauthor=False) / "tables"


def names() -> list[str]:
    """The tables that a name opens, sorted: the imported ones, and those that come with benchbed."""
    return sorted(_names_in(home()) | _names_in(EMBEDDED))


def _names_in(folder: Path) -> set[str]:
    with one_line(folder, "read"):
        if not folder.is_dir():
            return set()
        return {p.stem for p in folder.glob("*.npz") if _NAME.fullmatch(p.stem) and p.is_file()}


def path_of(name: str) -> Path:
    """Where the table of this name lies or would lie. Raises BenchbedError if the name cannot be a file's."""
    if not _NAME.fullmatch(name) or name.endswith(".npz"):
        shown = repr(name) if len(name) <= 60 else f"{name[:56]!r}..."
        raise BenchbedError(f"table name {shown}: expected letters, digits, '.', '_' and '-', not ending in .npz, "
                            "at most 100 letters")  # fmt: skip
    return home() / f"{name}.npz"


def find(name_or_path: str | Path) -> tuple[str, Path]:
    """The name and the file of a table. A text with a path separator, or that ends in .npz, is a path.

    An imported table hides one of the same name that comes with benchbed.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(".npz") or os.sep in text:
        path = Path(name_or_path)
        return path.stem, path
    path = path_of(text)
    if not path.is_file() and (ours := EMBEDDED / path.name).is_file():
        return text, ours
    if not path.is_file():
        if not _names_in(home()):
            there = "".join(f"; {name} comes with benchbed" for name in names())
            raise BenchbedError(f"unknown table '{text}': none is imported; 'table fetch nb201' downloads one{there}")
        raise unknown("table", text, names())
    return text, path


def fingerprint(space: str, arrays: Mapping[str, Any]) -> str:
    """SHA-256 over the content, 64 hexadecimal digits; independent of time, place and the arrays' order."""
    total = hashlib.sha256(f"benchbed table {FORMAT} {space}\n".encode())
    for name in sorted(arrays):
        content = _streamed(arrays[name])
        total.update(f"{name} {content.code} {content.shape}\n".encode())
        for block in content.blocks():
            total.update(block)
    return total.hexdigest()


def write(path: Path, meta: dict[str, Any], arrays: Mapping[str, Any], compressed: bool = False) -> None:
    """Writes the table whole or not at all, and makes its folder. Raises BenchbedError where that fails.

    `arrays`: by name, numpy arrays or `Streamed` ones, which are never held whole. `compressed`: smaller, and slower to
    open; for a table that is sent around, and has no arrays of which parts are read.
    """
    text = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    with one_line(path.parent, "make"):
        make_folder(path.parent)
    with atomic(path, tag=f".{os.getpid()}") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in {"meta": text, **arrays}.items():
            info = zipfile.ZipInfo(f"{name}.npy", _FIRST_DATE)
            info.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
            with archive.open(info, "w", force_zip64=True) as member:
                _write_array(member, _streamed(array))


def annotate(path: Path, more: Mapping[str, Any]) -> None:
    """Writes the table again with `more` in its metadata. Its content, and so its fingerprint, stay what they are.

    For a table without arrays of which parts are read; they are all held at once.
    """
    arrays = Arrays(path)
    compressed = any(info.compress_type == zipfile.ZIP_DEFLATED for info in arrays._archive.infolist())
    write(path, {**arrays.meta(), **more}, {name: arrays[name] for name in arrays}, compressed)


def _streamed(array: Content) -> Streamed:
    if isinstance(array, Streamed):
        return array
    whole = np.ascontiguousarray(array)
    return Streamed(whole.dtype.str, whole.shape, lambda: iter([whole.tobytes()]))


def _write_array(file: Any, array: Streamed) -> None:
    header = {"descr": array.code, "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(file, header)
    for block in array.blocks():
        file.write(block)


class Arrays:
    """The arrays of a file, each read on use. Raises BenchbedError where the file is damaged or no table."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held = ExitStack()  # the file, open as long as this object is there
        with self._whole():
            self._file = self._held.enter_context(opened(path))
            weakref.finalize(self, self._held.close)
            self._archive = open_archive(self._file)
        self._names = {name.removesuffix(".npy") for name in self._archive.namelist()}
        self._parts: dict[str, tuple[int, np.dtype, int]] = {}  # where an array's content begins, its type and length

    def meta(self) -> dict[str, Any]:
        """The JSON that stands beside the arrays."""
        if "meta" not in self._names:
            raise BenchbedError(f"{self.path} is not a table of benchbed's: 'table import' makes one from a source")
        with self._whole():
            meta = parse_json(read_json_array(self._archive, "meta.npy"))
        if not isinstance(meta, dict) or meta.get("format") != FORMAT:
            raise BenchbedError(f"{self.path} is not of table format {FORMAT}: import its source again")
        from .metadata import wrong  # pydantic, which looking a name up in a list of tables does not need

        if (said := wrong(meta)) is not None:
            raise BenchbedError(f"{self.path} is damaged ({said}): import its source again")
        return meta

    def text(self, name: str) -> Any:
        """The JSON in an array of bytes. Raises BenchbedError where it is damaged."""
        with self._whole():
            return parse_json(read_json_array(self._archive, f"{name}.npy"))

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        with self._whole():
            array = read_array(self._archive, f"{name}.npy", "biufS")
        array.flags.writeable = False
        return array

    def part(self, name: str, first: int, count: int) -> np.ndarray:
        """Entries `first` to `first + count` of an array of one axis; no other byte of it is read.

        The zip's checksum is of the whole member and not looked at: the caller has one of its own. Raises
        BenchbedError where the file ends before.
        """
        if name not in self._names:
            raise KeyError(name)
        with self._whole():
            begin, kind, length = self._parts.get(name) or self._find(name)
            if first < 0 or first + count > length:
                raise ValueError(f"{name} ends at {length:,}")
            data = read_at(self.path, self._file, count * kind.itemsize, begin + first * kind.itemsize)
            return np.frombuffer(data, dtype=kind)  # raises where bytes are missing in the middle of an entry

    def streamed(self, name: str) -> Streamed:
        """An array of one axis whose content is read block by block, each time that it is asked for."""
        with self._whole():
            _, kind, length = self._parts.get(name) or self._find(name)

        def blocks() -> Iterator[bytes]:
            for first in range(0, length, _ENTRIES):
                yield self.part(name, first, min(_ENTRIES, length - first)).tobytes()

        return Streamed(kind.str, (length,), blocks)

    def _find(self, name: str) -> tuple[int, np.dtype, int]:
        """Where a stored member's array begins in the file: behind the zip's local header and numpy's."""
        info = self._archive.getinfo(f"{name}.npy")
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{name} is compressed")
        with self._archive.open(info) as member:
            shape, _, kind, size = array_header(member)
            inner = member.tell()
        if inner + size != info.file_size:
            raise ValueError(f"{name} has {info.file_size - inner:,} bytes where its header says {size:,}")
        local = read_at(self.path, self._file, 30, info.header_offset)
        names = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
        self._parts[name] = found = (info.header_offset + 30 + names + inner, kind, math.prod(shape))
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names - {"meta"}))

    @contextmanager
    def _whole(self) -> Iterator[None]:
        try:
            yield
        except BenchbedError:
            raise
        except Exception as error:  # a damaged archive can fail in any way
            raise BenchbedError(
                f"table {self.path} is cut off or damaged ({damage(error)}): import its source again"
            ) from None
