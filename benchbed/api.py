"""benchbed from Python: the commands as functions, their options under the same names, results as `Results`.

    import benchbed
    results = benchbed.run(searcher="proxyless", selector=["magnitude", "perturb"], seeds=range(10), workers=2)
    results.summary()

An option of a section (`--set` on the command line) is given in one way, as `set={"supernet.lr": 0.1}`. What is bad
raises BenchbedError, whose text is the line that the command line prints. An interrupted call goes on when it is made
again, as a command does; folders are taken from the working folder of the call.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, Unpack

from .errors import BenchbedError, unknown

if TYPE_CHECKING:
    from .results import Results
    from .runtime.options import RunOptions

Names = str | type[Any] | Sequence[str | type[Any]]  # of searchers or selectors; a class in place of a name
Settings = Mapping[str, Any] | Sequence[str]  # {"SECTION.KEY": value}, or the command line's "SECTION.KEY=VALUE"
Paths = str | Path | Sequence[str | Path]


class Common(TypedDict, total=False):
    """Options of `run`, `select` and `train`, as `python -m benchbed run --help` explains them.

    space: a name or a class. task: a name, npz:FILE, or images themselves (`benchbed.tasks._kept.kept_task`).
    """

    space: str | type[Any]
    task: Any
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


class SelectOptions(Common, total=False):
    """Options of `select`; space, task, seed and preset are those of `foreign`."""

    searcher: Names
    foreign: str | Path
    table: str | Path
    dataset: str


class RunKeywords(Common, total=False):
    """Options of `run`."""

    objective: str
    table: str | Path
    dataset: str
    latency: str | Path
    target: float
    epochs: int
    steps: int
    budget: str
    dry_run: bool
    snapshots: str | Iterable[int]


class TrainOptions(Common, total=False):
    """Options of `train`."""

    epochs: int
    dry_run: bool


class Trained(NamedTuple):
    """A training from scratch: its record, accuracies in percent, and its folder (None of a dry run)."""

    record: dict[str, Any]
    folder: Path | None


HOW = ("config", "set", "plugin", "dry_run", "force", "snapshots")  # options that are no part of a configuration
FLAGS = {"latency": "cost.table", "target": "cost.target"}  # where an option stands elsewhere in a configuration
SECTIONS = ("supernet", "scoring", "task_options", "space_options", "cost")


def run(
    searcher: Names | None = None,
    selector: Names | None = None,
    *,
    seeds: str | Iterable[int] | None = None,
    workers: int = 1,
    out: str | Path | None = None,
    quiet: bool = False,
    **options: Unpack[RunKeywords],
) -> "Results":
    """Searches, selects and scores; every searcher with every selector and seed. What was done before is read.

    out: the folder of the results, `runs` where nothing names another. quiet: no output at all. Raises BenchbedError as
    the command `run` refuses; KeyboardInterrupt leaves a state that the same call goes on from.
    """
    from .pipeline.given import names_in, seeds_in
    from .pipeline.resolve import expand
    from .pipeline.run import dry_run, run_all, snapshot_epochs
    from .results import Results

    given: dict[str, Any] = dict(options)
    if workers != 1:
        raise BenchbedError(f"workers = {workers}: one is all there is, as yet")
    with _raw("run", RunKeywords, given, out, searcher=searcher, selector=selector) as raw:
        configs = expand(raw, names_in(raw, "searcher"), names_in(raw, "selector"), _seeds(seeds) or seeds_in(raw))
        kept = snapshot_epochs(_comma(given.get("snapshots")), configs)
        with _how(raw, given, quiet) as how:
            how = how._replace(snapshots=kept)
            if given.get("dry_run"):
                return Results(dry_run(configs, how))
            return Results(run_all(configs, how), how.out.absolute())


def select(
    search: "str | Path | Results | None" = None,
    selector: Names | None = None,
    *,
    out: str | Path | None = None,
    quiet: bool = False,
    **options: Unpack[SelectOptions],
) -> "Results":
    """Runs other selectors on finished searches, beside whose runs the results go.

    search: a folder below OUT/searches, or a Results, of which every search is taken; or none, and `foreign` is a
    supernet that was trained elsewhere. Raises BenchbedError as the command `select` refuses.
    """
    from .pipeline.again import select_again, select_foreign
    from .pipeline.given import names_in
    from .results import Results

    given: dict[str, Any] = dict(options)
    with _raw("select", SelectOptions, given, out, selector=selector) as raw:
        if (search is None) == (raw.get("foreign") is None):
            raise BenchbedError(
                "select takes a finished search, a folder below OUT/searches, or --foreign FILE: one of both"
            )
        names = names_in(raw, "selector")
        with _how(raw, given, quiet) as how:
            if search is None:
                return Results(select_foreign(raw, names, how), how.out.absolute())
            searches = search.searches if isinstance(search, Results) else [Path(search).absolute()]
            place = searches[0].parent.parent
            made = [select_again(s, raw, name, how._replace(out=place)) for s in searches for name in names]
            return Results(made, place)


def train(
    arch: str | None = None,
    *,
    out: str | Path | None = None,
    quiet: bool = False,
    **options: Unpack[TrainOptions],
) -> Trained:
    """Trains an architecture from scratch, a string of the space or a `benchbed.Architecture`; resumable.

    Raises BenchbedError as the command `train` refuses.
    """
    from .pipeline import train as job

    given: dict[str, Any] = dict(options)
    epochs = given.pop("epochs", None)
    own = {"epochs": epochs, "arch": None if arch is None else str(arch)}
    with _raw("train", TrainOptions, given, out, **own) as raw, _how(raw, given, quiet) as how:
        config = job.resolve(raw, how.group.size)
        how.group.divides("batch", config.scoring.batch)
        if given.get("dry_run"):
            return Trained(job.dry_run(config, how), None)
        record = job.train(config, how)
        return Trained(record, (how.out / record["id"]).absolute())


def load(path: str | Path) -> "Results":
    """The finished runs of a folder, of one run's folder, or of the folder that a TOML file writes to."""
    from .results import Results

    return Results.read(path)


# -- what was given ----------------------------------------------------------------------------------------------------


@contextmanager
def _raw(
    command: str, options: Any, given: dict[str, Any], out: str | Path | None, **own: Any
) -> Iterator[dict[str, Any]]:
    """The raw configuration of a call: its options over its file's values, `set` over both; objects have got names.

    Raises BenchbedError for an option that the command does not have. Images are kept beside the runs; those of a dry
    run in a folder that is gone afterwards.
    """
    from .pipeline.given import configuration, read_configuration

    for name in given:
        if name in SECTIONS:
            raise BenchbedError(f"{name}: options of a section are given as set={{'{name}.KEY': VALUE}}")
        if name not in options.__annotations__:
            raise unknown(f"option of {command}", name, [*options.__annotations__, *own, "out", "quiet"])
    config, files = given.get("config") or {}, given.get("plugin") or ()
    config = dict(config) if isinstance(config, Mapping) else Path(config)
    read = config if isinstance(config, dict) else read_configuration(config)
    plugins = [Path(file) for file in ((files,) if isinstance(files, str | Path) else files)]
    flags = {name: value for name, value in (own | given).items() if name not in HOW}
    if out is not None:
        flags["out"] = str(out)
    with TemporaryDirectory(prefix="benchbed-data-") as scratch:
        for kind in ("searcher", "selector", "space"):
            if kind in flags:
                flags[kind] = _names(kind, flags[kind])
        if flags.get("task") is not None and not isinstance(flags["task"], str | Path):
            from .tasks._kept import kept_task

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
        raw = configuration(config, flags, _settings(given.get("set")), plugins)
        yield raw | apart


@contextmanager
def _how(raw: Mapping[str, Any], given: Mapping[str, Any], quiet: bool) -> Iterator["RunOptions"]:
    """Where and how the call runs; torch's global settings are afterwards what they were."""
    import torch

    from .runtime.options import RunOptions
    from .runtime.parallel import joined
    from .runtime.progress import Reporter

    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    try:
        with joined(raw.get("device", "auto")) as (group, where), Reporter(quiet or not group.leader) as reporter:
            yield RunOptions(Path(raw.get("out", "runs")), where, bool(given.get("force")), reporter, group)
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def _names(kind: str, given: Names | None) -> str | None:
    """The names, with commas between them; a class is registered, and gets one."""
    if given is None or isinstance(given, str):
        return given
    from . import registry

    several = [given] if isinstance(given, type) else list(given)
    return ",".join(one if isinstance(one, str) else registry.add_class(kind, one) for one in several)


def _settings(given: Settings | None) -> list[str]:
    """As `--set` has them. A value is written as TOML has it, so that it is read back as what it was."""
    if not isinstance(given, Mapping):
        return list(given or ())
    return [f"{key}={'none' if value is None else json.dumps(value, default=str)}" for key, value in given.items()]


def _comma(given: str | Iterable[int] | None) -> str | None:
    return given if given is None or isinstance(given, str) else ",".join(map(str, given))


def _seeds(given: str | Iterable[int] | None) -> list[int]:
    if given is None:
        return []
    if isinstance(given, str):
        from .pipeline.resolve import seed_range

        return list(seed_range(given))
    found = list(given)
    if not found:
        raise BenchbedError("seeds are empty: give at least one, such as range(10)")
    return found
