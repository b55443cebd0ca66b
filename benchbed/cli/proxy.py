"""The command `proxy run`: scores of untrained networks, into a CSV file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import BenchbedError
from .plugins import Plugins
from .printed import Json, print_json

proxy_app = typer.Typer(no_args_is_help=True, help="Zero-cost proxies: scores of untrained networks.")


@proxy_app.callback()
def _proxies() -> None:
    """Zero-cost proxies: scores of untrained networks."""


@proxy_app.command()
def run(
    proxy: Annotated[list[str], typer.Option(help="names with commas, options after a colon: synflow,nwot:batch=64")],
    out: Annotated[Path, typer.Option(help="the folder of scores.csv, and of what is done")],
    space: Annotated[str, typer.Option(help="the search space")] = "nb201",
    task: Annotated[str, typer.Option(help="as of run: digits, cifar10, ..., npz:FILE, images:FOLDER")] = "digits",
    cells: Annotated[
        str | None, typer.Option(help="N architectures drawn at random, or those of a FILE.csv  [default: all]")
    ] = None,
    data: Annotated[str | None, typer.Option(help="the folder of a published data set's files")] = None,
    splits: Annotated[
        str | None, typer.Option(help="the folder of NAS-Bench-201's split files; default: halves")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="of the initial weights and of which images are looked at")] = 0,
    workers: Annotated[int | None, typer.Option(help="processes of one thread each; default: one a core")] = None,
    executor: Annotated[str, typer.Option(help="local, or ray for more than one machine")] = "local",
    address: Annotated[str | None, typer.Option(help="of a Ray cluster: HOST:PORT or auto")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1")] = "cpu",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="space_options.KEY, task_options.KEY, scoring.channels or scoring.cells = VALUE"),
    ] = None,
    plugin: Plugins = None,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="print the result only")] = False,
) -> None:
    """Score architectures by proxies. The same command again goes on where it stopped."""
    from ..ranking.asked import asked
    from ..ranking.cells import members
    from ..ranking.run import facts, ready
    from ..ranking.run import run as make
    from ..ranking.scores import in_words, not_finite, write
    from ..runtime.cores import usable_cores
    from ..runtime.progress import Reporter
    from ..runtime.workers import pool_of

    if workers is None and executor == "local":
        workers = usable_cores() if device == "cpu" else 1
    pool, proxies = pool_of(workers, None, executor, address), asked(proxy)
    setting = _setting(settings, space=space, task=task, data=data, splits=splits, seed=seed)
    where, on = ready(setting, proxies)
    chosen = members(where, cells)
    with Reporter(quiet) as reporter:
        made = make(setting, proxies, chosen, out, pool, device, reporter)
    file, columns = write(out, made.scores, facts(setting, on, made)), made.scores.columns
    if as_json:
        counts = {name: not_finite(values) for name, values in columns.items()}
        return print_json({"written": str(file), "networks": made.measured, "seconds": made.seconds,
                           "not_finite": {name: found for name, found in counts.items() if found}})  # fmt: skip
    for label, count in made.measured.items():
        print(f"{label}: {count:,} networks for {len(chosen):,} architectures, {made.seconds[label]:.3f} s each")
    for line in filter(None, (in_words(name, values, chosen) for name, values in columns.items())):
        print(line)
    print(f"written: {file}")


def _setting(settings: list[str] | None, **given: Any) -> Any:
    """Raises BenchbedError for a setting that no score depends on."""
    from ..pipeline.resolve import with_settings
    from ..ranking.setting import Setting
    from ..typed import typed

    raw = with_settings({}, settings or [])
    size = dict(raw.pop("scoring", {}))
    unfit = [f"scoring.{key}" for key in size if key not in ("channels", "cells")]
    unfit += [key for key in raw if key not in ("space_options", "task_options")]
    if unfit:
        raise BenchbedError(
            f"--set {unfit[0]}: proxies take space_options, task_options, scoring.channels and scoring.cells"
        )
    return typed(Setting, {**given, **raw, **size}, "proxy run")
