"""Your own images and labels, from a numpy .npz file with the arrays `images` and `labels`.

Optional pairs `valid_images`, `valid_labels` and `test_images`, `test_labels` are taken as they are; what is absent
is cut from `images`, class by class: 60/20/20 percent, or 80/20 where one of the two is given. The images may be
(n, h, w), (n, h, w, c) or (n, c, h, w) with 1 or 3 channels, 8-bit or floating point, and are normalised per channel
with the mean and standard deviation of the training split. Test arrays are read when the seal is opened.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BenchbedError
from ..images.arrays import SHARE, SMALLEST, classes_of, normal_split, statistics, stratified
from ..runtime.archives import array_header, damage, is_archive, open_archive, read_array
from ..runtime.reading import near, opened, sha256_of
from ..task import Seal, Split, Task

if TYPE_CHECKING:
    import zipfile


def npz_task(file: str | Path, /) -> Task:
    """The task of the .npz `file`. The labels are 0 to K-1, each of them in the training split.

    Raises BenchbedError, naming the file and the array, on a file that cannot be read and on content that cannot be
    trained on. Of given test arrays only the headers are read before the seal is opened.
    """
    path = Path(file)
    keys = _keys(path)
    images, labels = _pair(path, "")
    cut = [name for name in ("valid", "test") if f"{name}_images" not in keys]
    parts = stratified(f"'{path}'", labels, dict.fromkeys(cut, SHARE))
    mine = parts["train"]
    classes = classes_of(f"'{path}'", labels[mine])
    mean, std = statistics(images[mine])
    as_split = partial(normal_split, where=f"'{path}'", mean=mean, std=std, classes=classes)
    if "valid" in parts:
        valid = as_split("valid", images[parts["valid"]], labels[parts["valid"]])
    else:
        valid = as_split("valid", *_pair(path, "valid_", images.shape[1:]))
    shape = images.shape[1:]
    if "test" not in parts:
        _check_header(path, "test_", shape)

    def read_test() -> Split:
        if "test" not in parts:
            return as_split("test", *_pair(path, "test_", shape))
        images, labels = _pair(path, "")
        return as_split("test", images[parts["test"]], labels[parts["test"]])

    facts = {
        "file": path.name,
        "images": {"train": len(mine), "valid": len(valid)} | ({"test": len(parts["test"])} if "test" in parts else {}),
        "split": {name: "cut from images, class by class" if name in cut else "given" for name in ("valid", "test")},
        "mean": mean.tolist(),
        "std": std.tolist(),
    }
    return Task(
        name=f"npz:{path.name}",
        classes=classes,
        shape=shape,
        train=as_split("train", images[mine], labels[mine]),
        valid=valid,
        seal=Seal(read_test),
        fingerprint=sha256_of(path),
        facts=facts,
    )


def _keys(path: Path) -> set[str]:
    """The names of the arrays; both of each pair or neither."""
    if not path.exists():
        raise BenchbedError(f"npz file '{path}' does not exist{near(path)}")
    with _archive(path) as archive:
        keys = {name.removesuffix(".npy") for name in archive.namelist()}
    for prefix in ("", "valid_", "test_"):
        pair = [f"{prefix}images", f"{prefix}labels"]
        missing = [key for key in pair if key not in keys]
        if missing and (not prefix or len(missing) == 1):
            raise BenchbedError(f"'{path}' has no array '{missing[0]}', only {', '.join(sorted(keys)) or 'none'}")
    return keys


def _pair(path: Path, prefix: str, shape: tuple[int, ...] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The checked arrays of a split: float32 (n, c, h, w) on the file's own scale, and int64 (n,)."""
    images, labels = _array(path, f"{prefix}images"), _array(path, f"{prefix}labels")
    laid_out = _layout(f"'{path}' {prefix}images", images)
    if shape is not None and laid_out.shape[1:] != shape:
        raise BenchbedError(f"'{path}' {prefix}images are {laid_out.shape[1:]}, the training images {shape}")
    name = f"'{path}' {prefix}labels"
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise BenchbedError(f"{name} are {labels.dtype} of shape {labels.shape}: one integer an image is needed")
    if len(labels) != len(images):
        raise BenchbedError(f"{name} are {len(labels)} for {len(images)} images: one an image is needed")
    if labels.min() < 0:
        raise BenchbedError(f"{name} contain {labels.min()}: classes are numbered from 0")
    return _pixels(f"'{path}' {prefix}images", laid_out), labels.astype(np.int64)


def _array(path: Path, key: str) -> np.ndarray:
    with _archive(path, key) as archive:
        return read_array(archive, f"{key}.npy")


@contextmanager
def _archive(path: Path, key: str = "") -> "Iterator[zipfile.ZipFile]":
    """The file's archive. Raises BenchbedError that names `key` where reading it in the block fails."""
    with opened(path) as file:
        if not is_archive(file):
            raise BenchbedError(
                f"'{path}' is not an .npz file: write one with numpy.savez(FILE, images=..., labels=...)"
            )
        try:
            with open_archive(file) as archive:
                yield archive
        except BenchbedError:
            raise
        except Exception as error:  # a damaged archive can fail in any way
            what = f"'{path}' {key}".rstrip()
            raise BenchbedError(f"{what} cannot be read ({damage(error)})") from None


def _check_header(path: Path, prefix: str, shape: tuple[int, ...]) -> None:
    """Refuses a sealed split whose arrays have the wrong shape or type, by their headers: no pixel is read."""
    images, labels = (_header(path, f"{prefix}{key}") for key in ("images", "labels"))
    laid_out = _layout(f"'{path}' {prefix}images", images)
    if laid_out.shape[1:] != shape:
        raise BenchbedError(f"'{path}' {prefix}images are {laid_out.shape[1:]}, the training images {shape}")
    if labels.shape != (len(images),):
        raise BenchbedError(
            f"'{path}' {prefix}labels are {labels.shape} for {len(images)} images: one an image is needed"
        )


def _header(path: Path, key: str) -> np.ndarray:
    """An array of zeros of the stored one's shape and type that takes no memory."""
    with _archive(path, key) as archive, archive.open(f"{key}.npy") as file:
        shape, _, dtype, _ = array_header(file)
    return np.broadcast_to(np.zeros((), dtype), shape)


def _layout(name: str, images: np.ndarray) -> np.ndarray:
    """A view of images of any accepted type and layout as (n, c, h, w)."""
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise BenchbedError(f"{name} are {images.dtype}: uint8 or floating point is needed")
    if images.ndim not in (3, 4):
        raise BenchbedError(f"{name} have shape {images.shape}: (n, h, w), (n, h, w, c) or (n, c, h, w) is needed")
    if images.shape[0] == 0:
        raise BenchbedError(f"{name} have shape {images.shape}: at least one image is needed")
    if images.ndim == 3:
        images = images[:, None]
    else:
        first, last = images.shape[1] in (1, 3), images.shape[3] in (1, 3)
        if first == last:
            what = "either the second or the last could be" if first else "neither the second nor the last is"
            raise BenchbedError(f"{name} have shape {images.shape}: {what} a size of 1 or 3 channels")
        images = images if first else images.transpose(0, 3, 1, 2)
    if min(images.shape[2:]) < SMALLEST:
        raise BenchbedError(f"{name} are {images.shape[2]}x{images.shape[3]}: at least {SMALLEST}x{SMALLEST} is needed")
    return images


def _pixels(name: str, images: np.ndarray) -> np.ndarray:
    """Images (n, c, h, w) as float32."""
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite and is refused below
        images = np.ascontiguousarray(images, dtype=np.float32)
    if not np.isfinite(images).all():
        raise BenchbedError(f"{name} contain NaN or infinity")
    return images
