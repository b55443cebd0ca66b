"""What a person watches while a pool works: a live table on a terminal, a line now and then elsewhere."""

import time
from typing import Any, NamedTuple

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from .progress import Reporter

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


class Board:
    """What runs, what is done and failed, and the time left.

    total: the jobs of this call's share; before: those of them that were done before; noun: what they are.
    """

    def __init__(self, reporter: Reporter, total: int, before: int, workers: int, noun: str = "runs") -> None:
        self.reporter, self.workers, self.noun = reporter, workers, noun
        self.total, self.finished, self.failures = total, before, 0
        self.left = total - before
        self._at: dict[int, tuple[Job, float]] = {}
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
        self._at[worker] = job, time.monotonic()

    def end(self, worker: int) -> None:
        self._at.pop(worker, None)

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
        failed = f", {self.failures} failed" if self.failures else ""
        return (
            f"{self.finished:,} of {self.total:,} {self.noun} done{failed}, {len(self._at)} at work{self._time_left()}"
        )

    def _time_left(self) -> str:
        if not self._seconds or not self.left:
            return ""
        each = sum(self._seconds) / len(self._seconds)
        return f", about {span(each * self.left / min(self.workers, self.left))} left"

    def _table(self) -> Group:
        table = Table("worker", "at work on", "since", box=None, padding=(0, 2, 0, 0))
        now = time.monotonic()
        for worker, (job, since) in sorted(self._at.items()):
            table.add_row(str(worker), escape(job.words), span(now - since))
        return Group(table, Text(self.words))


def span(seconds: float) -> str:
    """A length of time in two units at most."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
