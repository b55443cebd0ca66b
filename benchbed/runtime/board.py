"""What a person watches while a pool works: a live table on a terminal, a line now and then elsewhere."""

import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from .progress import Reporter
from .pulse import Facts

SAY = 30.0  # seconds between two lines where there is no terminal


class Job(NamedTuple):
    """One thing to make. group: its jobs are made by one worker, one after the other, so that they share it.

    payload: JSON, what the pool's function is given; words: which one it is, for a person; folders: below the pool's,
    what the job may go on from, for workers that do not see it.
    """

    id: str
    group: str
    payload: dict[str, Any]
    words: str
    folders: tuple[str, ...] = ()


@dataclass
class _AtWork:
    """A worker's job, and how far its signs of life say that it is; times are of time.monotonic.

    saved: when it had last saved all that it did. began: when its stage was first seen, after so many steps.
    """

    job: Job
    since: float
    saved: float
    facts: Facts = field(default_factory=dict)
    began: tuple[float, int] = (0.0, 0)

    def beat(self, facts: Facts) -> None:
        now = time.monotonic()
        if facts.get("saves") != self.facts.get("saves"):
            self.saved = now
        if facts.get("stage") != self.facts.get("stage"):
            self.began = now, facts.get("done", 0)
        self.facts = facts

    def cells(self) -> list[str]:
        """Where it is, the last accuracy, and the time that is left of its stage."""
        now, stage, total = time.monotonic(), self.facts.get("stage"), self.facts.get("total")
        accuracy, epoch = self.facts.get("accuracy"), self.facts.get("epoch")
        where, left = stage or "", ""
        if stage and total:
            done, (began, first) = self.facts.get("done", 0), self.began
            where += f" {100 * done / total:.0f} %"
            if done > first and now > began:
                left = span((total - done) * (now - began) / (done - first))
        where += "" if epoch is None else f", epoch {epoch}"
        return [where, "" if accuracy is None else f"{accuracy:.2f} %", left]


class Board:
    """What runs, what is done and failed, what was lost with its worker, and the time left.

    total: the jobs of this call's share; before: those of them that were done before; noun: what they are.
    """

    def __init__(self, reporter: Reporter, total: int, before: int, workers: int, noun: str = "runs") -> None:
        self.reporter, self.workers, self.noun = reporter, workers, noun
        self.total, self.finished, self.failures = total, before, 0
        self.left = total - before
        self.retries, self.lost = 0, 0.0  # seconds of work that is made again
        self._at: dict[int, _AtWork] = {}
        self._seconds: list[float] = []
        self._waiting: set[str] = set()
        self._said = time.monotonic()
        self._live: Live | None = None

    def __enter__(self) -> "Board":
        console = self.reporter.console
        if console.is_terminal and not console.quiet:
            self._live = Live(self._table(), console=console, refresh_per_second=2, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def line(self, text: str) -> None:
        self.reporter.line(text)

    def begin(self, worker: int, job: Job) -> None:
        now = time.monotonic()
        self._at[worker] = _AtWork(job, now, now)

    def beat(self, worker: int, facts: Facts) -> None:
        """A sign of life of a worker: how far it is, as `pulse` knows it."""
        if facts and worker in self._at:
            self._at[worker].beat(facts)

    def end(self, worker: int) -> float:
        """The worker is at nothing any more. Seconds that it had worked since its last save: lost, where it died."""
        at = self._at.pop(worker, None)
        return 0.0 if at is None else time.monotonic() - at.saved

    def again(self, job: Job, reason: str, lost: float) -> None:
        """The job is tried once more, from its last save on."""
        self.retries, self.lost = self.retries + 1, self.lost + lost
        self.line(f"again: {job.id}: {reason}; lost: {span(lost)} of work since its last save")

    def done(self, job: Job, seconds: float, result: dict[str, Any]) -> None:
        self.finished, self.left = self.finished + 1, self.left - 1
        self._seconds.append(seconds)
        self._waiting.discard(job.id)

    def failed(self, job: Job, reason: str) -> None:
        self.failures, self.left = self.failures + 1, self.left - 1
        self.line(f"failed: {job.id}: {reason}")

    def waits(self, job: Job, reason: str) -> None:
        """Its folder is another process's; said once."""
        if job.id not in self._waiting:
            self._waiting.add(job.id)
            self.line(f"waits: {job.id}: {reason.partition(':')[0]}")

    def show(self) -> None:
        """Brings the table up to date, or says a line if the last one was long ago."""
        if self._live is not None:
            self._live.update(self._table())
        elif time.monotonic() - self._said > SAY:
            self._said = time.monotonic()
            self.line(self.words)

    @property
    def words(self) -> str:
        more = f", {self.failures} failed" if self.failures else ""
        more += f", {self.retries} tried again ({span(self.lost)} of work lost)" if self.retries else ""
        return f"{self.finished:,} of {self.total:,} {self.noun} done{more}, {len(self._at)} at work{self._time_left()}"

    def _time_left(self) -> str:
        if not self._seconds or not self.left:
            return ""
        each = sum(self._seconds) / len(self._seconds)
        return f", about {span(each * self.left / min(self.workers, self.left))} left"

    def _table(self) -> Group:
        table = Table("worker", "at work on", "since", "at", "accuracy", "left", box=None, padding=(0, 2, 0, 0))
        now = time.monotonic()
        for worker, at in sorted(self._at.items()):
            table.add_row(str(worker), escape(at.job.words), span(now - at.since), *map(escape, at.cells()))
        return Group(table, Text(self.words))


def span(seconds: float) -> str:
    """A length of time in two units at most."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
