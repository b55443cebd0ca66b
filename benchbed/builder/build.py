"""`table build`: has the pool train what is missing, and makes the table when every job is done."""

import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BenchbedError
from ..runtime.board import Board, span
from ..runtime.board import Job as PoolJob
from ..runtime.machine import pick_device, threads
from ..runtime.progress import Reporter
from ..runtime.worker import Place
from ..runtime.workers import Pool, Scheduler, hired
from ..space import Space
from ..spaces.classes import classes, countable, sampled
from ..tables.table import Table
from ..task import Task
from ..training.cell import check_learnable, check_recipe
from ..training.recipe import check_device
from .assemble import write_table
from .job_store import Job, JobStore
from .spec import Spec
from .worker import EVERY, jobs_of, make, ready

MAKE = "benchbed.builder.worker:make"  # what a worker calls
SAY = 60.0  # seconds between two lines where there is no bar


def folder_of(out: Path) -> Path:
    """Where a build keeps what is finished until its table is whole: beside the table's file."""
    return out.with_name(f"{out.stem}.build")


def build(spec: Spec, out: Path, pool: Pool, reporter: Reporter, force: bool = False) -> bool:
    """Trains what is missing and writes the table to `out`, an .npz file; False where other shards have jobs left.

    A build that was stopped goes on, and so does a finished one that is asked for more. Raises BenchbedError, before
    anything is trained, for a task that cannot be trained on, a folder of another build, or, without `force`, a file
    that is there already and would lose something.
    """
    if out.suffix != ".npz":
        raise BenchbedError(f"--out {out}: expected a file name that ends in .npz")
    if out.exists() and not force and not folder_of(out).is_dir():
        raise BenchbedError(f"{out} is there already, without the folder {folder_of(out).name} of its trainings: "
                            "give another name, or --force to replace it")  # fmt: skip
    check_device(spec.scoring, pick_device(spec.device))
    space, task = spec.load_space(), spec.load_task()
    check_learnable(task, space)
    check_recipe(space, spec.scoring.recipe(), spec.scoring.channels, spec.scoring.cells)
    task.seal.open(EVERY)  # its images and labels are checked here, not after the first training
    jobs = jobs_of(spec, space)
    store = JobStore(folder_of(out), spec.identity(task))
    if out.exists() and not force and not _asks_for_more(spec, space, task, out):
        reporter.line(f"all {len(jobs):,} trainings were in {out}: nothing to do")
        return True
    with store.share(pool.shard):
        mine = pool.part(jobs)
        while left := store.missing(mine):
            _train(spec, store, left, len(mine), pool, reporter)
    for name in store.damaged():
        reporter.line(f"shard {name} was damaged: set aside in {store.path / 'damaged'}, its cells trained again")
    results, headers = store.everything()
    if missing := [job for job in jobs if job not in results]:
        reporter.line(f"this share is made; {len(missing):,} of {len(jobs):,} trainings are left to other shards")
        return False
    write_table(spec, space, task, list(results.values()), headers, out)
    reporter.line(f"{len(jobs):,} trainings are in {out}")
    return True


def _asks_for_more(spec: Spec, space: Space, task: Task, out: Path) -> bool:
    """Whether the build adds to the table that is there; False where it is the same.

    Raises BenchbedError where the table is another build's, or would lose seeds or classes.
    """
    table = Table.open(out)
    made_of = (table.meta.get("task", {}).get("fingerprint"), table.meta.get("recipe"), len(table.figures))
    if made_of != (task.fingerprint, spec.scoring.model_dump(), 2 * len(spec.kept)):
        raise BenchbedError(
            f"{out} is there already, and not of this build: give another name, or --force to replace it"
        )
    figure = table.figures[0]
    flat = table.values(*figure).reshape(-1)
    first = [group.places[0] for group in classes(space)] if countable(space) else list(range(flat.size))
    trained = int(np.isfinite(flat[first]).sum())
    there = set(table.seed_names(*figure))
    wanted, asked = len(sampled(space, spec.sample)), {str(seed) for seed in spec.seeds}
    if wanted < trained or not there <= asked:
        seeds = ", ".join(sorted(there, key=int))
        raise BenchbedError(
            f"{out} holds {trained:,} classes and the seeds {seeds}, of which this build would leave some out: "
            "give another name, or --force to replace it"
        )
    return wanted > trained or asked > there


def _train(spec: Spec, store: JobStore, left: list[Job], total: int, pool: Pool, reporter: Reporter) -> None:
    """Has the pool make the jobs that are left. Raises BenchbedError with what one of them was refused."""
    payload = {"spec": spec.model_dump_json()}
    parts = [PoolJob(f"{j.seed} {j.cell}", f"{j.seed} {j.cell}", payload | j._asdict(), j.cell) for j in left]
    meter = _Meter(spec, store, len(left), total, reporter)
    if pool.here:
        place = Place(store.path, spec.device, reporter.line)
        try:
            with threads(None):  # afterwards as many as before
                for part in parts:
                    meter.done(part, 0.0, make(part.payload, place))
                    meter.show()
        finally:
            ready.cache_clear()
        return
    workers = None if pool.workers is None else min(pool.workers, len(parts))
    executor, size = hired(MAKE, store.path, pool._replace(workers=workers), spec.device)
    Scheduler(executor, size, meter, pool.retries, pool.stall).run(parts)


class _Meter(Board):
    """How many trainings are done, how fast, and the best so far; each is stored as it is done."""

    def __init__(self, spec: Spec, store: JobStore, left: int, total: int, reporter: Reporter) -> None:
        super().__init__(reporter, total, total - left, 1)
        self.store, self.best = store, 0.0
        self._recent: deque[tuple[float, int]] = deque([(time.monotonic(), self.finished)], maxlen=600)
        self._shown = 0.0
        reporter.begin(f"training {spec.task}", total, self.finished)

    def done(self, job: PoolJob, seconds: float, result: dict[str, Any]) -> None:
        super().done(job, seconds, result)
        self.store.write(Job(job.payload["seed"], job.payload["cell"]), result["result"], result["header"])
        self.best = max(self.best, result["result"]["test"])
        self._recent.append((time.monotonic(), self.finished))

    def failed(self, job: PoolJob, reason: str) -> None:
        """Ends the build: what one worker is refused, or dies of again and again, the others meet too."""
        died = "; nothing is lost, the same command goes on" if reason.startswith("its worker died") else ""
        raise BenchbedError(reason + died)

    def show(self) -> None:
        now = time.monotonic()
        status = f"{self.finished:,} of {self.total:,} cells"
        since, first = self._recent[0]
        if self.finished > first:
            rate = (self.finished - first) / (now - since)
            status += f", {rate:.2f} a second" + (f", {span(self.left / rate)} left" if self.left else "")
        if self.best:
            status += f", best {self.best:.2f} %"
        self.reporter.advance(self.finished, status)
        if not self.reporter.console.is_terminal and (now - self._shown > SAY or not self.left):
            self._shown = now
            self.reporter.line(status)
