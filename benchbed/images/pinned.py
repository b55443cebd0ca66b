"""Batches of decoded images on their way to a CUDA device: host memory that stays pinned, and a stream for copies.

Threads decode into a slot's rows; the slot is copied while the device still computes on the batch before, and decoded
into anew only once its copy has ended. `torch.utils.data`'s pinning copies every batch once more, and decodes in
processes.
"""

from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor

FREE = 2  # slots that wait to be taken: with as many, the oldest one's copy is waited for, and no other slot is made


class Slot:
    """Pinned memory of a batch of at most `count` images; `rows` uint8 (count, h, w, c) and `labels` int64 (count,)."""

    def __init__(self, count: int, shape: tuple[int, ...]):
        self.pinned = torch.empty((count, *shape), dtype=torch.uint8, pin_memory=True)
        self.pinned_labels = torch.empty(count, dtype=torch.int64, pin_memory=True)
        self.rows, self.labels = self.pinned.numpy(), self.pinned_labels.numpy()
        self.copied = torch.cuda.Event(blocking=True)


class Ring:
    """Slots that are taken in turn, of images of one shape (h, w, c), on their way to `device`."""

    def __init__(self, device: torch.device, shape: tuple[int, ...]):
        self.device, self.shape = device, shape
        self.stream = torch.cuda.Stream(device)
        self.free: deque[Slot] = deque()

    def take(self, count: int) -> Slot:
        """A slot for so many images, of which no copy is under way. One that never comes back is let go."""
        if self.free and (len(self.free) >= FREE or self.free[0].copied.query()):
            slot = self.free.popleft()
            slot.copied.synchronize()
            if len(slot.rows) >= count:
                return slot
        return Slot(count, self.shape)

    def send(self, slot: Slot, kept: Sequence[int], labels: Tensor) -> tuple[Tensor, Tensor]:
        """The rows `kept`, uint8 (k, h, w, c), and their labels (k,) on the device, for its current stream.

        Does not wait for the copy. The slot may be taken again.
        """
        count = len(kept)
        if list(kept) != list(range(count)):
            slot.rows[:count] = slot.rows[list(kept)]
        slot.labels[:count] = labels.numpy()
        with torch.cuda.stream(self.stream):
            moved = [t[:count].to(self.device, non_blocking=True) for t in (slot.pinned, slot.pinned_labels)]
            slot.copied.record(self.stream)
        current = torch.cuda.current_stream(self.device)
        current.wait_event(slot.copied)
        for t in moved:
            t.record_stream(current)  # its memory is of the other stream, which may not take it back before
        self.free.append(slot)
        images, where = moved
        return images, where
