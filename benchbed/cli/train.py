"""`python -m benchbed train`: parse, call, print."""

from pathlib import Path
from typing import Annotated, Any

import typer

Mixed = Annotated[
    bool,
    typer.Option(
        "--mixed", help="go on although it was begun on another machine, torch, commit or number of threads; recorded"
    ),
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="one epoch on a few images, keep nothing")] = False,
    force: Annotated[bool, typer.Option("--force", help="begin again, also where a result is there")] = False,
    mixed: Mixed = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="print the result only")] = False,
) -> None:
    """Train an architecture from scratch. The same command again goes on where it stopped; torchrun uses many GPUs."""
    flags = {
        "arch": arch, "space": space, "task": task, "data": data, "splits": splits, "preset": preset,
        "protocol": protocol, "epochs": epochs, "seed": seed, "device": device,
        "out": None if out is None else str(out),
    }  # fmt: skip
    raw = _raw(config, {k: v for k, v in flags.items() if v is not None}, settings or [], plugin or [])
    from ..pipeline import train as job
    from ..runtime.options import RunOptions
    from ..runtime.parallel import joined
    from ..runtime.progress import Reporter

    with joined(raw.get("device", "auto")) as (group, where), Reporter(quiet or not group.leader) as reporter:
        configured = job.resolve(raw, group.size)
        group.divides("batch", configured.scoring.batch)
        options = RunOptions(Path(raw.get("out", "runs")), where, force, reporter, group, mixed=mixed)
        record = job.dry_run(configured, options) if dry_run else job.train(configured, options)
    if not group.leader:
        return
    if dry_run:
        print("dry run: the training went from its first step to its score; nothing was kept")
        return
    for split in ("test", "valid"):
        print(f"{split:>5}  top-1 {record[f'{split}_accuracy']:.2f} %  top-5 {record[f'{split}_top5']:.2f} %")
    if skipped := sum(len(names) for names in record["skipped"].values()):
        print(f"{skipped} images that cannot be read were skipped: the record names them")
    print(f"record  {options.out / record['id'] / 'record.json'}")


def _raw(config: Path | None, flags: dict[str, Any], settings: list[str], plugins: list[Path]) -> dict[str, Any]:
    """The file's values, the flags over them, --set over both, as `run` has it; `arch` is of this command alone."""
    from ..pipeline.given import read_configuration
    from ..pipeline.resolve import with_settings
    from ..registry import add_file

    for file in plugins:
        add_file(file)
    given = {**(read_configuration(config) if config else {}), **flags}
    own = {"arch": given.pop("arch")} if "arch" in given else {}
    if "epochs" in flags:  # what --set says of them must win here too
        given["scoring"] = {**given.get("scoring", {}), "epochs": given.pop("epochs")}
    return {**own, **with_settings(given, settings)}
