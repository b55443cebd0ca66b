"""The commands about studies: `study NAME`, each a question that takes many runs; docs/studies.md has them all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import BenchbedError

if TYPE_CHECKING:
    from ..runtime.options import RunOptions

study_app = typer.Typer(no_args_is_help=True, help="Questions that take many runs.")

Searcher = Annotated[str, typer.Option(help="one searcher")]
Selector = Annotated[str, typer.Option(help="one selector")]
Seeds = Annotated[str, typer.Option(help="a range such as 0:10")]
ObjectiveName = Annotated[str | None, typer.Option(help="supernet or table")]
SpaceName = Annotated[str | None, typer.Option(help="the search space")]
Preset = Annotated[str | None, typer.Option(help="small, paper or table; default: by task and objective")]
TaskName = Annotated[str | None, typer.Option(help="digits, cifar10, ... : what is searched on")]
Data = Annotated[str | None, typer.Option(help="the folder of a published data set's files")]
Splits = Annotated[str | None, typer.Option(help="the folder of NAS-Bench-201's split files; default: halves")]
TableName = Annotated[str | None, typer.Option(help="score by this table")]
Dataset = Annotated[str | None, typer.Option(help="of the table")]
Epochs = Annotated[int | None, typer.Option(help="of a search")]
Out = Annotated[Path, typer.Option(help="where searches and the study's files go")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="SECTION.KEY=VALUE of every search")]
FullCost = Annotated[bool, typer.Option("--full-cost", help="also time steps of a search at the paper's size")]
Quiet = Annotated[bool, typer.Option("--quiet", help="print the result only")]


def _raw(settings: list[str] | None, **given: Any) -> dict[str, Any]:
    """The configuration that the searches share, of what was given."""
    from ..pipeline.resolve import with_settings

    return with_settings({key: value for key, value in given.items() if value is not None}, settings or [])


@contextmanager
def _options(out: Path, device: str, quiet: bool) -> Iterator["RunOptions"]:
    from ..runtime.machine import pick_device
    from ..runtime.options import RunOptions
    from ..runtime.progress import Reporter

    with Reporter(quiet) as reporter:
        yield RunOptions(out, pick_device(device), False, reporter)


def _check_full(raw: dict[str, Any], full_cost: bool) -> None:
    if full_cost:
        from ..pipeline.full_search import check_timeable

        check_timeable(raw)


def _full(raw: dict[str, Any], searcher: str, selector: str, options: "RunOptions") -> str:
    """What a full search takes here, without what is paid for in this study."""
    from ..pipeline.full_search import full_search

    return str(full_search({key: value for key, value in raw.items() if key != "cost"}, searcher, selector, options))


@study_app.command()
def proxy(
    proxies: Annotated[
        list[str], typer.Option("--proxy", help="KEY=VALUE[,...] over the target, e.g. epochs=2; several may be given")
    ],
    searcher: Searcher = "darts",
    selector: Selector = "magnitude",
    seeds: Seeds = "0:3",
    target: Annotated[str | None, typer.Option(help="data sets of the table that scores, with commas")] = None,
    objective: ObjectiveName = None,
    space: SpaceName = None,
    preset: Preset = None,
    task: TaskName = None,
    data: Data = None,
    table: TableName = None,
    dataset: Dataset = None,
    epochs: Epochs = None,
    out: Out = Path("runs"),
    device: Device = "auto",
    settings: Settings = None,
    full_cost: FullCost = False,
    quiet: Quiet = False,
) -> None:
    """Search on proxies, score on the target: a transfer matrix with intervals, paired by seed."""
    from ..pipeline.resolve import seed_range
    from ..studies import proxy as study

    raw = _raw(settings, objective=objective, space=space, preset=preset, task=task, data=data, table=table,
               dataset=dataset, epochs=epochs)  # fmt: skip
    _check_full(raw, full_cost)
    with _options(out, device, quiet) as options:
        named = None if target is None else [t.strip() for t in target.split(",")]
        parsed = [study.parse_proxy(text) for text in proxies]
        found = study.study(raw, searcher, selector, list(seed_range(seeds)), parsed, named, options)
        study.write(found, out)
        print("\n".join(study.markdown(study.rows(found))))
        if full_cost:
            print(f"\n{_full(raw, searcher, selector, options)}")
    print(f"\nwritten: {out}/proxy.md, {out}/proxy.jsonl")


@study_app.command()
def front(
    latency: Annotated[str, typer.Option(help="what is paid for: a latency FILE, FILE:DEVICE, macs or params")],
    targets: Annotated[str | None, typer.Option(help="the sweep: targets in the cost's unit, e.g. 3,4,5")] = None,
    weights: Annotated[str | None, typer.Option(help="or the sweep: how much the cost counts, e.g. 0.01,0.1,1")] = None,
    target: Annotated[
        float | None, typer.Option("--target-ms", "--target", help="with --weights  [default: the mean architecture's]")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="COST,ACCURACY of the hypervolume  [default: the slowest, the worst or chance]")
    ] = None,
    searcher: Searcher = "proxyless",
    selector: Selector = "magnitude",
    seeds: Seeds = "0:3",
    objective: ObjectiveName = None,
    space: SpaceName = None,
    preset: Preset = None,
    task: TaskName = None,
    data: Data = None,
    table: TableName = None,
    dataset: Dataset = None,
    epochs: Epochs = None,
    out: Out = Path("runs"),
    device: Device = "auto",
    settings: Settings = None,
    full_cost: FullCost = False,
    quiet: Quiet = False,
) -> None:
    """A sweep of targets or weights: the front of latency and accuracy, beside random and latency-ignorant ones."""
    from ..pipeline.resolve import seed_range
    from ..studies import front as study

    sweep, corner = study.parse_sweep(targets, weights), study.parse_reference(reference)
    if targets is not None and target is not None:
        raise BenchbedError(f"--target-ms {target:g}: goes with --weights; --targets are the targets")
    raw = _raw(settings, objective=objective, space=space, preset=preset, task=task, data=data, table=table,
               dataset=dataset, epochs=epochs)  # fmt: skip
    raw["cost"] = {**raw.get("cost", {}), "table": latency, **({} if target is None else {"target": target})}
    _check_full(raw, full_cost)
    with _options(out, device, quiet) as options:
        found = study.study(raw, searcher, selector, list(seed_range(seeds)), sweep, corner, options)
        study.write(found, out)
        print("\n".join(study.markdown(found)))
        if full_cost:
            print(f"\n{_full(raw, searcher, selector, options)}")
    print(f"\nwritten: {out}/front.md, {out}/front.jsonl, {out}/front.svg")


@study_app.command()
def devices(
    latency: Annotated[list[str], typer.Option(help="a device: a latency FILE or FILE:DEVICE; two or more")],
    target: Annotated[
        str | None, typer.Option("--target-ms", "--target", help="a target for each --latency, in order, with commas")
    ] = None,
    fraction: Annotated[
        float | None, typer.Option(help="or each target as a part of the way from fastest to slowest  [default: 0.5]")
    ] = None,
    searcher: Searcher = "proxyless",
    selector: Selector = "magnitude",
    seeds: Seeds = "0:3",
    objective: ObjectiveName = None,
    space: SpaceName = None,
    preset: Preset = None,
    task: TaskName = None,
    data: Data = None,
    table: TableName = None,
    dataset: Dataset = None,
    epochs: Epochs = None,
    out: Out = Path("runs"),
    device: Device = "auto",
    settings: Settings = None,
    full_cost: FullCost = False,
    quiet: Quiet = False,
) -> None:
    """Search for each device, measure on all: the cross table, and which operations each device prefers."""
    from ..pipeline.resolve import seed_range
    from ..studies import devices as study
    from ..studies.common import numbers

    if target is not None and fraction is not None:
        raise BenchbedError(f"--fraction {fraction:g}: goes without --target-ms, which gives the targets themselves")
    asked = numbers(target, "--target-ms") if target is not None else 0.5 if fraction is None else fraction
    raw = _raw(settings, objective=objective, space=space, preset=preset, task=task, data=data, table=table,
               dataset=dataset, epochs=epochs)  # fmt: skip
    _check_full(raw, full_cost)
    with _options(out, device, quiet) as options:
        crossed = study.study(raw, searcher, selector, list(seed_range(seeds)), latency, asked, options)
        study.write(crossed, out)
        print("\n".join(study.markdown(crossed)))
        if full_cost:
            print(f"\n{_full(raw, searcher, selector, options)}")
    print(f"\nwritten: {', '.join(f'{out}/devices.{ending}' for ending in ('md', 'csv', 'jsonl', 'svg'))}")


@study_app.command()
def correlate(
    table: Annotated[str, typer.Option(help="the table whose full training is the truth")],
    dataset: Annotated[str, typer.Option(help="of the table")],
    predictors: Annotated[
        list[str],
        typer.Option(
            "--predictor",
            help="params, flops, [[TABLE:]DATASET/]SPLIT@EPOCHS, alpha:SEARCH, supernet:SEARCH[@N], scores:RUN",
        ),
    ],
    top: Annotated[float, typer.Option(help="the fraction that is the top")] = 0.1,
    out: Annotated[Path, typer.Option(help="where the study's files go")] = Path("runs"),
) -> None:
    """How well cheap rankings predict a table's: tau-b, Spearman, precision of the top, with intervals."""
    from ..studies import correlate as study

    found = study.study(table, dataset, predictors, top)
    study.write(found, out)
    print("\n".join(study.markdown(found)))
    print(f"\nwritten: {', '.join(f'{out}/correlate.{ending}' for ending in ('md', 'jsonl', 'svg'))}")


@study_app.command()
def estimators(
    table: Annotated[str, typer.Option(help="the table whose expectation is known exactly")],
    dataset: Annotated[str, typer.Option(help="of the table")],
    asked: Annotated[
        list[str], typer.Option("--estimator", help="a searcher, NAME or NAME:KEY=VALUE[,...]; several may be given")
    ],
    seeds: Annotated[str, typer.Option(help="exact descents, a range such as 0:5")] = "0:5",
    steps: Annotated[str, typer.Option(help="of a descent, after which estimators are compared")] = "0,10,20,40,80",
    draws: Annotated[int, typer.Option(help="of each estimator at each point")] = 500,
    out: Annotated[Path, typer.Option(help="where the study's files go")] = Path("runs"),
) -> None:
    """Bias and noise of the searchers' gradients of alpha against the exact one."""
    from ..pipeline.resolve import seed_range
    from ..studies import estimators as study
    from ..studies.common import numbers

    stages = numbers(steps, "--steps", above=False)
    if any(s != int(s) for s in stages):
        raise BenchbedError(f"--steps '{steps}': expected whole numbers with commas, such as 0,10,20")
    if twice := [s for s in stages if stages.count(s) > 1]:
        raise BenchbedError(f"--steps '{steps}': {twice[0]:g} stands there twice")
    found = study.study(table, dataset, asked, list(seed_range(seeds)), [int(s) for s in stages], draws)
    study.write(found, out)
    print("\n".join(study.markdown(found)))
    print(f"\nwritten: {', '.join(f'{out}/estimators.{ending}' for ending in ('md', 'jsonl', 'svg'))}")


@study_app.command()
def skip(
    searcher: Searcher = "darts",
    seeds: Seeds = "0:3",
    swaps: Annotated[int, typer.Option(help="random swaps of two edges in every cell")] = 10,
    space: SpaceName = None,
    preset: Preset = None,
    task: TaskName = None,
    data: Data = None,
    epochs: Epochs = None,
    out: Out = Path("runs"),
    device: Device = "auto",
    settings: Settings = None,
    quiet: Quiet = False,
) -> None:
    """Why skip connections win alpha: the gap over training, swapped edges, the closed form on measured errors."""
    from ..pipeline.resolve import seed_range
    from ..studies import skip as study

    raw = _raw(settings, space=space, preset=preset, task=task, data=data, epochs=epochs)
    with _options(out, device, quiet) as options:
        found = study.study(raw, searcher, list(seed_range(seeds)), swaps, options)
        study.write(found, out)
    print("\n".join(study.markdown(found)))
    print(f"\nwritten: {', '.join(f'{out}/skip.{ending}' for ending in ('md', 'jsonl', 'svg'))}")


@study_app.command()
def strength(
    searcher: Searcher = "darts",
    seeds: Seeds = "0:3",
    edges: Annotated[int | None, typer.Option(help="so many, drawn at random  [default: all]")] = None,
    most: Annotated[int, typer.Option("--tune-epochs", help="most tuning epochs of a candidate")] = 20,
    least: Annotated[
        int | None, typer.Option("--min-tune-epochs", help="fewest  [default: 5, or as many as the most]")
    ] = None,
    patience: Annotated[int, typer.Option(help="tuning ends after so many epochs without a better accuracy")] = 2,
    space: SpaceName = None,
    preset: Preset = None,
    task: TaskName = None,
    data: Data = None,
    table: TableName = None,
    dataset: Dataset = None,
    epochs: Epochs = None,
    out: Out = Path("runs"),
    device: Device = "auto",
    settings: Settings = None,
    quiet: Quiet = False,
) -> None:
    """Alpha, and the cheap score of perturbation, against discretisation accuracy on every edge."""
    from ..pipeline.resolve import seed_range
    from ..studies import strength as study
    from ..studies import strength_page as page

    raw = _raw(settings, space=space, preset=preset, task=task, data=data, table=table, dataset=dataset,
               epochs=epochs)  # fmt: skip
    tuning = {"epochs": most, "patience": patience, **({} if least is None else {"min_epochs": least})}
    with _options(out, device, quiet) as options:
        found = study.study(raw, searcher, list(seed_range(seeds)), tuning, edges, options)
        page.write(found, out)
    print("\n".join(page.markdown(found)))
    print(f"\nwritten: {', '.join(f'{out}/strength.{ending}' for ending in ('md', 'jsonl', 'svg'))}")


@study_app.command()
def trajectory(
    at: Annotated[str, typer.Option(help="epochs of a search after which its state is kept, e.g. 2,5,10")],
    searcher: Searcher = "darts",
    selector: Annotated[str, typer.Option(help="selectors, with commas")] = "magnitude,perturb",
    seeds: Seeds = "0:3",
    collapse: Annotated[
        float, typer.Option(help="share of parameter-free operations in the most probable cell that is a collapse")
    ] = 0.75,
    space: SpaceName = None,
    preset: Preset = None,
    task: TaskName = None,
    objective: ObjectiveName = None,
    data: Data = None,
    splits: Splits = None,
    table: TableName = None,
    dataset: Dataset = None,
    epochs: Epochs = None,
    out: Out = Path("runs"),
    device: Device = "auto",
    settings: Settings = None,
    quiet: Quiet = False,
) -> None:
    """Selectors on a search's snapshots: what each would have chosen after fewer epochs, and where alpha collapses."""
    from ..pipeline.resolve import seed_range
    from ..studies import trajectory as study
    from ..studies.common import numbers

    snapshots = numbers(at, "--at")
    if any(e != int(e) for e in snapshots):
        raise BenchbedError(f"--at '{at}': expected whole numbers with commas, such as 2,5,10")
    names = [name.strip() for name in selector.split(",")]
    raw = _raw(settings, objective=objective, space=space, preset=preset, task=task, data=data,
               splits=splits, table=table, dataset=dataset, epochs=epochs)  # fmt: skip
    with _options(out, device, quiet) as options:
        chosen = sorted({int(e) for e in snapshots})
        found = study.study(raw, searcher, names, list(seed_range(seeds)), chosen, collapse, options)
        study.write(found, out)
    print("\n".join(study.markdown(found)))
    print(f"\nwritten: {', '.join(f'{out}/trajectory.{ending}' for ending in ('md', 'jsonl', 'svg'))}")


@study_app.command()
def tabular(
    table: Annotated[str, typer.Option(help="the table that stands for training")],
    dataset: Annotated[str, typer.Option(help="of the table")],
    asked: Annotated[
        list[str], typer.Option("--searcher", help="a table-only searcher, NAME or NAME:KEY=VALUE[,...]; several")
    ],
    seeds: Annotated[str, typer.Option(help="a range such as 0:500")] = "0:500",
    budget: Annotated[float | None, typer.Option(help="simulated seconds of a search  [default: 12000]")] = None,
    fidelity: Annotated[
        int | None, typer.Option(help="training epochs of an evaluation  [default: 12, or the table's only]")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="processes")] = 1,
    out: Annotated[Path, typer.Option(help="where the study's files go")] = Path("runs"),
) -> None:
    """Hundreds of seeds of table-only searchers on the table's simulated clock: accuracy, regret, anytime curves."""
    from ..pipeline.resolve import seed_range
    from ..studies import tabular as study

    given = {"budget": budget, "fidelity": study.only_fidelity(table, dataset) if fidelity is None else fidelity}
    shared = {key: value for key, value in given.items() if value is not None}
    entries = [study.parse_entry(text, shared) for text in asked]
    found = study.study(table, dataset, entries, list(seed_range(seeds)), workers)
    study.write(found, out)
    print("\n".join(study.markdown(found)))
    endings = ("tabular.md", "tabular.jsonl", "tabular-summary.jsonl", "tabular.svg")
    print(f"\nwritten: {', '.join(f'{out}/{name}' for name in endings)}")
