"""The reference pages that are made of the code: commands, plug-ins, protocols, the record."""

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import typer

from benchbed import registry
from benchbed.cli.main import app
from benchbed.latency.penalty import CostOptions
from benchbed.objectives.supernet import SupernetOptions
from benchbed.pipeline.record import schema
from benchbed.protocols.load import Protocol, protocols
from benchbed.report.plugins import options_in
from benchbed.report.protocols import purpose
from benchbed.training.recipe import Recipe
from benchbed.typed import allowed

ROOT = Path(__file__).resolve().parent.parent
TITLES = {
    "searcher": "Searchers",
    "modifier": "Modifiers",
    "selector": "Selectors",
    "space": "Spaces",
    "task": "Tasks",
    "proxy": "Proxies",
    "predictor": "Predictors",
    "study": "Studies",
}
MORE = {  # what is written by hand about a kind
    "searcher": "[What each computes, in formulas](../searchers.md).",
    "modifier": "[How modifiers go around a searcher](../searchers.md#modifiers).",
    "selector": "[What each does, in formulas, and where it leaves the authors' code](../selectors.md).",
    "space": "[What each is, with commands](../spaces.md).",
    "task": "[Images of your own](../own-data.md).",
    "predictor": "[What each learns from, and how well](../predictors.md).",
    "proxy": "[What each computes, and what came out](../proxies.md).",
    "study": "[What each asks and writes](../studies.md).",
}


def pages() -> dict[str, str]:
    """Every generated page, by its place on the site."""
    found = {f"reference/{title.lower()}.md": _plugins(kind) for kind, title in TITLES.items()}
    found["reference/commands.md"] = _commands()
    found["reference/protocols.md"] = _protocols()
    found["reference/sections.md"] = _sections()
    found["reference/record.md"] = _record()
    return found


# ---- commands


def _commands() -> str:
    command = typer.main.get_command(app)
    context = command.context_class(command, info_name="benchbed")
    lines = [
        "# Commands",
        "",
        "This page is made of the command line's own code. `benchbed COMMAND --help` prints the same. In a checkout",
        "the program is `.venv/bin/python -m benchbed`; elsewhere it is `benchbed`.",
        "",
    ]
    for panel in dict.fromkeys(child.rich_help_panel for _, child, _ in _children(command, context)):
        lines += [f"**{panel}**", "", *_table(("command", "what it does"), _overview(command, context, panel)), ""]
    lines += list(_command(command, context, 2))
    return "\n".join(lines) + "\n"


def _overview(command: Any, context: Any, panel: str | None = None) -> Iterator[tuple[str, str]]:
    for _, child, inner in _children(command, context):
        if panel is not None and child.rich_help_panel != panel:
            continue
        where = inner.command_path
        yield f"[`{where.removeprefix('benchbed ')}`](#{where.replace(' ', '-')})", _first(child.help)
        yield from _overview(child, inner)


def _children(command: Any, context: Any) -> Iterator[tuple[str, Any, Any]]:
    if not hasattr(command, "list_commands"):
        return
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        if child is not None and not child.hidden:
            yield name, child, child.context_class(child, info_name=name, parent=context)


def _command(command: Any, context: Any, depth: int) -> Iterator[str]:
    for _, child, inner in _children(command, context):
        path = inner.command_path
        yield f"{'#' * min(depth, 4)} {path} {{ #{path.replace(' ', '-')} }}"
        yield ""
        yield prose(inspect.cleandoc(child.help or ""))
        yield ""
        shown = [p for p in child.params if not getattr(p, "hidden", False) and p.name != "help"]
        words = [f"{p.name.upper()}" if p.required else f"[{p.name.upper()}]" for p in shown if not _is_option(p)]
        usage = [path, *words, "[OPTIONS]" if any(map(_is_option, shown)) else ""]
        if hasattr(child, "list_commands"):
            usage.append("COMMAND")
        yield f"    {' '.join(filter(None, usage))}"
        yield ""
        if shown:
            rows = [(_flag(p), _kind(p), _default(p), _cell(_without_default(p.help or ""))) for p in shown]
            yield from _table(("option", "takes", "default", "meaning"), rows)
            yield ""
        yield from _command(child, inner, depth + 1)


def _is_option(parameter: Any) -> bool:
    return parameter.opts[0].startswith("-")


def _flag(parameter: Any) -> str:
    if not _is_option(parameter):
        return f"`{parameter.name.upper()}`"
    return ", ".join(f"`{flag}`" for flag in [*parameter.opts, *parameter.secondary_opts])


def _kind(parameter: Any) -> str:
    if getattr(parameter, "is_flag", False):
        return ""
    kind = getattr(parameter.type_descriptor, "annotation", str)
    kind = (get_args(kind) or (kind,))[0]
    word = {str: "text", int: "whole number", float: "number", Path: "path"}.get(kind, getattr(kind, "__name__", ""))
    low, high = getattr(parameter, "min", None), getattr(parameter, "max", None)
    bounds = [f"{say} {bound:g}" for say, bound in (("from", low), ("to", high)) if bound is not None]
    often = "several times" if getattr(parameter, "multiple", False) else ""
    return ", ".join(filter(None, [word, *bounds, often]))


DEFAULT = re.compile(r"\s*(?:\[default: ([^\]]*)\]|; default: (.*))$")


def _default(parameter: Any) -> str:
    if told := DEFAULT.search(parameter.help or ""):
        return _cell(told[1] or told[2])
    if parameter.required:
        return "required"
    if getattr(parameter, "is_flag", False) or parameter.default in (None, (), []):
        return ""
    return _code(parameter.default)


def _without_default(text: str) -> str:
    return DEFAULT.sub("", text)


# ---- plug-ins


def _plugins(kind: str) -> str:
    lines = [
        f"# {TITLES[kind]}",
        "",
        f"This page is made of the plug-ins' own code. {MORE[kind]}",
        "",
    ]
    ours = [plugin for plugin in registry.plugins(kind) if registry.is_ours(plugin)]
    lines += [*_table(("name", "what it is"), ((f"[`{p.name}`](#{p.name})", _cell(p.summary)) for p in ours)), ""]
    for plugin in ours:
        lines += [f"## {plugin.name}", "", *_one(plugin), ""]
    return "\n".join(lines)


def _one(plugin: registry.Plugin) -> Iterator[str]:
    kind, name = plugin.kind, plugin.name
    file = registry.source(kind, name)
    assert file is not None
    where = file.relative_to(ROOT)
    found = registry.load(kind, name)
    doc = inspect.getdoc(inspect.getmodule(found)) or plugin.summary
    if kind == "task":
        doc = f"{doc}\n\n{inspect.getdoc(found) or ''}"
    if kind == "space":
        doc = f"{doc}\n\n{inspect.getdoc(found) or ''}"
    yield prose(doc)
    yield ""
    yield f"Source: [`{where}`](../../{where})"
    yield ""
    if kind == "study":
        yield f"Its options are on the page of [commands](commands.md#benchbed-study-{name})."
        return
    options = [option for option in options_in(kind, name) if not option["option"].startswith("supernet.")]
    yield from _options(options) if options else ("It has no options.",)


def _options(options: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A table of what `list` prints of a plug-in; a column that would be empty is left out."""
    rows = [
        {
            "option": f"`{option['option']}`",
            "takes": _cell(option["allowed"]),
            "default": _code(option["default"]),
            "elsewhere": "; ".join(f"{label}: {_code(value)}" for label, value in option["presets"].items()),
            "meaning": _cell(option["meaning"]),
        }
        for option in options
    ]
    shown = [key for key in rows[0] if key == "option" or any(row[key] for row in rows)]
    yield from _table(shown, ([row[key] for key in shown] for row in rows))


# ---- sections that are of no plug-in


def _sections() -> str:
    lines = [
        "# Options of supernet, scoring and cost",
        "",
        "`--set SECTION.KEY=VALUE` sets them, a configuration file has them in a section `[SECTION]`. This page is",
        "made of the code. What a protocol makes of them is on the page of [protocols](protocols.md).",
        "",
    ]
    about = {
        "supernet": (SupernetOptions, "The supernet of a search and how its weights train."),
        "scoring": (Recipe, "How a chosen network is trained from scratch, by `run` and by `train`."),
        "cost": (CostOptions, "What a search pays for, where `--latency` names it ([latency](../latency.md))."),
    }
    for section, (model, summary) in about.items():
        fields = [
            {
                "option": f"{section}.{key}",
                "allowed": allowed(field),
                "default": "" if field.is_required() else field.default,  # a protocol gives what is required
                "meaning": field.description or "",
                "presets": {},
            }
            for key, field in model.model_fields.items()
        ]
        lines += [f"## {section}", "", summary, "", *_options(fields), ""]
    return "\n".join(lines)


# ---- protocols


def _protocols() -> str:
    lines = [
        "# Protocols",
        "",
        "A protocol is a file of settings, each value with its source. `--protocol NAME` takes one, `config NAME`",
        "prints one as a complete configuration file, and `run ... --explain` says of every value who set it. A",
        "protocol is refused where it is not for. This page is made of the files of `benchbed/protocols/`.",
        "",
    ]
    rows = [(f"[`{p.name}`](#{p.name})", _cell(purpose(p)), _cell(p.summary)) for p in protocols()]
    lines += [*_table(("protocol", "for", "what it is"), rows), ""]
    for protocol in protocols():
        lines += [*_protocol(protocol), ""]
    return "\n".join(lines)


def _protocol(protocol: Protocol) -> Iterator[str]:
    yield f"## {protocol.name}"
    yield ""
    yield f"{prose(protocol.summary)}. Paper: {prose(protocol.paper)}. For: {_cell(purpose(protocol))}."
    yield ""
    rows = [(f"`{key}`", _code(value), _cell(source)) for key, value, source in _sourced(protocol)]
    yield from _table(("key", "value", "source"), rows)
    yield ""
    for case in protocol.case:
        named = {kind: getattr(case, kind) for kind in ("searcher", "selector", "space", "task")}
        when = ", ".join(f"{kind} {' or '.join([v] if isinstance(v, str) else v)}" for kind, v in named.items() if v)
        values = ", ".join(f"`{key}` = {_code(value)}" for key, value in _dotted(case.values))
        yield f"- With {when}: {values}{f' ({prose(case.source)})' if case.source else ''}."
    if protocol.case:
        yield ""
    if protocol.differs:
        yield "What benchbed does otherwise than the source:"
        yield ""
        yield from (f"- {prose(text.strip())}" for text in protocol.differs.values())


def _sourced(protocol: Protocol) -> Iterator[tuple[str, Any, str]]:
    sources = dict(_dotted(protocol.sources))
    for key, value in _dotted(protocol.values):
        parts = key.split(".")
        tried = [key, *(f"{'.'.join(parts[:n])}.*" for n in range(len(parts) - 1, 0, -1)), "*"]
        yield key, value, next((sources[name] for name in tried if name in sources), "")


def _dotted(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


# ---- the record


def _record() -> str:
    found = json.loads(schema())
    lines = [
        "# The record",
        "",
        "Every run ends with `RUN/record.json`. This page is made of its JSON Schema,",
        "[record-schema.json](../record-schema.json), which `benchbed list record-schema` prints.",
        "",
        prose(found.get("description", "")),
        "",
        *_fields(found),
        "",
    ]
    for name, part in found.get("$defs", {}).items():
        lines += [f"## {name}", "", prose(part.get("description", "")), "", *_fields(part), ""]
    return "\n".join(lines)


def _fields(part: Mapping[str, Any]) -> Iterator[str]:
    required = set(part.get("required", ()))
    rows = [
        (f"`{key}`", _json_type(field), "yes" if key in required else "", _cell(field.get("description", "")))
        for key, field in part.get("properties", {}).items()
    ]
    names: tuple[str, ...] = ("field", "holds", "always there", "meaning")
    if not any(row[3] for row in rows):
        names, rows = names[:3], [row[:3] for row in rows]  # type: ignore[misc]
    yield from _table(names, rows) if rows else ()


def _json_type(field: Mapping[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_json_type(one) for one in field["anyOf"]))
    if "enum" in field:
        return " or ".join(_code(value) for value in field["enum"])
    if "const" in field:
        return _code(field["const"])
    if field.get("type") == "array" and isinstance(field.get("items"), Mapping):
        item = _json_type(field["items"])
        return f"list of ({item})" if " or " in item else f"list of {item}"
    return str(field.get("type", "anything"))


# ---- Markdown


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    headings = list(headings)
    yield f"| {' | '.join(headings)} |"
    yield f"|{'---|' * len(headings)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _cell(text: object) -> str:
    return prose(" ".join(str(text).split())).replace("|", "\\|")


def _code(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else "none" if value is None else str(value)
    return f"`{text}`".replace("|", "\\|") if text else ""


def _first(text: str | None) -> str:
    return _cell(inspect.cleandoc(text or "").split("\n\n")[0])


def prose(text: str) -> str:
    """A docstring's text as Markdown: nothing in it but `code` and indented blocks is markup."""
    lines, listed = [], False
    for line in text.split("\n"):
        if line.startswith("    ") and not listed:
            lines.append(line)
            continue
        starts = bool(re.match(r"\s*[-*] ", line))
        if starts and lines and lines[-1].strip() and not listed:
            lines.append("")
        listed = (starts or listed) if line.strip() else False
        parts = re.split(r"(`[^`]*`)", line)
        parts[::2] = [re.sub(r"([*_<>\[\]\\])", r"\\\1", part) for part in parts[::2]]
        lines.append("".join(parts) if not starts else re.sub(r"^(\s*)\\\*", r"\1*", "".join(parts)))
    return "\n".join(lines)
