"""`list`: what there is, and what can be set on it."""

from typing import Any

from rich.console import Console
from rich.table import Table

from .. import registry


def overview(kinds: list[str]) -> None:
    """Every plug-in of the kinds, a line each. Imports none of them."""
    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("kind", "name", ""):
        table.add_column(heading, no_wrap=heading != "")
    for kind in kinds:
        for plugin in registry.plugins(kind):
            table.add_row(kind, plugin.name, plugin.summary)
    console.print(table)


def options_table(kind: str, name: str) -> None:
    """The options of one searcher or selector: default, value in each preset, meaning and source."""
    console = Console(highlight=False)
    console.print(registry.find(kind, name).summary, markup=False)
    if kind not in ("searcher", "selector"):
        console.print(f"a {kind} has no options of its own")
        return
    found = registry.load(kind, name)
    presets: dict[str, Any] = {
        label: values.get("options", {}) if kind == "searcher" else values for label, values in found.presets.items()
    }
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("option", "default", *presets, "meaning"):
        table.add_column(heading, no_wrap=heading == "option")
    for key, field in found.Options.model_fields.items():
        differing = [str(values[key]) if key in values else "" for values in presets.values()]
        table.add_row(f"{kind}.{key}", str(field.default), *differing, field.description or "")
    console.print(table)
    if kind == "searcher":
        for label, values in found.presets.items():
            console.print(
                f"preset {label}: epochs={values.get('epochs')} supernet={values.get('supernet')}", markup=False
            )
