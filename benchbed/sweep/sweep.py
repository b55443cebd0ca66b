"""The sweep itself: searches handed to workers, what they say, what died tried again; the rest goes on."""

import errno
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import BenchbedError
from ..pipeline.failures import Failure, note_failure
from ..pipeline.record import Record
from ..runtime.workers import Crew, Event
from .show import Board
from .study import Run

TICK = 0.5  # seconds that one wait for events takes at most
PATIENCE = 5.0  # seconds before a folder that another process holds is tried again
FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))  # what a run says that found no room to write
DEATHS = 5  # workers that may die one after the other before any is ready


@contextmanager
def _stoppable() -> Iterator[None]:
    """Within it SIGTERM, by which clusters stop a job, ends a sweep as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclass
class Job:
    """A search's runs that are left, made by one worker one after the other, so that they share it."""

    runs: deque[Run]
    not_before: float = 0.0  # of time.monotonic


class Outcome(NamedTuple):
    """What a sweep left: the new records and the failures, each by the run's id."""

    records: dict[str, Record]
    failures: dict[str, Failure]


@dataclass
class Sweep:
    """One call of the sweep: hands `runs` to the crew until each is done or has failed.

    retries: how often a run is tried again whose worker died or crashed; a refusal is final. Every run of the study is
    made once: whoever takes it first holds its folder, and a record that is there is not made again.
    """

    out: Path
    crew: Crew
    workers: int
    retries: int
    board: Board
    records: dict[str, Record] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)

    def run(self, runs: list[Run]) -> Outcome:
        """Raises BenchbedError where no worker can work at all. On any other end, Ctrl-C too, all workers are ended."""
        jobs: dict[str, Job] = {}
        for run in runs:
            jobs.setdefault(run.search, Job(deque())).runs.append(run)
        self._queue = deque(jobs.values())
        self._hired: set[int] = set()
        self._idle: list[int] = []
        self._busy: dict[int, Job] = {}
        self._attempts: dict[str, int] = {}
        self._deaths = 0
        try:
            self._work()
        except KeyboardInterrupt:
            self.board.line(f"stopping: ending {len(self._hired)} worker(s), which takes some seconds")
            raise
        finally:
            self.crew.close()
        return Outcome(self.records, self.failures)

    def _work(self) -> None:
        with _stoppable():
            while self._queue or self._busy:
                self._hire()
                self._hand_out()
                for event in self.crew.events(TICK):
                    self._take(event)
                self.board.show()

    def _hire(self) -> None:
        while len(self._hired) < min(self.workers, len(self._queue) + len(self._busy)):
            self._hired.add(self.crew.hire())

    def _hand_out(self) -> None:
        now = time.monotonic()
        for job in list(self._queue):
            if self._idle and job.not_before <= now:
                self._queue.remove(job)
                self._send(self._idle.pop(), job)

    def _send(self, worker: int, job: Job) -> None:
        run = job.runs[0]
        self._busy[worker] = job
        self.board.begin(worker, run)
        self.crew.send(worker, {"run": run.id, "search": run.search, "config": run.config.model_dump(mode="json")})

    def _take(self, event: Event) -> None:
        if event.kind == "refused":
            raise BenchbedError(event.reason)
        if event.kind == "ready":
            self._deaths = 0
            self._idle.append(event.worker)
        elif event.kind == "dead":
            self._bury(event.worker, event.reason)
        else:
            self._hear(event.worker, event.reply)

    def _bury(self, worker: int, reason: str) -> None:
        """A worker is gone: its run is tried again, by another one, and goes on from its last epoch."""
        self._hired.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        self.board.end(worker)
        job = self._busy.pop(worker, None)
        if job is None:
            self._deaths += 1
            if self._deaths > DEATHS:
                raise BenchbedError(f"{self._deaths} workers died one after the other ({reason}): nothing is lost, the "
                                    "same command goes on")  # fmt: skip
            return
        self._try_again(job, f"its worker died ({reason})")

    def _try_again(self, job: Job, reason: str, details: str = "") -> None:
        run = job.runs[0]
        tried = self._attempts[run.id] = self._attempts.get(run.id, 0) + 1
        if tried > self.retries:
            self._fail(job, reason, details)
        else:
            self.board.line(f"again: {run.id}: {reason}")
        if job.runs:
            self._queue.appendleft(job)

    def _fail(self, job: Job, reason: str, details: str = "") -> None:
        if any(full in reason for full in FULL):
            raise BenchbedError(f"{reason}: the sweep ends, for every run would fail by it; the same command goes on")
        run = job.runs.popleft()
        failure = Failure(run.id, reason, self._attempts.get(run.id, 1))
        self.failures[run.id] = failure
        note_failure(self.out, failure, details)
        self.board.failed(run, reason)

    def _hear(self, worker: int, reply: Mapping[str, Any]) -> None:
        job = self._busy.pop(worker)
        run = job.runs[0]
        self.board.end(worker)
        if reply["status"] == "crashed":  # the process may be broken: a device's error stays with it
            self.crew.dismiss(worker)
            self._hired.discard(worker)
            self._try_again(job, reply["reason"], reply["details"])
            return
        if reply["status"] == "held":
            self.board.waits(run, reply["reason"])
            job.not_before = time.monotonic() + PATIENCE
            self._queue.append(job)
            self._idle.append(worker)
            return
        if reply["status"] == "done":
            job.runs.popleft()
            self.records[run.id] = Record.model_validate(reply["record"])
            self.board.done(run, reply["seconds"])
        else:
            self._fail(job, reply["reason"])
        if job.runs:
            self._send(worker, job)
        else:
            self._idle.append(worker)
