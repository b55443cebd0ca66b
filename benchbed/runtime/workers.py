"""The pool: jobs handed to workers, what they say, what died tried again; the rest goes on.

Every job is a folder, or writes to one: so a pool that was killed anywhere goes on by the same call, and several pools
(shards, other machines) may share a folder. A worker has a lease on its job as long as it gives signs of life.
"""

import errno
import hashlib
import json
import math
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from ..errors import BenchbedError, unknown
from .board import Board, Job
from .executor import Event, Executor, LocalExecutor, Needs, check_machine
from .failures import Failure, note_failure
from .folder import Folder
from .handed_on import handed_on
from .lock import defect
from .progress import Reporter
from .worker import Place, function_of

T = TypeVar("T")
Make = Callable[[dict[str, Any], Place], dict[str, Any]]
TICK = 0.5  # seconds that one wait for events takes at most
LATE = 5.0  # seconds between two looks at the workers after which this process was stopped, or its machine asleep
PATIENCE = 5.0  # seconds before a folder that another process holds is tried again
FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))  # what a run says that found no room to write
DEATHS = 5  # workers that may die one after the other before any is ready
STALL = 3600.0  # seconds without a step after which a worker is ended, where nobody watches and nothing else is said
SHORTEST = 1.0  # seconds: a shorter time-out would end workers between two signs of life
RETRIES = 2  # of a job whose worker died or crashed
EXECUTORS = ("local", "ray")


class Pool(NamedTuple):
    """Who makes a list of jobs. With `Pool()` this process does, one job after the other.

    workers: jobs at a time; None: local one, of a cluster as many as it has room for. shard: (I, N), every N-th group
    of jobs from the I-th on, counted from 1; None: all. address: of a Ray cluster; None: a Ray of its own. retries: of
    a job whose worker died or crashed. stall: seconds without a step after which a worker is ended and its job tried
    again; inf: never; None: never on a terminal, where somebody watches, and elsewhere an hour.
    """

    workers: int | None = 1
    shard: tuple[int, int] | None = None
    executor: Literal["local", "ray"] = "local"
    address: str | None = None
    retries: int = RETRIES
    stall: float | None = None
    needs: Needs = Needs(cpus=1, gpus=0.0, memory_gb=None)  # of one job

    @property
    def here(self) -> bool:
        """Whether the jobs are made in this process."""
        return self.executor == "local" and self.workers in (None, 1) and self.stall in (None, math.inf)

    def part(self, groups: Sequence[T]) -> list[T]:
        """The shard's."""
        index, of = self.shard or (1, 1)
        return list(groups[index - 1 :: of])

    def part_of(self, jobs: Sequence[Job]) -> list[Job]:
        """The shard's jobs: those of its groups."""
        mine = set(self.part(list(dict.fromkeys(job.group for job in jobs))))
        return [job for job in jobs if job.group in mine]


HERE = Pool()  # this process alone


def pool_of(
    workers: int | None = None,
    shard: str | None = None,
    executor: str = "local",
    address: str | None = None,
    retries: int = RETRIES,
    stall_timeout: float | None = None,
) -> Pool:
    """The pool that flags of these names ask for. Raises BenchbedError for a value that none has."""
    if executor not in EXECUTORS:
        raise unknown("executor", executor, EXECUTORS)
    ray = executor == "ray"
    if address is not None and not ray:
        raise BenchbedError(f"--address {address}: goes with --executor ray")
    if workers is not None and workers < 1:
        raise BenchbedError(f"--workers {workers}: at least one is needed")
    if retries < 0:
        raise BenchbedError(f"--retries {retries}: expected 0 or more")
    if stall_timeout is not None and not stall_timeout >= SHORTEST:
        raise BenchbedError(f"--stall-timeout {stall_timeout:g}: expected 1 second or more, or inf for never")
    return Pool(workers, shard_of(shard), "ray" if ray else "local", address, retries, stall_timeout)


def shard_of(text: str | None) -> tuple[int, int] | None:
    """The shard I/N. Raises BenchbedError for anything else."""
    if text is None:
        return None
    index, slash, of = text.partition("/")
    if not slash or not index.isdecimal() or not of.isdecimal() or not 1 <= int(index) <= int(of):
        raise BenchbedError(f"--shard '{text}': expected I/N with I from 1 to N, such as 1/8")
    return int(index), int(of)


# -- jobs --------------------------------------------------------------------------------------------------------------


def hired(call: str, out: Path, pool: Pool, device: str = "auto") -> tuple[Executor, int]:
    """The executor of the pool for jobs of `call`, and how many it makes at a time; nothing runs or is written yet.

    Raises BenchbedError where this machine has not what so many jobs need, or where no Ray answers.
    """
    defect(out)  # named before anything runs
    begin = {"call": call, "out": str(out.absolute()), "device": device, "given": handed_on()}
    if pool.executor == "local":
        workers = pool.workers or 1
        check_machine(pool.needs, workers)
        return LocalExecutor(begin, pool.needs), workers
    from .on_ray import RayExecutor

    executor = RayExecutor(begin, pool.needs, pool.address, pool.workers)
    return executor, executor.workers


def run_jobs(
    call: str, jobs: Sequence[Job], out: Path, pool: Pool, reporter: Reporter, device: str = "auto", noun: str = "jobs"
) -> "Outcome":
    """Makes the jobs in worker processes, also if there is one; what failed is noted in OUT/failures.jsonl.

    call: "module:function" of a function (payload, Place) -> result, both JSON objects. Raises BenchbedError where no
    worker can work at all.
    """
    if not jobs:
        return Outcome({}, {})
    executor, workers = hired(call, out, pool, device)
    with Board(reporter, len(jobs), 0, workers, noun) as board:
        made = Scheduler(executor, workers, board, pool.retries, pool.stall, out).run(list(jobs))
        reporter.line(board.words)
    return made


def jobs_of(
    call: str,
    payloads: Sequence[dict[str, Any]],
    out: Path,
    pool: Pool = HERE,
    device: str = "auto",
    reporter: Reporter | None = None,
    make: Make | None = None,
) -> list[dict[str, Any]]:
    """What `call` makes of each payload, in their order. A job that was done in `out` before is read, not made again.

    call: "module:function" of a function (payload, Place) -> result, both JSON objects. The payload holds all that the
    result depends on: by it a job is known again. With a shard: the results of its jobs alone. make: stands for `call`
    where this process makes the jobs itself, and has more at hand than a worker. Raises BenchbedError where a job is
    refused; what is done is kept, and the same call goes on.
    """
    reporter = reporter or Reporter(quiet=True)
    jobs = []
    for payload in payloads:
        name = job_id(call, payload)
        whole = {"call": call, "payload": payload, "folder": f"jobs/{name}"}
        jobs.append(Job(name, name, whole, name, (f"jobs/{name}",)))
    jobs = pool.part_of(jobs)
    if pool.here:
        place = Place(out, device, reporter.line)
        return [keep(job.payload, place, make) for job in jobs]
    left = {job.id: job for job in jobs if not (out / job.payload["folder"] / "record.json").exists()}
    made = run_jobs("benchbed.runtime.workers:keep", list(left.values()), out, pool, reporter, device)
    refuse_failures(made.failures, out)
    return [made.results[job.id] if job.id in left else keep(job.payload, Place(out, device)) for job in jobs]


def keep(payload: dict[str, Any], place: Place, make: Make | None = None) -> dict[str, Any]:
    """Makes a job of `jobs_of` in its folder, or reads it there."""
    with Folder(place.out / payload["folder"], ("result",)) as folder:
        if (record := folder.record) is None:
            result = (make or function_of(payload["call"]))(payload["payload"], place._replace(folder=folder))
            record = {"call": payload["call"], "payload": payload["payload"], "result": result}
            folder.finish(record)
    found: dict[str, Any] = json.loads(json.dumps(record["result"]))  # the same whether made now or read
    return found


def job_id(call: str, payload: Mapping[str, Any]) -> str:
    """The name of a job's folder: by its function and the content of its payload."""
    text = json.dumps([call, payload], sort_keys=True, separators=(",", ":"))
    return f"{call.rpartition(':')[2]}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def refuse_failures(failures: Mapping[str, Failure], out: Path) -> None:
    """Raises BenchbedError that names the first of them, where there are any."""
    if failures:
        first = next(iter(failures.values()))
        more = f", and {len(failures) - 1} more in {out / 'failures.jsonl'}" if len(failures) > 1 else ""
        raise BenchbedError(f"failed: {first.run}: {first.reason}{more}; the others are kept, the same command goes on")


# -- the scheduler -----------------------------------------------------------------------------------------------------


@contextmanager
def _stoppable() -> Iterator[None]:
    """Within it SIGTERM, by which clusters stop a job, ends a pool as Ctrl-C does."""
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
class _Group:
    """Jobs that are left, made by one worker one after the other, so that they share what the first has made."""

    jobs: deque[Job]
    not_before: float = 0.0  # of time.monotonic


class Outcome(NamedTuple):
    """What a pool left: the results and the failures, each by the job's id."""

    results: dict[str, dict[str, Any]]
    failures: dict[str, Failure]


@dataclass
class Scheduler:
    """Hands jobs to the workers of an executor until each is done or has failed.

    retries: how often a job is tried again whose worker died, stalled or crashed; a refusal is final. stall: of `Pool`.
    notes: the folder in which failures are noted.
    """

    executor: Executor
    workers: int
    board: Board
    retries: int
    stall: float | None = None
    notes: Path | None = None
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)

    def run(self, jobs: list[Job]) -> Outcome:
        """Raises BenchbedError where no worker can work at all. On any other end, Ctrl-C too, all workers are ended."""
        groups: dict[str, _Group] = {}
        for job in jobs:
            groups.setdefault(job.group, _Group(deque())).jobs.append(job)
        self._queue = deque(groups.values())
        self._hired: set[int] = set()
        self._idle: list[int] = []
        self._busy: dict[int, _Group] = {}
        self._signs: dict[int, float] = {}  # when each busy worker last gave a sign of life, of time.monotonic
        self._attempts: dict[str, int] = {}
        self._deaths = 0
        try:
            self._work()
        except KeyboardInterrupt:
            self.board.line(f"stopping: ending {len(self._hired)} worker(s), which takes some seconds")
            raise
        finally:
            self.executor.close()
        return Outcome(self.results, self.failures)

    def _work(self) -> None:
        with _stoppable():
            looked = time.monotonic()
            while self._queue or self._busy:
                if time.monotonic() - looked > LATE:  # this process was stopped: what came meanwhile is not read yet
                    self._signs = dict.fromkeys(self._signs, time.monotonic())
                looked = time.monotonic()
                while len(self._hired) < min(self.workers, len(self._queue) + len(self._busy)):
                    self._hired.add(self.executor.hire())
                self._hand_out()
                for event in self.executor.events(TICK):
                    self._take(event)
                self._end_leases()
                self.board.show()

    def _hand_out(self) -> None:
        now = time.monotonic()
        for group in list(self._queue):
            if self._idle and group.not_before <= now:
                self._queue.remove(group)
                self._send(self._idle.pop(), group)

    def _send(self, worker: int, group: _Group) -> None:
        job = group.jobs[0]
        self._busy[worker], self._signs[worker] = group, time.monotonic()
        self.board.begin(worker, job)
        self.executor.send(worker, {"id": job.id, "payload": job.payload, "folders": list(job.folders)})

    def _end_leases(self) -> None:
        """Ends the workers that have made no step for too long; their jobs are free again."""
        stall = self.stall
        if stall is None:
            stall = math.inf if self.board.reporter.console.is_terminal else STALL
        for worker in list(self._busy):
            if time.monotonic() - self._signs[worker] > stall:
                self.executor.dismiss(worker, patience=0.0)  # it would not hear anything
                self._bury(worker, f"no step for {stall:g} s")

    def _take(self, event: Event) -> None:
        self._signs[event.worker] = time.monotonic()
        if event.kind == "refused":
            raise BenchbedError(event.reason)
        if event.kind == "ready":
            self._deaths = 0
            self._idle.append(event.worker)
        elif event.kind == "dead":
            self._bury(event.worker, event.reason)
        elif event.kind == "beat":
            if event.reply.get("say"):
                self.board.line(event.reply["say"])
            self.board.beat(event.worker, event.reply.get("at", {}))
        else:
            self._hear(event.worker, event.reply)

    def _bury(self, worker: int, reason: str) -> None:
        """A worker is gone: its job is tried again, by another one, and goes on from its last save."""
        self._hired.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        lost = self.board.end(worker)
        group = self._busy.pop(worker, None)
        if group is None:
            self._deaths += 1
            if self._deaths > DEATHS:
                raise BenchbedError(f"{self._deaths} workers died one after the other ({reason}): nothing is lost, the "
                                    "same command goes on")  # fmt: skip
            return
        self._try_again(group, f"its worker died ({reason})", lost)

    def _try_again(self, group: _Group, reason: str, lost: float, details: str = "") -> None:
        job = group.jobs[0]
        tried = self._attempts[job.id] = self._attempts.get(job.id, 0) + 1
        if tried > self.retries:
            self._fail(group, reason, details)
        else:
            self.board.again(job, reason, lost)
        if group.jobs:
            self._queue.appendleft(group)

    def _fail(self, group: _Group, reason: str, details: str = "") -> None:
        if any(full in reason for full in FULL):
            raise BenchbedError(f"{reason}: everything stops, for every job would fail by it; the same command goes on")
        job = group.jobs.popleft()
        failure = Failure(job.id, reason, self._attempts.get(job.id, 1))
        self.failures[job.id] = failure
        if self.notes is not None:
            note_failure(self.notes, failure, details)
        self.board.failed(job, reason)

    def _hear(self, worker: int, reply: Mapping[str, Any]) -> None:
        group = self._busy.pop(worker)
        job = group.jobs[0]
        lost = self.board.end(worker)
        if reply["status"] == "crashed":  # the process may be broken: a device's error stays with it
            self.executor.dismiss(worker)
            self._hired.discard(worker)
            self._try_again(group, reply["reason"], lost, reply["details"])
            return
        if reply["status"] == "held":
            self.board.waits(job, reply["reason"])
            group.not_before = time.monotonic() + PATIENCE
            self._queue.append(group)
            self._idle.append(worker)
            return
        if reply["status"] == "done":
            group.jobs.popleft()
            self.results[job.id] = reply["result"]
            self.board.done(job, reply["seconds"], reply["result"])
        else:
            self._attempts[job.id] = self._attempts.get(job.id, 0) + 1
            self._fail(group, reply["reason"])
        if group.jobs:
            self._send(worker, group)
        else:
            self._idle.append(worker)
