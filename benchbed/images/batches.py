"""Reads the pickled batches in which CIFAR and the downsampled ImageNet are published, without running a pickle.

A batch is a dict of `data`, uint8 (n, 3 * side * side), channel by channel, and a list of labels. The file is hashed
before it is opened, and opened by an unpickler that admits plain values and numeric arrays alone: a pickle that names
anything else is refused before that thing is even imported.
"""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import BenchbedError
from ..runtime.pickles import SPARE, Foreign, unpickled
from ..runtime.reading import read_bytes


class Layout(NamedTuple):
    """What every batch of a data set has in common: the key of its labels, their range, the images' side in pixels."""

    labels: str
    first: int
    last: int
    side: int


LARGEST = 2 << 30  # bytes of a file: the largest that is published, SVHN's, has 1.3 GB


def published_bytes(path: Path, md5: str | None) -> bytes:
    """The file's content. Raises BenchbedError if it cannot be read, or if its MD5 is another one than `md5`."""
    content = read_bytes(path, LARGEST)
    found = md5 and hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise BenchbedError(
            f"'{path}' is not the published file: its MD5 is {found}, not {md5} (verify=false reads it anyway)"
        )
    return content


def read_batch(path: Path, layout: Layout, md5: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 (n, 3, side, side), and labels, int64 (n,), counted from 0, of the file at `path`.

    `md5` is the published file's; None leaves it unchecked. Raises BenchbedError, naming the file and what is wrong, on
    a file that cannot be read, has another MD5, is no pickle or a foreign one, or holds arrays of another shape.
    """
    content = published_bytes(path, md5)
    batch = _unpickled(path, content)
    if type(batch) is not dict:
        raise BenchbedError(f"'{path}' holds a {type(batch).__name__}: a dict with data and {layout.labels} is needed")
    for key in ("data", layout.labels):
        if key not in batch:
            held = ", ".join(sorted(map(str, batch))) or "nothing"
            raise BenchbedError(f"'{path}' has no '{key}', only {held}"[:300])
    return _images(path, batch["data"], layout), _labels(path, batch[layout.labels], len(batch["data"]), layout)


def _images(path: Path, data: object, layout: Layout) -> np.ndarray:
    width = 3 * layout.side**2
    if type(data) is not np.ndarray or data.dtype != np.uint8:
        raise BenchbedError(f"'{path}' data are {getattr(data, 'dtype', type(data).__name__)}: a uint8 array is needed")
    if data.ndim != 2 or data.shape[1] != width:
        raise BenchbedError(f"'{path}' data have shape {data.shape}: (n, {width}) is needed")
    return data.reshape(-1, 3, layout.side, layout.side)


def _labels(path: Path, labels: object, count: int, layout: Layout) -> np.ndarray:
    if type(labels) is np.ndarray and labels.dtype.kind in "iu" and labels.ndim == 1:
        labels = labels.tolist()
    if type(labels) is not list or any(type(label) is not int for label in labels):
        raise BenchbedError(f"'{path}' {layout.labels} are no list of whole numbers")
    if len(labels) != count:
        raise BenchbedError(f"'{path}' has {len(labels)} {layout.labels} for {count} images: one an image is needed")
    for label in labels:
        if not layout.first <= label <= layout.last:
            raise BenchbedError(
                f"'{path}' {layout.labels} contain {label}: {layout.first} to {layout.last} are expected"
            )
    return np.array(labels, dtype=np.int64) - layout.first


def _unpickled(path: Path, content: bytes) -> object:
    try:
        # latin1 gives the bytes of a Python 2 pickle back one to one, which is what numpy expects of array data
        return unpickled(io.BytesIO(content), _ADMITTED, SPARE + 4 * len(content), encoding="latin1")
    except Foreign as error:
        named = f"{error}" if " " in str(error) else f"'{error}'"
        raise BenchbedError(f"'{path}' is a foreign pickle: it names {named}, which was not run") from None
    except Exception as error:  # a broken pickle can fail in any way that its opcodes can
        reason = f"{type(error).__name__}: {error}".replace("\n", " ")
        raise BenchbedError(f"'{path}' is not a readable pickle ({reason})"[:400]) from None


def _dtype(name: str, align: int = 0, copy: int = 1) -> np.dtype[Any]:
    """What a pickled array calls for its type: numbers only, never objects."""
    found = np.dtype(name, align=bool(align), copy=bool(copy))
    if found.kind not in "biuf":
        raise Foreign(f"the array type {name!r}")
    return found


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """How Python 3 writes bytes into a pickle for Python 2."""
    if encoding not in ("latin1", "latin-1"):
        raise Foreign(f"the encoding {encoding!r}")
    return text.encode("latin1")


_RECONSTRUCT: Any = np.empty(0).__reduce__()[0]  # numpy's own, under whichever name this version has it
_ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encode,
}
