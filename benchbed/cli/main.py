"""The command line: parse, call, print. Heavy libraries are imported inside the commands that need them."""

import atexit
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from ..errors import BenchbedError, unknown
from .config import config as config_
from .lacking import lacking
from .latency import latency_app
from .plugins import Plugins, check, new
from .printed import Json, print_json, refuse_json
from .proxy import proxy_app
from .report import report, verify
from .score import score
from .study import study_app
from .sweep import sweep
from .table import describe_in, query, table_app
from .train import Deterministic, Mixed, Track, asked, shown, train
from .tune import tune

if TYPE_CHECKING:
    from ..results import Results

GO_ON = ("run", "select", "train", "sweep", "tune", "study", "proxy")  # commands that keep what they have done
INTERRUPTED = 130  # exit status after Ctrl-C: 128 + SIGINT

RUNS, RESULTS, TABLES, TOOLS = "Runs and studies", "Results", "Tables", "Plug-ins and tools"  # groups of commands

app = typer.Typer(
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",  # under the default words in [brackets] are taken for markup, and lost
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Search for an architecture, select one, score it: any searcher with any selector.",
)


def _version(wanted: bool | None) -> None:
    if wanted:
        from .. import __version__

        print(f"benchbed {__version__}")
        raise typer.Exit


@app.callback()
def _of_all(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = None,
) -> None:
    """Search for an architecture, select one, score it: any searcher with any selector."""


Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="SECTION.KEY=VALUE, e.g. searcher.alpha_lr=0.01 or task_options.images=10000"),
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="a TOML file; flags win over it")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1")]
Data = Annotated[str | None, typer.Option(help="the folder of a published data set's files")]
Splits = Annotated[str | None, typer.Option(help="the folder of NAS-Bench-201's split files; default: halves")]
TableName = Annotated[str | None, typer.Option(help="score by this table, without training (see 'table list')")]
Dataset = Annotated[str | None, typer.Option(help="of the table: cifar10, cifar100 or imagenet16-120")]
Latency = Annotated[
    str | None, typer.Option(help="what the search pays for: FILE, FILE:DEVICE, table:NAME:FIGURE, macs, params")
]
Target = Annotated[
    float | None, typer.Option("--target-ms", "--target", help="what an architecture should cost, in the cost's unit")
]
ProtocolName = Annotated[
    str | None, typer.Option("--protocol", help="whose settings (see 'list protocols'); default: by task and objective")
]
Preset = Annotated[str | None, typer.Option(help="the old name of --protocol", hidden=True)]
Quiet = Annotated[bool, typer.Option("--quiet", help="print the result only")]


def run(
    searcher: Annotated[str | None, typer.Option(help="one, or several with commas")] = None,
    selector: Annotated[str | None, typer.Option(help="one, or several with commas")] = None,
    space: Annotated[str | None, typer.Option(help="the search space  [default: nb201]")] = None,
    objective: Annotated[
        str | None, typer.Option(help="supernet, or table: a table's accuracy itself  [default: supernet]")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="digits, cifar10, ..., npz:FILE, images:FOLDER, torch:MODULE:FUNCTION  [default: digits]"),
    ] = None,
    data: Data = None,
    splits: Splits = None,
    table: TableName = None,
    dataset: Dataset = None,
    latency: Latency = None,
    target: Target = None,
    seed: Annotated[int | None, typer.Option(help="[default: 0]")] = None,
    seeds: Annotated[str | None, typer.Option(help="a range such as 0:10")] = None,
    epochs: Annotated[int | None, typer.Option(help="of the search; default: the protocol's")] = None,
    steps: Annotated[int | None, typer.Option(help="of an epoch of --objective table  [default: 30]")] = None,
    fidelity: Annotated[
        int | None, typer.Option(help="epochs of the accuracies that --objective table climbs  [default: the full]")
    ] = None,
    figure: Annotated[
        str | None, typer.Option(help="a further figure of the table, which --objective table climbs instead")
    ] = None,
    protocol: ProtocolName = None,
    preset: Preset = None,
    budget: Annotated[
        str | None, typer.Option(help="steps=N, epochs=N or seconds=S: what a search and its tuning may take together")
    ] = None,
    device: Device = None,
    out: Annotated[Path | None, typer.Option(help="where results go  [default: runs]")] = None,
    config: ConfigFile = None,
    settings: Set = None,
    plugin: Plugins = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="walk the whole pipeline, keep nothing")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="say who set each value and where it is from; run nothing")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="begin again, also where a result is there")] = False,
    mixed: Mixed = False,
    deterministic: Deterministic = False,
    track: Track = None,
    full_cost: Annotated[
        bool, typer.Option("--full-cost", help="also time steps of a search at the paper's size, and extrapolate")
    ] = False,
    snapshots: Annotated[
        str | None, typer.Option(help="also keep the search's state after these epochs, such as 10,25,50")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search, select, score. The same command again goes on where it stopped."""
    from .. import api
    from ..pipeline.calls import RunKeywords
    from ..runtime.parallel import started

    refuse_json(as_json, dry_run=dry_run, explain=explain)
    options = asked(locals(), RunKeywords)
    if explain:
        from ..report.protocols import explain as show

        configs = api.configurations(searcher, selector, seeds=seeds, **options)
        for one in {(c.searcher.name, c.selector.name): c for c in configs}.values():
            show(one)
        return
    records = api.run(searcher, selector, seeds=seeds, out=out, quiet=quiet, **options)
    if not started().leader:
        return
    if dry_run:
        from ..pipeline.dry import in_words

        return print("\n".join([in_words(list(records)), *map(str, records.full.values())]))
    _summary(records, as_json)


def select(
    selector: Annotated[str, typer.Option(help="the selector to run on it, or several with commas")],
    search: Annotated[Path | None, typer.Argument(help="a finished search: a folder below OUT/searches")] = None,
    foreign: Annotated[
        str | None, typer.Option(help="or a supernet trained elsewhere: darts-pt's or AutoDL's checkpoint on nb201")
    ] = None,
    space: Annotated[str | None, typer.Option(help="of --foreign  [default: nb201]")] = None,
    task: Annotated[str | None, typer.Option(help="of --foreign: what it was trained on  [default: digits]")] = None,
    searcher: Annotated[str | None, typer.Option(help="of --foreign: how tuning moves alpha  [default: darts]")] = None,
    seed: Annotated[int | None, typer.Option(help="of --foreign  [default: 0]")] = None,
    protocol: ProtocolName = None,
    preset: Preset = None,
    out: Annotated[Path | None, typer.Option(help="of --foreign: where results go  [default: runs]")] = None,
    data: Data = None,
    splits: Splits = None,
    table: TableName = None,
    dataset: Dataset = None,
    device: Device = None,
    config: ConfigFile = None,
    settings: Set = None,
    plugin: Plugins = None,
    force: Annotated[bool, typer.Option("--force", help="select again, also where a result is there")] = False,
    mixed: Mixed = False,
    deterministic: Deterministic = False,
    track: Track = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run another selector on a finished search."""
    from .. import api
    from ..pipeline.calls import SelectOptions
    from ..runtime.parallel import started

    records = api.select(search, selector, out=out, quiet=quiet, **asked(locals(), SelectOptions))
    if started().leader:
        _summary(records, as_json)


def list_(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="searcher, modifier, selector, space, task, proxy, predictor, study, protocols or record-schema"
        ),
    ] = None,
    name: Annotated[str | None, typer.Argument(help="show this one's options")] = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Every plug-in with one line; with a kind and a name, its options, their defaults and where they come from."""
    if kind == "record-schema":
        from ..pipeline.record import schema

        return print(schema(), end="")
    if kind in ("protocol", "protocols"):
        if name is not None:
            raise BenchbedError(f"list {kind} {name}: 'config {name}' prints that protocol, 'list protocols' names all")
        from ..report.protocols import listed
        from ..report.protocols import overview as protocols

        return print_json(listed()) if as_json else protocols()
    from .. import registry
    from ..report.plugins import options_in, options_table, overview, plugins_in

    if kind is not None and kind not in registry.KINDS:
        raise unknown("kind of plug-in", kind, registry.KINDS)
    kinds = [kind] if kind else list(registry.KINDS)
    if kind is not None and name is not None:
        print_json(options_in(kind, name)) if as_json else options_table(kind, name)
    else:
        print_json(plugins_in(kinds)) if as_json else overview(kinds)


def describe(
    arch: Annotated[str, typer.Option(help="the architecture's native string, or a published network's name")],
    space: Annotated[str, typer.Option(help="the search space")] = "nb201",
    as_json: Json = False,
    draw: Annotated[Path | None, typer.Option(help="also draw it to this .svg, .pdf or .png")] = None,
    table: Annotated[str | None, typer.Option(help="also its figures in this table, and its neighbours'")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="space_options.KEY=VALUE")] = None,
    plugin: Plugins = None,
) -> None:
    """Parameters, FLOPs, canonical form and a drawing of an architecture; its figures in a table."""
    from ..pipeline.resolve import with_settings
    from ..report.draw import draw_cell, text_drawing
    from ..spaces.load import load_space

    given = with_settings({}, settings or [])
    if other := [section for section in given if section != "space_options"]:
        raise BenchbedError(f"--set {other[0]}....: describe takes space_options.KEY=VALUE only")
    where = load_space(space, given.get("space_options"))
    where, architecture = where.resolve(arch.strip())
    facts: dict[str, Any] = {"space": space, "architecture": str(architecture), **where.facts(architecture)}
    in_table = None if table is None else describe_in(table, space, architecture, as_json)
    if draw is not None:  # first: what cannot be drawn is refused before anything is said
        draw_cell(where, architecture, draw)
    if as_json:
        print_json(facts if in_table is None else {**facts, "table": in_table})
    else:
        print(text_drawing(where, architecture))
        for key, value in facts.items():
            print(f"{key:>15}  {f'{value:,}' if type(value) is int else value}")
        if in_table is not None:
            print(f"\n{in_table}")


for panel, commands in (
    (RUNS, (run, select, train, sweep, tune)),
    (RESULTS, (report, verify, score, describe)),
    (TABLES, (query,)),
    (TOOLS, (new, check)),
):
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.command("list", rich_help_panel=TOOLS)(list_)
app.command("config", rich_help_panel=TOOLS)(config_)
app.add_typer(study_app, name="study", rich_help_panel=RUNS)
app.add_typer(proxy_app, name="proxy", rich_help_panel=RUNS)
app.add_typer(table_app, name="table", rich_help_panel=TABLES)
app.add_typer(latency_app, name="latency", rich_help_panel=TABLES)


def _summary(records: "Results", as_json: bool) -> None:
    """Of one run, or a table of several; as JSON the records, as their files hold them."""
    if as_json:
        return print_json([record.dump() for record in records])
    from ..report.plugins import console
    from ..report.terminal import grid_summary, run_summary
    from ..spaces.load import load_space

    if len(records) > 1:
        return grid_summary(list(records), console(), records.full)
    (one,), place = records, records.place
    assert place is not None
    chosen_from = load_space(one.space, one.config.get("space_options"))
    run_summary(one, chosen_from, console(), shown(place / one.id), records.full)


def main() -> NoReturn:
    """Runs a command, and ends; any refusal is one line on stderr and a non-zero status, never a traceback."""
    try:
        status = app(standalone_mode=False)
    except BenchbedError as error:
        _end(f"{error}{lacking(str(error), sys.argv[1:], app)}", error.status)
    except typer.Exit as error:
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED  # typer's newer versions return it, older ones raise
    except OSError as error:  # whatever no room has put into words of its own: a name too long, a disk gone
        _end(f"{error.filename or 'a file'}: {error.strerror or error}"[:300], 2)
    except (Exception, SystemExit) as error:
        usage = getattr(error, "format_message", None)  # of the command-line parser; any other error is a bug
        _end(usage() if usage else _plugin_fault(error), 2)
    if status == INTERRUPTED:
        goes_on = sys.argv[1:2] in ([name] for name in GO_ON) or sys.argv[1:3] == ["table", "build"]
        kept = ": everything up to the last finished epoch or decision is kept; the same command goes on"
        _end(f"interrupted{kept if goes_on else ''}", INTERRUPTED)
    sys.exit(status if isinstance(status, int) else 0)


def process() -> NoReturn:
    """`main` as a process of its own, which ends at once when all is written and what was left for the end has run.

    Python would first take down thousands of modules, torch's among them, which takes a second and does nothing else.
    """
    try:
        main()
    except SystemExit as end:
        if "torch" not in sys.modules or not isinstance(end.code, int):
            raise
        status = end.code
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, and for those of executors
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        sys.exit(status)  # a reader that is gone: as Python says it
    os._exit(status)


def _plugin_fault(error: BaseException) -> str:
    """The line for an error out of a plug-in that is not ours; any other is raised again. Its author may see it all."""
    from ..registry import fault

    where = fault(error)
    if where is None or os.environ.get("BENCHBED_TRACEBACK"):
        raise error
    return f"plug-in {where}: {type(error).__name__}: {error} (BENCHBED_TRACEBACK=1 shows the traceback)"


def _end(message: str, status: int) -> NoReturn:
    if message:  # none where the parser has printed the help instead
        print(f"benchbed: {_printed(message)}", file=sys.stderr)
    sys.exit(status)


def _printed(message: str) -> str:
    """One line, and nothing in it that a terminal obeys: a message may quote a stranger's file."""
    line = " ".join(message.split())
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)
