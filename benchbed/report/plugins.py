"""`list`: what there is, and what can be set on it."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from rich.console import Console

from .. import registry
from ..pipeline.protocol import GENERIC, PRESETS, SMALL, answers, section_of, values_of
from ..protocols.load import load
from ..typed import allowed
from .columns import Column, fitted, put, wrapped

INDENT = "    "


def console() -> Console:
    """For results on stdout: as wide as the terminal; in a pipe 80 columns, or what COLUMNS says."""
    return Console(highlight=False)


def plugins_in(kinds: Iterable[str]) -> list[dict[str, str]]:
    """Every plug-in of the kinds. Imports none of them."""
    return [
        {"kind": kind, "name": plugin.name, "summary": plugin.summary}
        for kind in kinds
        for plugin in registry.plugins(kind)
    ]


def overview(kinds: list[str]) -> None:
    """Every plug-in of the kinds, a line each. Imports none of them."""
    rows, out = [list(plugin.values()) for plugin in plugins_in(kinds)], console()
    put(out, fitted([Column(""), Column(""), Column("", wraps=True)], rows, out.width))


def options_table(kind: str, name: str) -> None:
    """Every option of a plug-in: its default, what is allowed, its meaning, its values in our protocols.

    For a searcher also what they make of the supernet and its optimiser.
    """
    out = console()
    put(out, wrapped(registry.find(kind, name).summary, out.width))
    options = options_in(kind, name)
    for option in options:
        bounds = f"   ({option['allowed']})" if option["allowed"] else ""
        head = f"{option['option']}{' = ' if option['default'] else ''}{option['default']}{bounds}"
        put(out, wrapped(head, out.width, later=2 * INDENT))
        others = "; ".join(f"in {label}: {value}" for label, value in option["presets"].items())
        for text in filter(None, (option["meaning"], others)):
            put(out, wrapped(text, out.width, INDENT, INDENT))
    if not any(option["default"] for option in options):
        put(out, [f"the {kind} has no options"])
    if kind in ("task", "space"):
        put(out, ["", inspect.getdoc(_maker(kind, name)) or ""])
    if kind == "searcher":
        put(out, [f"epochs: {', '.join(f'{k} {v}' for k, v in _epochs(name).items())}"])


def options_in(kind: str, name: str) -> list[dict[str, Any]]:
    """The options of a plug-in: option, default, allowed, meaning, and presets, those that give another value.

    Of a task and a space they are the arguments of its function or class, whose docstring says what they mean.
    """
    if kind in ("task", "space"):
        return _arguments(kind, name)
    found = registry.load(kind, name)
    settable = kind in ("searcher", "selector")
    of = _values(kind, name) if settable else {}
    sets = dict(getattr(found, "presets", {})) if kind == "selector" else {}
    by_protocol = {label: section_of(values, kind) for label, values in of.items()}
    section = f"searcher.modifiers.{name}" if kind == "modifier" else kind
    named = {f"{section}.preset={label}": values for label, values in sets.items()}
    by_protocol = {f"protocol {label}": values for label, values in by_protocol.items()}
    options = _fields(section, found.Options, {**named, **by_protocol})
    if kind == "searcher":
        from ..objectives.options import SupernetOptions

        supernets = {f"protocol {label}": section_of(values, "supernet") for label, values in of.items()}
        options += _fields("supernet", SupernetOptions, {k: v for k, v in supernets.items() if v})
    return options


def _values(kind: str, name: str) -> dict[str, Any]:
    """By our protocols what they set where this plug-in is used."""
    names = {kind: answers(kind, name)}
    return {p.name: values_of(p, names) for p in map(load, PRESETS.values())}


def _epochs(searcher: str) -> dict[str, Any]:
    return {label: values["epochs"].value for label, values in _values("searcher", searcher).items()}


def _fields(section: str, model: type[BaseModel], presets: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        _option(f"{section}.{key}", field.default, allowed(field), field.description or "",
                {label: values[key] for label, values in presets.items() if key in values})
        for key, field in model.model_fields.items()
    ]  # fmt: skip


def _maker(kind: str, name: str) -> Any:
    from ..tasks.load import maker

    return maker(name) if kind == "task" else registry.load("space", name)


def _arguments(kind: str, name: str) -> list[dict[str, Any]]:
    from ..tasks.load import options_of, place_of

    make = _maker(kind, name)
    if kind == "space":
        arguments = {p.name: p for p in inspect.signature(make).parameters.values() if p.name not in ("args", "kwargs")}
        of = {"space": answers("space", name)}
        presets = {f"protocol {p}": section_of(values_of(load(p), of), "space_options") for p in (SMALL, GENERIC)}
        flags = {key: f"space_options.{key}" for key in arguments}
    else:
        arguments, presets = dict(options_of(make)), {}
        flags = {key: f"--{key}" if key in ("data", "splits") else f"task_options.{key}" for key in arguments}
    found = [
        _option(flags[key], "none" if p.default in (None, p.empty) else p.default, "", "",
                {label: values[key] for label, values in presets.items() if key in values})
        for key, p in arguments.items()
    ]  # fmt: skip
    if kind == "task" and (place := place_of(make)) is not None:
        found.insert(0, _option(f"{name}:{place.upper()}", "", "", "how the task is written", {}))
    return found


def _option(name: str, default: object, allows: str, meaning: str, presets: Mapping[str, object]) -> dict[str, Any]:
    others = {label: _written(value) for label, value in presets.items() if _written(value) != _written(default)}
    return {"option": name, "default": _written(default), "allowed": allows, "meaning": meaning, "presets": others}


def _written(value: object) -> str:
    """As a configuration has it, and as `allowed` names it."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
