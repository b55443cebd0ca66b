"""What a run costs more inside a sweep than in one process: seconds a run of a sweep over those of `run_all`.

    python benchmarks/sweep/run.py [--seeds 20 --epochs 2 --rounds 5] [--out FILE.json]

The runs descend a drawn table, so that a run takes a fraction of a second and the sweep's own part shows most: telling
a worker process of it, reading its reply. Each round makes the same study in both ways, each in an empty folder, and
begins with the other one. A sweep's rate is taken between its first and its last finished run: the seconds in which
its worker starts, once a sweep, do not count; they are printed beside it. Median and quartiles over rounds.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchbed.pipeline.many import MAKE, job_of
from benchbed.pipeline.run import run_all
from benchbed.runtime.board import Board, Job
from benchbed.runtime.options import RunOptions
from benchbed.runtime.progress import Reporter
from benchbed.runtime.script import Parser, ended
from benchbed.runtime.workers import Pool, Scheduler, hired
from benchbed.sweep.study import Study, expand_study
from benchbed.tables import store


def drawn_table(name: str) -> None:
    """A NAS-Bench-201 table of CIFAR-10 with accuracies drawn uniformly, in BENCHBED_HOME."""
    rng = np.random.default_rng(0)
    arrays = {f"accuracy/cifar10_{split}_200": rng.uniform(20, 95, (5,) * 6) for split in ("valid", "test")}
    meta = {
        "format": store.FORMAT,
        "space": "nb201",
        "fingerprint": store.fingerprint("nb201", arrays),
        "figures": [["cifar10", "valid", 200], ["cifar10", "test", 200]],
        "seeds": {},
    }
    store.write(store.path_of(name), meta, arrays)


class Stopwatch(Board):
    """A board that notes when each run was done."""

    def __init__(self, total: int) -> None:
        super().__init__(Reporter(quiet=True), total, 0, 1)
        self.times: list[float] = []

    def done(self, job: Job, seconds: float, result: dict[str, Any]) -> None:
        super().done(job, seconds, result)
        self.times.append(time.perf_counter())


def in_a_sweep(study: Study, out: Path) -> tuple[float, float]:
    """Seconds a run with one worker process, and seconds until the first one was done."""
    began, board = time.perf_counter(), Stopwatch(len(study.runs))
    executor, workers = hired(MAKE, out, Pool(needs=study.needs), "cpu")
    made = Scheduler(executor, workers, board, retries=0, notes=out).run([job_of(run) for run in study.runs])
    assert len(made.results) == len(study.runs), made.failures
    return (board.times[-1] - board.times[0]) / (len(board.times) - 1), board.times[0] - began


def in_one_process(study: Study, out: Path) -> float:
    """Seconds a run of `run_all`, the first one left out as in a sweep."""
    options = RunOptions(out, torch.device("cpu"))
    configs = [run.config for run in study.runs]
    run_all(configs[:1], options)
    began = time.perf_counter()
    run_all(configs, options)
    return (time.perf_counter() - began) / (len(configs) - 1)


def measured(study: Study, rounds: int) -> dict[str, list[float]]:
    """Seconds of both ways in every round."""
    found: dict[str, list[float]] = {"sweep": [], "one process": [], "start": []}
    for number in range(rounds):
        for way in ("sweep", "one process") if number % 2 else ("one process", "sweep"):
            with tempfile.TemporaryDirectory() as place:
                if way == "sweep":
                    each, start = in_a_sweep(study, Path(place))
                    found["start"].append(start)
                else:
                    each = in_one_process(study, Path(place))
                found[way].append(each)
    return found


def quartiles(values: list[float]) -> list[float]:
    return [float(x) for x in np.quantile(values, [0.25, 0.5, 0.75])]


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(__doc__)
    parser.counts(seeds=20, epochs=2, rounds=5)
    options = parser.parse_args(arguments)
    if options.seeds < 2:
        parser.error("at least 2 seeds are needed")
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as home:
        os.environ["BENCHBED_HOME"] = home
        drawn_table("drawn")
        base = {"objective": "table", "table": "drawn", "dataset": "cifar10", "epochs": options.epochs}
        grid = {"searcher": ["darts"], "selector": ["magnitude"], "seeds": f"0:{options.seeds}"}
        seconds = measured(expand_study("overhead", base, grid), options.rounds)
    ratios = quartiles([a / b for a, b in zip(seconds["sweep"], seconds["one process"], strict=True)])
    more = quartiles([1000 * (a - b) for a, b in zip(seconds["sweep"], seconds["one process"], strict=True)])
    print(f"a run in one process: {1000 * statistics.median(seconds['one process']):.0f} ms (median)")
    print(f"in a sweep over that: {ratios[1]:.2f} ({ratios[0]:.2f} to {ratios[2]:.2f})")
    print(f"more: {more[1]:.1f} ms a run ({more[0]:.1f} to {more[2]:.1f}); the worker starts in "
          f"{statistics.median(seconds['start']):.1f} s")  # fmt: skip
    if options.out is not None:
        settings = {name: getattr(options, name) for name in ("seeds", "epochs", "rounds")}
        result: dict[str, Any] = {"ratio": ratios, "more_ms": more, "seconds": seconds, "settings": settings}
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(ended(main))
