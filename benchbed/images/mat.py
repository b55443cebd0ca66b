"""Reads the MATLAB files in which SVHN is published: `X`, uint8 (32, 32, 3, n), and `y`, (n, 1), 10 for the digit 0."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BenchbedError
from ..runtime.pickles import SPARE, bounded_memory
from .batches import Layout, published_bytes


def read_mat(path: Path, layout: Layout, md5: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 (n, 3, side, side), and labels, int64 (n,), each digit its own number, of the file at `path`.

    `layout` names the labels' array and their range as the file has it; its last label is the digit 0. `md5` is the
    published file's; None leaves it unchecked. Raises BenchbedError, naming the file and what is wrong, on a file that
    cannot be read, has another MD5, is no MATLAB file or holds arrays of another shape.
    """
    content = published_bytes(path, md5)
    held = _loaded(path, content, layout)
    images = _images(path, held["X"], layout)
    return images, _labels(path, held[layout.labels], len(images), layout)


def _loaded(path: Path, content: bytes, layout: Layout) -> dict[str, Any]:
    from scipy.io import loadmat

    try:
        with bounded_memory(SPARE + 4 * len(content)):
            held: dict[str, Any] = loadmat(io.BytesIO(content), variable_names=["X", layout.labels])
    except Exception as error:  # a broken file can fail in many ways
        reason = f"{type(error).__name__}: {error}".replace("\n", " ")
        raise BenchbedError(f"'{path}' is not a readable MATLAB file ({reason})"[:400]) from None
    for key in ("X", layout.labels):
        if not isinstance(held.get(key), np.ndarray):
            raise BenchbedError(f"'{path}' has no array '{key}': SVHN's files hold X and {layout.labels}")
    return held


def _images(path: Path, x: np.ndarray, layout: Layout) -> np.ndarray:
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[:3] != (layout.side, layout.side, 3):
        raise BenchbedError(f"'{path}' X is {x.dtype} {x.shape}: uint8 ({layout.side}, {layout.side}, 3, n) is needed")
    return np.ascontiguousarray(x.transpose(3, 2, 0, 1))


def _labels(path: Path, y: np.ndarray, count: int, layout: Layout) -> np.ndarray:
    if y.dtype.kind not in "iu" or y.size != count:
        raise BenchbedError(
            f"'{path}' {layout.labels} is {y.dtype} {y.shape}: a whole number for each of {count} images"
        )
    labels = y.reshape(-1).astype(np.int64)
    for label in (labels.min(initial=layout.last), labels.max(initial=layout.first)):
        if not layout.first <= label <= layout.last:
            raise BenchbedError(
                f"'{path}' {layout.labels} contain {label}: {layout.first} to {layout.last} are expected"
            )
    return labels % layout.last
