"""What a sweep will take, before anything runs: searches, selections, hours, memory, and the seeds for an effect.

Seconds are those of the folder's own records where a method has some. Else each pairing of searcher and selector is
walked once: one epoch on a few batches of images, its selection, an epoch of its scoring; extrapolated by epochs and
batches.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from ..pipeline.budget import Budget, Meter
from ..pipeline.build import task_in
from ..pipeline.config import RunConfig
from ..pipeline.many import Run
from ..pipeline.record import STAGES, Record
from ..pipeline.run import run
from ..runtime.board import span
from ..runtime.executor import GIB, threads_of
from ..runtime.machine import pick_device, threads
from ..runtime.options import RunOptions
from ..stats.paired import seeds_needed
from ..task import Task, truncated
from .study import Study, place

BATCHES = 4  # of images a split that a measured epoch goes through
FEWEST = 3  # seeds that two methods must share before the deviation of their difference is taken from records
POWER, LEVEL = 0.8, 0.05
HOW = {True: "extrapolated from measured steps", False: "by finished runs"}  # whether a cost was measured -> words
Key = tuple[Any, ...]


class Cost(NamedTuple):
    """Seconds of a run's three stages, what lies between them, and the process's peak bytes."""

    search: float
    selection: float
    scoring: float
    between: float
    bytes: float
    measured: bool


class Plan(NamedTuple):
    """searches, selections: in all, and those left. hours: of one worker. lines: the plan in words."""

    searches: int
    selections: int
    searches_left: int
    selections_left: int
    hours: float
    peak_gib: float
    lines: list[str]


def plan(study: Study, records: Mapping[str, Record], workers: int, out: Path | None = None) -> Plan:
    """records: of the runs that are done. out: the folder, whose finished searches are used again, whoever made them.

    Raises BenchbedError for whatever a measured run refuses.
    """
    left = [run for run in study.runs if run.id not in records]
    searched = {record.search for record in records.values()}
    if out is not None:
        searched |= {run.search for run in left if (out / "searches" / run.search / "record.json").is_file()}
    costs = _known(study, records) if records else {}
    costs.update(_measured(study, [run for run in left if _method(run) not in costs]))
    seconds, begun = 0.0, set(searched)
    for run_ in left:
        cost = costs[_method(run_)]
        seconds += cost.selection + cost.scoring + cost.between
        if run_.search not in begun:
            begun.add(run_.search)
            seconds += cost.search
    peak = max((costs[_method(run_)].bytes for run_ in left), default=0.0) / GIB
    jobs = {run_.search for run_ in left}
    total, more = len(study.searches), len(jobs - searched)
    how = " and ".join(HOW[kind] for kind in sorted({costs[_method(run_)].measured for run_ in left}))
    lines = [f"left: {more:,} searches, {len(left):,} selections"]
    if left:
        crew = min(workers, len(jobs))  # a worker makes all selections of a search
        together = f", {span(seconds / crew)} with {crew}" if crew > 1 else ""
        lines += [
            f"time: about {span(seconds)} with one worker{together}; {how}",
            f"memory: at least {peak:.1f} GiB a worker{f', {peak * crew:.1f} with {crew}' if crew > 1 else ''}",
        ]
    needs = study.needs
    asked = [f"{needs.cpus} thread{'s' if needs.cpus > 1 else ''}", *([f"{needs.gpus:g} GPUs"] if needs.gpus else [])]
    asked += [f"{needs.memory_gb:g} GB"] if needs.memory_gb else []
    lines += [f"asked for a run: {', '.join(asked)}", *seeds_in_words(study, records)]
    return Plan(total, len(study.runs), more, len(left), seconds / 3600, peak, lines)


def counts(study: Study, runs: Sequence[Run]) -> str:
    """The sweep's first line."""
    searches = len({run_.search for run_ in runs})
    part = "" if len(runs) == len(study.runs) else f" (of {len(study.searches):,} and {len(study.runs):,})"
    return f"study {study.name}: {searches:,} searches, {len(runs):,} selections{part}"


def _method(run_: Run) -> Key:
    """What runs that cost the same share: everything but the seed."""
    return tuple((key, str(value)) for key, value in run_.point.items() if key != "seed")


def _known(study: Study, records: Mapping[str, Record]) -> dict[Key, Cost]:
    """The mean cost of each method that has records."""
    found: dict[Key, list[Record]] = {}
    for run_ in study.runs:
        if run_.id in records:
            found.setdefault(_method(run_), []).append(records[run_.id])
    costs = {}
    for key, group in found.items():
        search, selection, scoring = (fmean(record.seconds[stage] for record in group) for stage in STAGES)
        memory = max(record.peak_memory_bytes or 0 for record in group)
        costs[key] = Cost(search, selection, scoring, 0.0, memory, False)
    return costs


def _measured(study: Study, runs: Sequence[Run]) -> dict[Key, Cost]:
    """One short run of each method, the selectors of a searcher on the same search."""
    costs: dict[Key, Cost] = {}
    tasks: dict[str, Task] = {}
    with threads(threads_of(study.needs)), tempfile.TemporaryDirectory(prefix="benchbed-plan-") as scratch:
        options = RunOptions(Path(scratch), pick_device(study.device))  # as many threads as the workers will have
        for run_ in runs:
            if _method(run_) not in costs:
                costs[_method(run_)] = _walk(run_.config, tasks, options)
    return costs


def _walk(config: RunConfig, tasks: dict[str, Task], options: RunOptions) -> Cost:
    task, part = task_in(tasks, config), 1.0
    if config.supernet is not None:
        images = BATCHES * max(config.supernet.batch, config.supernet.valid_batch)
        part, task = max(1.0, len(task.train) / images), truncated(task, images)
    changes: dict[str, Any] = {"epochs": 1}
    if config.scoring is not None:
        changes["scoring"] = config.scoring.model_copy(update={"epochs": 1, "warmup_epochs": 0})
    began = time.perf_counter()
    record = run(config.model_copy(update=changes), task, options)
    elapsed, seconds = time.perf_counter() - began, record.seconds
    scoring = seconds["scoring"] * (1 if config.scoring is None else config.scoring.epochs * part)
    between = max(0.0, elapsed - sum(seconds.values()))
    search, selection = seconds["search"] * config.epochs * part, seconds["selection"] * part
    if config.budget is not None and config.supernet is not None:
        limit, steps = Budget.parse(config.budget), max(1, len(task.train) // config.supernet.batch)
        if limit.unit == "seconds":
            search = min(search, limit.amount)
            selection = min(selection, limit.amount - search)
        else:  # tuning that the search leaves nothing for is counted all the same
            search *= min(1.0, Meter(config.budget, round(steps * part)).left / (config.epochs * steps * part))
    return Cost(search, selection, scoring, between, record.peak_memory_bytes or 0, True)


# -- seeds -------------------------------------------------------------------------------------------------------------


def seeds_in_words(study: Study, records: Mapping[str, Record]) -> list[str]:
    """How many seeds it takes to tell two methods apart that differ by the study's `effect`; [] where none is wanted.

    By the deviation of their difference, seed by seed: the study's own `deviation`, else the greatest one of any two
    methods in the records. As in a report, each method but the best is a comparison (Bonferroni, the hardest step of
    Holm's correction); of several tables in a study the longest counts.
    """
    if study.effect is None:
        return []
    methods = {_method(run_): place(run_.point) for run_ in study.runs}
    comparisons = max(1, max(Counter(methods.values()).values()) - 1)
    deviation, source = study.deviation, "as given"
    if deviation is None:
        deviation, source = greatest_deviation(study, records), "the greatest of any two methods so far"
    have = len({run_.config.seed for run_ in study.runs})
    if not deviation:
        return [
            f"seeds: how many an effect of {study.effect:g} points needs is known once two methods have {FEWEST} seeds "
            f"each, or with grid.deviation (of a paired difference, in points); the study has {have}"
        ]
    try:
        needed = f"{seeds_needed(study.effect, deviation, POWER, LEVEL, comparisons):,}"
    except ValueError as error:
        needed = str(error)
    return [
        f"seeds: {needed} for a difference of {study.effect:g} points at power {POWER:g}, level {LEVEL:g} over "
        f"{comparisons} comparison(s), if paired differences deviate by {deviation:.2f} ({source}); "
        f"the study has {have}"
    ]


def greatest_deviation(study: Study, records: Mapping[str, Record]) -> float | None:
    """The greatest standard deviation of two methods' paired differences of test accuracy; None if too few seeds."""
    accuracy: dict[tuple[Key, Key], dict[int, float]] = {}
    for run_ in study.runs:
        if run_.id in records:
            of_method = accuracy.setdefault((place(run_.point), _method(run_)), {})
            of_method[run_.config.seed] = records[run_.id].test_accuracy
    found = []
    for ((at, _), a), ((other, _), b) in combinations(accuracy.items(), 2):
        if at == other and len(shared := a.keys() & b.keys()) >= FEWEST:
            found.append(float(np.std([a[seed] - b[seed] for seed in shared], ddof=1)))
    return max(found, default=None)
