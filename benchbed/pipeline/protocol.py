"""Which protocol a run follows, and the one merge `protocol <- file <- flags`, with who set each value."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from .. import registry
from ..errors import BenchbedError, unknown
from ..protocols.load import KINDS, Names, Protocol, Value, load, protocols

SMALL, GENERIC, TABLE = "small-digits", "generic-paper", "table"
PRESETS = {"small": SMALL, "paper": GENERIC, "table": TABLE}  # what `preset` was called, for one release
FILLED = ("space", "objective", "task", "seed", "seeds", "table", "dataset")  # of a protocol that is named
_said: set[str] = set()


class Origins(dict[str, str]):
    """By dotted key, who set it: 'mine.toml', '--set', '--epochs'. Travels in a raw configuration as `origins`."""


def old_name(old: str, new: str) -> None:
    """One line on stderr, once a process, that says what to type in place of an old name."""
    if old not in _said:
        _said.add(old)
        print(f"benchbed: {old} is an old name, gone in the next release: type {new}", file=sys.stderr)


def renamed(raw: Mapping[str, Any], names: Mapping[str, str] = PRESETS) -> dict[str, Any]:
    """`raw` with `protocol` for `preset`. Raises BenchbedError for an unknown one, and where both are given."""
    new = {key: value for key, value in raw.items() if key != "preset"}
    if (preset := raw.get("preset")) is None:
        return new
    if raw.get("protocol") is not None:
        raise BenchbedError(f"preset '{preset}' is the old name of a protocol: leave it out beside --protocol")
    if preset not in names:
        raise unknown("preset", preset, names)
    old_name(f"preset {preset}", f"--protocol {names[preset]}")
    origins = {key: value for key, value in raw.get("origins", {}).items() if key != "preset"}
    return {**new, "protocol": names[preset], "origins": Origins(origins)}


def followed(raw: Mapping[str, Any]) -> dict[str, Any]:
    """`raw` with the plain values of the protocol that it names under its own: space, task, searcher, seeds.

    Does nothing where none is named, and the same again where it was done before. Raises BenchbedError for an unknown
    protocol.
    """
    raw = renamed(raw)
    if (name := raw.get("protocol")) is None:
        return raw
    values, origins = load(name).values, Origins(raw.get("origins", {}))
    for key in FILLED:
        given = raw.get(key) is not None or (key in ("seed", "seeds") and ("seed" in raw or "seeds" in raw))
        if key in values and not given:
            raw[key], origins[key] = values[key], f"protocol {name}"
    for kind in ("searcher", "selector"):
        if kind in values and not raw.get(kind, {}).get("name"):
            raw[kind] = {**raw.get(kind, {}), "name": values[kind]}
            origins[f"{kind}.name"] = f"protocol {name}"
    return {**raw, "origins": origins}


def chosen(raw: Mapping[str, Any], names: Names, objective: str, run: bool = True) -> Protocol:
    """The protocol that is named, else the one for these plug-ins.

    The table and one's own images have small ones; published data have the one protocol that names searcher, space and
    task. run: whether there is a search; a training asks for space and task. Raises BenchbedError of one line where the
    one named is for something else, where none or several fit.
    """
    if (name := raw.get("protocol")) is not None:
        found = load(name)
        if run and not found.searches:
            raise BenchbedError(f"protocol '{name}' trains networks and searches for none: use train --protocol {name}")
        if (why := found.misfit(names, objective)) is not None:
            near = "|".join(p.name for p in fitting(names, objective) if p.searches or not run)
            suggested = f"--protocol {near} would fit" if near else "no protocol fits"
            raise BenchbedError(f"protocol '{name}' is for {why}: {suggested}")
        return found
    task = names["task"][0]
    from ..tasks.load import small  # loads torch, which a list of names does without

    if objective == "table" or small(task):
        return load(TABLE if objective == "table" else SMALL)
    specific = [p for p in fitting(names, objective) if p.specific or not run]
    specific = [p for p in specific if p.applies.spaces and p.applies.tasks]
    if len(specific) == 1:
        return specific[0]
    what = " x ".join(names[kind][0] for kind in KINDS if kind in names and kind != "selector")
    if not specific:
        raise BenchbedError(f"no paper's protocol is for {what}: add --protocol {GENERIC}, or {SMALL} for a short one")
    raise BenchbedError(f"several protocols are for {what}: add --protocol {'|'.join(p.name for p in specific)}")


def fitting(names: Names, objective: str) -> list[Protocol]:
    """The protocols that are for these plug-ins."""
    return [p for p in protocols() if p.misfit(names, objective) is None]


# -- the values of one run ---------------------------------------------------------------------------------------------


def answers(kind: str, name: str) -> tuple[str, ...]:
    """The names whose settings it takes: its own, NAME of 'NAME+MODIFIER', the one of ours that a user's extends."""
    bare, modifiers, _ = name.partition("+")
    if kind == "searcher" and modifiers:
        return (name, *answers(kind, bare))
    if registry.is_ours(registry.find(kind, name)):
        return (name,)
    ours = {plugin.target: plugin.name for plugin in registry.plugins(kind) if registry.is_ours(plugin)}
    bases = (base.__module__ for base in registry.load(kind, name).__mro__[1:])
    return (name, *(ours[module] for module in bases if module in ours))[:2]


def values_of(protocol: Protocol, names: Names) -> dict[str, Value]:
    """The protocol's values for these plug-ins, and over them what a user's own plug-in declares in the old way."""
    found = protocol.values_for(names)
    label = next((old for old, new in PRESETS.items() if new == protocol.name), None)
    for kind in ("searcher", "selector", "space"):
        name = names.get(kind, ("",))[0].partition("+")[0]
        if label is None or not name or registry.is_ours(registry.find(kind, name)):
            continue
        for key, value in _declared(kind, registry.load(kind, name), label):
            old_name(f"the presets of {kind} '{name}'", "their values into a configuration file, for run --config")
            found[key] = Value(value, f"the presets of {kind} '{name}'")
    return found


def _declared(kind: str, plugin: object, label: str) -> Iterator[tuple[str, Any]]:
    """The dotted values that a plug-in's class declares for a preset, as every plug-in did until protocols were files.

    A space's sizes, recipe and epochs stood beside its presets.
    """
    own = getattr(plugin, "presets", {}).get(label, {})
    sections: dict[str, Mapping[str, Any]]
    if kind == "searcher":
        sections = {"searcher": own.get("options", {}), "supernet": own.get("supernet", {})}
        if "epochs" in own:
            yield "epochs", own["epochs"]
    elif kind == "selector":
        sections = {"selector": own}
    else:
        of = {name: getattr(plugin, name, {}).get(label) for name in ("search_sizes", "score_sizes", "score_recipes")}
        size = getattr(plugin, "paper_size", {}) if label == "paper" else {}
        from ..training.recipe import RECIPES  # loads torch, as above

        recipe = RECIPES[of["score_recipes"]].model_dump() if of["score_recipes"] else {}
        sections = {
            "space_options": own,
            "supernet": of["search_sizes"] or size,
            "scoring": {**recipe, **(of["score_sizes"] or size)},
        }
        if label in (epochs := getattr(plugin, "search_epochs", {})):
            yield "epochs", epochs[label]
    for section, values in sections.items():
        yield from ((f"{section}.{key}", value) for key, value in values.items())


def section_of(values: Mapping[str, Value], name: str) -> dict[str, Any]:
    """A section of a configuration out of dotted values."""
    return {key.partition(".")[2]: found.value for key, found in values.items() if key.startswith(f"{name}.")}


def origins_of(raw: Mapping[str, Any], base: Mapping[str, Value], name: str, complete: Mapping[str, Any]) -> Origins:
    """By dotted key of a complete configuration, who set it; a key that is left out has its option's default.

    A value given without a word of by whom, as from Python, is 'given'.
    """
    said, found = raw.get("origins"), Origins()
    given = dict(dotted({key: value for key, value in raw.items() if key != "origins"}))
    for key, _ in dotted(complete):
        if key in given and (said is None or key in said):
            found[key] = "given" if said is None else said[key]
        elif key in base and (key not in given):
            found[key] = f"protocol {name}"
    return found


def dotted(tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of a configuration's plain values and the options of its sections."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}.{option}", inner) for option, inner in value.items())
        elif value is not None:
            yield key, value
