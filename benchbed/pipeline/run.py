"""One run: search -> select -> score -> record; and several runs that share what they can."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BenchbedError
from ..latency.penalty import check_cost, configured, cost_figures
from ..runtime.folder import AGAIN, write_json
from ..runtime.machine import loaded_commit, made_with
from ..runtime.options import RunOptions
from ..runtime.parallel import Group
from ..selector import Selection
from ..task import Task
from ..training.recipe import check_device
from ..typed import whole_number
from .budget import repeatable
from .build import Parts, build_parts, check_config, check_objective, run_id, search_id, space_of, task_in, tell
from .config import RunConfig
from .record import RECORD_KEYS, Record, checked
from .saved import keep_plugins
from .score import TABLE_KEYS, score_by_table, trained
from .search import SEARCH_KEYS, run_search
from .select import run_selection
from .tables import known_before


def run_all(configs: list[RunConfig], options: RunOptions) -> list[Record]:
    """Runs each configuration; searches and scores that several share are made once. The records, in order.

    Whatever can be refused in any of them is refused before the first begins.
    """
    configs = shared_by(configs, options.group)
    for config in configs:
        check_config(config)
    records = []
    tasks: dict[str, Task] = {}
    for number, config in enumerate(configs, 1):
        if len(configs) > 1:
            pairing = f"{config.searcher.name} x {config.selector.name}"
            options.reporter.line(f"run {number} of {len(configs)}: {pairing}, seed {config.seed}")
        records.append(run(config, task_in(tasks, config), options))
    return records


def shared_by(configs: list[RunConfig], group: Group) -> list[RunConfig]:
    """The configurations for this group of processes. Raises BenchbedError where it does not divide a batch."""
    for config in configs:
        if config.supernet is not None:
            group.divides("supernet.batch", config.supernet.batch)
            group.divides("supernet.valid_batch", config.supernet.valid_batch)
        if config.scoring is not None:
            group.divides("scoring.batch", config.scoring.batch)
        if group.size > 1 and not repeatable(config.budget):
            raise group.refusal(f"budget {config.budget}: {group.size} processes would stop at different steps")
    return [config.model_copy(update={"processes": group.size}) for config in configs]


def run(
    config: RunConfig,
    task: Task,
    options: RunOptions,
    keep_search: bool = False,
    build: Callable[..., Parts] = build_parts,
) -> Record:
    """One run; its record. A finished run is read from its folder, a killed one goes on.

    keep_search: under `force`, the selection and the score alone are made anew. build: called as `build_parts` is.
    """
    loaded_commit()  # before the checkout can move
    space = space_of(config, task)  # refuses before anything is written, and so does the next line
    check_cost(configured(config.cost, space, config.space), config.cost)
    place, search = options.out / run_id(config, task), options.out / "searches" / search_id(config, task)
    with options.tracked(place, config.model_dump(), search) as finish:
        record = _run(config, task, options, place, search, keep_search, build)
        finish(record.dump())
    return record


def _run(
    config: RunConfig, task: Task, options: RunOptions, folder_path: Path, search_path: Path, keep_search: bool,
    build: Callable[..., Parts],
) -> Record:  # fmt: skip
    """The run in its folder and its search's."""
    reporter = options.reporter
    group = options.group
    with group.folder(folder_path, RECORD_KEYS, options.wait) as folder:
        fresh = folder.to_clear(options.force)
        if not fresh and (found := folder.record) is not None:
            record = _record(folder_path / "record.json", found)
            reporter.line(f"done before: {folder_path} (again from the start with --force)")
            return record
        if config.scoring is not None:
            check_device(config.scoring, options.device, group)
        parts = build(config, task, options.device, group)
        check_objective(parts)
        tell(parts, reporter.line)
        if (known := known_before(config.table, config.objective, config.figure)) is not None:
            reporter.line(known)
        with group.folder(search_path, SEARCH_KEYS, options.wait) as search_folder:
            fresh_search = not keep_search and search_folder.to_clear(options.force)
            for one, again in ((folder, fresh), (search_folder, fresh_search)):
                if again:  # both locks are held: nothing is thrown away for a run that is refused
                    one.clear(options.force)
            if group.leader:
                write_json(folder_path / "config.json", config.model_dump())
                keep_plugins(config, folder_path, "selector")
            if group.leader and (fresh_search or not (search_path / "config.json").exists()):  # `select` scores so too
                write_json(search_path / "config.json", config.model_dump(exclude={"selector"}))
                keep_plugins(config, search_path, "searcher", "space", "task")
            searched = run_search(parts, search_folder, reporter, options.snapshots, options.mixed)
            state = (search_path / "checkpoint.pt", folder, reporter, options.mixed, searched["state_sha256"])
            selection, figures = run_selection(parts, *state)
        if "over_the_limit" in selection.notes:
            reporter.line(f"over the limit of {selection.notes['limit']:g}: {selection.notes['over_the_limit']} costs "
                          f"{selection.notes['cost_of_that']:.4g}; replaced by {selection.architecture}")  # fmt: skip
        if config.table is not None:
            scored = score_by_table(config, selection, reporter)
        else:
            scored = trained(config, parts.space, task, selection, options)
        record = Record.of(
            id=folder_path.name,
            search=search_path.name,
            **what_was_run(config, task),
            **what_came_out(parts, selection, searched, figures, scored),
            **made_with(options.device),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        folder.finish(record.dump())
    return record


def _record(path: Path, raw: Mapping[str, Any]) -> Record:
    """A finished run's record. Raises BenchbedError where it holds what a report would refuse."""
    try:
        return checked(path, raw)
    except BenchbedError as error:
        raise BenchbedError(f"{error}: {AGAIN}") from None


def what_was_run(config: RunConfig, task: Task) -> dict[str, Any]:
    """The part of a record that is known before the run."""
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


def what_came_out(
    parts: Parts,
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
        "segments": [one for stage in (searched, figures, scored) for one in stage.get("segments", [])],
    }


def in_json(scores: np.ndarray) -> list[list[float | None]]:
    """A selection's scores (P, O) as a record holds them: six decimals, None where nothing was measured."""
    return [[None if np.isnan(x) else round(float(x), 6) for x in row] for row in scores]


def snapshot_epochs(text: str | None, configs: list[RunConfig]) -> tuple[int, ...]:
    """The epochs of '10,25,50', in order. Raises BenchbedError for one that a search of `configs` does not have."""
    if text is None:
        return ()
    last = min(config.epochs for config in configs)
    found: set[int] = set()
    for part in text.split(","):
        epoch = whole_number(part)
        if epoch is None or not 1 <= epoch <= last:
            wrong = f"'{part.strip()}' is not an epoch of these searches"
            raise BenchbedError(f"--snapshots: {wrong}: they have 1 to {last}")
        found.add(epoch)
    return tuple(sorted(found))
