"""ImageNet from its standard folder (data=DIR): DIR/train/CLASS/*.JPEG and DIR/val/CLASS/*.JPEG, decoded as they come.

Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, 2015. Any folder of that form will do. A class
is a folder, and its number the folder's place in alphabetical order. As ProxylessNAS has it, 50,000 images, as many of
each class, drawn once and for all from the training images, validate; the `val` images, the only ones with published
labels beside them, are the test set, which nothing but a score reads.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from ..errors import BenchbedError
from ..images.jpegs import JpegSplit, scan
from ..images.photographs import BRIGHTNESS, MEAN, SATURATION, STD
from ..images.splits import balanced
from ..runtime.parallel import connected
from ..task import Seal, Task

SUFFIXES = (".jpeg", ".jpg", ".png")
FORM = "DIR/train/CLASS/*.JPEG and DIR/val/CLASS/*.JPEG"
SMALLEST = 8  # pixels a side
_CONSTANT = 0  # seeds the draw of the validation images: the published code's seed


def imagenet(
    data: str | Path | None = None, valid: int | float = 50_000, images: int | None = None, resolution: int = 224
) -> Task:
    """The task: images (n, 3, resolution, resolution), a class a folder.

    `data`: the folder with `train` and `val`; `valid`: how many of the training images validate, or which share of
    them where it is below 1; `images`: at most so many in train and in valid, balanced over the classes; `resolution`:
    the side in pixels. Pixels are read only when a batch is; an image that cannot be is left out and noted. Under
    torchrun the first process alone lists the files and reads their sizes, and hands on what it found. Raises
    BenchbedError, naming the place, on folders that do not fit together and on an option out of range.
    """
    group = connected()
    folder, train, val = group.from_leader(lambda: _scanned(data))
    _check("images", images, len(train), 10**9)
    _check("resolution", resolution, SMALLEST, 4096)
    names, labels = _listed(train)
    parts = _parts(labels, _count(valid, len(names)), list(train))
    if images is not None:
        parts = {name: chosen[balanced(labels[chosen], images)] for name, chosen in parts.items()}
    made = {
        name: JpegSplit(
            folder / "train",
            [names[i] for i in chosen],
            torch.from_numpy(labels[chosen]),
            resolution,
            augment=name == "train",
        )
        for name, chosen in parts.items()
    }
    test_names, test_labels = _listed(val)
    fingerprint = group.from_leader(lambda: _fingerprint(made, test_names, folder / "val", resolution))

    def test() -> JpegSplit:
        return JpegSplit(folder / "val", test_names, torch.from_numpy(test_labels), resolution, augment=False)

    return Task(
        name="imagenet",
        classes=len(train),
        shape=(3, resolution, resolution),
        train=made["train"],
        valid=made["valid"],
        seal=Seal(test),
        fingerprint=fingerprint,
        facts={
            "data": "a folder of ImageNet's form",
            "images": {name: len(split) for name, split in made.items()} | {"test": len(test_names)},
            "split": f"valid: drawn from train, balanced over the classes, seed {_CONSTANT}; test: val",
            "most_images": images,
            "mean": list(MEAN),
            "std": list(STD),
            "resolution": resolution,
            "augmentation": {"area": [0.08, 1.0], "flip": 0.5, "brightness": BRIGHTNESS, "saturation": SATURATION},
            "fingerprint_of": "names and sizes of the files",
        },
    )


def _scanned(data: str | Path | None) -> tuple[Path, dict[str, list[str]], dict[str, list[str]]]:
    """The folder, and the training and `val` images of each class."""
    folder = _folder(data)
    train, val = (scan(folder / name, SUFFIXES) for name in ("train", "val"))
    _same_classes(folder, train, val)
    return folder, train, val


def _folder(data: str | Path | None) -> Path:
    if data is None:
        raise BenchbedError(f"task 'imagenet' needs its images, data=DIR: {FORM}")
    for name in ("train", "val"):
        if not (Path(data) / name).is_dir():
            raise BenchbedError(f"'{data}' has no folder '{name}': task 'imagenet' needs {FORM}")
    return Path(data)


def _same_classes(folder: Path, train: dict[str, list[str]], val: dict[str, list[str]]) -> None:
    for has, lacks, one, other in (("train", "val", train, val), ("val", "train", val, train)):
        missing = sorted(set(one) - set(other))
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise BenchbedError(f"'{folder / lacks}' has no class '{missing[0]}'{more}, which '{folder / has}' has")
    if len(train) < 2:
        raise BenchbedError(f"'{folder / 'train'}' has {len(train)} classes: at least 2 are needed, in {FORM}")


def _listed(classes: dict[str, list[str]]) -> tuple[list[str], np.ndarray]:
    """Every image as CLASS/FILE, and its label, int64 (n,)."""
    names = [f"{name}/{file}" for name, files in classes.items() for file in files]
    return names, np.repeat(np.arange(len(classes)), [len(files) for files in classes.values()])


def _count(valid: object, total: int) -> int:
    if isinstance(valid, float) and 0 < valid < 1:
        return round(valid * total)
    if isinstance(valid, int) and not isinstance(valid, bool) and valid >= 1:
        return valid
    raise BenchbedError(f"imagenet option valid={valid}: a number of images or a share between 0 and 1 is needed")


def _check(name: str, value: object, least: int, most: int) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BenchbedError(f"imagenet option {name}={value}: a whole number from {least} to {most} is needed")


def _parts(labels: np.ndarray, count: int, classes: list[str]) -> dict[str, np.ndarray]:
    """Sorted indices of train and valid: `count` of a fixed permutation, class by class in turn."""
    order = np.random.default_rng(_CONSTANT).permutation(len(labels))
    if count < len(classes):
        raise BenchbedError(f"imagenet option valid={count}: at least one image of each of {len(classes)} classes")
    valid = np.sort(order[balanced(labels[order], count)])
    train = np.setdiff1d(np.arange(len(labels)), valid)
    left = np.bincount(labels[train], minlength=len(classes))
    if not left.all():
        name, has = classes[int(left.argmin())], int((labels == left.argmin()).sum())
        raise BenchbedError(
            f"imagenet option valid={count}: that leaves no training image of class '{name}', which has {has}; "
            f"give a smaller number, or a share such as valid=0.1"
        )
    return {"train": train, "valid": valid}


def _fingerprint(made: dict[str, JpegSplit], test: list[str], val: Path, resolution: int) -> str:
    """SHA-256 of the files' names and sizes, their splits, and what is made of them: hashing 150 GB takes long."""
    digest = hashlib.sha256(json.dumps(["imagenet", MEAN, STD, BRIGHTNESS, SATURATION, resolution]).encode())
    listed = [(split.root, split.names) for split in made.values()] + [(val, test)]
    for root, names in listed:
        for name in names:
            digest.update(f"{name} {(root / name).stat().st_size}\n".encode())
        digest.update(b"--\n")
    return digest.hexdigest()
