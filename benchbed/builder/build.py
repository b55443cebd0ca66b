"""`table build`: starts the workers, shows how far they are, and makes the table when every job is done."""

import time
from collections import deque
from pathlib import Path

import numpy as np

from ..errors import BenchbedError
from ..runtime.board import Board
from ..runtime.board import Job as PoolJob
from ..runtime.machine import pick_device
from ..runtime.progress import Reporter
from ..runtime.workers import Pool, Scheduler, hired
from ..space import Space
from ..tables.table import Table
from ..task import Task
from ..training.cell import check_learnable, check_recipe
from .assemble import write_table
from .classes import classes
from .job_store import Job, Ledger
from .spec import Spec
from .worker import EVERY, jobs_of

TAKE_PART = "benchbed.builder.worker:take_part"  # what a worker calls
SAY = 60.0  # seconds between two lines where there is no bar
DEATHS = 5  # deaths of a worker without a result between them


def folder_of(out: Path) -> Path:
    """Where a build keeps what is finished until its table is whole: beside the table's file."""
    return out.with_name(f"{out.stem}.build")


def build(spec: Spec, out: Path, workers: int, reporter: Reporter, force: bool = False) -> None:
    """Trains what is missing and writes the table to `out`, an .npz file.

    A build that was stopped goes on, and so does a finished one that is asked for more; several may share the folder.
    Raises BenchbedError, before anything is trained, for a task that cannot be trained on, a folder of another build,
    or, without `force`, a file that is there already and would lose something.
    """
    if out.suffix != ".npz":
        raise BenchbedError(f"--out {out}: expected a file name that ends in .npz")
    if out.exists() and not force and not folder_of(out).is_dir():
        raise BenchbedError(f"{out} is there already, without the folder {folder_of(out).name} of its trainings: "
                            "give another name, or --force to replace it")  # fmt: skip
    if workers < 1:
        raise BenchbedError(f"--workers {workers}: at least one is needed")
    pick_device(spec.device)
    space, task = spec.load_space(), spec.load_task()
    check_learnable(task, space)
    check_recipe(space, spec.scoring.recipe(), spec.scoring.channels, spec.scoring.cells)
    task.seal.open(EVERY)  # its images and labels are checked here, not after the first training
    jobs = jobs_of(spec, space)
    ledger = Ledger(folder_of(out), spec.identity(task))
    if out.exists() and not force and not _asks_for_more(spec, space, task, out):
        reporter.line(f"all {len(jobs):,} trainings were in {out}: nothing to do")
        return
    while True:
        _train(spec, ledger, jobs, workers, reporter)
        results, headers = ledger.everything()  # every line once more, with its checksum
        if all(job in ledger.done for job in jobs):
            break
    for name in ledger.damaged():
        reporter.line(f"shard {name} was damaged: set aside in {ledger.path / 'damaged'}, its cells trained again")
    write_table(spec, space, task, results, headers, out)
    reporter.line(f"{len(jobs):,} trainings are in {out}")


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
    groups = classes(space)
    flat = table.values(*figure).reshape(-1)
    trained = sum(bool(np.isfinite(flat[group.places[0]])) for group in groups)
    there = set(table.seed_names(*figure))
    wanted, asked = len(groups[: spec.sample]), {str(seed) for seed in spec.seeds}
    if wanted < trained or not there <= asked:
        seeds = ", ".join(sorted(there, key=int))
        raise BenchbedError(
            f"{out} holds {trained:,} classes and the seeds {seeds}, of which this build would leave some out: "
            "give another name, or --force to replace it"
        )
    return wanted > trained or asked > there


def _train(spec: Spec, ledger: Ledger, jobs: list[Job], workers: int, reporter: Reporter) -> None:
    """Has workers take part until every job is done. Raises BenchbedError with what a worker was refused."""
    meter = _Meter(spec, ledger, jobs, reporter)
    meter.show()
    if not meter.open:
        return
    names = [f"worker {number}" for number in range(1, min(workers, meter.open) + 1)]
    parts = [PoolJob(name, name, {"spec": spec.model_dump(mode="json")}, name) for name in names]
    executor, size = hired(TAKE_PART, ledger.path, Pool(len(parts)), spec.device)
    Scheduler(executor, size, meter, DEATHS).run(parts)


class _Meter(Board):
    """How many trainings are done, how fast, and the best so far."""

    def __init__(self, spec: Spec, ledger: Ledger, jobs: list[Job], reporter: Reporter) -> None:
        super().__init__(reporter, len(jobs), 0, 1)
        self.ledger, self.wanted = ledger, set(jobs)
        self.best, self.trained = 0.0, 0
        self._recent: deque[tuple[float, int]] = deque(maxlen=600)  # (time, trainings done): five minutes
        self._shown = 0.0
        reporter.begin(f"training {spec.task}", len(jobs))

    @property
    def open(self) -> int:
        return len(self.wanted) - self.trained

    def failed(self, job: PoolJob, reason: str) -> None:
        """Ends the build: what one worker is refused, or dies of again and again, the others meet too."""
        died = "; nothing is lost, the same command goes on" if reason.startswith("its worker died") else ""
        raise BenchbedError(reason + died)

    def show(self) -> bool:
        """Looks at the folder and shows it; whether something was finished: then no death was in a row."""
        before, now = self.trained, time.monotonic()
        for result in self.ledger.refresh():
            if Job(result["seed"], result["cell"]) in self.wanted:
                self.best = max(self.best, result["test"])
        self.trained = len(self.wanted & self.ledger.done)
        self._recent.append((now, self.trained))
        status = f"{self.trained:,} of {len(self.wanted):,} cells"
        since, first = self._recent[0]
        if self.trained > first:
            rate = (self.trained - first) / (now - since)
            status += f", {rate:.2f} a second" + (f", {_span(self.open / rate)} left" if self.open else "")
        if self.trained:
            status += f", best {self.best:.2f} %"
        self.reporter.advance(self.trained, status)
        if not self.reporter.console.is_terminal and (
            now - self._shown > SAY or (not self.open and self.trained > before)
        ):
            self._shown = now
            self.reporter.line(status)
        return self.trained > before


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{max(minutes, 1)} min"
