"""`table build`: starts the workers, shows how far they are, and makes the table when every job is done."""

import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

import numpy as np

from ..errors import BenchbedError
from ..runtime.machine import pick_device
from ..runtime.progress import Reporter
from ..space import Space
from ..tables.table import Table
from ..task import Task
from ..training.cell import check_learnable, check_recipe
from .assemble import write_table
from .classes import classes
from .job_store import Job, Ledger
from .spec import Spec
from .worker import EVERY, jobs_of

LOOK = 0.5  # seconds between two looks at the folder
SAY = 60.0  # and between two lines where there is no bar
DEATHS = 5  # workers that may die without a result between them


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
    made_of = (table.meta.get("task", {}).get("fingerprint"), table.meta.get("recipe"))
    if made_of != (task.fingerprint, spec.scoring.model_dump()):
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
    """Runs workers until every job is done. Raises BenchbedError with what a worker was refused."""
    meter = _Meter(spec, jobs, reporter)
    meter.see(ledger)
    crew: list[_Worker] = []
    deaths = 0
    try:
        while meter.left:
            while len(crew) < min(workers, meter.left):
                crew.append(_Worker(spec, ledger.path))
            time.sleep(LOOK)
            if meter.see(ledger):
                deaths = 0
            for worker in [w for w in crew if w.process.poll() is not None]:
                crew.remove(worker)
                status, said = worker.process.returncode, worker.end()
                if status == BenchbedError.status:
                    raise BenchbedError(said)
                if status != 0:
                    deaths += 1
                    how = f"signal {-status}" if status < 0 else f"status {status}, {said[:120]}"
                    reporter.line(f"worker {worker.process.pid} died ({how}): its cell is open again")
                    if deaths > DEATHS:
                        raise BenchbedError(f"{deaths} workers died one after the other ({how}): nothing is lost, the "
                                            "same command goes on")  # fmt: skip
    finally:
        for worker in crew:
            worker.process.terminate()
        for worker in crew:
            worker.end()


class _Worker:
    """A process of `benchbed.builder.worker`, and what it says."""

    def __init__(self, spec: Spec, folder: Path) -> None:
        root = str(Path(__file__).resolve().parents[2])  # so that it finds this benchbed, wherever it runs
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "benchbed.builder.worker", str(folder), spec.model_dump_json()]
        self._words = tempfile.TemporaryFile("w+")  # noqa: SIM115  a pipe that nobody reads would fill up
        self.process = subprocess.Popen(command, env=environment, stderr=self._words)

    def end(self) -> str:
        """Waits for its end; the last line that it said."""
        self.process.wait()
        with self._words:
            self._words.seek(0)
            return (self._words.read().strip().splitlines() or [""])[-1]


class _Meter:
    """How many jobs are done, how fast, and the best so far."""

    def __init__(self, spec: Spec, jobs: list[Job], reporter: Reporter) -> None:
        self.wanted, self.reporter = set(jobs), reporter
        self.best, self.done = 0.0, 0
        self._recent: deque[tuple[float, int]] = deque(maxlen=600)  # (time, jobs done): five minutes
        self._said = 0.0
        reporter.begin(f"training {spec.task}", len(jobs))

    @property
    def left(self) -> int:
        return len(self.wanted) - self.done

    def see(self, ledger: Ledger) -> bool:
        """Looks at the folder and shows it; whether something was finished."""
        before, now = self.done, time.monotonic()
        for result in ledger.refresh():
            if Job(result["seed"], result["cell"]) in self.wanted:
                self.best = max(self.best, result["test"])
        self.done = len(self.wanted & ledger.done)
        self._recent.append((now, self.done))
        status = f"{self.done:,} of {len(self.wanted):,} cells"
        since, first = self._recent[0]
        if self.done > first:
            rate = (self.done - first) / (now - since)
            status += f", {rate:.2f} a second" + (f", {_span(self.left / rate)} left" if self.left else "")
        if self.done:
            status += f", best {self.best:.2f} %"
        self.reporter.advance(self.done, status)
        if not self.reporter.console.is_terminal and (now - self._said > SAY or not self.left):
            self._said = now
            self.reporter.line(status)
        return self.done > before


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{max(minutes, 1)} min"
