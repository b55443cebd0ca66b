"""What there is of protocols, who set each value of a run, and a complete copy of one as a configuration file."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from .. import registry
from ..latency.penalty import CostOptions
from ..objectives.options import SupernetOptions
from ..pipeline.config import RunConfig
from ..pipeline.protocol import answers, dotted, values_of
from ..pipeline.resolve import flat
from ..pipeline.tables import NO_TABLE
from ..protocols.load import Protocol, load, protocols
from ..runtime.files import toml_value
from .columns import Column, fitted, put
from .plugins import console

SECTIONS = ("searcher", "selector", "supernet", "scoring", "space_options", "task_options", "cost")

DEFAULT = "default of the option"


def overview() -> None:
    """Every protocol: its name, what it is for, its summary."""
    rows, out = [list(protocol.values()) for protocol in listed()], console()
    columns = [Column("protocol"), Column("for", wraps=True), Column("summary", wraps=True)]
    put(out, fitted(columns, rows, out.width))


def listed() -> list[dict[str, str]]:
    """Every protocol: its name, what it is for, its summary."""
    return [{"protocol": p.name, "for": purpose(p), "summary": p.summary} for p in protocols()]


def purpose(protocol: Protocol) -> str:
    """What it is for, in words."""
    of = protocol.applies
    named = (of.searchers, of.spaces, of.tasks)
    words = " x ".join("|".join(names) or "any" for names in named) if any(named) else "anything"
    return f"{words} on a table" if of.objective == "table" else words


def explain(config: RunConfig) -> None:
    """Every value of a run with who set it and where it is from."""
    rows, out = [[key, str(value), origin, source] for key, value, origin, source in explained(config)], console()
    columns = [Column("key"), Column("value", wraps=True), Column("set by", wraps=True), Column("source", wraps=True)]
    head = f"{config.searcher.name} x {config.selector.name}, protocol {config.protocol}: {_paper(config)}"
    put(out, [head, *fitted(columns, rows, out.width)])


def explained(config: RunConfig) -> Iterator[tuple[str, Any, str, str]]:
    """(dotted key, value, who set it, source) of every value of a run; the source is empty where the user set it."""
    named = {"searcher": config.searcher.name, "selector": config.selector.name, "space": config.space}
    names = {kind: answers(kind, name) for kind, name in named.items()}
    base = values_of(load(config.protocol), names | {"task": (config.task.partition(":")[0],)})
    for key, value in dotted(flat(config)):
        origin = config.origins.get(key, DEFAULT)
        found = base.get(key.removesuffix(".name")) if origin.startswith("protocol ") else None
        yield key, value, origin, "" if found is None else found.source


def as_toml(config: RunConfig, seeds: str | None = None, left: Collection[str] = ()) -> str:
    """A complete configuration file that `run --config` takes and that makes the same search, each value commented.

    seeds: a range in place of the one seed. left: keys that the user must fill in, which are left open.
    """
    told = {key: (value, origin, source) for key, value, origin, source in explained(config)}
    lines = [
        f"# A complete copy of protocol {config.protocol}, for: benchbed run --config THIS_FILE",
        f"# {load(config.protocol).summary}",
        f"# {_paper(config)}",
        f"protocol = {toml_value(config.protocol)}",
    ]
    whole = {**flat(config), "table": NO_TABLE, **{k: v for k, v in flat(config).items() if k in ("table", "dataset")}}
    if config.objective == "table":
        del whole["task"]
    if seeds is not None:
        del whole["seed"]
        whole["seeds"] = seeds
    for key, value in whole.items():
        if not isinstance(value, Mapping) and value is not None:
            lines.append(_line(key, value, told.get(key)))
    plugins = {kind: registry.load(kind, getattr(config, kind).name).Options for kind in ("searcher", "selector")}
    models = {**plugins, "supernet": SupernetOptions, "cost": CostOptions}
    sized_by = registry.load("space", config.space).sized_by
    unsized = [key for key in ("channels", "cells") if key not in sized_by]
    for section in SECTIONS:
        if not (values := whole.get(section)):
            continue
        lines += ["", f"[{section}]"]
        for key, value in values.items():
            field = models[section].model_fields.get(key) if section in models else None
            described = "" if field is None else field.description or ""
            if key == "fingerprint" or (section in ("supernet", "scoring") and key in unsized):
                continue
            if section in ("space_options", "task_options") and value is None:
                continue
            if f"{section}.{key}" in left:
                lines.append(f"# {key} = ...  # fill in, the protocol leaves it open: {described}")
            else:
                lines.append(_line(key, value, told.get(f"{section}.{key}"), described))
    return "\n".join(lines) + "\n"


def _line(key: str, value: object, told: tuple[Any, str, str] | None, described: str = "") -> str:
    """`key = value  # who: source`; where it is a default, what the option means."""
    _, origin, source = told or (None, "", "")
    why = source or ("default" if origin == DEFAULT else "" if origin.startswith("protocol") else origin)
    comment = ": ".join(part for part in (why, described if not source else "") if part)
    return f"{key} = {toml_value(value)}" + (f"  # {' '.join(comment.split())}" if comment else "")


def _paper(config: RunConfig) -> str:
    return f"{load(config.protocol).paper}; who set what, and where it is from"
