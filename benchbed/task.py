"""The contract of a task: images and labels on one device, test data under a seal.

A task gives a training and a validation split; searchers and selectors see these alone. The test split sits behind
a `Seal`, which only a scorer opens, and only with a finished selection in hand. A sealed split is not even built
or read from its file before that.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Split:
    """images: float32 (n, c, h, w), normalised; labels: int64 (n,)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> "Split":
        return Split(self.images.to(device), self.labels.to(device))


class Seal:
    """Holds the test split. `open` needs the selection that is to be scored, and notes that it was called."""

    def __init__(self, load: Callable[[], Split]):
        self._load = load
        self.opened = False

    def open(self, selection: Any) -> Split:
        """The test split, for scoring `selection`. Raises RuntimeError without one: nothing else may see it."""
        if selection is None:
            raise RuntimeError("the test split is sealed until an architecture has been selected")
        self.opened = True
        return self._load()


@dataclass(frozen=True)
class Task:
    """What a network is trained on.

    `fingerprint` hashes the content, so that a result names its data. `augment` maps a batch of images
    (n, c, h, w) that is stepped on, weights or architecture, to one of the same shape, drawing only from the generator
    that it is given. What is measured is never augmented. None is the identity.
    """

    name: str
    classes: int
    shape: tuple[int, int, int]  # channels, height, width
    train: Split
    valid: Split
    seal: Seal
    fingerprint: str
    facts: dict[str, Any] = field(default_factory=dict)  # sizes and how the splits were made, for the record
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None
