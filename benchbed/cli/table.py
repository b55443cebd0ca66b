"""The commands about tables: `table list`, `info`, `browse`, `import`, `fetch`, `export`, ..., and `query`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import BenchbedError
from .plugins import Plugins
from .printed import Json, print_json

if TYPE_CHECKING:
    from ..space import Architecture
    from ..tables import Table

table_app = typer.Typer(no_args_is_help=True, help="Benchmark tables: import, fetch, list, show, browse, export.")

Name = Annotated[str, typer.Argument(help="an imported table's name, or an .npz file")]
Force = Annotated[bool, typer.Option("--force", help="replace what is there")]


@table_app.command("list")
def list_(as_json: Json = False) -> None:
    """Every imported table with one line."""
    from ..tables import Table, store

    found: list[dict[str, Any]] = []
    for name in store.names():
        try:
            table = Table.open(name)
            kinds = list(dict.fromkeys(source["kind"] for source in table.meta["sources"]))
            kinds = [f"surrogate, {table.words}"] if table.predicts else kinds
            found.append({"name": name, "figures": len(table.figures), "fingerprint": table.fingerprint,
                          "sources": kinds})  # fmt: skip
        except BenchbedError as error:
            found.append({"name": name, "error": str(error)})
    if as_json:
        return print_json(found)
    if not found:
        print("no table is imported: 'table fetch nb201' downloads one, 'table import' reads your own")
    for one in found:
        said = one.get("error") or (f"{one['figures']:>3} figures  {one['fingerprint'][:12]}  "
                                    f"{', '.join(one['sources'])}")  # fmt: skip
        print(f"{one['name']:<16} {said}")


@table_app.command()
def info(name: Name, plugin: Plugins = None, as_json: Json = False) -> None:
    """What a table holds: figures, seeds, sources, units, fingerprint."""
    from ..tables import Table
    from ..tables.show import facts, text
    from ..tables.surrogate import Surrogate

    table = Table.open(name)
    if isinstance(table, Surrogate):
        from ..builder.fit import text as of_surrogate

        known = {**facts(table.laid_open()), "surrogate": {**table.recipe.model_dump(), **table.meta["surrogate"]}}
        return print_json(known) if as_json else print(f"{of_surrogate(table)}\n\n{text(table.laid_open())}")
    print_json(facts(table)) if as_json else print(text(table))


@table_app.command()
def browse(
    name: Name,
    out: Annotated[Path | None, typer.Option(help="the page to write  [default: NAME.html in this folder]")] = None,
    plugin: Plugins = None,
    force: Force = False,
) -> None:
    """Write an offline page on which a table's cells are searched, plotted, drawn and compared."""
    from ..report.browse import write_page
    from ..tables.surrogate import Surrogate
    from ..tables.trusted import trusted

    table = trusted(name, surrogates=True)
    table = table.laid_open() if isinstance(table, Surrogate) else table
    out = Path(f"{table.name}.html") if out is None else out
    size = write_page(table, out, force)
    print(f"{out.absolute()}: {size / 1e6:.1f} MB, opens in a browser without a network")


@table_app.command("import")
def import_(
    paths: Annotated[list[Path], typer.Argument(help="one source, or several that make one table")],
    name: Annotated[str, typer.Option(help="what the table will be called")],
    force: Force = False,
    space: Annotated[str | None, typer.Option(help="whose architectures CSV files hold; default: nb201")] = None,
    plugin: Plugins = None,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="do not check the MD5 in a file's name")] = False,
    partial: Annotated[bool, typer.Option("--partial", help="admit a CSV file that lacks some")] = False,
) -> None:
    """Make a table from NAS-Bench-201's .pth, a NATS-Bench folder or file, or CSV files of any space."""
    from ..runtime.progress import Reporter
    from ..tables.importing import import_table

    with Reporter() as reporter:
        table = import_table(
            paths, name, space=space, force=force, verify=not no_verify, partial=partial,
            progress=reporter.counted("reading cells"),
        )  # fmt: skip
    _imported(table)


@table_app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="nb201")],
    force: Force = False,
) -> None:
    """Download small public exports of a benchmark (6.6 MB) and import them."""
    from ..tables.fetch import fetch as download

    _imported(download(name, force=force))


@table_app.command()
def export(
    name: Name,
    file: Annotated[Path, typer.Argument(help="the CSV file to write")],
    plugin: Plugins = None,
    force: Force = False,
) -> None:
    """Write a table to a CSV file, which imports again: column arch, a column a figure, and what else there is."""
    from ..tables.show import to_csv
    from ..tables.surrogate import Surrogate
    from ..tables.trusted import trusted

    if file.exists() and not force:
        raise BenchbedError(f"{file} is there already: give another name, or --force to replace it")
    table = trusted(name, surrogates=True)
    table = table.laid_open() if isinstance(table, Surrogate) else table
    print(f"{to_csv(table, file):,} cells written to {file}")


@table_app.command()
def build(
    out: Annotated[Path, typer.Option(help="the table to write, an .npz file; a folder beside it keeps what is done")],
    space: Annotated[str, typer.Option(help="the search space")] = "nb201",
    task: Annotated[str, typer.Option(help="as of run: digits, cifar10, ..., npz:FILE, images:FOLDER")] = "digits",
    seeds: Annotated[str, typer.Option(help="a range such as 0:2")] = "0:1",
    epochs: Annotated[int | None, typer.Option(help="of each training; default: as run scores")] = None,
    channels: Annotated[int | None, typer.Option(help="C of the trained networks; default: as run scores")] = None,
    cells: Annotated[int | None, typer.Option(help="N, cells a stage; default: as run scores")] = None,
    sample: Annotated[int | None, typer.Option(help="train only so many, drawn at random")] = None,
    every_epoch: Annotated[bool, typer.Option("--every-epoch", help="measure after every epoch, keep all")] = False,
    workers: Annotated[int | None, typer.Option(help="processes of one thread each; default: one a core")] = None,
    shard: Annotated[str | None, typer.Option(help="I/N: every N-th training from the I-th on, for job arrays")] = None,
    executor: Annotated[str, typer.Option(help="local, or ray for more than one machine")] = "local",
    address: Annotated[str | None, typer.Option(help="of a Ray cluster: HOST:PORT or auto")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1")] = "cpu",
    data: Annotated[Path | None, typer.Option(help="the folder of a published data set's files")] = None,
    splits: Annotated[Path | None, typer.Option(help="the folder of NAS-Bench-201's split files")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="scoring.KEY=VALUE or task_options.KEY=VALUE")
    ] = None,
    plugin: Plugins = None,
    force: Force = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="print errors only")] = False,
) -> None:
    """Make a table of your own: train every distinct architecture on a task. The same command again goes on."""
    from ..builder.build import build as make
    from ..builder.spec import spec_of
    from ..runtime.cores import usable_cores
    from ..runtime.progress import Reporter
    from ..runtime.workers import pool_of
    from ..tables import Table

    if workers is None and executor == "local":
        workers = usable_cores()
    pool = pool_of(workers, shard, executor, address, retries=5)
    spec = spec_of(locals(), settings or [], plugin or [])
    with Reporter(quiet) as reporter:
        whole = make(spec, out, pool, reporter, force)
    if whole and not quiet:
        info(str(out.absolute()))
        made = Table.open(out)
        print(f"\nscore a run by it: add --table {out} --dataset {made.datasets[0]}")
        if (gaps := made.gaps(*made.figures[0])) is not None:
            print(f"it {gaps}: a run that chooses another ends without a score; 'table fit' predicts the others")


@table_app.command()
def fit(
    table: Annotated[str, typer.Argument(help="the table to learn from: an imported one's name, or an .npz file")],
    name: Annotated[str, typer.Option(help="what the surrogate will be called")],
    dataset: Annotated[str | None, typer.Option(help="of the table; may be left out where it has one")] = None,
    epochs: Annotated[int | None, typer.Option(help="of the trainings; default: the full ones")] = None,
    predictor: Annotated[str, typer.Option(help="NAME or NAME:KEY=VALUE[,...] of 'list predictors'")] = "random-forest",
    folds: Annotated[int, typer.Option(help="of the cross-validation")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="of the folds and the predictor")] = 0,
    plugin: Plugins = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Learn a surrogate from a table's trainings, which predicts its other cells; cross-validated, marked as such."""
    from ..builder.fit import fit as make
    from ..builder.fit import text
    from ..runtime.typed_command import typed_command
    from ..tables.clock import training_seconds

    made = make(table, name, dataset, epochs, predictor, folds, seed, force)
    if as_json:
        return print_json({"name": made.name, "fingerprint": made.fingerprint, **made.recipe.model_dump(),
                           **made.meta["surrogate"]})  # fmt: skip
    print(text(made))
    words = ["--table", made.name, "--dataset", made.datasets[0]]
    print(f"\nscore a run by it: add {' '.join(words)}")
    try:
        training_seconds(made, made.datasets[0], made.full_epochs)
    except BenchbedError as error:
        return print(f"no search can be timed on it: {error}")
    print("search on it: "
          + typed_command("run", "--space", made.meta["space"], "--objective", "table", *words,
                          "--searcher", "regularised-evolution", "--selector", "magnitude",
                          "--set", f"searcher.fidelity={made.full_epochs}"))  # fmt: skip


@table_app.command()
def quality(
    name: Name,
    reference: Annotated[str | None, typer.Option(help="another table of the space, such as nb201")] = None,
    page: Annotated[Path | None, typer.Option(help="also write this Markdown page, with pictures beside it")] = None,
    plugin: Plugins = None,
    keep: Annotated[bool, typer.Option("--keep", help="write the figures into the table, for 'table info'")] = False,
    as_json: Json = False,
) -> None:
    """How good a benchmark a built table is: seed against seed, against another table, controls; with intervals."""
    from ..builder.page import write_page
    from ..builder.quality import quality as measure
    from ..builder.quality import text
    from ..tables import store
    from ..tables.trusted import trusted

    table, other = trusted(name), None if reference is None else trusted(reference)
    if page is None:
        found = measure(table, other)
    else:
        made = ["python -m benchbed table quality", name, *(["--reference", reference] if reference else [])]
        found = write_page(table, other, page, " ".join([*made, "--page", str(page)]))
    words = text(found, table.name, reference)
    if keep:
        kept = {"reference": reference, "figures": found._asdict(), "words": words.splitlines()}
        store.annotate(store.find(name)[1], {"quality": kept})
    print_json(found._asdict()) if as_json else print(words)


@table_app.command()
def whois(
    figures: Annotated[list[str], typer.Argument(help="accuracies in percent as they are printed, in any order")],
    table: Annotated[str, typer.Option(help="an imported table's name, or an .npz file")],
    epochs: Annotated[int | None, typer.Option(help="of the trainings; default: the full ones")] = None,
    tolerance: Annotated[float | None, typer.Option(help="in points; default: half of a figure's last decimal")] = None,
    plugin: Plugins = None,
    most: Annotated[int, typer.Option(min=1, help="cells that are shown")] = 10,
    as_json: Json = False,
) -> None:
    """Which cells have these figures: `table whois 91.55 94.36 73.49 --table nb201`; or none, and the nearest."""
    from ..tables.inverse import text
    from ..tables.inverse import whois as find
    from ..tables.trusted import trusted

    opened = trusted(table)
    found = find(opened, figures, epochs, tolerance)
    if not as_json:
        return print(text(found, opened.name, most))
    cells = [
        {"architecture": str(c.architecture), "index": c.number, "equal": c.equal,
         "figures": [{"dataset": f.dataset, "split": f.split, "epochs": f.epochs, "value": v} for f, v in c.figures]}
        for c in (found.cells or found.nearest[:most])
    ]  # fmt: skip
    print_json({"table": opened.name, "asked": [g.text for g in found.given], "cells": len(found.cells),
                "found" if found.cells else "nearest": cells})  # fmt: skip


def query(
    name: Name,
    arch: Annotated[str, typer.Option(help="the architecture's native string")],
    split: Annotated[str, typer.Option(help="valid, test, or valid+test where the table has it")],
    epochs: Annotated[int, typer.Option(help="as in the table: 12 or 200 for NAS-Bench-201")],
    dataset: Annotated[
        str | None,
        typer.Option(help="cifar10, cifar100 or imagenet16-120; of a built table its task; may be left out where "
                     "the table has one"),
    ] = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """One architecture's accuracy in a table: mean over seeds, their number, their spread."""
    from ..tables.figures import Figure, lone_dataset
    from ..tables.notations import native
    from ..tables.trusted import trusted

    table = trusted(name, surrogates=True)
    dataset = lone_dataset(name, table.datasets) if dataset is None else dataset
    _, cell = table.space.resolve(native(arch.strip(), table.space))
    answer = table.answer(cell, dataset, split, epochs)
    if as_json:
        asked = {"table": table.name, "fingerprint": table.fingerprint, "architecture": str(cell)}
        return print_json({**asked, "dataset": dataset, "split": split, "epochs": epochs, **answer._asdict()})
    if answer.predicted:
        sure = "" if answer.deviation is None else f"; stated deviation {answer.deviation:.4f} points"
        print(f"{answer.mean:.4f} %  {Figure(dataset, split, epochs).words}, predicted, not trained{sure}")
        return print(f"note: {answer.note}")
    count = "number of seeds not recorded" if (n := answer.n_seeds) is None else f"{n} seed{'s' * (n != 1)}"
    print(f"{answer.mean:.4f} %  {Figure(dataset, split, epochs).words}, mean ({count})")
    if answer.seeds:
        each = ", ".join(f"{seed}: {value:.4f}" for seed, value in answer.seeds.items())
        spread = "" if answer.spread is None else f"; standard deviation {answer.spread:.4f}"
        print(f"seeds {each}{spread}")
    if answer.note:
        print(f"note: {answer.note}")


def describe_in(name: str, space: str, cell: "Architecture", as_json: bool) -> dict[str, Any] | str:
    """What `describe` adds: the cell in a table and its neighbours, as JSON facts or as text."""
    from ..tables.show import cell_facts, cell_text
    from ..tables.trusted import trusted

    table = trusted(name, surrogates=True)
    if table.meta["space"] != space:
        raise BenchbedError(f"table {name} is of space {table.meta['space']}, and the architecture of {space}")
    return cell_facts(table, cell) if as_json else cell_text(table, cell)


def _imported(table: "Table") -> None:
    from ..runtime.typed_command import typed_command
    from ..tables.show import text

    print(text(table))
    figure = table.figures[0]
    cell = table.best(*figure).architecture
    figures = ["--dataset", figure.dataset, "--split", figure.split, "--epochs", figure.epochs]
    print(f"\nquery it: {typed_command('query', table.name, '--arch', cell, *figures)}")
