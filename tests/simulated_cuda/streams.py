"""Streams, events and copies of pinned memory that do not block, on the simulated device.

Work on a stream is done at once and in its order, but for such copies: they are done as late as a device may do them,
so that what does not wait for them is found. On a stream of its own a copy is done when another stream waits for it;
until then there is nothing of use where it goes to. And as far as the host knows it is under way until the host itself
waits: pinned memory that was written to or copied again before is an error.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


class Copy:
    """One copy of pinned memory; `done`: its values are there; `ended`: and the host has waited for it."""

    def __init__(self, to: torch.Tensor, source: torch.Tensor, late: bool):
        self.to, self.source, self.late, self.done, self.ended = to, source, late, False, False
        self.recorded = False  # its memory was said to be used by another stream
        if late:
            to.fill_(-1 if to.dtype.is_signed else 255)
        else:
            self.do()

    def do(self) -> None:
        if not self.done:
            self.to.copy_(self.source)
            self.read, self.done = self.source.clone(), True

    def end(self) -> None:
        """The host waits for it."""
        self.do()
        if not self.ended and not torch.equal(self.read, self.source):
            raise RuntimeError("pinned memory was written to while a copy of it was under way")
        self.ended = True


class Streams:
    """Those of a device: which is the current one, what is pinned, and the copies of it."""

    def __init__(self) -> None:
        self.current: Stream = Stream()
        self.default = self.current
        self.pinned: dict[int, torch.Tensor] = {}  # held for good: a place in memory names it
        self.copies: list[Copy] = []

    def pin(self, t: torch.Tensor) -> torch.Tensor:
        self.pinned[t.untyped_storage().data_ptr()] = t
        return t

    def is_pinned(self, t: Any) -> bool:
        return isinstance(t, torch.Tensor) and t.untyped_storage().data_ptr() in self.pinned

    def queue(self, to: torch.Tensor, source: torch.Tensor) -> None:
        place = source.untyped_storage().data_ptr()
        if any(not copy.ended and copy.source.untyped_storage().data_ptr() == place for copy in self.copies):
            raise RuntimeError("pinned memory is copied again while a copy of it is under way")
        copy = Copy(to, source, self.current is not self.default)
        self.copies.append(copy)
        self.current.copies.append(copy)

    def record(self, to: torch.Tensor) -> None:
        for copy in self.copies:
            copy.recorded |= copy.to is to


class Stream:
    """`torch.cuda.Stream`."""

    def __init__(self, *_: object, **__: object) -> None:
        self.copies: list[Copy] = []

    def wait_stream(self, other: "Stream") -> None:
        for copy in other.copies:
            copy.do()

    def wait_event(self, event: "Event") -> None:
        for copy in event.copies:
            copy.do()

    def synchronize(self) -> None:
        for copy in self.copies:
            copy.end()


class Event:
    """`torch.cuda.Event`: what it is recorded after has happened once the host has waited for it, and not before."""

    def __init__(self, *_: object, **__: object) -> None:
        self.copies: list[Copy] = []

    def record(self, stream: Stream) -> None:
        self.copies = list(stream.copies)

    def query(self) -> bool:
        return all(copy.ended for copy in self.copies)

    def synchronize(self) -> None:
        for copy in self.copies:
            copy.end()


@contextmanager
def within(streams: Streams, stream: Stream) -> Iterator[None]:
    before, streams.current = streams.current, stream
    try:
        yield
    finally:
        streams.current = before
