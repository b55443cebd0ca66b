"""The command `tune`: a study of hyperparameters from a file."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import BenchbedError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from optuna.storages import BaseStorage

    from ..runtime.options import RunOptions
    from ..runtime.progress import Reporter
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
    plugin: Annotated[list[Path] | None, typer.Option("--plugin", help="a Python file with your own plug-in")] = None,
    status: Annotated[bool, typer.Option("--status", help="say how far the study is, and end")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="two trials of one epoch, keep nothing")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="print the result only")] = False,
) -> None:
    """Tune options of a searcher, selector or supernet by validation accuracy. The same command again goes on."""
    from ..registry import add_file
    from ..runtime.progress import Reporter
    from ..tune.study import read_study

    for file in plugin or []:
        add_file(file)
    over = {"trials": trials, "storage": storage, **({"storage": "memory", "trials": 2} if dry_run else {})}
    found = read_study(study, settings or [], {key: value for key, value in over.items() if value is not None})
    if status:
        _status(found)
        return
    options = _options(found, out, device)
    with Reporter(quiet) as reporter:
        if dry_run:
            _dry(found, options, reporter)
        else:
            _study(found, options, reporter, workers)


def _study(study: "Study", options: "RunOptions", reporter: "Reporter", workers: int) -> None:
    from ..tune.report import claim, print_page, write
    from ..tune.storage import shared
    from ..tune.worker import Unfinished, given_up, prepare, queue_of, run_workers

    if workers > 1 and not shared(study.options.storage):
        raise BenchbedError(f"--workers {workers} share no storage 'memory': add --storage journal:FILE, or a database")
    with _storage(study) as storage:
        made = prepare(study, storage)
        claim(study, options.out)
        if workers > 1:
            run_workers(study, workers, options.out, str(options.device), reporter)
        else:
            _work(study, storage, options, reporter)
        slots, trials = queue_of(study, storage, made).look(), made.get_trials(deepcopy=False)
    files = write(study, slots, trials, options.out)
    print_page(study, slots, trials, _console())
    print("\nwritten: " + ", ".join(map(str, files[:2])) + (f" and {len(files) - 2} of the front" if files[2:] else ""))
    missing, lost = sum(slot.done is None for slot in slots), given_up(slots, study.options.retries)
    if lost:
        raise Unfinished(
            f"{len(lost)} of {len(slots)} trials were given up after {study.options.retries + 1} attempts each; "
            f"trials.csv says why"
        )
    if missing:
        raise Unfinished(f"{missing} of {len(slots)} trials are missing: the same command goes on")


def _work(study: "Study", storage: "BaseStorage", options: "RunOptions", reporter: "Reporter") -> None:
    from ..tune.trial import Runner
    from ..tune.worker import Worker

    Worker(study, storage, Runner(study, options), reporter).work()


def _dry(study: "Study", options: "RunOptions", reporter: "Reporter") -> None:
    """Two trials of one epoch on a few images, from the study to its files, in a folder that is removed again."""
    from tempfile import TemporaryDirectory

    from ..tune.report import write
    from ..tune.trial import Runner
    from ..tune.worker import Worker, prepare, queue_of

    with _storage(study) as storage, TemporaryDirectory(prefix="benchbed-dry-") as scratch:
        made = prepare(study, storage)
        Worker(study, storage, Runner(study, options, dry=True), reporter).work()
        slots = queue_of(study, storage, made).look()
        files = write(study, slots, made.get_trials(deepcopy=False), Path(scratch))
    print(f"dry run: {len(slots)} trials of {len(study.seeds)} seed(s) went from the space to "
          f"{' and '.join(file.name for file in files[:2])}; nothing was kept")  # fmt: skip


def _status(study: "Study") -> None:
    from ..tune.report import print_page
    from ..tune.slots import slots
    from ..tune.storage import file_of, shared
    from ..tune.worker import begun, existing

    if not shared(study.options.storage):
        raise BenchbedError("--status: storage 'memory' ends with its command: use journal:FILE or a database")
    file = file_of(study.options.storage)
    if file is not None and not file.exists():
        raise BenchbedError(f"--status: there is no {file} yet")
    with _storage(study) as storage:
        made = existing(study, storage)
        trials = made.get_trials(deepcopy=False)
        count = max(study.options.trials, begun(made))  # it may have been begun with --trials
        print_page(study, slots(trials, count), trials, _console())


def _storage(study: "Study") -> "AbstractContextManager[BaseStorage]":
    from ..tune.storage import opened

    return opened(study.options.storage, study.options.heartbeat, study.options.grace)


def _options(study: "Study", out: Path | None, device: str | None) -> "RunOptions":
    from ..runtime.machine import pick_device
    from ..runtime.options import RunOptions

    where = pick_device(device or study.raw.get("device", "auto"))
    return RunOptions(out or Path(study.raw.get("out", "runs")), where)


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)
