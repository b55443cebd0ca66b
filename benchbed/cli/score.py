"""`python -m benchbed score`: parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer

from .plugins import Plugins
from .printed import Json, print_json


def score(
    file: Annotated[Path, typer.Argument(help="a CSV file: arch, method, seed, and the search's seconds if known")],
    table: Annotated[str, typer.Option(help="the imported table that scores, or an .npz file")],
    dataset: Annotated[str | None, typer.Option(help="of the table; default: its only one")] = None,
    out: Annotated[Path | None, typer.Option(help="where records go  [default: runs]")] = None,
    plugin: Plugins = None,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="print the result only")] = False,
) -> None:
    """Score architectures that other methods found, and put them beside one's own runs for `report`."""
    from .. import api
    from ..report.plugins import console
    from ..report.terminal import grid_summary
    from ..runtime.typed_command import typed_command

    results = api.score(file, table, dataset=dataset, out=out)
    for line in results.problems:
        typer.echo(f"benchbed: {line}", err=True)
    if as_json:
        print_json([record.dump() for record in results])
    elif not quiet:
        grid_summary(list(results), console())
        print(f"{len(results):,} records; beside your runs: {typed_command('report', results.place)}")
