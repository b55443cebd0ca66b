"""What a call of `benchbed.api` was given, as the raw configuration and the pool that the command would have had."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypedDict

import torch

from .. import registry
from ..errors import BenchbedError, unknown
from ..runtime.machine import deterministic
from ..runtime.options import RunOptions, anew
from ..runtime.parallel import joined
from ..runtime.progress import Reporter
from ..runtime.workers import Pool, pool_of
from ..tasks._kept import kept_task
from .config import RunConfig
from .given import configuration, read_configuration, with_plugins
from .resolve import seed_range

Names = str | type[Any] | Sequence[str | type[Any]]  # of searchers or selectors; a class in place of a name
Settings = Mapping[str, Any] | Sequence[str]  # {"SECTION.KEY": value}, or the command line's "SECTION.KEY=VALUE"
Paths = str | Path | Sequence[str | Path]


class Common(TypedDict, total=False):
    """Options of `run`, `select` and `train`, as `python -m benchbed run --help` explains them.

    space: a name or a class. task: a name, npz:FILE, or images themselves (`benchbed.tasks._kept.kept_task`).
    """

    space: str | type[Any]
    task: object
    data: str | Path
    splits: str | Path
    seed: int
    protocol: str
    preset: str  # the old name of `protocol`
    device: str
    config: str | Path | Mapping[str, Any]
    set: Settings
    plugin: Paths
    force: bool
    mixed: bool
    deterministic: bool
    track: str | Sequence[str]


class SelectOptions(Common, total=False):
    """Options of `select`; space, task, seed and preset are those of `foreign`."""

    searcher: Names
    foreign: str | Path
    table: str | Path
    dataset: str


class PoolOptions(TypedDict, total=False):
    """Who makes the runs, as `python -m benchbed sweep --help` explains it; shard: "I/N" or (I, N)."""

    shard: str | tuple[int, int]
    executor: str
    address: str
    retries: int
    stall_timeout: float


class RunKeywords(Common, PoolOptions, total=False):
    """Options of `run`."""

    objective: str
    table: str | Path
    dataset: str
    latency: str | Path
    target: float
    epochs: int
    steps: int
    fidelity: int
    figure: str
    budget: str
    dry_run: bool
    full_cost: bool
    snapshots: str | Iterable[int]


class TrainOptions(Common, total=False):
    """Options of `train`."""

    epochs: int
    dry_run: bool
    checkpoint_steps: int


HOW = (
    "config",
    "set",
    "plugin",
    "dry_run",
    "full_cost",
    "force",
    "mixed",
    "deterministic",
    "track",
    "snapshots",
    "checkpoint_steps",
    *PoolOptions.__annotations__,
)  # options that are no part of a configuration
FLAGS = {"latency": "cost.table", "target": "cost.target"}  # where an option stands elsewhere in a configuration
SECTIONS = ("supernet", "scoring", "task_options", "space_options", "cost")


@contextmanager
def raw_of(
    command: str, options: type, given: dict[str, Any], out: str | Path | None, **own: Any
) -> Iterator[dict[str, Any]]:
    """The raw configuration of a call: its options over its file's values, `set` over both; objects have got names.

    Raises BenchbedError for an option that the command does not have. Images are kept beside the runs; those of a dry
    run in a folder that is gone afterwards.
    """
    check_known(command, given, [*options.__annotations__, *own, "out", "quiet"])
    config = given.get("config") or {}
    if not isinstance(config, str | Path | Mapping):
        raise BenchbedError(f"config = {config!r:.60}: expected a TOML file or a mapping")
    read = with_plugins(config, "config", Path()) if isinstance(config, Mapping) else read_configuration(Path(config))
    config = read if isinstance(config, Mapping) else Path(config)
    flags = {name: value for name, value in (own | given).items() if name not in HOW}
    if out is not None:
        flags["out"] = str(out)
    with TemporaryDirectory(prefix="benchbed-data-") as scratch:
        for kind in ("searcher", "selector", "space"):
            if kind in flags:
                flags[kind] = _names(kind, flags[kind])
        if flags.get("task") is not None and not isinstance(flags["task"], str | Path):
            place = Path(scratch if given.get("dry_run") else flags.get("out", read.get("out", "runs"))).absolute()
            flags["task"] = kept_task(flags["task"], place / "data")
        flags = {FLAGS.get(name, name): str(v) if isinstance(v, Path) else v for name, v in flags.items()}
        apart = {}
        if command == "train":  # `arch` is of this command alone; what `set` says of the epochs must win here too
            if (arch := flags.pop("arch") or read.get("arch")) is not None:
                apart["arch"] = arch
            if "arch" in read:
                config = {key: value for key, value in read.items() if key != "arch"}
            flags["scoring.epochs"] = flags.pop("epochs")
        raw = configuration(config, flags, settings_of(given.get("set")), files_of(given.get("plugin")))
        yield raw | apart


@contextmanager
def running(raw: Mapping[str, Any], given: Mapping[str, Any], quiet: bool) -> Iterator[RunOptions]:
    """Where and how the call runs; torch's global settings are afterwards what they were."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    try:
        with (
            deterministic(bool(given.get("deterministic"))),
            joined(raw.get("device", "auto")) as (group, where),
            Reporter(quiet or not group.leader) as reporter,
        ):
            force, mixed = anew() if given.get("force") else None, bool(given.get("mixed"))
            yield RunOptions(Path(raw.get("out", "runs")), where, force, reporter, group, mixed=mixed)
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def check_known(command: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Raises BenchbedError for an option that the command does not have."""
    for name in given:
        if name in SECTIONS and name not in known:
            raise BenchbedError(f"{name}: options of a section are given as set={{'{name}.KEY': VALUE}}")
        if name not in known:
            raise unknown(f"option of {command}", name, known)


def files_of(given: Paths | None) -> list[Path]:
    return [Path(file) for file in ((given,) if isinstance(given, str | Path) else given or ())]


def pool_for(workers: int, given: Mapping[str, Any], configs: Sequence[RunConfig], here: bool = True) -> Pool:
    """Who makes the runs. here: where one worker is asked for, this process is it.

    Raises BenchbedError for a class that was given itself, where other processes work: this one alone knows it.
    """
    shard = given.get("shard")
    shard = "/".join(map(str, shard)) if isinstance(shard, tuple) else shard
    rest = {key: given[key] for key in ("executor", "address", "retries", "stall_timeout") if key in given}
    pool = pool_of(workers, shard, **rest)
    for kind in () if here and pool.here else ("searcher", "selector", "space"):
        for config in configs:
            named = getattr(config, kind)
            if (known := registry.user_class(kind, named if isinstance(named, str) else named.name)) is not None:
                raise BenchbedError(
                    f"workers = {workers}: class {known.__qualname__} is known to this process alone: save it in a "
                    "file and give plugin=FILE"
                )
    return pool


def _names(kind: str, given: Names | None) -> str | None:
    """The names, with commas between them; a class is registered, and gets one."""
    if given is None or isinstance(given, str):
        return given
    several = [given] if isinstance(given, type) else list(given) if isinstance(given, Sequence) else [given]
    for one in several:
        if not isinstance(one, str | type):
            raise BenchbedError(f"{kind} = {one!r:.60}: expected a name, a class, or a list of these")
    return ",".join(one if isinstance(one, str) else registry.add_class(kind, one) for one in several)


def settings_of(given: Settings | None) -> list[str]:
    """As `--set` has them. A value is written as TOML has it, so that it is read back as what it was."""
    if not isinstance(given, Mapping):
        return list(given or ())
    return [f"{key}={'none' if value is None else json.dumps(value, default=str)}" for key, value in given.items()]


def with_commas(given: str | Iterable[int] | None) -> str | None:
    return given if given is None or isinstance(given, str) else ",".join(map(str, _several("numbers", given)))


def _several(what: str, given: Iterable[int]) -> Iterable[int]:
    if not isinstance(given, Iterable):
        raise BenchbedError(f"{what} = {given!r:.60}: expected several, such as range(10) or [0, 1]")
    return given


def seeds_of(given: str | Iterable[int] | None) -> list[int]:
    if given is None:
        return []
    if isinstance(given, str):
        return list(seed_range(given))
    found = list(_several("seeds", given))
    if not found:
        raise BenchbedError("seeds are empty: give at least one, such as range(10)")
    return found
