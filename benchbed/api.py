"""benchbed from Python: the commands as functions, their options under the same names, results as `Results`.

    import benchbed
    results = benchbed.run(searcher="proxyless", selector=["magnitude", "perturb"], seeds=range(10), workers=2)
    results.summary()

An option of a section (`--set` on the command line) is given in one way, as `set={"supernet.lr": 0.1}`. What is bad
raises BenchbedError, whose text is the line that the command line prints. An interrupted call goes on when it is made
again, as a command does; folders are taken from the working folder of the call.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

from .errors import BenchbedError
from .pipeline.calls import (
    Names,
    Paths,
    PoolOptions,
    RunKeywords,
    SelectOptions,
    Settings,
    TrainOptions,
    check_known,
    files_of,
    pool_for,
    raw_of,
    running,
    seeds_of,
    settings_of,
    with_commas,
)
from .pipeline.given import names_in, seeds_in, with_plugins
from .registry import add_files

if TYPE_CHECKING:
    import pandas as pd

    from .pipeline.config import RunConfig
    from .results import Results
    from .runtime.options import RunOptions
    from .runtime.watch import Track
    from .tune.make import Tuned
    from .tune.study import Study


class Trained(NamedTuple):
    """A training from scratch: its record, accuracies in percent, and its folder (None of a dry run)."""

    record: dict[str, Any]
    folder: Path | None


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
    from .pipeline.dry import dry_run
    from .pipeline.full_search import check_timeable, full_searches
    from .pipeline.many import records_of
    from .pipeline.run import snapshot_epochs
    from .results import Results

    with _asked(searcher, selector, seeds, out, dict(options)) as (raw, configs, given):
        kept, pool = snapshot_epochs(with_commas(given.get("snapshots")), configs), pool_for(workers, given, configs)
        dry, timed = bool(given.get("dry_run")), bool(given.get("full_cost"))
        if timed:
            check_timeable(raw)
        with running(raw, given, quiet) as how:
            how = how._replace(snapshots=kept, track=_tracking(given))
            records = dry_run(configs, how) if dry else records_of(configs, how, pool)
            images = records[0].notes["dry_run"]["training images"][1] if dry and timed else None
            full = full_searches(raw, how, images) if timed and how.group.leader else {}
            return Results(records, None if dry else how.out.absolute(), full=full)


def configurations(
    searcher: Names | None = None,
    selector: Names | None = None,
    *,
    seeds: str | Iterable[int] | None = None,
    **options: Unpack[RunKeywords],
) -> "list[RunConfig]":
    """The complete configurations that `run` would have; `origins` says who set each value. Nothing is run."""
    with _asked(searcher, selector, seeds, None, dict(options)) as (_, configs, _):
        return configs


@contextmanager
def _asked(
    searcher: Names | None, selector: Names | None, seeds: str | Iterable[int] | None, out: str | Path | None,
    given: dict[str, Any],
) -> "Iterator[tuple[dict[str, Any], list[RunConfig], dict[str, Any]]]":  # fmt: skip
    """The raw configuration of a call of `run`, its runs, and what it was given."""
    from .pipeline.resolve import expand

    with raw_of("run", RunKeywords, given, out, searcher=searcher, selector=selector) as raw:
        configs = expand(raw, names_in(raw, "searcher"), names_in(raw, "selector"), seeds_of(seeds) or seeds_in(raw))
        yield raw, configs, given


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
    from .pipeline.again import select_again
    from .pipeline.resolve import expand
    from .pipeline.run import run_all
    from .results import Results

    given: dict[str, Any] = dict(options)
    with raw_of("select", SelectOptions, given, out, selector=selector) as raw:
        if (search is None) == (raw.get("foreign") is None):
            raise BenchbedError(
                "select takes a finished search, a folder below OUT/searches, or --foreign FILE, and not both"
            )
        names = names_in(raw, "selector")
        with running(raw, given, quiet) as how:
            how = how._replace(track=_tracking(given))
            if search is None:
                searcher = raw.get("searcher", {}).get("name", "darts")  # of runs without a search
                configs = expand(raw, [searcher], names, [raw.get("seed", 0)])
                return Results(run_all(configs, how), how.out.absolute())
            searches = search.searches if isinstance(search, Results) else [Path(search).absolute()]
            place = searches[0].parent.parent
            made = [select_again(s, raw, name, how._replace(out=place)) for s in searches for name in names]
            return Results(made, place)


def score(
    results: "str | Path | pd.DataFrame",
    table: str | Path,
    *,
    dataset: str | None = None,
    out: str | Path | None = None,
    plugin: Paths = (),
) -> "Results":
    """Scores architectures that other methods found by a table, as records beside those of runs below `out` (`runs`).

    results: a CSV file or a pandas frame with a row a search: `arch` (or another notation), `method`, `seed`, and where
    it is known `seconds`, what the search took. dataset: of the table, by default its only one. Raises BenchbedError,
    one line, for a bad row and for an architecture that the table lacks, before anything is written.
    """
    from .pipeline.outside import score_file
    from .results import Results

    add_files(files_of(plugin))
    place = Path(out or "runs").absolute()
    if isinstance(results, str | Path):
        found = score_file(Path(results), str(table), dataset, place)
    elif not hasattr(results, "to_csv"):
        raise BenchbedError(f"results of type {type(results).__name__}: expected a CSV file or a pandas frame")
    else:
        with TemporaryDirectory(prefix="benchbed-score-") as scratch:
            file = Path(scratch) / "frame.csv"
            results.to_csv(file, index=False)
            try:
                found = score_file(file, str(table), dataset, place)
            except BenchbedError as error:
                raise BenchbedError(str(error).replace(str(file), "the frame, written as CSV,")) from None
    ignored = [f"columns that are not read: {', '.join(found.ignored)}"] if found.ignored else []
    return Results(found.records, place, ignored)


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
    with raw_of("train", TrainOptions, given, out, **own) as raw, running(raw, given, quiet) as how:
        config = job.resolve(raw, how.group.size)
        how.group.divides("batch", config.scoring.batch)
        if given.get("dry_run"):
            return Trained(job.dry_run(config, how), None)
        every = given.get("checkpoint_steps")
        if every is not None and (type(every) is not int or every < 1):
            raise BenchbedError(f"checkpoint_steps = {every!r}: expected a whole number of at least 1")
        record = job.train(config, how._replace(track=_tracking(given), checkpoint_steps=every))
        return Trained(record, (how.out / record["id"]).absolute())


def sweep(
    study: str | Path | Mapping[str, Any],
    *,
    out: str | Path | None = None,
    workers: int = 1,
    extend: bool = False,
    mixed: bool = False,
    plugin: Paths = (),
    track: str | Sequence[str] = (),
    quiet: bool = False,
    **options: Unpack[PoolOptions],
) -> "Results":
    """Every run of a study file (or its content): a configuration of `run` with a [grid]; see docs/sweep.md.

    out: the folder, `runs/NAME` of the file where nothing names another. What was done before is read. The runs are
    made in processes of [grid.needs], as the command makes them; after all the others are made, a run that failed
    raises BenchbedError, which is raised too as the command `sweep` refuses.
    """
    from .results import Results
    from .runtime.workers import refuse_failures
    from .sweep.make import swept
    from .sweep.study import read_study

    given: dict[str, Any] = dict(options)
    own = ("out", "workers", "extend", "mixed", "plugin", "track", "quiet")
    check_known("sweep", given, [*PoolOptions.__annotations__, *own])
    add_files(files_of(plugin))
    with _as_file(study) as file:
        found = read_study(file)
        place = {"out": str(out)} if out else {}
        with running({"out": str(Path("runs") / file.stem)} | found.raw | place, {}, quiet) as how:
            if how.group.size > 1:
                raise how.group.refusal("sweep starts its own processes: use it without torchrun")
            configs = [run.config for run in found.runs]
            pool = pool_for(workers, given, configs, here=False)._replace(needs=found.needs)
            made = swept(found, how.out, pool, extend, mixed, how.reporter, _tracking({"track": track}))
            refuse_failures(made.failures, how.out)
            return Results([made.records[run.id] for run in made.runs], how.out.absolute())


def tune(
    study: str | Path | Mapping[str, Any],
    *,
    trials: int | None = None,
    storage: str | None = None,
    workers: int = 1,
    out: str | Path | None = None,
    device: str | None = None,
    set: Settings | None = None,
    plugin: Paths = (),
    dry_run: bool = False,
    mixed: bool = False,
    quiet: bool = False,
) -> "Tuned":
    """Tunes options by validation accuracy, as a study file (or its content) with a section [tune] says; docs/tune.md.

    workers: processes, which share a storage other than 'memory'. Raises BenchbedError as the command `tune` refuses.
    """
    over = {"trials": trials, "storage": storage, **({"storage": "memory", "trials": 2} if dry_run else {})}
    settings = settings_of(set)
    with tuning(study, over, out, device, settings, plugin, quiet) as (found, how):
        from .tune.make import tuned

        how = how._replace(mixed=mixed)
        if not dry_run:
            return tuned(found, how, workers)
        with TemporaryDirectory(prefix="benchbed-dry-") as scratch:
            return tuned(found, how._replace(out=Path(scratch)), 1, dry=True)


@contextmanager
def tuning(
    study: str | Path | Mapping[str, Any], over: Mapping[str, Any], out: str | Path | None, device: str | None,
    settings: Sequence[str], plugin: Paths, quiet: bool,
) -> Iterator["tuple[Study, RunOptions]"]:  # fmt: skip
    """The study of `tune`, and where and how it runs."""
    add_files(files_of(plugin))
    with _as_file(study) as file:
        from .tune.study import read_study

        found = read_study(file, settings, {key: value for key, value in over.items() if value is not None})
        own = {key: str(value) for key, value in (("out", out), ("device", device)) if value is not None}
        with running({**found.raw, **own}, {}, quiet) as how:
            yield found, how


def load(path: str | Path) -> "Results":
    """The finished runs of a folder, of one run's folder, or of the folder that a TOML file writes to."""
    from .results import Results

    return Results.read(path)


def _tracking(given: Mapping[str, Any]) -> "Track | None":
    """Who follows the runs: the trackers named by `track`."""
    named = given.get("track") or ()
    names = tuple(dict.fromkeys([named] if isinstance(named, str) else named))
    if not names:
        return None
    from .trackers.tracking import Tracking

    return Tracking(names)


@contextmanager
def _as_file(study: str | Path | Mapping[str, Any]) -> Iterator[Path]:
    """The study's file; of a mapping one that is there as long as it is read."""
    if not isinstance(study, Mapping):
        yield Path(study)
        return
    from .runtime.files import toml_text

    with TemporaryDirectory(prefix="benchbed-study-") as scratch:
        file = Path(scratch) / "study.toml"
        file.write_text(toml_text(with_plugins(study, "study", Path())))
        yield file
