"""Which images train, which validate, which test: NAS-Bench-201's own lists, halves or the whole; balanced parts."""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from ..errors import BenchbedError
from ..runtime.reading import LIMITS, parse_json, read_bytes
from ..typed import whole_number


class SplitFile(NamedTuple):
    """One of NAS-Bench-201's split files: it cuts the training or the test images into two equal parts.

    `keys` name its two lists: (train, valid) of the training images, or (valid, test) of the test images.
    """

    name: str
    keys: tuple[str, str]
    divides: Literal["train", "test"]


class Parts(NamedTuple):
    """Sorted indices: `train` into the training images, `test` into the test images, `valid` into those of
    `valid_from`. `source` says where they come from, for the record."""

    train: np.ndarray
    valid: np.ndarray
    valid_from: Literal["train", "test"]
    test: np.ndarray
    source: str


def official(file: SplitFile, folder: Path, train: int, test: int) -> Parts:
    """The benchmark's own split of `train` training and `test` test images, by its file in `folder`.

    Raises BenchbedError that names the file and the entry on anything but two disjoint lists that halve the images.
    """
    total = train if file.divides == "train" else test
    one, two = _read(folder / file.name, file.keys, total)
    source = f"official: {file.name} of NAS-Bench-201"
    if file.divides == "train":
        return Parts(one, two, "train", np.arange(test), source)
    return Parts(np.arange(train), one, "test", two, source)


def halves(train: int, test: int) -> Parts:
    """The first half of the training images trains, the other half validates, in the order of the files (DARTS;
    darts-pt does so on every data set of NAS-Bench-201). All test images test."""
    order = np.arange(train)
    source = "halves: the training images in the order of their files, first half train, last half valid"
    return Parts(order[: train // 2], order[train // 2 :], "train", np.arange(test), source)


def whole(train: int, test: int) -> Parts:
    """All training images train, as a network's last training has it; all test images test. Nothing is held out: what
    stands in for validation is the last tenth of the training images, which training sees."""
    order = np.arange(train)
    source = "whole: all training images train; valid, their last tenth, is seen in training and tells nothing new"
    return Parts(order, order[train - train // 10 :], "train", np.arange(test), source)


def balanced(labels: np.ndarray, count: int) -> np.ndarray:
    """Sorted indices of `count` of the labels, or of all if there are no more, drawn class by class in turn.

    Each round takes the next label of every class, in their order, until a class runs out; so classes differ by at
    most one where each has enough, nothing is random, and a smaller part lies within a larger one.
    """
    by_class = np.argsort(labels, kind="stable")
    ordered = labels[by_class]
    starts = np.searchsorted(ordered, ordered)  # where the class of each one begins
    rounds = np.empty(len(labels), dtype=np.int64)
    rounds[by_class] = np.arange(len(labels)) - starts
    return np.sort(np.lexsort((labels, rounds))[:count])


def _read(path: Path, keys: tuple[str, str], total: int) -> tuple[np.ndarray, np.ndarray]:
    """The two lists of a split file, {"key": ["int", ["0", "5", ...]], ...}, sorted."""
    form = "{" + ", ".join(f'"{key}": ["int", ["0", ...]]' for key in keys) + "}"
    try:
        data = read_bytes(path, LIMITS.json_bytes, "the split file ")
    except BenchbedError as error:
        raise BenchbedError(f"{error}; split=halves needs none (--set task_options.split=halves)") from None
    try:
        content = parse_json(data)
    except ValueError:
        raise BenchbedError(f"'{path}' is not a split file: JSON of the form {form} is needed") from None
    if not isinstance(content, dict) or sorted(content) != sorted(keys):
        raise BenchbedError(f"'{path}' is not a split file of this data set: the form {form} is needed")
    one, two = (_indices(path, key, content[key], total) for key in keys)
    both = np.intersect1d(one, two)
    if len(both):
        raise BenchbedError(f"'{path}' lists image {both[0]} under both '{keys[0]}' and '{keys[1]}'")
    return one, two


def _indices(path: Path, key: str, value: object, total: int) -> np.ndarray:
    match value:
        case ["int", [*entries]]:
            pass
        case _:
            raise BenchbedError(f"""'{path}' {key} is no ["int", [...]] list of image numbers""")
    for entry in entries:
        number = whole_number(entry) if isinstance(entry, str) else None
        if number is None:
            raise BenchbedError(f"'{path}' {key} lists {str(entry)[:40]!r}: a whole number is needed")
        if number >= total:
            raise BenchbedError(f"'{path}' {key} lists image {entry}: 0 to {total - 1} are there")
    if len(entries) != total // 2:
        raise BenchbedError(f"'{path}' {key} lists {len(entries)} images: {total // 2} are needed")
    indices = np.sort(np.array(entries, dtype=np.int64))
    twice = indices[1:][indices[1:] == indices[:-1]]
    if len(twice):
        raise BenchbedError(f"'{path}' {key} lists image {twice[0]} twice")
    return indices
