"""Your own images, from a folder with a folder a class: images:FOLDER.

DIR holds `train`, `valid` and `test`, each with a folder a class; what is absent of valid and test is cut from train,
class by class. Or DIR holds the class folders themselves, and both are cut from them. A class is a folder, and its
number the folder's place in alphabetical order. Images in grey have one channel; one in colour among the training
images gives all of them three. They are normalised per channel with the mean and standard deviation of the training
images, and not augmented. Test images are not decoded before the seal is opened.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ..errors import BenchbedError
from ..images.arrays import SMALLEST, check_whole, share, stratified
from ..images.folders import READ, SUFFIXES, FolderSplit, header
from ..images.jpegs import scan
from ..runtime.parallel import connected
from ..runtime.reading import near, sha256_of
from ..task import AnySplit, Seal, Split, Task

MEMORY = 4 * 2**30  # bytes of decoded images beyond which they stay on disk
FORM = "DIR/CLASS/*.png, or DIR/train/CLASS/*.png with DIR/valid and DIR/test beside it"
Listed = tuple[list[str], np.ndarray]  # files below DIR, and their labels, int64 (n,)


def images(
    folder: str, /, size: int | None = None, valid: float | None = None, test: float | None = None, seed: int = 0
) -> Task:
    """The task of the folder: images (n, 1 or 3, height, width).

    `size`: pixels a side that every image is resized to, whole; without it all must have one size. `valid`, `test`:
    the share of each class that is cut from the training images where there is no such folder, 0.2 by default;
    `seed`: another cut. Images of more than 4 GiB stay on disk and are decoded when they are asked for. Under torchrun
    the first process alone lists, hashes and measures the files, and hands on what it found. Raises
    BenchbedError, naming the place, on a folder of another form, a file that is not an image, images of several sizes
    without `size`, fewer than two classes, and an option out of range.
    """
    root = Path(folder).absolute()
    check_whole("images", "size", size, SMALLEST, none=True)
    check_whole("images", "seed", seed, 0)
    read = connected().from_leader(lambda: _read(root, size, {"valid": valid, "test": test}, seed))
    listed, names, split, (shape, colour), mean, std, fingerprint = read
    channels = len(mean)
    fits = sum(len(labels) for _, labels in listed.values()) * channels * shape[0] * shape[1] * 4 <= MEMORY

    def ready(name: str) -> AnySplit:
        made = _split(root, listed[name], shape, colour)
        made.mean, made.std = mean, std
        return _in_memory(made) if fits else made

    return Task(
        name=f"images:{root.name}",
        classes=len(names),
        shape=(channels, *shape),
        train=ready("train"),
        valid=ready("valid"),
        seal=Seal(lambda: ready("test")),
        fingerprint=fingerprint,
        facts={
            "folder": root.name,
            "classes": names,
            "images": {name: len(labels) for name, (_, labels) in listed.items()},
            "split": split,
            "seed": seed,
            "resized": size is not None,
            "mean": mean.tolist(),
            "std": std.tolist(),
        },
    )


class _Read(NamedTuple):
    """What is read of all files, but for the pixels: the splits, the classes' names, how each split was made, (height,
    width) and whether in colour, mean and standard deviation of the training images (channels,), the fingerprint."""

    listed: dict[str, Listed]
    names: list[str]
    split: dict[str, str]
    seen: tuple[tuple[int, int], bool]
    mean: torch.Tensor
    std: torch.Tensor
    fingerprint: str


def _read(root: Path, size: int | None, shares: dict[str, float | None], seed: int) -> _Read:
    listed, names, split = _listed(root, shares, seed)
    shape, colour = _shape(root, listed, size)
    train = _split(root, listed["train"], shape, colour)
    train.measure()
    fingerprint = _fingerprint(root, listed, (*shape, len(train.mean)))
    return _Read(listed, names, split, (shape, colour), train.mean, train.std, fingerprint)


def _split(root: Path, of: Listed, shape: tuple[int, int], colour: bool) -> FolderSplit:
    files, labels = of
    return FolderSplit(root, files, torch.from_numpy(labels), shape, colour)


def _listed(
    root: Path, shares: dict[str, float | None], seed: int
) -> tuple[dict[str, Listed], list[str], dict[str, str]]:
    """Files and labels of the three splits, the classes' names, and how each split was made."""
    if not root.is_dir():
        what = f"'{root}' is a file" if root.is_file() else f"folder '{root}' does not exist"
        raise BenchbedError(f"{what}: task 'images' needs {FORM}{near(root)}")
    apart = (root / "train").is_dir() and any(place.is_dir() for place in (root / "train").iterdir())
    files, labels, names = _classes(root, root / "train" if apart else root, None)
    listed, split = {}, {}
    for name, value in shares.items():
        if not (apart and (root / name).is_dir()):
            continue
        if value is not None:
            raise BenchbedError(f"images option {name}={value}: '{root / name}' is there, nothing is cut")
        listed[name], split[name] = _classes(root, root / name, names)[:2], "its folder"
    cut = {name: share("images", name, value) for name, value in shares.items() if name not in listed}
    for name, chosen in stratified(f"folder '{root}'", labels, cut, seed).items():
        listed[name] = [files[i] for i in chosen], labels[chosen]
    split |= {name: f"{value:g} of each class" for name, value in cut.items()}
    if missing := sorted(set(range(len(names))) - set(listed["train"][1].tolist())):
        raise BenchbedError(f"folder '{root}': no image of class '{names[missing[0]]}' is left to train on")
    return {name: listed[name] for name in ("train", "valid", "test")}, names, split


def _classes(root: Path, folder: Path, names: list[str] | None) -> tuple[list[str], np.ndarray, list[str]]:
    """Every image of the class folders, as a path below root, with its label; `names`: the training classes."""
    found = scan(folder, SUFFIXES)
    if names is None:
        if len(found) < 2:
            held = f"one class folder ('{next(iter(found))}')" if found else "no class folder"
            raise BenchbedError(f"folder '{folder}' holds {held}: at least two classes are needed, as {FORM}")
        names = list(found)
    elif not found:
        raise BenchbedError(f"folder '{folder}' holds no class folder: {FORM} is needed")
    elif unknown := sorted(set(found) - set(names)):
        raise BenchbedError(f"'{folder / unknown[0]}' is of a class that the training images do not have")
    elif lacking := [name for name in names if not found.get(name)]:
        raise BenchbedError(f"folder '{folder}' has no image of class '{lacking[0]}', which the training images have")
    below = folder.relative_to(root)
    files = [str(below / name / file) for name, inside in found.items() for file in inside]
    return files, np.repeat([names.index(name) for name in found], [len(inside) for inside in found.values()]), names


def _shape(root: Path, listed: dict[str, Listed], size: int | None) -> tuple[tuple[int, int], bool]:
    """(height, width) and whether a training image is in colour, by the files' headers."""
    first: tuple[str, int, int] | None = None
    colour = False
    for split, (files, _) in listed.items():
        for file in files:
            height, width, coloured = header(root / file)
            colour |= coloured and split == "train"
            first = first or (file, height, width)
            if size is None and (height, width) != first[1:]:
                raise BenchbedError(
                    f"folder '{root}' holds images of several sizes: '{first[0]}' is {first[1]}x{first[2]}, "
                    f"'{file}' {height}x{width}; give task_options.size"
                )
    assert first is not None
    height, width = first[1:] if size is None else (size, size)
    if min(height, width) < SMALLEST:
        raise BenchbedError(
            f"folder '{root}' holds images of {height}x{width}: at least {SMALLEST}x{SMALLEST} is needed"
        )
    return (height, width), colour


def _in_memory(split: FolderSplit) -> Split:
    batches = list(split.batches(torch.arange(len(split)).split(READ)))
    if split.broken:
        name, why = next(iter(split.broken.items()))
        raise BenchbedError(f"image '{split.root / name}' cannot be read: {why}")
    return Split(torch.cat([images for images, _ in batches]), torch.cat([labels for _, labels in batches]))


def _fingerprint(root: Path, listed: dict[str, Listed], shape: tuple[int, ...]) -> str:
    """SHA-256 of the files' content, in their splits, with their labels and the shape that is made of them."""
    digest = hashlib.sha256(f"images {shape}".encode())
    for split, (files, labels) in listed.items():
        for file, label in zip(files, labels.tolist(), strict=True):
            digest.update(f"{split} {label} {sha256_of(root / file)}\n".encode())
    return digest.hexdigest()
