"""The command `sweep`: a study file becomes searches and selections, here or on a cluster."""

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import BenchbedError
from .plugins import Plugins
from .printed import Json, print_json, refuse_json
from .train import Mixed, Track

if TYPE_CHECKING:
    from ..runtime.progress import Reporter
    from ..runtime.workers import Pool
    from ..sweep.study import Study

FAILED = 1  # exit status where a run failed and the rest went on


def sweep(
    study: Annotated[Path | None, typer.Argument(help="STUDY.toml: a run's configuration with a [grid]")] = None,
    out: Annotated[Path | None, typer.Option(help="where results go  [default: runs/NAME of the study file]")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="say what it takes, and run nothing")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="walk every pairing in a few steps, keep nothing")] = False,
    status: Annotated[bool, typer.Option("--status", help="say how far it is; reads the folder only")] = False,
    executor: Annotated[str, typer.Option(help="local, or ray for more than one machine")] = "local",
    workers: Annotated[int | None, typer.Option(help="runs at a time  [default: local 1, ray all it has]")] = None,
    address: Annotated[
        str | None, typer.Option(help="of a Ray cluster: HOST:PORT or auto  [default: a Ray of its own]")
    ] = None,
    shard: Annotated[str | None, typer.Option(help="I/N: every N-th search from the I-th on, for job arrays")] = None,
    retries: Annotated[int, typer.Option(help="of a run whose worker died or crashed")] = 2,
    stall_timeout: Annotated[
        float | None,
        typer.Option(
            help="seconds without a step after which a run is tried again, or inf  "
            "[default: inf on a terminal, else 3600]"
        ),
    ] = None,
    mixed: Mixed = False,
    track: Track = None,
    extend: Annotated[bool, typer.Option("--extend", help="the folder's study has fewer of these runs: add")] = False,
    plugin: Plugins = None,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="print the result only")] = False,
) -> None:
    """Run a study: a grid of searchers, selectors, tasks and seeds. The same command again goes on."""
    from ..runtime.parallel import started
    from ..runtime.workers import pool_of

    refuse_json(as_json, plan=plan, dry_run=dry_run)
    pool = pool_of(workers, shard, executor, address, retries, stall_timeout)
    if started().size > 1:
        raise started().refusal("sweep starts its own processes: use it without torchrun")
    asked = [flag for flag, on in (("--plan", plan), ("--dry-run", dry_run), ("--status", status)) if on]
    if len(asked) > 1:
        raise BenchbedError(f"{' and '.join(asked)}: give one of them")
    if status:
        raise typer.Exit(_status(study, out, as_json))
    if study is None:
        raise BenchbedError("no study given: sweep STUDY.toml")
    from ..runtime.progress import Reporter
    from ..sweep.study import read_study

    found = read_study(study)
    pool = pool._replace(needs=found.needs)
    place = _place(study, out, found.raw)
    with Reporter(quiet) as reporter:
        if plan:
            _print_plan(found._replace(runs=found.shard(pool)), place, workers or 1, reporter)
            return
        if dry_run:
            return _dry(found, reporter)
        raise typer.Exit(_sweep(found, place, pool, extend, mixed, track, reporter, as_json))


def _place(study: Path, out: Path | None, raw: dict[str, Any]) -> Path:
    given = raw.get("out", str(Path("runs") / study.stem))
    if not isinstance(given, str):
        raise BenchbedError(f"configuration key 'out' is {given!r}: expected a string")
    return out if out is not None else Path(given)


def _status(study: Path | None, out: Path | None, as_json: bool) -> int:
    from ..pipeline.given import read_configuration
    from ..sweep.state import read_study_file, standing
    from ..sweep.summary import status_facts, status_lines

    if out is None and study is None:
        raise BenchbedError("--status needs the sweep's folder: add --out DIR, or give its study file")
    place = out if study is None or out is not None else _place(study, None, read_configuration(study))
    assert place is not None
    saved = read_study_file(place)
    now = standing(place, saved["runs"])
    if as_json:
        print_json(status_facts(saved, now))
    for line in () if as_json else status_lines(saved, now, place):
        print(line)
    return FAILED if now.failures or now.damaged else 0


def _print_plan(study: "Study", out: Path, workers: int, reporter: "Reporter") -> None:
    from ..sweep.plan import counts
    from ..sweep.plan import plan as planned
    from ..sweep.state import saved_runs, standing

    print(counts(study, study.runs), flush=True)  # before steps are measured
    now = standing(out, saved_runs(study.runs), look_for_work=False)
    reporter.line("of each method that has no finished run a few steps are measured")
    for line in planned(study, now.records, workers, out).lines:
        print(line)


def _dry(study: "Study", reporter: "Reporter") -> None:
    """The whole way of one seed in a few steps on a few images, in a folder that is removed again."""
    from ..pipeline.build import task_in
    from ..pipeline.dry import in_words, walked
    from ..report.write import Report
    from ..runtime.machine import pick_device
    from ..runtime.options import RunOptions

    first, tasks = [run for run in study.runs if run.config.seed == study.runs[0].config.seed], dict[str, Any]()
    with tempfile.TemporaryDirectory(prefix="benchbed-dry-") as scratch:
        options = RunOptions(Path(scratch), pick_device(study.device), reporter=reporter)
        records = [walked(run.config, task_in(tasks, run.config), options) for run in first]
        Report(options.out, options.out / "report").write()
    print(in_words(records, f"{len(records)} pairing(s) went from search to report"))


def _sweep(
    study: "Study", out: Path, pool: "Pool", extend: bool, mixed: bool, track: list[str] | None,
    reporter: "Reporter", as_json: bool,
) -> int:
    """The sweep of one shard; its exit status."""
    from ..sweep.make import swept
    from ..sweep.state import mixed_versions
    from ..sweep.summary import report_line, summary
    from ..trackers.tracking import Tracking

    following = Tracking(tuple(track)) if track else None
    runs, records, failures = swept(study, out, pool, extend, mixed, reporter, following)
    if as_json:
        print_json([records[run.id].dump() for run in runs if run.id in records])
    else:
        summary([run for run in runs if run.id in records], records)
    if (versions := mixed_versions(records.values())) is not None:
        print(f"benchbed: warning: {versions}", file=sys.stderr)
    for failure in failures.values():
        print(f"benchbed: failed: {failure.run}: {failure.reason}", file=sys.stderr)
    if (line := report_line(out, study)) is not None and not as_json:
        print(line)
    return FAILED if failures else 0
