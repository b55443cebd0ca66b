"""The commands about finished runs: `report` and `verify`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from .plugins import Plugins
from .printed import Json, print_json


def report(
    runs: Annotated[Path, typer.Argument(help="a folder of runs, or the TOML file of a study or run")],
    out: Annotated[Path | None, typer.Option(help="where the report goes  [default: RUNS/report]")] = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Finished runs as tables (CSV, Markdown, LaTeX), figures and one HTML page that opens offline.

    Exit status 1 where a damaged record was left out.
    """
    from ..report.collect import place_of
    from ..report.write import Report

    place = place_of(runs)
    made = Report(place, out or place / "report", runs)
    for line in made.found.problems:
        typer.echo(f"benchbed: {line}", err=True)
    written = made.write()
    if as_json:
        print_json({"rows": made.frame.to_dict("records"), "written": list(map(str, written))})
    for part in () if as_json else made.parts:
        n, rows = len(part.group.records), len(part.group.rows)
        alike = part.group.alike
        same = f"; {alike} more of controls that are the same whatever the searcher" if alike else ""
        print(f"{part.group.title}: {n} run{'s' * (n != 1)} in {rows} row{'s' * (rows != 1)}{same}")
        for words, command in part.missing:
            print(f"  control missing: {words}" + (f"; add it: {command.line}" if command else ""))
    if not as_json:
        print(f"written: {', '.join(map(str, written))}")
    if made.found.damaged:
        raise typer.Exit(1)


def verify(
    record: Annotated[Path, typer.Argument(help="a run's record.json, or its folder")],
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda  [default: as the record's]")] = None,
    skip: Annotated[str | None, typer.Option(help="stages to leave out: search, selection, score")] = None,
    plugin: Plugins = None,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="print the result only")] = False,
) -> None:
    """Repeat a run's search, selection and score, and compare them with its record.

    Exit status 0 where all that was asked for repeats, 1 where something differs, 3 where it cannot be compared here.
    """
    from ..report.verify import verified
    from ..report.verify_files import NEVER
    from ..runtime.progress import Reporter

    left_out = [] if skip is None else [stage.strip() for stage in skip.split(",")]
    with Reporter(quiet) as reporter:
        found = verified(record, device, left_out, reporter)
    if as_json:
        print_json({**asdict(found), "unverifiable": list(NEVER), "status": found.status})
    else:
        print("\n".join(found.lines()))
    raise typer.Exit(found.status)
