"""`python -m benchbed train`: parse, call, print."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from .printed import Json, print_json, refuse_json

Mixed = Annotated[
    bool,
    typer.Option(
        "--mixed", help="go on although it was begun on another machine, torch, commit or number of threads; recorded"
    ),
]

Deterministic = Annotated[
    bool, typer.Option("--deterministic", help="on a GPU, only algorithms that give the same bits again; recorded")
]


Track = Annotated[
    list[str] | None,
    typer.Option("--track", help="a tracker that follows it: tensorboard, wandb, mlflow, or an installed one's name"),
]


def train(
    arch: Annotated[str | None, typer.Option(help="the architecture's native string")] = None,
    space: Annotated[str | None, typer.Option(help="the search space  [default: nb201]")] = None,
    task: Annotated[
        str | None,
        typer.Option(help="digits, cifar10, cifar100, svhn, imagenet16, imagenet, npz:FILE  [default: digits]"),
    ] = None,
    data: Annotated[str | None, typer.Option(help="the folder of a published data set's files")] = None,
    splits: Annotated[str | None, typer.Option(help="the folder of NAS-Bench-201's split files")] = None,
    protocol: Annotated[
        str | None, typer.Option(help="whose training it is (see 'list protocols'); default: by space and task")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="the old name of --protocol", hidden=True)] = None,
    epochs: Annotated[int | None, typer.Option(help="default: the protocol's")] = None,
    seed: Annotated[int | None, typer.Option(help="[default: 0]")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1; under torchrun one each")] = None,
    out: Annotated[Path | None, typer.Option(help="where results go  [default: runs]")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="a TOML file; flags win over it")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="SECTION.KEY=VALUE, e.g. scoring.bf16=true or scoring.batch=256")
    ] = None,
    plugin: Annotated[list[Path] | None, typer.Option("--plugin", help="a Python file with your own space")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="one step on a few images, keep nothing")] = False,
    force: Annotated[bool, typer.Option("--force", help="begin again, also where a result is there")] = False,
    checkpoint_steps: Annotated[
        int | None, typer.Option(help="also save within an epoch, after every so many of its steps")
    ] = None,
    mixed: Mixed = False,
    deterministic: Deterministic = False,
    track: Track = None,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="print the result only")] = False,
) -> None:
    """Train an architecture from scratch. The same command again goes on where it stopped; torchrun uses many GPUs."""
    from .. import api
    from ..pipeline.calls import TrainOptions
    from ..runtime.parallel import started

    refuse_json(as_json, dry_run=dry_run)
    made = api.train(arch, out=out, quiet=quiet, **asked(locals(), TrainOptions))
    if not started().leader:
        return
    if made.folder is None:
        print(made.record["dry_run"])
        return
    record = made.record
    if as_json:
        return print_json(record)
    for split in ("test", "valid"):
        print(f"{split:>5}  top-1 {record[f'{split}_accuracy']:.2f} %  top-5 {record[f'{split}_top5']:.2f} %")
    if skipped := sum(len(names) for names in record["skipped"].values()):
        print(f"{skipped} images that cannot be read were skipped: the record names them")
    print(f"record  {shown(made.folder / 'record.json')}")


def asked(of: Mapping[str, Any], keywords: type) -> dict[str, Any]:
    """Of a command's arguments, its `locals()`, those that its call from Python has too, where they were given."""
    named = {"set" if name == "settings" else name: value for name, value in of.items()}
    return {name: value for name, value in named.items() if name in keywords.__annotations__ and value is not None}


def shown(path: Path) -> str:
    """The path as a person reads it: from the working folder, where it lies below."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
