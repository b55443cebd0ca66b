"""The command `tune`: a study of hyperparameters from a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import BenchbedError
from .plugins import Plugins
from .printed import Json, print_json, refuse_json
from .train import Mixed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..tune.slots import Slot
    from ..tune.study import Study


def tune(
    study: Annotated[Path, typer.Argument(help="STUDY.toml: a run's configuration with a section [tune]")],
    trials: Annotated[int | None, typer.Option(help="in place of the file's; more goes on with a study")] = None,
    storage: Annotated[
        str | None, typer.Option(help="memory, journal:FILE or a database's URL, in place of the file's")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="processes of this machine; other machines start their own")] = 1,
    out: Annotated[Path | None, typer.Option(help="where runs, trials.csv and best.toml go  [default: runs]")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="SECTION.KEY=VALUE of every run")] = None,
    plugin: Plugins = None,
    status: Annotated[bool, typer.Option("--status", help="say how far the study is, and end")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="two trials of one epoch, keep nothing")] = False,
    mixed: Mixed = False,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="print the result only")] = False,
) -> None:
    """Tune options of a searcher, selector or supernet by validation accuracy. The same command again goes on."""
    from .. import api
    from ..tune.worker import Unfinished

    refuse_json(as_json, dry_run=dry_run)
    if status:
        over = {"trials": trials, "storage": storage}
        with api.tuning(study, over, out, device, settings or [], plugin or [], True) as (found, _):
            return _status(found, as_json)
    made = api.tune(
        study, trials=trials, storage=storage, workers=workers, out=out, device=device, set=settings,
        plugin=plugin or (), dry_run=dry_run, mixed=mixed, quiet=quiet,
    )  # fmt: skip
    files = made.files
    if dry_run:
        print(f"dry run: {len(made.slots)} trials of {len(made.study.seeds)} seed(s) went from the space to "
              f"{' and '.join(file.name for file in files[:2])}; nothing was kept")  # fmt: skip
        return
    _page(made.study, made.slots, as_json)
    if not as_json:
        front = f" and {len(files) - 2} of the front" if files[2:] else ""
        print(f"\nwritten: {', '.join(map(str, files[:2]))}{front}")
    if made.unfinished:
        raise Unfinished(made.unfinished)


def _status(study: "Study", as_json: bool) -> None:
    from ..tune.slots import slots
    from ..tune.storage import file_of, opened, shared
    from ..tune.worker import begun, existing

    if not shared(study.options.storage):
        raise BenchbedError("--status: storage 'memory' ends with its command: use journal:FILE or a database")
    file = file_of(study.options.storage)
    if file is not None and not file.exists():
        raise BenchbedError(f"--status: there is no {file} yet")
    with opened(study.options.storage, study.options.heartbeat, study.options.grace) as storage:
        made = existing(study, storage)
        trials = made.get_trials(deepcopy=False)
        count = max(study.options.trials, begun(made))  # it may have been begun with --trials
        _page(study, slots(trials, count), as_json)


def _page(study: "Study", slots: "Sequence[Slot]", as_json: bool) -> None:
    from ..report.plugins import console
    from ..tune.report import in_json, print_page

    if as_json:
        print_json(in_json(study, slots))
    else:
        print_page(study, slots, console())
