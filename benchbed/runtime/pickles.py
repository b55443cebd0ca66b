"""Pickles and bz2 from outside: what they may name is a short list, and what they may take is bounded.

A pickle is a program. Those that benchbed reads are restricted to plain values and a few named things, none of which
does anything but hold numbers. That leaves what a pickle can cost: a byte of it can make an object of 200, an index of
four bytes a table of gigabytes, and a bz2 of fifty bytes a pickle of fifty million. So the process itself is held to a
bound while one is read (on Linux, where a process can be), and beyond it Python raises MemoryError.
"""

import bz2
import io
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from pickle import Unpickler
from typing import Any, NoReturn

from .archives import check_torch_archive, is_archive
from .reading import Unfit

SPARE = 512 << 20  # bytes that reading any file may take beside a factor of its size
UNPACKED, RATIO = 64 << 20, 64  # a bz2's content: so much in any case, and so many times the file's size
_bound = threading.RLock()


class Foreign(Exception):
    """The pickle names something that no file of its kind holds. Nothing of it was run."""


class Restricted(Unpickler):
    """Reads plain values and what `admitted` maps; any other name is refused before it is looked up."""

    def __init__(
        self, file: Any, admitted: Mapping[tuple[str, str], Callable[..., Any]], encoding: str = "ASCII"
    ) -> None:
        super().__init__(file, encoding=encoding)
        self._admitted = admitted

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        if (module, name) not in self._admitted:
            raise Foreign(f"{module}.{name}"[:200])
        return self._admitted[module, name]

    def persistent_load(self, pid: object) -> NoReturn:
        raise Foreign("a persistent object")


def unpickled(file: Any, admitted: Mapping[tuple[str, str], Any], memory: int, encoding: str = "ASCII") -> Any:
    """The value of a pickle, read in at most so many bytes of memory. Raises Foreign, and whatever a damaged one does.

    For a bytearray that gets no memory Python prints a SystemError of its own besides: it is kept quiet.
    """
    said, sys.excepthook = sys.excepthook, lambda *_: None
    try:
        with bounded_memory(memory):
            return Restricted(file, admitted, encoding).load()
    finally:
        sys.excepthook = said


def torch_value(file: Any, memory: int, admitted: Sequence[Any] = ()) -> Any:
    """What a file of torch's holds: tensors, plain values and the `admitted` types, in at most so many bytes of memory.

    A zip file is looked at first: see `check_torch_archive`. Raises whatever a damaged or foreign file makes of it.
    """
    import torch

    if is_archive(file):
        check_torch_archive(file)
    with torch.serialization.safe_globals(list(admitted)), bounded_memory(memory), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of pickles that it has not written, and reads them
        return torch.load(file, map_location="cpu", weights_only=True)


@contextmanager
def bounded_memory(more: int) -> Iterator[None]:
    """Holds this process to `more` bytes beyond what it has, where the system can: beyond, MemoryError is raised."""
    now = address_space()
    if sys.platform == "win32" or now is None:
        yield
        return
    import resource

    with _bound:
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = now + more
        for limit in (soft, hard):
            most = most if limit == resource.RLIM_INFINITY else min(most, limit)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
        try:
            yield
        finally:
            with suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


class Unpacked(io.RawIOBase):
    """The content of a bz2 file, up to a limit: what is beyond raises Unfit, and is never held."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._size = os.fstat(file.fileno()).st_size
        self._left = self.most = max(UNPACKED, RATIO * self._size)
        self._file = bz2.BZ2File(file)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._file.read(min(len(view), self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise Unfit(f"it unpacks to more than {self.most:,} bytes")
        view[: len(data)] = data
        return len(data)


def address_space() -> int | None:
    """Bytes of this process's address space; None where the system does not tell, or could not bound it."""
    if sys.platform == "win32":
        return None
    try:
        import resource  # noqa: F401  a Python may be built without it

        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (ImportError, OSError, ValueError):
        return None


def memory_of(path: Path, factor: int) -> int:
    """Bytes that reading the file may take: a factor of its size, and something in any case."""
    return SPARE + factor * path.stat().st_size
