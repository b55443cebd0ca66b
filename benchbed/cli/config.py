"""The command `config`: a complete, commented copy of a protocol as a configuration file."""

from typing import Annotated

import typer

from .plugins import Plugins


def config(
    name: Annotated[str, typer.Argument(help="a protocol (see 'list protocols')")],
    searcher: Annotated[str | None, typer.Option(help="where the protocol names none")] = None,
    selector: Annotated[str | None, typer.Option(help="where the protocol names none")] = None,
    space: Annotated[str | None, typer.Option(help="the search space")] = None,
    task: Annotated[str | None, typer.Option(help="the images")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="SECTION.KEY=VALUE")] = None,
    plugin: Plugins = None,
) -> None:
    """Print a protocol as a complete configuration: benchbed config NAME > mine.toml, then run --config mine.toml."""
    from ..pipeline.given import configuration, names_in, seeds_in
    from ..pipeline.resolve import expand
    from ..protocols.load import load
    from ..report.protocols import as_toml

    flags = {"protocol": name, "searcher": searcher, "selector": selector, "space": space, "task": task}
    raw = configuration(None, flags, settings or (), plugin or ())
    for kind, usual in (("searcher", "darts"), ("selector", "magnitude")):
        if not raw.get(kind, {}).get("name"):
            print(f"# The protocol is for any {kind}: {usual} stands in for yours, which --{kind} names.")
            raw[kind] = {**raw.get(kind, {}), "name": usual}
    left = {}  # what the protocol leaves to the user: a value stands in for it, and is not printed
    if (cost := load(name).values.get("cost")) is not None:
        given = cost | raw.get("cost", {})
        left = {key: value for key, value in (("table", "macs"), ("target", 1.0)) if key not in given}
        raw["cost"] = raw.get("cost", {}) | left
    made = expand(raw, names_in(raw, "searcher")[:1], names_in(raw, "selector")[:1], seeds_in(raw)[:1])
    print(as_toml(made[0], raw.get("seeds"), [f"cost.{key}" for key in left]), end="")
