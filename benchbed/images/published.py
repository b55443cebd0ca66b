"""A published data set as a task: its files, its splits, its normalisation and its augmentation.

Images are kept as normalised float32: 614 MB for the 50,000 of CIFAR, 466 MB for the 151,700 of ImageNet16-120, so that
a step is one gather on the device and nothing is decoded or normalised twice. The test images are not read before the
seal is opened; where half of them validate (NAS-Bench-201 on CIFAR-100 and ImageNet16-120), their file is read for that
half and the other is dropped unseen.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ..errors import BenchbedError, unknown
from ..task import Seal, Split, Task
from .augment import Augment
from .batches import Layout, read_batch
from .splits import Parts, SplitFile, balanced, halves, official, whole

SPLITS = ("official", "halves", "whole")
Reader = Callable[[Path, Layout, str | None], tuple[np.ndarray, np.ndarray]]  # as `read_batch`


@dataclass(frozen=True)
class Published:
    """What a data set is. `train` and `test` map files, in their order, to the MD5 that they were published with.

    `classes`: how many of the layout's classes, from its first, belong to the task; the others' images are left out.
    `mean`, `std`: per channel, on the scale 0 to 255 (NAS-Bench-201's). `border`: of the random crop, in pixels.
    `read`: how a file is read; None: as a pickled batch.
    """

    task: str
    title: str
    folder: str
    train: dict[str, str]
    test: dict[str, str]
    layout: Layout
    classes: int
    train_images: int
    test_images: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    border: int
    split_file: SplitFile | None  # NAS-Bench-201's, where it has the data set
    read: Reader | None = None


@dataclass(frozen=True)
class Options:
    """`splits`: the folder with NAS-Bench-201's split files; `split`: 'official', 'halves' or 'whole', by default
    'official' where `splits` is given, else 'halves'; `images`: at most so many in train and in valid; `cutout`: side
    in pixels, 0 for none; `verify`: whether the files must have their published MD5."""

    splits: str | Path | None
    split: str | None
    images: int | None
    cutout: int
    verify: bool

    def check(self, of: Published) -> None:
        """Raises BenchbedError on a value out of range."""
        for name, least, most in (("images", of.classes, 10**9), ("cutout", 0, of.layout.side)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
                raise BenchbedError(f"{of.task} option {name}={value}: a whole number of at least {least} is needed")
            if value is not None and value > most:
                raise BenchbedError(f"{of.task} option {name}={value}: at most {most} is possible")
        if self.cutout % 2:
            raise BenchbedError(f"{of.task} option cutout={self.cutout}: an even number of pixels is needed")
        if not isinstance(self.verify, bool):
            raise BenchbedError(f"{of.task} option verify={self.verify}: true or false is needed")
        known = [split for split in SPLITS if of.split_file is not None or split != "official"]
        if self.split is not None and self.split not in known:
            raise unknown(f"{of.task} split", self.split, known)
        if of.split_file is not None and self.split == "official" and self.splits is None:
            raise BenchbedError(
                f"{of.task} split=official needs splits=DIR (--splits DIR), the folder that holds "
                f"{of.split_file.name}"
            )

    def parts(self, of: Published) -> Parts:
        """Which images are in which split. Raises BenchbedError on what a split file holds."""
        if self.split == "whole":
            return whole(of.train_images, of.test_images)
        if of.split_file is None or self.splits is None or self.split == "halves":
            return halves(of.train_images, of.test_images)
        return official(of.split_file, Path(self.splits), of.train_images, of.test_images)


def published_task(of: Published, data: str | Path | None, options: Options) -> Task:
    """The task of the data set `of` in the folder `data`, which holds its files or the folder that they come in.

    Raises BenchbedError in one line on a missing, wrong, corrupt or foreign file and on an option out of range; on what
    is wrong inside a test file only once the seal is opened.
    """
    options.check(of)
    folder = _folder(of, data)
    parts = options.parts(of)
    read = {"train": _read(of, folder, "train", options.verify)}
    if parts.valid_from == "test":
        read["test"] = _read(of, folder, "test", options.verify)
    raw = {
        "train": _part(of, "train", *read["train"], parts.train, options.images),
        "valid": _part(of, "valid", *read[parts.valid_from], parts.valid, options.images),
    }
    del read

    def read_test() -> Split:
        images, labels = _read(of, folder, "test", options.verify)
        return _split(of, images[parts.test], labels[parts.test])

    return Task(
        name=of.task,
        classes=of.classes,
        shape=(3, of.layout.side, of.layout.side),
        train=_split(of, *raw["train"]),
        valid=_split(of, *raw["valid"]),
        seal=Seal(read_test),
        fingerprint=_fingerprint(of, options, parts, raw),
        facts=_facts(of, options, parts, {name: len(labels) for name, (_, labels) in raw.items()}),
        augment=Augment(of.border, _black(of), options.cutout),
    )


def _folder(of: Published, data: str | Path | None) -> Path:
    """The folder with the files: `data` itself, or the one in it that they come in."""
    names = [*of.train, *of.test]
    expected = f"{of.folder}/ with {', '.join(names)}"
    if data is None:
        raise BenchbedError(f"task '{of.task}' needs its images, data=DIR: a folder that holds {expected}")
    if not Path(data).is_dir():
        raise BenchbedError(f"data '{data}' is not a folder: task '{of.task}' needs {expected}")
    inner = Path(data) / of.folder
    folder = inner if inner.is_dir() else Path(data)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise BenchbedError(f"'{folder}' has no file {missing[0]}: task '{of.task}' needs {expected}")
    return folder


def _read(of: Published, folder: Path, which: Literal["train", "test"], verify: bool) -> tuple[np.ndarray, np.ndarray]:
    """All images, uint8 (n, 3, side, side), and labels, int64 (n,), of the task's classes in the files' order."""
    batches = []
    for name, md5 in getattr(of, which).items():
        images, labels = (of.read or read_batch)(folder / name, of.layout, md5 if verify else None)
        mine = labels < of.classes
        batches.append((images, labels) if mine.all() else (images[mine], labels[mine]))
    images, labels = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    expected = getattr(of, f"{which}_images")
    if len(labels) != expected:
        what = f"{of.title} has {expected} {'training' if which == 'train' else 'test'} images"
        raise BenchbedError(f"'{folder}' {', '.join(getattr(of, which))} hold {len(labels)} images: {what}")
    return images, labels


def _part(
    of: Published, name: str, images: np.ndarray, labels: np.ndarray, indices: np.ndarray, most: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """The chosen images and labels, every class among them."""
    if most is not None:
        indices = indices[balanced(labels[indices], most)]
    absent = np.setdiff1d(np.arange(of.classes), labels[indices])
    if len(absent):  # as a contiguous half of images that are sorted by class would have it
        raise BenchbedError(f"{of.title}: the {name} split has no image of class {absent[0]}, of 0 to {of.classes - 1}")
    return images[indices], labels[indices]


def _split(of: Published, images: np.ndarray, labels: np.ndarray) -> Split:
    mean, std = (torch.tensor(value, dtype=torch.float32)[:, None, None] for value in (of.mean, of.std))
    return Split(torch.from_numpy(images).float().sub_(mean).div_(std), torch.from_numpy(labels))


def _black(of: Published) -> tuple[float, ...]:
    return tuple(-mean / std for mean, std in zip(of.mean, of.std, strict=True))


def _fingerprint(of: Published, options: Options, parts: Parts, raw: dict[str, tuple[np.ndarray, np.ndarray]]) -> str:
    """SHA-256 of what is trained and validated on, of which images test, and of what is made of them."""
    test = hashlib.sha256(parts.test.astype("<i8").tobytes()).hexdigest()
    made = [of.task, of.mean, of.std, of.border, options.cutout, list(of.test), test]
    digest = hashlib.sha256(json.dumps(made).encode())
    for images, labels in raw.values():
        digest.update(images.tobytes())
        digest.update(labels.astype("<i8").tobytes())
    return digest.hexdigest()


def _facts(of: Published, options: Options, parts: Parts, sizes: dict[str, int]) -> dict[str, Any]:
    """What the record says about the data."""
    return {
        "data": of.title,
        "images": {**sizes, "test": len(parts.test)},
        "split": parts.source,
        "valid_from": f"the published {'training' if parts.valid_from == 'train' else 'test'} images",
        "most_images": options.images,
        "mean": list(of.mean),
        "std": list(of.std),
        "augmentation": {"crop_border": of.border, "flip": 0.5, "cutout": options.cutout},
        "md5": "as published" if options.verify else "not checked",
    }
