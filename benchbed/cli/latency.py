"""The commands about latency tables: `latency show` and `latency measure`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import BenchbedError
from ..typed import whole_number
from .printed import Json, print_json

latency_app = typer.Typer(no_args_is_help=True, help="Latency tables: what one says of a space, measure your own.")

SpaceName = Annotated[str, typer.Option(help="the search space, such as nb201 or mbconv")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="space_options.KEY=VALUE")]
Images = Annotated[
    str | None, typer.Option(help="CxHxW that a chain is counted for, such as 1x8x8  [default: the space's own]")
]
Classes = Annotated[int, typer.Option(min=1, help="with --images: of the classifier")]


@latency_app.command()
def show(
    space: SpaceName,
    table: Annotated[str, typer.Option(help="a latency FILE, FILE:DEVICE, macs or params")],
    settings: Settings = None,
    images: Images = None,
    classes: Classes = 10,
    as_json: Json = False,
) -> None:
    """The fixed part, the fastest and slowest architecture, and the mean over all (uniform probabilities)."""
    from ..latency.load import load_cost

    where, _ = _space(space, settings, images, classes)
    cost = load_cost(table, where, space)
    least, greatest = cost.least(), cost.greatest()
    unit = cost.unit.lower()
    figures: dict[str, Any] = {
        f"fixed_{unit}": cost.fixed,
        f"min_{unit}": least.value,
        f"max_{unit}": greatest.value,
        f"uniform_{unit}": cost.uniform(),
    }
    words = {"space": space, "table": table, "device": cost.name, "unit": cost.unit}
    members = {"fastest": str(least.architecture), "slowest": str(greatest.architecture)}
    if as_json:
        print_json({**words, **figures, **members, "fingerprint": cost.fingerprint})
        return
    print(f"{cost.name} on {space}, in {cost.unit}")
    for key, value in figures.items():
        print(f"{key:>12}  {'of whole networks: no part is fixed' if value is None else f'{value:.6f}'}")
    for key, text in members.items():
        print(f"{key:>12}  {text}")


@latency_app.command()
def measure(
    space: SpaceName,
    out: Annotated[Path, typer.Option(help="the table to write, a .json file")],
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1")] = "cpu",
    batch: Annotated[int, typer.Option(min=1, help="images at a time")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="of the CPU; pinned while measuring")] = 1,
    repeats: Annotated[int, typer.Option(min=3, help="timed runs of each operation")] = 50,
    settings: Settings = None,
    images: Images = None,
    classes: Classes = 10,
    force: Annotated[bool, typer.Option("--force", help="begin again, also where a table is there")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="print errors only")] = False,
) -> None:
    """Measure every operation of every position on this machine. The same command again goes on where it stopped."""
    from ..latency.measure import Recipe
    from ..latency.measure import measure as make
    from ..runtime.cores import usable_cores
    from ..runtime.machine import pick_device
    from ..runtime.progress import Reporter

    if out.suffix != ".json":
        raise BenchbedError(f"--out {out}: expected a file that ends in .json, by which a latency table is recognised")
    where, options = _space(space, settings, images, classes)
    if threads > (cores := usable_cores()):
        raise BenchbedError(f"--threads {threads}: this machine has {cores} cores, and more threads only wait")
    recipe = Recipe(pick_device(device), batch, threads, repeats)
    with Reporter(quiet) as reporter:
        tree = make(where, space, options, recipe, out, force, reporter.counted("measuring"))
    if not quiet:
        print(f"{len(tree['entries'])} keys measured on {tree['device_name']}, batch {batch}: {out}")
        show(space, str(out), settings, images, classes)


def _space(name: str, settings: list[str] | None, images: str | None, classes: int) -> tuple[Any, dict[str, Any]]:
    """The space, counted for the images if any are given, and its options. Raises BenchbedError for anything else."""
    from ..pipeline.resolve import with_settings
    from ..spaces.load import load_space

    raw = with_settings({}, settings or [])
    if others := [key for key in raw if key != "space_options" and raw[key]]:
        raise BenchbedError(f"--set {others[0]}: a latency table has space_options alone")
    options = raw.get("space_options", {})
    space = load_space(name, options)
    if images is None:
        return space, options
    sides = [number for side in images.split("x") if (number := whole_number(side))]
    if len(sides) != 3 or images.count("x") != 2:
        raise BenchbedError(f"--images '{images}': expected CHANNELSxHEIGHTxWIDTH, such as 3x32x32")
    channels, height, width = sides
    return space.for_images((channels, height, width), classes), {**options, "images": images, "classes": classes}
