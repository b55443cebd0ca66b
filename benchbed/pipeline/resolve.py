"""From a user's values to the complete configuration of each run: defaults below, the user's above, all typed."""

import hashlib
from collections.abc import Mapping
from copy import copy
from typing import Any

from .. import registry
from ..checkpoints.config import foreign_config, sized
from ..errors import BenchbedError, unknown
from ..latency.load import absolute_source, content_of
from ..latency.penalty import CostConfig, CostOptions
from ..objectives.options import SupernetOptions
from ..protocols.load import Value, load
from ..runtime.files import absolute
from ..runtime.reading import parse_toml
from ..spaces.load import load_space
from ..tasks.load import small
from ..typed import M, typed, whole_number
from .budget import Budget
from .config import PluginConfig, RunConfig, ScoringOptions
from .protocol import (
    GENERIC,
    PRESETS,
    SMALL,
    Origins,
    answers,
    chosen,
    followed,
    old_name,
    origins_of,
    section_of,
    values_of,
)
from .tables import TableConfig, fidelity, further_figure, table_config

OBJECTIVES = ("supernet", "table")
MOST_SEEDS = 100_000
MOST_STEPS = 100_000  # between two checkpoints of a table search

SECTIONS = ("searcher", "selector", "supernet", "scoring", "task_options", "space_options", "cost")
PLAIN: dict[str, type] = {
    "space": str, "objective": str, "task": str, "seed": int, "seeds": str, "preset": str, "protocol": str,
    "epochs": int, "budget": str,
    "device": str, "out": str, "data": str, "splits": str, "table": str, "dataset": str, "steps": int, "fidelity": int,
    "figure": str, "foreign": str,
}  # fmt: skip


def with_settings(raw: Mapping[str, Any], settings: list[str]) -> dict[str, Any]:
    """`raw` with each 'section.key=value' laid over it. A value is read as TOML, else taken as a string."""
    merged: dict[str, Any] = {k: copy(v) if isinstance(v, Mapping) else v for k, v in raw.items()}
    for section in ("searcher", "selector"):
        if isinstance(merged.get(section), str):
            merged[section] = {"name": merged[section]}
    for setting in settings:
        path, equals, text = setting.partition("=")
        section, dot, key = path.strip().partition(".")
        if not equals or not dot or not key:
            raise BenchbedError(f"--set '{setting}': expected SECTION.KEY=VALUE, a section of {', '.join(SECTIONS)}")
        if section not in SECTIONS:
            raise unknown("section in --set", section, SECTIONS)
        if key.strip() == "name" and section in ("searcher", "selector"):
            raise BenchbedError(f"--set '{setting}': give the name as --{section}")
        if not isinstance(merged.setdefault(section, {}), dict):
            break  # refused below
        merged[section] = laid(merged[section], key.strip(), option_value(text.strip()), f"--set '{setting}'")
        if isinstance(merged.get("origins"), Origins):
            merged["origins"][f"{section}.{key.strip()}"] = "--set"
    for key in merged:
        if key == "origins" and isinstance(merged[key], Origins):
            continue
        if key not in (*SECTIONS, *PLAIN):
            raise unknown("configuration key", key, (*SECTIONS, *PLAIN))
        kind = PLAIN.get(key, dict)
        if type(merged[key]) is not kind or merged[key] == "":
            named = "a name or a section" if key in ("searcher", "selector") else "a section"
            expected = {
                str: "a string, not empty" if merged[key] == "" else "a string",
                int: "an integer",
                dict: named,
            }[kind]
            raise BenchbedError(f"configuration key '{key}' is {merged[key]!r}: expected {expected}")
    for section in ("searcher", "selector"):
        name = merged.get(section, {}).get("name", "")
        if not isinstance(name, str):
            raise BenchbedError(f"configuration key '{section}.name' is {name!r}: expected a string")
    return merged


def laid(section: Mapping[str, Any], key: str, value: object, where: str) -> dict[str, Any]:
    """The section with the value at `key`, which may lead into sections of it: 'modifiers.NAME.OPTION'."""
    outer, dot, rest = key.partition(".")
    if not dot:
        return {**section, key: value}
    inside = section.get(outer, {})
    if not isinstance(inside, Mapping):
        raise BenchbedError(f"{where}: '{outer}' has the value {inside!r} and is not a section")
    return {**section, outer: laid(inside, rest, value, where)}


def laid_over(raw: Mapping[str, Any], values: Mapping[str, Any], by: str, where: str = "") -> dict[str, Any]:
    """`raw` with each value at its key, plain or 'SECTION.OPTION'; its origins say `by`, and refusals `where` + key."""
    merged = {**raw, "origins": Origins({**raw.get("origins", {}), **dict.fromkeys(values, by)})}
    for key, value in values.items():
        section, dot, option = key.partition(".")
        merged[section] = laid(merged.get(section, {}), option, value, where + key) if dot else value
    return merged


def option_value(text: str) -> object:
    """What the text of an option says: TOML where it is, else itself."""
    try:
        return parse_toml(f"x = {text}")["x"]
    except ValueError:
        return text


def resolve(raw: Mapping[str, Any], searcher: str, selector: str, seed: int) -> RunConfig:
    """The complete configuration of one run: its protocol below, the user's values above, everything typed.

    Raises BenchbedError for an unknown name, key or protocol (with the nearest known one), for a protocol that is for
    something else, and for a value out of range.
    """
    raw = followed(raw)
    if (objective := raw.get("objective", "supernet")) not in OBJECTIVES:
        raise unknown("objective", objective, OBJECTIVES)
    if (foreign := foreign_config(raw)) is not None:
        raw = sized(raw, foreign)
    space = raw.get("space", "nb201")
    found_space = registry.find("space", space)
    space_sha256 = None if registry.is_ours(found_space) else file_sha256("space", space)
    table = table_config(raw, objective, space)
    task = _task(raw, table if objective == "table" else None)
    names = {kind: answers(kind, name) for kind, name in
             (("searcher", searcher), ("selector", selector), ("space", space))}  # fmt: skip
    protocol = chosen(raw, names | {"task": (task.partition(":")[0],)}, objective)
    base = values_of(protocol, names | {"task": (task.partition(":")[0],)})
    options = _over(section_of(base, "searcher"), _options(raw, "searcher", searcher))
    no_supernet = "" if objective == "supernet" else f"objective '{objective}' has no supernet"
    no_training = "" if table is None else f"table {table.name} scores, nothing is trained"
    config = RunConfig(
        space=space,
        space_options=section_of(base, "space_options") | raw.get("space_options", {}),
        space_sha256=space_sha256,
        objective=objective,
        task=task,
        task_options=section_of(base, "task_options") | raw.get("task_options", {}),
        data=absolute(raw.get("data")),
        splits=absolute(raw.get("splits")),
        table=table,
        seed=_whole("seed", seed, 0),
        protocol=protocol.name,
        epochs=_whole("epochs", raw.get("epochs", base["epochs"].value if "epochs" in base else None), 1),
        budget=None if (limit := raw.get("budget")) is None else str(Budget.parse(limit)),
        fidelity=fidelity(raw | _plain(raw, base, "fidelity"), table, objective),
        figure=further_figure(raw, table, objective),
        steps=_steps(raw | _plain(raw, base, "steps"), objective),
        searcher=_plugin("searcher", searcher, options),
        supernet=_section(SupernetOptions, "supernet", raw, base, no_supernet),
        selector=_plugin("selector", selector, _selector_options(raw, selector, section_of(base, "selector"))),
        scoring=_section(ScoringOptions, "scoring", raw, base, no_training),
        cost=_cost(raw, space, section_of(base, "cost")),
        foreign=foreign,
    )
    return config.model_copy(update={"origins": dict(origins_of(raw, base, protocol.name, flat(config)))})


def flat(config: RunConfig) -> dict[str, Any]:
    """A configuration by section and key, as a user would have given it."""
    plain = {key: getattr(config, key) for key in ("space", "objective", "task", "seed", "epochs", "budget",
             "fidelity", "figure", "steps", "data", "splits")}  # fmt: skip
    table = {} if config.table is None else {"table": config.table.name, "dataset": config.table.dataset}
    models = {"supernet": config.supernet, "scoring": config.scoring, "cost": config.cost}
    return {
        **plain,
        **table,
        "space_options": config.space_options,
        "task_options": config.task_options,
        "searcher": {"name": config.searcher.name, **config.searcher.options},
        "selector": {"name": config.selector.name, **config.selector.options},
        **{name: model.model_dump() for name, model in models.items() if model is not None},
    }


def _over(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A searcher's options over the protocol's; of each modifier likewise, option by option."""
    own, over = base.get("modifiers"), given.get("modifiers")
    if not isinstance(own, Mapping) or not isinstance(over, Mapping):
        return {**base, **given}
    both = {name: {**own[name], **over[name]} for name in own.keys() & over.keys() if isinstance(over[name], Mapping)}
    return {**base, **given, "modifiers": {**own, **over, **both}}


def _plain(raw: Mapping[str, Any], base: Mapping[str, Value], key: str) -> dict[str, Any]:
    """A plain value of the protocol, where the user gave none."""
    return {key: base[key].value} if raw.get(key) is None and key in base else {}


def seed_range(text: str) -> range:
    """The seeds of 'FIRST:AFTER_LAST'. Raises BenchbedError for anything else, or more than 100,000."""
    first, colon, last = text.partition(":")
    least, end = whole_number(first), whole_number(last)
    if not colon or least is None or end is None or not 0 < end - least <= MOST_SEEDS:
        raise BenchbedError(
            f"seeds = '{text}': expected FIRST:AFTER_LAST such as 0:10, FIRST from 0 on and below AFTER_LAST, at most "
            f"{MOST_SEEDS:,} seeds"
        )
    return range(least, end)


def _whole(name: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BenchbedError(f"{name} = {value!r}: expected an integer of at least {least}")
    return value


def _steps(raw: Mapping[str, Any], objective: str) -> int | None:
    if (steps := raw.get("steps")) is None:
        return None
    if objective != "table":
        raise BenchbedError(f"steps = {steps}: of objective 'table'; an epoch on images has as many as it has batches")
    if _whole("steps", steps, 1) > MOST_STEPS:
        raise BenchbedError(f"steps = {steps}: at most {MOST_STEPS:,} an epoch; give more --epochs")
    return int(steps)


def _task(raw: Mapping[str, Any], table: TableConfig | None) -> str:
    """The task's name; for a table as objective a name of its own. Raises BenchbedError for what does not fit it."""
    if table is not None:
        for key in ("task", "task_options", "data", "splits"):
            if raw.get(key):
                raise BenchbedError(f"'{key}' is of objective 'supernet': objective 'table' uses no images")
        return f"table-{table.dataset}"
    for key in ("data", "splits", "name"):
        if key in raw.get("task_options", {}):
            raise BenchbedError(f"task_options.{key}: give it as --{'task' if key == 'name' else key}")
    task: str = raw.get("task", "digits")
    registry.find("task", task.partition(":")[0])
    return task


def scoring_base(space: str, task: str) -> dict[str, Any]:
    """What a score on the task starts from where no protocol is named: a short one's, or the papers'."""
    names = {"space": answers("space", space), "task": (task.partition(":")[0],)}
    return section_of(values_of(load(SMALL if small(task) else GENERIC), names), "scoring")


def _section(model: type[M], name: str, raw: Mapping[str, Any], base: Mapping[str, Value], lacks: str) -> M | None:
    """A section, the user's values over the protocol's; None, and none may be given, where the run `lacks` it."""
    given = raw.get(name) or {}
    if lacks and given:
        raise BenchbedError(f"{name}.{next(iter(given))}: {lacks}")
    return None if lacks else typed(model, {**section_of(base, name), **given}, name)


def _cost(raw: Mapping[str, Any], space: str, base: Mapping[str, Any]) -> CostConfig | None:
    """The cost that the search pays. Raises BenchbedError for an option and for a table that does not fit the space."""
    if not (given := {**base, **(raw.get("cost") or {})}):
        return None
    for key, flag in (("table", "--latency TABLE"), ("target", "--target-ms T")):
        if key not in given:
            raise BenchbedError(f"cost.{key} is missing: a search that pays for latency needs {flag}")
    given["table"] = absolute_source(str(given["table"]))
    options = typed(CostOptions, given, "cost")
    content = content_of(options.table, load_space(space, raw.get("space_options")), space)
    return CostConfig(**options.model_dump(), fingerprint=content)


def _options(raw: Mapping[str, Any], kind: str, name: str) -> dict[str, Any]:
    """The user's options of a plug-in. Where several are named with commas, an option goes to those that have it."""
    given = {k: v for k, v in raw.get(kind, {}).items() if k != "name"}
    names = [n.strip() for n in raw.get(kind, {}).get("name", name).split(",")]
    if not isinstance(given.get("modifiers", {}), Mapping):
        raise BenchbedError(f"{kind}.modifiers = {given['modifiers']!r:.60}: expected a table of modifiers and options")
    for modifier in given.get("modifiers", {}) if kind == "searcher" and not any("+" in n for n in names) else ():
        raise BenchbedError(f"searcher.modifiers.{modifier}: the searcher is not under it; write {names[0]}+{modifier}")
    if len(names) == 1:
        return given
    fields = {n: set(registry.load(kind, n).Options.model_fields) | {"preset"} for n in names}
    for key in given:
        if key != "modifiers" and not any(key in known for known in fields.values()):
            raise unknown(f"option of {kind}s {','.join(names)}:", key, set().union(*fields.values()))
    own = {k: v for k, v in given.items() if k in fields[name]}
    if isinstance(section := given.get("modifiers"), Mapping):
        known = {m for n in names for m in n.split("+")[1:]}
        if strange := [m for m in section if m not in known]:
            raise unknown(f"modifier of searchers {','.join(names)}:", strange[0], known)
        own["modifiers"] = {m: v for m, v in section.items() if m in name.split("+")[1:]}
    return {k: v for k, v in own.items() if k != "modifiers" or v}


def _selector_options(raw: Mapping[str, Any], name: str, base: dict[str, Any]) -> dict[str, Any]:
    """The user's options over a set of the selector's own that `preset` names, or else over the protocol's."""
    given, sets = _options(raw, "selector", name), registry.load("selector", name).presets
    if (wanted := given.pop("preset", None)) is None:
        return {**base, **given}
    if not isinstance(wanted, str):
        raise BenchbedError(f"selector.preset = {wanted!r:.60}: expected the name of one")
    if wanted not in sets and wanted in PRESETS:  # for one release
        old_name(f"selector.preset={wanted}", f"the options of protocol {PRESETS[wanted]}, which --explain shows")
        sets = {
            wanted: section_of(values_of(load(PRESETS[wanted]), {"selector": answers("selector", name)}), "selector")
        }
    if wanted not in sets:
        raise unknown(f"preset of selector '{name}'", str(wanted), sets)
    return {**sets[wanted], **given}


def _plugin(kind: str, name: str, options: dict[str, Any]) -> PluginConfig:
    model = registry.load(kind, name).Options
    complete = typed(model, options, f"{kind} '{name}'").model_dump()
    return PluginConfig(name=name, options=complete, sha256=file_sha256(kind, name))


def file_sha256(kind: str, name: str) -> str | None:
    """SHA-256 of a plug-in's file or class, its modifiers', and what of the user's they import; None without a file.

    Modules are told by name and content, wherever they lie.
    """
    code = registry.code(kind, name)
    if code is None:
        return None
    total = hashlib.sha256(code)
    for module, file in registry.imported_by(kind, name):
        total.update(f"\0{module}\0".encode() + file.read_bytes())
    return total.hexdigest()


def expand(raw: Mapping[str, Any], searchers: list[str], selectors: list[str], seeds: list[int]) -> list[RunConfig]:
    """Every run of the grid, seed by seed, searcher by searcher, so that a search's selectors follow one another.

    Raises BenchbedError as `resolve` does, and for a size that the space's networks do not take.
    """
    raw = followed(raw)
    check_sizes(raw, raw.get("space", "nb201"))
    return [resolve(raw, s, t, seed) for seed in seeds for s in searchers for t in selectors]


def check_sizes(raw: Mapping[str, Any], space: str) -> None:
    """Raises BenchbedError for a size that the space's networks do not take."""
    sized_by = registry.load("space", space).sized_by
    for section in ("supernet", "scoring"):
        for key in ("channels", "cells"):
            if key in (raw.get(section) or {}) and key not in sized_by:
                own = f"by {' and '.join(sized_by)} and its space_options" if sized_by else "by its space_options"
                raise BenchbedError(f"{section}.{key}: the networks of space '{space}' are sized {own}")
