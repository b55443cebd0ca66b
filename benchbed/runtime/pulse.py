"""Signs of life by step: what the master of a worker, its live view and a lease are told while a job makes headway.

Whatever loops for long calls `beat` once a step: a training's batch, an evaluation's, an architecture step, a look at
what others do. No thread and no timer does, so a step that hangs gives no sign, in Python or in C. Where nobody listens
a call is a comparison.
"""

import time
from collections.abc import Callable
from math import inf
from typing import Any

EVERY = 0.5  # seconds that lie between two signs at least
Facts = dict[str, Any]  # how far a job is, as JSON: stage, done, total, epoch, accuracy, saves
Listener = Callable[[Facts], None]

_listeners: list[Listener] = []
_facts: Facts = {}
_next = inf  # of time.monotonic; when the listeners are called again


def listen(listener: Listener) -> None:
    """From now on the listener is called with what is known, twice a second at most."""
    global _next
    _listeners.append(listener)
    _next = 0.0


def leave(listener: Listener) -> None:
    """The listener is called no more."""
    global _next
    if listener in _listeners:
        _listeners.remove(listener)
    if not _listeners:
        _next = inf


def beat() -> None:
    """A step is done."""
    global _next
    now = time.monotonic()
    if now >= _next:
        _next = now + EVERY
        for listener in list(_listeners):
            listener(dict(_facts))


def tell(**facts: Any) -> None:
    """A step is done, and this is known of the job beside what was told before."""
    _facts.update(facts)
    beat()


def saved() -> None:
    """All that was done so far is on the disk."""
    tell(saves=_facts.get("saves", 0) + 1)


def forget() -> None:
    """Another job begins."""
    _facts.clear()


class Mailbox:
    """The last sign of each worker, for workers that have no pipe to their master: an actor of Ray."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, str]] = {}

    def put(self, worker: int, count: int, facts: str) -> None:
        """count: how many signs the worker has given; facts: JSON of what it told."""
        self._last[worker] = count, facts

    def get(self) -> dict[int, tuple[int, str]]:
        return self._last
