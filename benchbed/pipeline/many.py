"""Any list of runs on the pool: in this process, in workers of this machine, on a cluster."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .. import registry
from ..errors import BenchbedError
from ..latency.penalty import check_cost, configured
from ..runtime.board import Job
from ..runtime.folder import REMADE
from ..runtime.machine import deterministic, pick_device
from ..runtime.options import RunOptions
from ..runtime.watch import Track
from ..runtime.worker import Place
from ..runtime.workers import HERE, Pool, refuse_failures, run_jobs
from ..task import Task
from .build import check_config, run_id, search_id, space_of, task_in
from .config import RunConfig
from .record import Record
from .resolve import file_sha256
from .run import run, run_all

MAKE = "benchbed.pipeline.many:make"  # what a worker calls


class Run(NamedTuple):
    """One search and selection, by the names of their folders. `point` says where in a grid: searcher, selector, seed
    and every axis' value."""

    id: str
    search: str
    config: RunConfig
    point: dict[str, Any]


def records_of(configs: Sequence[RunConfig], options: RunOptions, pool: Pool = HERE) -> list[Record]:
    """The record of each run, in order; a search that several share is made once, by one worker, with all selections.

    What is done in `options.out` is read. Whatever can be refused in any run is refused before the first begins. With a
    shard: the records of its runs alone. In workers, a run that fails is noted in OUT/failures.jsonl and the others go
    on; then BenchbedError names it.
    """
    if pool.here and pool.shard is None:
        return run_all(list(configs), options)
    if options.group.size > 1:
        raise options.group.refusal("workers and shards are processes of their own: use them without torchrun")
    tasks: dict[str, Task] = {}
    check_runs(configs, tasks)
    runs = [identified(config, tasks) for config in configs]
    jobs = pool.part_of(
        [job_of(one, options.force, options.snapshots, options.mixed, options.track) for one in runs]
    )
    mine = {job.id for job in jobs}
    runs = [one for one in runs if one.id in mine]
    if pool.here:
        return run_all([one.config for one in runs], options)
    done = {} if options.force else {id_: record for id_ in mine if (record := record_of(options.out / id_))}
    left = {job.id: job for job in jobs if job.id not in done}  # the same run twice is made once
    target, device = maker(options.track), str(options.device)
    made = run_jobs(target, list(left.values()), options.out, pool, options.reporter, device, "runs")
    refuse_failures(made.failures, options.out)
    done |= {id_: Record.model_validate(result) for id_, result in made.results.items()}
    return [done[one.id] for one in runs]


def check_runs(configs: Iterable[RunConfig], tasks: dict[str, Task]) -> None:
    """Raises BenchbedError, before anything is made, for what any of the runs would refuse."""
    configs = list(configs)
    for config in configs:
        check_config(config)
    for config in configs:
        space = space_of(config, task_in(tasks, config))
        check_cost(configured(config.cost, space, config.space), config.cost)


def identified(config: RunConfig, tasks: dict[str, Task]) -> Run:
    """The run with the names of its folders."""
    task = task_in(tasks, config)
    point = {"searcher": config.searcher.name, "selector": config.selector.name, "seed": config.seed}
    return Run(run_id(config, task), search_id(config, task), config, point)


def maker(track: Track | None) -> str:
    """What a worker calls to make a run."""
    return MAKE if track is None else track.maker


def job_of(
    one: Run, force: str | None = None, snapshots: Sequence[int] = (), mixed: bool = False, track: Track | None = None
) -> Job:
    """The run as a job of the pool; those of a search are one group. It is deterministic where this process is."""
    payload = {
        "run": one.id,
        "config": one.config.model_dump(mode="json"),
        "force": force,
        "snapshots": list(snapshots),
        "mixed": mixed,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "track": [] if track is None else list(track.names),
    }
    return Job(one.id, one.search, payload, in_words(one.point), (f"searches/{one.search}", one.id))


def in_words(point: Mapping[str, Any]) -> str:
    """A point of a grid, such as `darts x perturb, seed 3, searcher.alpha_lr 0.1`."""
    rest = [f"{key} {value}" for key, value in point.items() if key not in ("searcher", "selector")]
    return ", ".join([f"{point['searcher']} x {point['selector']}", *rest])


def record_of(path: Path) -> Record | None:
    """A run folder's record, None where it is not finished. Raises BenchbedError if it is damaged."""
    file = path / "record.json"
    if not file.exists():
        return None
    again = f"remove {path}, and the same command makes it again"
    try:
        return Record.read(file)
    except BenchbedError as error:
        raise BenchbedError(f"{str(error).removesuffix(f': {REMADE}')}: {again}") from None


# -- in a worker -------------------------------------------------------------------------------------------------------

_TASKS: dict[str, Task] = {}


def make(payload: dict[str, Any], place: Place, track: Track | None = None) -> dict[str, Any]:
    """Makes the run of a job; its record, as its file holds it."""
    config = RunConfig.model_validate(payload["config"])
    _check_code(config)
    task = task_in(_TASKS, config)
    if (found := run_id(config, task)) != payload["run"]:
        raise BenchbedError(
            f"here run {payload['run']} would be {found}: this worker has other data or another benchbed"
        )
    with deterministic(payload["deterministic"]):
        device, snapshots = pick_device(place.device), tuple(payload["snapshots"])
        options = RunOptions(place.out, device, force=payload["force"], snapshots=snapshots, mixed=payload["mixed"])
        return run(config, task, options._replace(track=track)).dump()


def _check_code(config: RunConfig) -> None:
    """Raises BenchbedError where this process has other plug-ins than the runs were given with."""
    for kind, wanted in (("searcher", config.searcher), ("selector", config.selector)):
        if file_sha256(kind, wanted.name) != wanted.sha256:
            raise BenchbedError(f"{kind} '{wanted.name}' is another file here than where the sweep was started")
    ours = registry.is_ours(registry.find("space", config.space))
    if config.space_sha256 != (None if ours else file_sha256("space", config.space)):
        raise BenchbedError(f"space '{config.space}' is another file here than where the sweep was started")
