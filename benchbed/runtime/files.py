"""Files, written whole or not at all; what the system refuses is said in one line."""

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from ..errors import BenchbedError
from .reading import LIMITS, Unfit, parse_toml, read_bytes


def absolute(path: str | Path | None) -> str | None:
    """The path as a configuration keeps it, valid from any folder."""
    return None if path is None else str(Path(path).absolute())


@contextmanager
def one_line(path: Path, doing: str) -> Iterator[None]:
    """Turns an OSError into one line that names the path and the reason."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise BenchbedError(f"cannot {doing} {path}: {reason}") from None


def own_tag() -> str:
    """A `tag` that no other process has, here or on a machine that shares the folder."""
    return f".{socket.gethostname()[:40]}-{os.getpid()}"


def write_atomic(path: Path, data: bytes, tag: str = "", check: Callable[[], None] = lambda: None) -> None:
    """Writes the file whole or not at all: see `atomic`."""
    with atomic(path, tag, check) as file:
        file.write(data)


@contextmanager
def atomic(path: Path, tag: str = "", check: Callable[[], None] = lambda: None) -> Iterator[IO[bytes]]:
    """A file to write to, under a temporary name beside `path`; then syncs, renames. On any failure nothing is left.

    What it returned from survives a power cut: the data is synced before the name refers to it, the folder after.

    A link is followed; what is there and no regular file, such as a device or a folder, is refused with BenchbedError.
    The temporary name is always the same, so that the next write also clears what a killed one left; the caller
    holds the folder's lock, or gives a `tag` that no other writer of this path has. check: called right before the
    rename, and may raise to prevent it.
    """
    with one_line(path, "write"):
        path = Path(os.path.realpath(path)) if path.is_symlink() else path
        if path.exists() and not path.is_file():
            raise BenchbedError(f"cannot write {path}: something that is not a regular file is there")
        temporary = path.parent / f".{path.name}{tag}.new"
        try:
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            check()
            os.replace(temporary, path)
            sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def sync_folder(path: Path) -> None:
    """Makes the names in a folder survive a power cut, where the file system can."""
    if os.name == "nt":  # no folder can be opened there
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems refuse, and sync names by themselves
            os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(path: Path) -> None:
    """Makes the folder and those above it, and their names survive a power cut. Raises OSError."""
    missing = [p for p in (path, *path.parents) if not p.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)


def append_line(path: Path, text: str) -> None:
    """Appends to a file, which survives a power cut from then on, after a line that was torn too. Raises OSError."""
    is_new = not path.exists()
    if not is_new and path.is_fifo():  # it would wait for a reader
        raise BenchbedError(f"cannot write {path}: it is a named pipe, expected a regular file")
    with open(path, "a") as file:
        file.write(f"\n{text}" if text and not is_new and not _ends_a_line(path) else text)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        sync_folder(path.parent)


def _ends_a_line(path: Path) -> bool:
    """Whether a file is empty or ends with a newline: a kill in the middle of a line leaves none."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        return file.read(1) in (b"", b"\n")


def read_toml(path: Path) -> dict[str, Any]:
    """A configuration file. Raises BenchbedError that names the file and the place."""
    data = read_bytes(path, LIMITS.toml_bytes, "configuration ")
    try:
        return parse_toml(data.decode())
    except Unfit as error:
        raise BenchbedError(f"configuration {path} cannot be read: {error}") from None
    except ValueError as error:  # no TOML, no UTF-8
        raise BenchbedError(f"configuration {path} is not TOML: {error}") from None


def toml_key(key: str) -> str:
    """A key as TOML has it: bare where it may be."""
    bare = key.isascii() and key.replace("-", "_").replace("_", "a").isalnum()
    return key if bare else json.dumps(key, ensure_ascii=False)


def toml_value(value: object) -> str:
    """A value as TOML has it; the word 'none' for None, which TOML has not."""
    if value is None:
        return '"none"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{toml_key(k)} = {toml_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # else TOML's escapes are JSON's
    return repr(value)


def toml_text(tree: Mapping[str, Any], prefix: str = "") -> str:
    """A configuration as TOML: plain keys first, then a section for each table in it. None is the word 'none'."""
    plain = [
        f"{toml_key(key)} = {toml_value(value)}\n" for key, value in tree.items() if not isinstance(value, Mapping)
    ]
    text = "".join(plain)
    for key, value in tree.items():
        if isinstance(value, Mapping):
            name = f"{prefix}.{toml_key(key)}" if prefix else toml_key(key)
            text += f"\n[{name}]\n{toml_text(value, name)}"
    return text
