"""Reading the pickles of NATS-Bench without running anything that they ask for.

Besides Python's own values they hold three things: OrderedDict, numpy's dtype and numpy's scalars. These are admitted,
the last two as stand-ins of our own that make a number; every other name is refused before it is looked up.
"""

import bz2
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ..errors import BenchbedError

_CODES = {"f8": "d", "f4": "f", "f2": "e", "i8": "q", "i4": "i", "i2": "h", "i1": "b", "u1": "B", "b1": "?"}


class _Dtype:
    """In place of numpy.dtype: remembers its code, and which end comes first."""

    def __init__(self, code: str, *_: object) -> None:
        if code not in _CODES:
            raise pickle.UnpicklingError(f"a number of type {code!r}")
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"


def _scalar(dtype: _Dtype, content: bytes) -> int | float:
    """In place of numpy's scalar."""
    (value,) = struct.unpack(dtype.order + _CODES[dtype.code], content)
    return np.float64(value) if dtype.code == "f8" else value


_ADMITTED = {
    ("builtins", "set"): set,  # of a pickle before protocol 4
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _ADMITTED:
            raise _Foreign(f"{module}.{name}")
        return _ADMITTED[module, name]

    def persistent_load(self, pid: object) -> NoReturn:
        raise _Foreign("a persistent object")


class _Foreign(Exception):
    """A name that these files do not hold."""


def read_pbz2(path: Path) -> Any:
    """The value in a bz2-compressed pickle.

    Raises BenchbedError if it is cut off or corrupt, or holds an unexpected type, which is named and not executed.
    """
    try:
        with bz2.open(path, "rb") as file:
            return _Reader(file).load()
    except _Foreign as error:
        raise BenchbedError(f"{path} holds {error}, which no NATS-Bench file does: nothing of it was run") from None
    except Exception as error:  # a damaged pickle can fail in any way
        if isinstance(error, OSError) and error.strerror:
            raise BenchbedError(f"cannot read {path}: {error.strerror}") from None
        reason = (str(error) or type(error).__name__).splitlines()[0][:100]
        raise BenchbedError(f"{path} is cut off or damaged ({reason})") from None
