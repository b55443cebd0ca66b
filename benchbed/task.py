"""The contract of a task: images and labels on one device, test data under a seal.

A task gives a training and a validation split; searchers and selectors see these alone. The test split sits behind
a `Seal`, which only a scorer opens, and only with a finished selection in hand. A sealed split is not even built
or read from its file before that.

A plug-in of kind task is a file with one public function that is annotated to return a `Task`: a file of
benchbed/tasks/, a user's own file (`--plugin`), or a function under the entry point group `benchbed.tasks`. The
function's keyword arguments are the task's options (`task_options`; `data` and `splits` have flags of their own). A
positional-only argument is what its name takes after a colon: `def images(folder: str, /, size: int | None = None)`
is written `images:FOLDER`. It is called once a process, raises BenchbedError on what it refuses, and gives equal
splits, in the same order, for equal arguments. `benchbed.testing.task_suite` holds the contract as checks.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from .errors import BenchbedError

Batches = Iterator[tuple[Float[Tensor, "n c h w"], Int64[Tensor, " n"]]]


@dataclass(frozen=True)
class Split:
    """`images` are float32 and normalised."""

    images: Float[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> "Split":
        return Split(self.images.to(device), self.labels.to(device))

    def first(self, count: int) -> "Split":
        """The split of its first `count` images."""
        return Split(self.images[:count], self.labels[:count])

    def batches(self, order: Iterable[Int64[Tensor, " _"]]) -> Batches:
        """Images and labels of each of the index batches."""
        for chosen in order:
            here = chosen.to(self.labels.device, non_blocking=True)
            yield self.images[here], self.labels[here]

    def in_order(self, parts: Iterable[slice]) -> Batches:
        """Views of the images and labels of each part."""
        for part in parts:
            yield self.images[part], self.labels[part]


class Reading(NamedTuple):
    """Images that are being decoded: which they are, their draws, and what will be in their places.

    slot: the memory of the split that they are decoded into, where it has one that is used again.
    """

    chosen: Int64[Tensor, " m"]
    seeds: Int64[Tensor, " m"] | None
    images: list[Future[Any]]
    slot: Any = None


class StoredSplit(ABC):
    """A split whose images stay on disk and are decoded when they are asked for: it need not fit in memory.

    `labels` are on the CPU. `broken`: the images that could not be read so far, by name, and why; they are left out of
    their batches. `ahead`: batches that are decoded before their turn comes. A split of training images draws its
    augmentation from one seed an image, so that neither the number of workers nor reading ahead changes it.
    """

    labels: Int64[Tensor, " n"]
    broken: dict[str, str]
    ahead = 2
    most_broken = 0.001  # share of the images beyond which nothing more is read

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def to(self, device: torch.device | str) -> "StoredSplit":
        """The split whose batches come on the device; `broken` is shared."""

    @abstractmethod
    def first(self, count: int) -> "StoredSplit":
        """The split of its first `count` images."""

    @abstractmethod
    def seeds(self, count: int, generator: torch.Generator) -> Int64[Tensor, " count"] | None:
        """The draws of so many images; None, and nothing drawn, where images are never augmented."""

    @abstractmethod
    def start(self, chosen: Int64[Tensor, " m"], seeds: Int64[Tensor, " m"] | None) -> Reading:
        """Begins to decode the images at the indices `chosen`, each augmented by its seed. Does not wait."""

    @abstractmethod
    def finish(self, reading: Reading) -> tuple[Float32[Tensor, "k c h w"], Int64[Tensor, " k"]]:
        """Images and labels, on the device, of the k of m images that can be read.

        Raises BenchbedError once more than `most_broken` of the split cannot, or none of the batch.
        """

    def batches(
        self, order: Iterable[Int64[Tensor, " _"]], seeds: Iterable[Int64[Tensor, " _"] | None] | None = None
    ) -> Batches:
        """Images and labels of each of the index batches, `ahead` of them under way; without seeds unaugmented."""
        waiting: deque[Reading] = deque()
        every: Iterable[Any] = ((c, None) for c in order) if seeds is None else zip(order, seeds, strict=True)
        for chosen, draws in every:
            waiting.append(self.start(chosen, draws))
            if len(waiting) > self.ahead:
                yield self.finish(waiting.popleft())
        while waiting:
            yield self.finish(waiting.popleft())

    def in_order(self, parts: Iterable[slice]) -> Batches:
        """Images and labels of each part, unaugmented."""
        return self.batches(torch.arange(len(self))[part] for part in parts)

    def path(self, name: str) -> str:
        """Where a person finds the image."""
        return name

    def note_broken(self, found: dict[str, str]) -> None:
        """Takes down images that cannot be read. Raises BenchbedError once they are more than `most_broken`."""
        self.broken.update(found)
        if len(self.broken) > self.most_broken * len(self):
            name, why = next(iter(self.broken.items()))
            raise BenchbedError(
                f"{len(self.broken)} of {len(self)} images cannot be read, more than {self.most_broken:.1%}: "
                f"'{self.path(name)}' ({why})" + (" and others" if len(self.broken) > 1 else "")
            )


AnySplit = Split | StoredSplit


class Seal:
    """Holds the test split. `open` needs the selection that is to be scored, and notes that it was called."""

    def __init__(self, load: Callable[[], AnySplit]):
        self._load = load
        self.opened = False

    def open(self, selection: object) -> AnySplit:
        """The test split, for scoring `selection`. Raises RuntimeError without one: nothing else may see it."""
        if selection is None:
            raise RuntimeError("the test split is sealed until an architecture has been selected")
        self.opened = True
        return self._load()


@dataclass(frozen=True)
class Task:
    """What a network is trained on.

    `fingerprint` hashes the content, so that a result names its data. `augment` maps the images of a batch that is
    stepped on, weights or architecture, drawing only from the generator that it is given; None is the identity. What is
    measured is never augmented. A `StoredSplit` augments by itself where it decodes, and its task has no `augment`.
    """

    name: str
    classes: int
    shape: tuple[int, int, int]  # channels, height, width
    train: AnySplit
    valid: AnySplit
    seal: Seal
    fingerprint: str
    facts: dict[str, Any] = field(default_factory=dict)  # sizes and how the splits were made, for the record
    augment: Callable[[Float[Tensor, "n c h w"], torch.Generator], Float[Tensor, "n c h w"]] | None = None


def truncated(task: Task, count: int) -> Task:
    """The task on at most `count` images a split: what a dry run walks through."""
    seal = type(task.seal)(lambda: task.seal.open("dry run").first(count))
    train, valid = task.train.first(count), task.valid.first(count)
    return replace(task, train=train, valid=valid, seal=seal, fingerprint=f"{task.fingerprint}-{count}")
