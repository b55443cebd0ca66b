"""Batches of a split for a search: from memory, or decoded from disk while the step before still runs."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ..objective import Batch
from ..runtime.parallel import Group
from ..task import AnySplit, Reading, StoredSplit
from .cursor import Cursor

Broken = dict[str, dict[str, str]]  # by split: an image's name, and why it cannot be read


class _Guess(NamedTuple):
    """What the next batch will most likely be, and its decoding."""

    chosen: Tensor
    seeds: Tensor | None
    reading: Reading


class StoredReader:
    """Reads a stored split in a cursor's order, one batch ahead.

    The next batch is foreseen on copies of the cursor's and the generator's state, which are never changed by it: a
    guess is used where it is what is then asked for, and thrown away elsewhere.
    """

    def __init__(self, split: StoredSplit, cursor: Cursor, generator: torch.Generator, group: Group):
        self.split, self.cursor, self.generator, self.group = split, cursor, generator, group
        self._guess: _Guess | None = None

    def next(self) -> Batch:
        """This process's part of the cursor's next batch."""
        chosen = self.cursor.next()
        seeds = self.split.seeds(len(chosen), self.generator)
        guess, self._guess = self._guess, None
        foreseen = guess is not None and torch.equal(guess.chosen, chosen) and _same(guess.seeds, seeds)
        reading = guess.reading if guess is not None and foreseen else self._start(chosen, seeds)
        self._look_ahead()
        images, labels = self.split.finish(reading)
        return Batch(images.contiguous(memory_format=torch.channels_last), labels)

    def _start(self, chosen: Tensor, seeds: Tensor | None) -> Reading:
        part = self.group.part(len(chosen))
        return self.split.start(chosen[part], None if seeds is None else seeds[part])

    def _look_ahead(self) -> None:
        chosen = self.cursor.peek()
        if chosen is not None:
            generator = torch.Generator()
            generator.set_state(self.generator.get_state())
            seeds = self.split.seeds(len(chosen), generator)
            self._guess = _Guess(chosen, seeds, self._start(chosen, seeds))


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    return a is b or (a is not None and b is not None and torch.equal(a, b))


def skipped(group: Group, splits: Mapping[str, AnySplit]) -> Broken:
    """By split, the images that some process could not read; splits without any are left out. Collective.

    Each process takes note of the others'. Raises BenchbedError where they are more than a split may have.
    """
    found: Broken = {}
    for name, split in splits.items():
        if isinstance(split, StoredSplit):
            for broken in group.gather(dict(split.broken)):
                split.note_broken(broken)
            if split.broken:
                found[name] = dict(sorted(split.broken.items()))
    return found


def skip_again(splits: Mapping[str, AnySplit], before: Broken) -> None:
    """Takes note of what an earlier start found broken."""
    for name, broken in before.items():
        split = splits[name]
        if isinstance(split, StoredSplit):
            split.broken.update(broken)
