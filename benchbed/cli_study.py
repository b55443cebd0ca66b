"""The commands about studies: `study proxy`."""

from pathlib import Path
from typing import Annotated, Any

import typer

study_app = typer.Typer(no_args_is_help=True, help="Questions that take many runs.")


@study_app.command()
def proxy(
    proxies: Annotated[
        list[str], typer.Option("--proxy", help="KEY=VALUE[,...] over the target, e.g. epochs=2; several may be given")
    ],
    searcher: Annotated[str, typer.Option(help="one searcher")] = "darts",
    selector: Annotated[str, typer.Option(help="one selector")] = "magnitude",
    seeds: Annotated[str, typer.Option(help="a range such as 0:10")] = "0:3",
    target: Annotated[str | None, typer.Option(help="data sets of the table that scores, with commas")] = None,
    objective: Annotated[str | None, typer.Option(help="supernet or table")] = None,
    space: Annotated[str | None, typer.Option(help="the search space")] = None,
    task: Annotated[str | None, typer.Option(help="digits, cifar10, ... : what the direct search searches on")] = None,
    data: Annotated[str | None, typer.Option(help="the folder of a published data set's files")] = None,
    table: Annotated[str | None, typer.Option(help="score by this table")] = None,
    dataset: Annotated[str | None, typer.Option(help="of the table")] = None,
    epochs: Annotated[int | None, typer.Option(help="of the direct search")] = None,
    out: Annotated[Path, typer.Option(help="where searches and the study's files go")] = Path("runs"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1")] = "auto",
    settings: Annotated[list[str] | None, typer.Option("--set", help="SECTION.KEY=VALUE of the direct search")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="print the result only")] = False,
) -> None:
    """Search on proxies, score on the target: a transfer matrix with intervals, paired by seed."""
    from .config import seed_range, with_settings
    from .machine import pick_device
    from .progress import Reporter
    from .run import Options
    from .studies import proxy as study

    given = {
        "objective": objective, "space": space, "task": task, "data": data, "table": table, "dataset": dataset,
        "epochs": epochs,
    }  # fmt: skip
    raw: dict[str, Any] = with_settings({k: v for k, v in given.items() if v is not None}, settings or [])
    with Reporter(quiet) as reporter:
        options = Options(out, pick_device(device), False, reporter)
        named = None if target is None else [t.strip() for t in target.split(",")]
        parsed = [study.parse_proxy(text) for text in proxies]
        found = study.study(raw, searcher, selector, list(seed_range(seeds)), parsed, named, options)
        study.write(found, out)
        print("\n".join(study.markdown(study.rows(found))))
        if raw.get("objective") != "table":
            hours, how = study.full_search_hours(raw, searcher, selector, options)
            print(f"\na full search with {searcher} on this device: {hours:.1f} h ({how})")
    print(f"\nwritten: {out}/proxy.md, {out}/proxy.jsonl")
