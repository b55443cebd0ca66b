"""Images that a script holds, arrays or a `torch.utils.data.Dataset`, as the file of a task `npz:FILE`.

A file beside the runs, named by its content, is what makes them resumable, and seen by worker processes and `select`.
"""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from torch.utils.data import Dataset

from ..errors import BenchbedError, unknown
from ..runtime.files import one_line, own_tag, write_atomic
from .npz import npz_task
from .torch import read_dataset

SPLITS = {"train": "", "valid": "valid_", "test": "test_"}  # -> what begins the names of its arrays in the file
ACCEPTED = "a name, npz:FILE, (images, labels), a Dataset, or one of these for each of train, valid and test"


def kept_task(given: object, folder: Path) -> str:
    """The task `npz:FILE` of the images and labels given; FILE is written below `folder`, once for equal content.

    given: (images, labels), arrays or tensors as `benchbed.tasks.npz` takes them; a Dataset, as `benchbed.tasks.torch`
    does; or a mapping of 'train' and perhaps 'valid', 'test' to such. Raises BenchbedError for anything else.
    """
    parts = given if isinstance(given, Mapping) else {"train": given}
    arrays: dict[str, np.ndarray] = {}
    for split, part in parts.items():
        if split not in SPLITS:
            raise unknown("split of a task", split, SPLITS)
        for name, array in zip(("images", "labels"), _pair(split, part), strict=True):
            arrays[SPLITS[split] + name] = array
    if "images" not in arrays:
        raise BenchbedError(f"a task of {', '.join(parts) or 'nothing'} has no 'train' images")
    data = io.BytesIO()
    np.savez(data, allow_pickle=False, **arrays)
    file = folder / f"arrays-{hashlib.sha256(data.getvalue()).hexdigest()[:10]}.npz"
    if not file.is_file():
        _check(data.getvalue())
        with one_line(folder, "write to"):
            folder.mkdir(parents=True, exist_ok=True)
        write_atomic(file, data.getvalue(), own_tag())
    return f"npz:{file}"


def _check(data: bytes) -> None:
    """Raises BenchbedError for arrays that are no task, before they are kept."""
    with TemporaryDirectory(prefix="benchbed-data-") as scratch:
        file = Path(scratch) / "task.npz"
        file.write_bytes(data)
        try:
            npz_task(file)
        except BenchbedError as error:
            words = str(error).replace(f"'{file}'", "the task given").replace(str(file), "the task given")
            raise BenchbedError(words) from None


def _pair(split: str, part: object) -> tuple[np.ndarray, np.ndarray]:
    """The images and labels of a split."""
    if isinstance(part, Dataset) and hasattr(part, "__len__") and len(part):
        return read_dataset("given", split, part)
    if not isinstance(part, tuple) or len(part) != 2:
        raise BenchbedError(f"task's {split} is of type {type(part).__name__}: expected {ACCEPTED}")
    images, labels = (np.asarray(x.detach().cpu() if hasattr(x, "detach") else x) for x in part)
    if images.dtype.hasobject or labels.dtype.hasobject:
        raise BenchbedError(f"task's {split} holds objects where images and labels of numbers are needed")
    return images, labels
