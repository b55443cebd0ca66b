"""`list`: what there is, and what can be set on it."""

import inspect
import sys
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .. import registry


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def overview(kinds: list[str]) -> None:
    """Every plug-in of the kinds, a line each. Imports none of them."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for column in ("kind", "name", ""):
        table.add_column(column, no_wrap=column != "")
    for kind in kinds:
        for plugin in registry.plugins(kind):
            table.add_row(kind, plugin.name, escape(plugin.summary))
    _console().print(table)


def options_table(kind: str, name: str) -> None:
    """Every option of a searcher, selector or space: its default, its value in each preset, meaning and source.

    For a searcher also what its presets make of the supernet and its optimiser.
    """
    console = _console()
    console.print(registry.find(kind, name).summary, markup=False)
    if kind == "space":
        _print_space_options(console, name)
        return
    if kind == "task":
        _print_task_options(console, name)
        return
    found = registry.load(kind, name)
    presets: dict[str, Mapping[str, Any]] = dict(getattr(found, "presets", {}))  # a study has none
    options = {label: p.get("options", {}) if kind == "searcher" else p for label, p in presets.items()}
    _print_options(console, kind, found.Options, options)
    if kind == "searcher":
        from ..objectives.supernet import SupernetOptions
        from ..pipeline.resolve import EPOCHS, SUPERNETS

        supernets = {label: {**SUPERNETS[label], **presets.get(label, {}).get("supernet", {})} for label in SUPERNETS}
        _print_options(console, "supernet", SupernetOptions, supernets)
        epochs = {label: presets.get(label, {}).get("epochs", EPOCHS[label]) for label in EPOCHS}
        console.print("epochs: " + ", ".join(f"{label} {count}" for label, count in epochs.items()))


def _print_task_options(console: Console, name: str) -> None:
    """A task's options are the arguments of its function, and its docstring says what they mean."""
    from ..tasks.load import maker, options_of, place_of

    make = maker(name)
    options = list(options_of(make).values())
    if (place := place_of(make)) is not None:
        console.print(f"write it as {name}:{place.upper()}")
    if not options:
        console.print("the task has no options")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("option", "default"):
        table.add_column(heading, no_wrap=True)
    for option in options:
        flag = f"--{option.name}" if option.name in ("data", "splits") else f"task_options.{option.name}"
        table.add_row(flag, "" if option.default in (None, option.empty) else str(option.default))
    console.print(table)
    console.print(inspect.getdoc(make), markup=False)


def _print_space_options(console: Console, name: str) -> None:
    """A space's options are the arguments of its class, and its docstring says what they mean."""
    found = registry.load("space", name)
    options = [p for p in inspect.signature(found).parameters.values() if p.name not in ("args", "kwargs")]
    if not options:
        console.print("the space has no options")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("option", "default", *found.presets):
        table.add_column(heading, no_wrap=True)
    for option in options:
        default = "" if option.default is None else str(option.default)
        values = (str(preset.get(option.name, default)) for preset in found.presets.values())
        table.add_row(f"space_options.{option.name}", default, *values)
    console.print(table)
    console.print(inspect.getdoc(found), markup=False)


def _print_options(
    console: Console, section: str, model: type[BaseModel], presets: Mapping[str, Mapping[str, Any]]
) -> None:
    if not model.model_fields:
        console.print(f"{section}: no options")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("option", "default", *presets, "meaning"):
        table.add_column(heading, no_wrap=heading != "meaning")
    for key, field in model.model_fields.items():
        values = (str(p.get(key, field.default)) for p in presets.values())
        table.add_row(f"{section}.{key}", str(field.default), *values, escape(field.description or ""))
    console.print(table)
