"""`list`: what there is, and what can be set on it."""

import inspect
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from .. import registry
from ..pipeline.protocol import GENERIC, PRESETS, SMALL, answers, section_of, values_of
from ..protocols.load import load


def console() -> Console:
    """For results on stdout: as wide as the terminal, or wide enough for a table in a pipe."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def bare_table(headings: Iterable[str], wraps: Iterable[str] = ()) -> Table:
    """A table without lines. wraps: the columns that may break theirs."""
    return Table(*(Column(h, no_wrap=h not in wraps) for h in headings), box=None, padding=(0, 2, 0, 0))


def overview(kinds: list[str]) -> None:
    """Every plug-in of the kinds, a line each. Imports none of them."""
    table = bare_table(("kind", "name", ""), wraps=("",))
    table.show_header = False
    for kind in kinds:
        for plugin in registry.plugins(kind):
            table.add_row(kind, plugin.name, escape(plugin.summary))
    console().print(table)


def options_table(kind: str, name: str) -> None:
    """Every option of a searcher, selector or space: its default, its value in our protocols, its meaning.

    For a searcher also what they make of the supernet and its optimiser.
    """
    out = console()
    out.print(registry.find(kind, name).summary, markup=False)
    if kind == "space":
        _print_space_options(out, name)
        return
    if kind == "task":
        _print_task_options(out, name)
        return
    found = registry.load(kind, name)
    settable = kind in ("searcher", "selector")
    names = {kind: answers(kind, name)} if settable else {}
    of = {p.name: values_of(p, names) for p in map(load, PRESETS.values() if settable else ())}
    sets = dict(getattr(found, "presets", {})) if kind == "selector" else {}
    by_protocol = {label: section_of(values, kind) for label, values in of.items()}
    section = f"searcher.modifiers.{name}" if kind == "modifier" else kind
    _print_options(out, section, found.Options, {**sets, **by_protocol})
    if kind == "searcher":
        from ..objectives.supernet import SupernetOptions

        supernets = {label: section_of(values, "supernet") for label, values in of.items()}
        _print_options(out, "supernet", SupernetOptions, {k: v for k, v in supernets.items() if v})
        out.print("epochs: " + ", ".join(f"{label} {values['epochs'].value}" for label, values in of.items()))


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
    table = bare_table(("option", "default"))
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
    at = {
        p: section_of(values_of(load(p), {"space": answers("space", name)}), "space_options") for p in (SMALL, GENERIC)
    }
    by_protocol = {label: values for label, values in at.items() if values}
    table = bare_table(("option", "default", *by_protocol))
    for option in options:
        default = "" if option.default is None else str(option.default)
        values = (str(preset.get(option.name, default)) for preset in by_protocol.values())
        table.add_row(f"space_options.{option.name}", default, *values)
    console.print(table)
    console.print(inspect.getdoc(found), markup=False)


def _print_options(
    console: Console, section: str, model: type[BaseModel], presets: Mapping[str, Mapping[str, Any]]
) -> None:
    if not model.model_fields:
        console.print(f"{section}: no options")
        return
    table = bare_table(("option", "default", *presets, "meaning"), wraps=("meaning",))
    for key, field in model.model_fields.items():
        values = (str(p.get(key, field.default)) for p in presets.values())
        table.add_row(f"{section}.{key}", str(field.default), *values, escape(field.description or ""))
    console.print(table)
