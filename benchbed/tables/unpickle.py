"""Reading the pickles of NATS-Bench without running anything that they ask for.

Besides Python's own values they hold three things: OrderedDict, numpy's dtype and numpy's scalars. These are admitted,
the last two as stand-ins of our own that make a number; every other name is refused before it is looked up.
"""

import io
import struct
from collections import OrderedDict
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np

from ..errors import BenchbedError
from ..runtime.archives import damage
from ..runtime.pickles import RATIO, Foreign, Unpacked, memory_of, unpickled
from ..runtime.reading import opened

_CODES = {"f8": "d", "f4": "f", "f2": "e", "i8": "q", "i4": "i", "i2": "h", "i1": "b", "u1": "B", "b1": "?"}


class _Dtype:
    """In place of numpy.dtype: remembers its code, and which end comes first."""

    def __init__(self, code: str, *_: object) -> None:
        if code not in _CODES:
            raise UnpicklingError(f"a number of type {code!r}")
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"


def _scalar(dtype: _Dtype, content: bytes) -> int | float:
    """In place of numpy's scalar."""
    (value,) = struct.unpack(dtype.order + _CODES[dtype.code], content)
    return np.float64(value) if dtype.code == "f8" else value


_ADMITTED: dict[tuple[str, str], Any] = {
    ("builtins", "set"): set,  # of a pickle before protocol 4
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
}


def read_pbz2(path: Path) -> Any:
    """The value in a bz2-compressed pickle.

    Raises BenchbedError if it is cut off or corrupt, or holds an unexpected type, which is named and not executed.
    """
    with opened(path) as file:
        try:
            return unpickled(io.BufferedReader(Unpacked(file), 1 << 16), _ADMITTED, memory_of(path, RATIO))
        except Foreign as error:
            raise BenchbedError(f"{path} holds {error}, which no NATS-Bench file does: nothing of it was run") from None
        except Exception as error:  # a damaged pickle can fail in any way
            raise BenchbedError(f"{path} is cut off or damaged ({damage(error)})") from None
