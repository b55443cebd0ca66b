"""One trial of a study: its runs, seed by seed, and what Optuna is told of them.

Its runs are ordinary ones below OUT: a trial that was killed goes on where its search stopped, one with the parameters
of an earlier one costs nothing, and its searches are there for `select` and `run`.

Told are figures of validation alone: after each epoch the searched network's accuracy, for the pruner, and in the end
the objectives. A record's test accuracy is not read.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import optuna

from ..errors import BenchbedError
from ..pipeline.build import check_config, search_id, task_in
from ..pipeline.config import RunConfig
from ..pipeline.dry import dry_run
from ..pipeline.record import Record
from ..pipeline.run import run
from ..runtime.options import RunOptions
from ..runtime.progress import Reporter
from ..runtime.reading import LIMITS, parse_line, read_bytes
from ..task import Task
from .study import Study

Epoch = Callable[[int, int, float], None]  # (index of the seed, epoch from 1, accuracy in percent)


class Outcome(NamedTuple):
    """values: of the objectives, means over the seeds; runs: of each seed, its id and figures."""

    values: list[float]
    runs: list[dict[str, Any]]


def figures(record: Record, objectives: list[str]) -> dict[str, float]:
    """A run's figures by objective. Raises BenchbedError for one that is no finite number."""
    read: dict[str, Callable[[], float | None]] = {
        "accuracy": lambda: record.valid_accuracy,
        "supernet": lambda: record.supernet_accuracy,
        "latency": lambda: record.latency_ms,
        "cost": lambda: float((record.cost or {})["chosen"]),
        "params": lambda: float(record.facts["params"]),
        "flops": lambda: float(record.facts["flops"]),
        "seconds": lambda: record.search_seconds,
    }
    found = {}
    for name in objectives:
        try:
            value = read[name]()
        except KeyError:
            raise BenchbedError(f"tune: run {record.id} has no figure '{name}'") from None
        if value is None or not math.isfinite(value):
            raise BenchbedError(f"tune: {name} of run {record.id} is {value}")
        found[name] = float(value)
    return found


class Runner:
    """Makes the runs of trials; images and tables are loaded once."""

    def __init__(self, study: Study, options: RunOptions, dry: bool = False):
        self.study, self.options, self.dry = study, options, dry
        self.tasks: dict[str, Task] = {}

    def __call__(self, parameters: Mapping[str, Any], epoch: Epoch) -> Outcome:
        """The outcome of a trial; `epoch` is called after each of a search, and may end the trial by raising.

        Raises BenchbedError where a run does: its loss is not finite, say.
        """
        objectives = self.study.options.objectives
        runs: list[dict[str, Any]] = []
        for index, config in enumerate(self.study.configs(parameters)):
            record = self._record(config, index, epoch)
            runs.append({"seed": config.seed, "run": record.id, **figures(record, objectives)})
        values = [sum(run[name] for run in runs) / len(runs) for name in objectives]
        return Outcome(values, runs)

    def _record(self, config: RunConfig, index: int, epoch: Epoch) -> Record:
        check_config(config)
        watcher = Reporter(True, told=lambda line: epoch(index, int(line["epoch"]), float(line["accuracy"])))
        if self.dry:
            (record,) = dry_run([config], self.options._replace(reporter=watcher))
            return record
        task = task_in(self.tasks, config)
        for line in _lines(self.options.out / "searches" / search_id(config, task) / "history.jsonl"):
            watcher.epoch(line)  # what an earlier start, or a trial with the same search, has made
        return run(config, task, self.options._replace(reporter=watcher, wait=True))


def _lines(file: Path) -> list[dict[str, Any]]:
    """A history's epochs, up to a line that is being written. The run itself looks for damage."""
    if not file.exists():
        return []
    found = []
    for line in read_bytes(file, LIMITS.lines_bytes).decode(errors="replace").splitlines():
        try:
            found.append(parse_line(line))
        except ValueError:
            break
    return [line for line in found if "epoch" in line and "accuracy" in line]


class Report:
    """Reports a trial's epochs to Optuna, and ends it where the pruner says so.

    Step = index of the seed x epochs + epoch. The value is the mean of the last accuracy of each seed so far, the
    present one's at this epoch: what the trial's mean would be if it ended here.
    """

    def __init__(self, trial: optuna.Trial, epochs: int, prunes: bool):
        self.trial, self.epochs, self.prunes = trial, epochs, prunes
        self._last: dict[int, float] = {}
        self._told: set[int] = set()

    def __call__(self, index: int, epoch: int, accuracy: float) -> None:
        """Raises TrialPruned where the pruner ends the trial."""
        step = index * self.epochs + epoch
        if step in self._told:
            return
        self._told.add(step)
        self._last[index] = accuracy
        self.trial.report(sum(self._last.values()) / len(self._last), step)
        if self.prunes and self.trial.should_prune():
            raise optuna.TrialPruned
