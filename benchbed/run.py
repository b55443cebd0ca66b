"""One run: search -> select -> score -> record; and several runs that share what they can."""

import json
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from . import registry, scoring, stages
from .config import RunConfig, resolve
from .errors import BenchbedError
from .folder import AGAIN, write_json
from .latency.penalty import check_cost, configured, cost_figures
from .machine import loaded_commit, made_with
from .objectives.table import imageless
from .parallel import ALONE, Group
from .progress import Reporter
from .record import RECORD_KEYS, checked
from .searched import refuse_another, saved_config
from .selector import Selection
from .space import Space
from .table_config import NO_TABLE, gaps_of
from .tables.score import score as score_in
from .task import Task, truncated
from .tasks.load import load_task

TABLE_KEYS = (
    "best_test_accuracy",
    "regret",
    "rank",
    "percentile",
    "cells",
    "n_seeds",
    "test_spread",
    "noise_floor",
    "table",
)
SELECT_KEYS = ("scoring", "data", "splits", "table", "dataset")  # what `select` may change beside the selector
DRY_IMAGES = 256  # images a split that a dry run walks through


class Options(NamedTuple):
    """What does not change a result: where and how to run."""

    out: Path
    device: torch.device
    force: bool = False
    reporter: Reporter = Reporter(quiet=True)
    group: Group = ALONE
    snapshots: tuple[int, ...] = ()  # numbers of epochs after which a search's state is kept
    wait: bool = False  # for a process that holds a folder of this run, in place of a refusal


def run_all(configs: list[RunConfig], options: Options) -> list[dict[str, Any]]:
    """Runs each configuration; searches and scores that several share are made once. The records, in order.

    Whatever can be refused in any of them is refused before the first begins.
    """
    configs = _shared(configs, options.group)
    for config in configs:
        stages.check(config)
    records = []
    tasks: dict[str, Task] = {}
    redone: set[Path] = set()
    for number, config in enumerate(configs, 1):
        if len(configs) > 1:
            pairing = f"{config.searcher.name} x {config.selector.name}"
            options.reporter.line(f"run {number} of {len(configs)}: {pairing}, seed {config.seed}")
        records.append(run(config, task_in(tasks, config), options, redone))
    return records


def _shared(configs: list[RunConfig], group: Group) -> list[RunConfig]:
    """The configurations for this group of processes. Raises BenchbedError where it does not divide a batch."""
    for config in configs:
        if config.supernet is not None:
            group.divides("supernet.batch", config.supernet.batch)
            group.divides("supernet.valid_batch", config.supernet.valid_batch)
        if config.scoring is not None:
            group.divides("scoring.batch", config.scoring.batch)
    return [config.model_copy(update={"processes": group.size}) for config in configs]


def task_in(tasks: dict[str, Task], config: RunConfig) -> Task:
    """The configured task out of `tasks`, made and kept there where none of the same kind has been yet."""
    table = config.table.key() if config.table is not None and config.objective == "table" else None
    made_of = [config.task, config.task_options, config.data, config.splits, table]
    key = json.dumps(made_of, sort_keys=True, default=str)
    if key not in tasks:
        tasks[key] = task_of(config)
    return tasks[key]


def task_of(config: RunConfig) -> Task:
    """The configured task. Raises BenchbedError on whatever it refuses."""
    if config.objective == "table":
        assert config.table is not None
        return imageless(config.task, config.table.name, config.table.dataset, config.table.fingerprint)
    return load_task(config.task, data=config.data, splits=config.splits, **config.task_options)


def run(config: RunConfig, task: Task, options: Options, redone: set[Path] | None = None) -> dict[str, Any]:
    """One run; its record. A finished run is read from its folder, a killed one goes on.

    `redone` holds the shared folders that this call of the program has already made anew under `force`.
    """
    loaded_commit()  # before the checkout can move
    redone = set() if redone is None else redone
    space = stages.space_of(config, task)  # refuses before anything is written, and so does the next line
    check_cost(configured(config.cost, space, config.space), config.cost)
    reporter = options.reporter
    folder_path = options.out / stages.run_id(config, task)
    search_path = options.out / "searches" / stages.search_id(config, task)
    fresh_search = options.force and search_path not in redone
    redone.add(search_path)
    group = options.group
    with group.folder(folder_path, RECORD_KEYS, options.wait) as folder:
        if not options.force and (record := folder.record) is not None:
            _check_record(folder_path / "record.json", record)
            reporter.line(f"done before: {folder_path} (again from the start with --force)")
            return record
        parts = stages.build(config, task, options.device, group)
        stages.check_objective(parts)
        if config.objective != "table" and (gaps := gaps_of(config.table)) is not None:
            reporter.line(gaps)
        with group.folder(search_path, stages.SEARCH_KEYS, options.wait) as search_folder:
            if options.force:  # both locks are held: nothing is thrown away for a run that is then refused
                folder.clear()
            if fresh_search:
                search_folder.clear()
            if group.leader:
                write_json(folder_path / "config.json", config.model_dump())
            if group.leader and (fresh_search or not (search_path / "config.json").exists()):  # `select` scores so too
                write_json(search_path / "config.json", config.model_dump(exclude={"selector"}))
            searched = stages.search(parts, search_folder, reporter, options.snapshots)
            selection, figures = stages.select(parts, search_path / "checkpoint.pt", folder, reporter)
        if "over_the_limit" in selection.notes:
            reporter.line(f"over the limit of {selection.notes['limit']:g}: {selection.notes['over_the_limit']} costs "
                          f"{selection.notes['cost_of_that']:.4g}; replaced by {selection.architecture}")  # fmt: skip
        if config.table is not None:
            scored = score_by_table(config, selection, reporter)
        else:
            scored = trained(config, parts.space, task, selection, options, redone)
        record = {
            "id": folder_path.name,
            "search": search_path.name,
            **_what_was_run(config, task),
            **_what_came_out(parts, selection, searched, figures, scored),
            **made_with(options.device),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        folder.finish(record)
    return record


def _check_record(path: Path, record: Mapping[str, Any]) -> None:
    """Raises BenchbedError where a finished run's record holds what a report would refuse."""
    try:
        checked(path, record)
    except BenchbedError as error:
        raise BenchbedError(f"{error}: {AGAIN}") from None


def trained(
    config: RunConfig, space: Space, task: Task, selection: Selection, options: Options, redone: set[Path]
) -> dict[str, Any]:
    """The chosen architecture's figures, trained from scratch as the run's are, or found trained before."""
    path = options.out / "scores" / scoring.score_id(config, task, selection.architecture)
    fresh = options.force and path not in redone
    redone.add(path)
    with options.group.folder(path, scoring.SCORE_KEYS, wait=True) as folder:
        if fresh:
            folder.clear()
        where = (folder, options.device, options.reporter, options.group)
        return scoring.score(config, space, task, selection, *where)


def score_by_table(config: RunConfig, selection: Selection, reporter: Reporter) -> dict[str, Any]:
    """The chosen architecture's own figures in the configured table, and where they stand in it; no training.

    Only here is a table's test accuracy read. Raises BenchbedError, naming the cell, where a partial table lacks it.
    """
    assert config.table is not None
    began = time.perf_counter()
    table = config.table.open()
    found = score_in(table, config.table.dataset, selection.architecture)
    reporter.line(f"table {table.name}: test accuracy {found.test_accuracy:.2f} % on {config.table.dataset}")
    where: dict[str, Any] = {
        "name": table.name,
        "fingerprint": table.fingerprint,
        "dataset": config.table.dataset,
        "epochs": table.full_epochs,
    }
    if "splits" in table.meta:  # a source without validation accuracy: which of its trials serve which split
        where["splits"] = table.meta["splits"]
    seconds = time.perf_counter() - began
    return {**found._asdict(), "table": where, "seconds": seconds, "peak_memory_bytes": 0}


def _what_was_run(config: RunConfig, task: Task) -> dict[str, Any]:
    return {
        "searcher": config.searcher.name,
        "selector": config.selector.name,
        "space": config.space,
        "objective": config.objective,
        "task": task.name,
        "task_facts": {"fingerprint": task.fingerprint, **task.facts},
        "seed": config.seed,
        "config": config.model_dump(),
    }


def _what_came_out(
    parts: stages.Parts,
    selection: Selection,
    searched: Mapping[str, Any],
    figures: Mapping[str, Any],
    scored: Mapping[str, Any],
) -> dict[str, Any]:
    """The figures of a run. Accuracies in percent; valid and test are the chosen cell's own.

    What a table says beyond them (`benchbed.tables.score.Score`) is None where the cell was trained from scratch.
    """
    return {
        "architecture": str(selection.architecture),
        "facts": parts.space.facts(selection.architecture),
        **cost_figures(parts.cost, parts.config.cost, selection.architecture, searched.get("expected_cost")),
        "scores": in_json(selection.scores),
        "notes": selection.notes,
        "supernet_accuracy": searched["supernet_accuracy"],
        "supernet": {k: v for k, v in searched.items() if k.startswith(("supernet_", "evaluation", "skipped"))},
        "valid_accuracy": scored["valid_accuracy"],
        "test_accuracy": scored["test_accuracy"],
        "scored_by": "training" if parts.config.table is None else "table",
        **{key: scored.get(key) for key in TABLE_KEYS},
        **{key: searched[key] for key in ("simulated_seconds",) if key in searched},
        "seconds": {"search": searched["seconds"], "selection": figures["seconds"], "scoring": scored["seconds"]},
        "peak_memory_bytes": max(
            searched["peak_memory_bytes"], figures["peak_memory_bytes"], scored["peak_memory_bytes"]
        ),
        "state_sha256": {"search": searched["state_sha256"], "selection": figures["state_sha256"]},
    }


def in_json(scores: np.ndarray) -> list[list[float | None]]:
    """A selection's scores (P, O) as a record holds them: six decimals, None where nothing was measured."""
    return [[None if np.isnan(x) else round(float(x), 6) for x in row] for row in scores]


def expand(raw: Mapping[str, Any], searchers: list[str], selectors: list[str], seeds: list[int]) -> list[RunConfig]:
    """Every run of the grid, seed by seed, searcher by searcher, so that a search's selectors follow one another.

    Raises BenchbedError as `resolve` does, and for a size that the space's networks do not take.
    """
    check_sizes(raw, raw.get("space", "nb201"))
    return [resolve(raw, s, t, seed) for seed in seeds for s in searchers for t in selectors]


def check_sizes(raw: Mapping[str, Any], space: str) -> None:
    """Raises BenchbedError for a size that the space's networks do not take."""
    sized_by = registry.load("space", space).sized_by
    for section in ("supernet", "scoring"):
        for key in ("channels", "cells"):
            if key in (raw.get(section) or {}) and key not in sized_by:
                own = f"by {' and '.join(sized_by)} and its space_options" if sized_by else "by its space_options"
                raise BenchbedError(f"{section}.{key}: the networks of space '{space}' are sized {own}")


def snapshot_epochs(text: str | None, configs: list[RunConfig]) -> tuple[int, ...]:
    """The epochs of '10,25,50', in order. Raises BenchbedError for one that a search of `configs` does not have."""
    if text is None:
        return ()
    last = min(config.epochs for config in configs)
    found = [part.strip() for part in text.split(",")]
    if wrong := [part for part in found if not (part.isdecimal() and 1 <= int(part) <= last)]:
        raise BenchbedError(f"--snapshots: '{wrong[0]}' is no epoch of these searches: they have 1 to {last}")
    return tuple(sorted({int(part) for part in found}))


def dry_run(configs: list[RunConfig], options: Options) -> list[dict[str, Any]]:
    """Walks the whole pipeline of each pairing on one epoch of a few images in a folder that is removed again."""
    records = []
    configs = _shared(configs, options.group)
    for config in configs:
        stages.check(config)
    batch = 32 * options.group.size
    with tempfile.TemporaryDirectory(prefix="benchbed-dry-") as scratch:
        small = options._replace(out=Path(scratch), force=False)
        for config in {(c.searcher.name, c.selector.name): c for c in configs}.values():
            records.append(run(shortened(config, batch), truncated(task_of(config), DRY_IMAGES), small))
    return records


def shortened(config: RunConfig, batch: int) -> RunConfig:
    """The run on one epoch of batches of `batch` images."""
    parts: dict[str, Any] = {"epochs": 1}
    if config.supernet is not None:
        few = {"batch": batch, "valid_batch": batch, "eval_batch": 64}
        parts["supernet"] = config.supernet.model_copy(update=few)
    if config.scoring is not None:
        parts["scoring"] = config.scoring.model_copy(update={"epochs": 1, "warmup_epochs": 0, "batch": batch})
    return config.model_copy(update=parts)


def select_again(search_path: Path, raw: Mapping[str, Any], selector: str, options: Options) -> dict[str, Any]:
    """Another selector on a finished search; the record goes beside the search's other runs.

    `force` makes the selection and the score again, never the search. Raises BenchbedError if the folder holds no
    finished search, or if its plug-in or data are not what they were.
    """
    search_path = search_path.resolve()
    if search_path.parent.name != "searches":
        raise BenchbedError(
            f"{search_path} holds no finished search (no record.json): give a folder below OUT/searches"
        )
    given = [key for key in raw if key not in ("selector", "device", *SELECT_KEYS)]
    if given:
        raise BenchbedError(
            f"'{given[0]}' was fixed by the search: select takes selector, scoring and device, table and data"
        )
    saved = saved_config(search_path).model_dump()
    if (made_by := saved.get("processes", 1)) != options.group.size:
        raise options.group.refusal(
            f"{search_path} was searched by {made_by} processes, here are {options.group.size}: "
            + ("start without torchrun" if made_by == 1 else f"start with torchrun --nproc-per-node {made_by}")
        )
    whole = as_given(saved, raw)
    config = resolve(whole, saved["searcher"]["name"], selector, saved["seed"])
    (config,) = _shared([config], options.group)
    stages.check(config)
    task = task_of(config)
    refuse_another(search_path, config, task)
    return run(config, task, options._replace(out=search_path.parent.parent), {search_path})


def select_foreign(raw: Mapping[str, Any], selectors: list[str], options: Options) -> list[dict[str, Any]]:
    """Selectors on a supernet that was trained elsewhere, `raw['foreign']`; their records, as of runs without a search.

    Raises BenchbedError, before anything is written, where the checkpoint is none that is known or fits neither space
    nor task.
    """
    searcher = raw.get("searcher", {}).get("name", "darts")
    return run_all(expand(raw, [searcher], selectors, [raw.get("seed", 0)]), options)


def as_given(saved: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    """A search's saved configuration as a user would have given it, with what `select` was given over it.

    The resolved options are complete, so they pass through `resolve`. The scoring is by default that of the search's
    first run; images, split files and table may have moved, so their places can be given anew.
    """
    table = saved.get("table") or {}
    tabled = raw.get("table", NO_TABLE) != NO_TABLE
    whole = {
        "objective": saved.get("objective", "supernet"),
        "space": saved["space"],
        "space_options": saved.get("space_options", {}),
        "cost": {key: value for key, value in (saved.get("cost") or {}).items() if key != "fingerprint"},
        "task": saved["task"],
        "preset": saved["preset"],
        **({"foreign": foreign} if (foreign := saved.get("foreign")) else {"epochs": saved["epochs"]}),
        **{key: saved[key] for key in ("steps", "fidelity") if saved.get(key) is not None},
        "searcher": {"name": saved["searcher"]["name"], **saved["searcher"]["options"]},
        "supernet": saved["supernet"],
        "task_options": saved.get("task_options", {}),
        "scoring": {} if tabled else {**(saved.get("scoring") or {}), **raw.get("scoring", {})},
        "data": saved.get("data"),
        "splits": saved.get("splits"),
        "table": table.get("name", NO_TABLE),
        "dataset": table.get("dataset"),
    }
    if whole["objective"] == "table":
        del whole["task"]
        if "dataset" in raw:
            raise BenchbedError("'dataset' was fixed by the search: its objective is a table")
    return whole | {key: raw[key] for key in ("selector", "data", "splits", "table", "dataset") if key in raw}
