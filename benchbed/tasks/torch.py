"""Your own torch.utils.data.Dataset: torch:MODULE:FUNCTION.

FUNCTION() gives a Dataset, or a dict with `train` and, optionally, `valid` and `test`; what is absent is cut from
train, class by class. An item is (image, label): the image a tensor or array (h, w) or (c, h, w), or a PIL image, in 1
or 3 channels; the label an integer, 0 to K-1. Every item is read once and kept in memory, normalised per channel with
the mean and standard deviation of the training images, and not augmented. A given test Dataset is not read before the
seal is opened.
"""

import hashlib
import json
from collections.abc import Callable
from importlib import import_module
from traceback import extract_tb
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor, from_numpy
from torch.nn.functional import interpolate
from torch.utils.data import Dataset

from ..errors import BenchbedError, unknown
from ..images.arrays import SMALLEST, check_whole, classes_of, normal_split, share, statistics, stratified
from ..task import Seal, Split, Task

PARTS = ("train", "valid", "test")
AGAIN = 3  # training images that are read a second time, to see that they are the same


def torch(
    module: str, /, size: int | None = None, valid: float | None = None, test: float | None = None, seed: int = 0
) -> Task:
    """The task of the Datasets that `module` = MODULE:FUNCTION gives: images (n, 1 or 3, height, width).

    `size`: pixels a side that every image is resized to; without it all must have one size. `valid`, `test`: the share
    of each class that is cut from `train` where that Dataset is not given, 0.2 by default; `seed`: another cut. Raises
    BenchbedError in one line on a function that cannot be called, on items that are not (image, label), on images of
    several sizes without `size` or that differ from one reading to the next, and on an option out of range.
    """
    check_whole("torch", "size", size, SMALLEST, none=True)
    check_whole("torch", "seed", seed, 0)
    where = f"torch:{module}"
    given = _datasets(where, *_function(where, module))
    images, labels = read_dataset(where, "train", given["train"], size)
    _check_repeats(where, given["train"], images, size)
    cut = {name: share("torch", name, value) for name, value in (("valid", valid), ("test", test)) if name not in given}
    parts = stratified(where, labels, cut, seed)
    mine = parts["train"]
    classes, shape = classes_of(where, labels[mine]), images.shape[1:]
    mean, std = statistics(images[mine])

    def split(name: str) -> Split:
        if name in parts:
            chosen = images[parts[name]], labels[parts[name]]
        else:
            chosen = read_dataset(where, name, given[name], size, shape)
        return normal_split(name, *chosen, where=where, mean=mean, std=std, classes=classes)

    made = {name: split(name) for name in ("train", "valid")}
    return Task(
        name=where,
        classes=classes,
        shape=shape,
        train=made["train"],
        valid=made["valid"],
        seal=Seal(lambda: split("test")),
        fingerprint=_fingerprint(made, parts, images, labels),
        facts={
            "images": {name: len(parts[name]) if name in parts else len(given[name]) for name in PARTS},
            "split": {name: f"{cut[name]:g} of each class" if name in cut else "given" for name in PARTS[1:]},
            "seed": seed,
            "mean": mean.tolist(),
            "std": std.tolist(),
        },
    )


def _function(where: str, target: str) -> tuple[str, Callable[[], Any]]:
    """MODULE:FUNCTION, imported."""
    module, colon, name = target.partition(":")
    if not module or not colon or not name:
        raise BenchbedError(f"task '{where}': write torch:MODULE:FUNCTION")
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise _failed(where, f"module '{module}'", error) from error
        raise BenchbedError(f"task '{where}': no module '{module}' is on Python's path (see PYTHONPATH)") from None
    except (Exception, SystemExit) as error:  # it runs code that is not ours
        raise _failed(where, f"module '{module}'", error) from error
    if not callable(made := getattr(found, name, None)):
        functions = [key for key, value in vars(found).items() if callable(value) and not key.startswith("_")]
        raise unknown(f"function of module '{module}'", name, functions)
    return name, made


def _failed(where: str, what: str, error: BaseException) -> BenchbedError:
    last = extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())
    return BenchbedError(
        f"task '{where}': {what} failed at {last.filename}:{last.lineno}: {type(error).__name__}: {text}"
    )


def _datasets(where: str, name: str, function: Callable[[], Any]) -> dict[str, Any]:
    """The Datasets by split; `train` is among them."""
    try:
        made = function()
    except Exception as error:
        raise _failed(where, f"{name}()", error) from error
    made = made if isinstance(made, dict) else {"train": made}
    for key, dataset in made.items():
        if key not in PARTS:
            raise unknown(f"split of {where}", key, PARTS)
        if not isinstance(dataset, Dataset) or not hasattr(dataset, "__len__"):
            raise BenchbedError(
                f"task '{where}': {key} is of type {type(dataset).__name__}: a torch Dataset with a length is needed"
            )
        if len(dataset) == 0:
            raise BenchbedError(f"task '{where}': {key} has no images")
    if "train" not in made:
        raise BenchbedError(f"task '{where}': its dict has no 'train', only {', '.join(made) or 'nothing'}")
    return made


def read_dataset(
    where: str, name: str, dataset: Any, size: int | None = None, shape: tuple[int, ...] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Images, float32 (n, c, h, w), and labels, int64 (n,), of a Dataset; all of `shape`, or of the first's."""
    images, labels = [], []
    for i in range(len(dataset)):
        image, label = _item(where, f"{name}[{i}]", dataset, i, size)
        shape = shape or image.shape
        if image.shape != shape:
            hint = "" if size is not None else "; give task_options.size where only their sizes differ"
            raise BenchbedError(f"task '{where}': {name}[{i}] has shape {image.shape}, those before {shape}{hint}")
        images.append(image)
        labels.append(label)
    return np.stack(images), np.array(labels, dtype=np.int64)


def _item(where: str, what: str, dataset: Dataset[object], i: int, size: int | None) -> tuple[np.ndarray, int]:
    try:
        item = dataset[i]
    except Exception as error:
        raise _failed(where, what, error) from error
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise BenchbedError(f"task '{where}': {what} is a {type(item).__name__}: a pair of image and label is needed")
    image, label = item
    if isinstance(label, Tensor | np.ndarray | np.generic) and label.shape in ((), (1,)):
        label = label.item()
    if isinstance(label, bool) or not isinstance(label, int) or label < 0:
        raise BenchbedError(f"task '{where}': {what} has the label {label!r:.40}: an integer of at least 0 is needed")
    return _pixels(where, what, image, size), label


def _pixels(where: str, what: str, image: object, size: int | None) -> np.ndarray:
    """float32 (c, h, w)."""
    if isinstance(image, Image.Image):
        image = np.asarray(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))
        image = image if image.ndim == 2 else image.transpose(2, 0, 1)
    image = image.detach().cpu().float().numpy() if isinstance(image, Tensor) else image
    if not isinstance(image, np.ndarray) or image.dtype.kind not in "iuf" or image.ndim not in (2, 3):
        form = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else f"a {type(image).__name__}"
        raise BenchbedError(f"task '{where}': {what} is {form}: a tensor (c, h, w) or a PIL image is needed")
    return _resized(where, what, np.ascontiguousarray(image, dtype=np.float32), size)


def _resized(where: str, what: str, image: np.ndarray, size: int | None) -> np.ndarray:
    """float32 (c, h, w), checked."""
    image = image[None] if image.ndim == 2 else image
    if image.shape[0] not in (1, 3):
        raise BenchbedError(f"task '{where}': {what} has {image.shape[0]} channels: 1 or 3 come first")
    if size is not None and image.shape[1:] != (size, size):
        resized = interpolate(from_numpy(image)[None], (size, size), mode="bilinear", antialias=True)
        image = resized[0].numpy()
    if min(image.shape[1:]) < SMALLEST:
        raise BenchbedError(
            f"task '{where}': {what} is {image.shape[1]}x{image.shape[2]}: at least {SMALLEST}x{SMALLEST} is needed"
        )
    if not np.isfinite(image).all():
        raise BenchbedError(f"task '{where}': {what} contains NaN or infinity")
    return image


def _check_repeats(where: str, dataset: Dataset[object], images: np.ndarray, size: int | None) -> None:
    """Raises BenchbedError for a Dataset that augments: a task's images are read once, and are to be the same."""
    for i in range(min(AGAIN, len(images))):
        if not np.array_equal(_item(where, f"train[{i}]", dataset, i, size)[0], images[i]):
            raise BenchbedError(f"task '{where}': train[{i}] is another image at each reading: leave augmentation out")


def _fingerprint(made: dict[str, Split], parts: dict[str, np.ndarray], images: np.ndarray, labels: np.ndarray) -> str:
    """SHA-256 of what is trained and validated on, and of the test images where they are cut from the same Dataset."""
    digest = hashlib.sha256(json.dumps([list(images.shape[1:]), sorted(parts)]).encode())
    for split in made.values():
        digest.update(split.images.numpy().tobytes() + split.labels.numpy().tobytes())
    if "test" in parts:
        digest.update(images[parts["test"]].tobytes() + labels[parts["test"]].tobytes())
    return digest.hexdigest()
