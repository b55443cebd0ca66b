"""The typed configuration of a run: TOML and flags in, JSON out, defaults filled in, and its identity."""

import hashlib
import json
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from . import registry
from .errors import BenchbedError, unknown
from .objectives.supernet import SupernetOptions
from .training.train import RECIPES, Recipe

M = TypeVar("M", bound=BaseModel)
PRESETS = ("small", "paper")
# What a run starts from before the searcher's own preset: a supernet that a laptop trains, or NAS-Bench-201's.
SUPERNETS: dict[str, dict[str, Any]] = {"small": {"channels": 8, "cells": 1, "lr": 0.1}, "paper": {}}
EPOCHS = {"small": 10, "paper": 100}


class ScoringOptions(Recipe):
    """Training the chosen cell from scratch: its network and recipe."""

    channels: int
    cells: int


SCORING = {
    "small": {"channels": 8, "cells": 1, **RECIPES["digits"].model_dump()},
    "paper": {"channels": 16, "cells": 5, **RECIPES["H"].model_dump()},
}


class PluginConfig(BaseModel):
    """A searcher or selector, its options complete."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    options: dict[str, Any]
    sha256: str | None  # of the plug-in's file


class RunConfig(BaseModel):
    """Everything that decides a run's result. Device, threads, paths and versions are recorded, not configured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    space: str
    space_sha256: str | None = None  # of the file of a space that is not our own
    objective: Literal["supernet"]
    task: str
    seed: int
    preset: Literal["small", "paper"]
    epochs: int
    searcher: PluginConfig
    supernet: SupernetOptions
    selector: PluginConfig
    scoring: ScoringOptions

    def search_key(self) -> dict[str, Any]:
        """The part that a search depends on."""
        return {**self.model_dump(exclude={"selector", "scoring", "preset", "space_sha256"}), "space": self.space_key()}

    def space_key(self) -> str:
        """The space by name, and by content where it is a user's own."""
        return self.space if self.space_sha256 is None else f"{self.space} {self.space_sha256}"


def identity(readable: str, *parts: Any) -> str:
    """`readable` and ten hex digits of the SHA-256 over the parts as canonical JSON."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def read_toml(path: Path) -> dict[str, Any]:
    """A configuration file. Raises BenchbedError that names the file and the place."""
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise BenchbedError(f"cannot read configuration {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BenchbedError(f"configuration {path} is no TOML: {error}") from None


SECTIONS = ("searcher", "selector", "supernet", "scoring")
PLAIN: dict[str, type] = {
    "space": str, "objective": str, "task": str, "seed": int, "seeds": str, "preset": str, "epochs": int,
    "device": str, "out": str,
}  # fmt: skip


def with_settings(raw: Mapping[str, Any], settings: list[str]) -> dict[str, Any]:
    """`raw` with each 'section.key=value' laid over it. A value is read as TOML, else taken as a string."""
    merged: dict[str, Any] = {k: dict(v) if isinstance(v, Mapping) else v for k, v in raw.items()}
    for section in ("searcher", "selector"):
        if isinstance(merged.get(section), str):
            merged[section] = {"name": merged[section]}
    for setting in settings:
        path, equals, text = setting.partition("=")
        section, dot, key = path.strip().partition(".")
        if not equals or not dot or not key:
            raise BenchbedError(
                f"--set '{setting}': expected SECTION.KEY=VALUE, with a section of {', '.join(SECTIONS)}"
            )
        if section not in SECTIONS:
            raise unknown("section in --set", section, SECTIONS)
        if not isinstance(merged.setdefault(section, {}), dict):
            break  # refused below
        merged[section][key] = _value(text.strip())
    for key in merged:
        if key not in (*SECTIONS, *PLAIN):
            raise unknown("configuration key", key, (*SECTIONS, *PLAIN))
        kind = PLAIN.get(key, dict)
        if type(merged[key]) is not kind:
            expected = {str: "a string", int: "an integer", dict: "a table"}[kind]
            raise BenchbedError(f"configuration key '{key}' is {merged[key]!r}: expected {expected}")
    for section in ("searcher", "selector"):
        name = merged.get(section, {}).get("name", "")
        if not isinstance(name, str):
            raise BenchbedError(f"configuration key '{section}.name' is {name!r}: expected a string")
    return merged


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text


def resolve(raw: Mapping[str, Any], searcher: str, selector: str, seed: int) -> RunConfig:
    """The complete configuration of one run: preset below, the user's values above, everything typed.

    Raises BenchbedError for an unknown name, key or preset (with the nearest known one) and for a value out of range.
    """
    task, space = raw.get("task", "digits"), raw.get("space", "nb201")
    found_space = registry.find("space", space)
    registry.find("task", task.partition(":")[0])
    preset = _preset(raw, task)
    objective = raw.get("objective", "supernet")
    if objective != "supernet":
        raise unknown("objective", objective, ["supernet"])
    searcher_class = registry.load("searcher", searcher)
    from_preset = searcher_class.presets.get(preset, {})
    epochs = raw.get("epochs")
    if epochs is None:
        epochs = from_preset.get("epochs", EPOCHS[preset])
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise BenchbedError(f"epochs = {epochs!r}: expected an integer of at least 1")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise BenchbedError(f"seed = {seed!r}: expected an integer of at least 0")
    supernet = {**SUPERNETS[preset], **from_preset.get("supernet", {}), **raw.get("supernet", {})}
    options = {**from_preset.get("options", {}), **_options(raw, "searcher", searcher)}
    return RunConfig(
        space=space,
        space_sha256=None if registry.is_ours(found_space) else _sha256("space", space),
        objective="supernet",
        task=task,
        seed=seed,
        preset=preset,
        epochs=epochs,
        searcher=_plugin("searcher", searcher, options),
        supernet=typed(SupernetOptions, supernet, "supernet"),
        selector=_plugin("selector", selector, _selector_options(raw, selector, preset)),
        scoring=typed(ScoringOptions, {**SCORING[preset], **raw.get("scoring", {})}, "scoring"),
    )


def _preset(raw: Mapping[str, Any], task: str) -> Literal["small", "paper"]:
    """The preset asked for; by default 'small' for the embedded task and a user's own images."""
    preset = raw.get("preset") or ("small" if task.startswith(("digits", "npz:")) else "paper")
    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    return "small" if preset == "small" else "paper"


def _options(raw: Mapping[str, Any], kind: str, name: str) -> dict[str, Any]:
    """The user's options of a plug-in. Where several are named with commas, an option goes to those that have it."""
    given = {k: v for k, v in raw.get(kind, {}).items() if k != "name"}
    names = [n.strip() for n in raw.get(kind, {}).get("name", name).split(",")]
    if len(names) == 1:
        return given
    fields = {n: set(registry.load(kind, n).Options.model_fields) | {"preset"} for n in names}
    for key in given:
        if not any(key in known for known in fields.values()):
            raise unknown(f"option of {kind}s {','.join(names)}:", key, set().union(*fields.values()))
    return {k: v for k, v in given.items() if k in fields[name]}


def _selector_options(raw: Mapping[str, Any], name: str, preset: str) -> dict[str, Any]:
    given, presets = _options(raw, "selector", name), registry.load("selector", name).presets
    wanted = given.pop("preset", None)
    if wanted is not None and wanted not in presets:
        raise unknown(f"preset of selector '{name}'", str(wanted), presets)
    return {**presets.get(wanted or preset, {}), **given}


def _plugin(kind: str, name: str, options: dict[str, Any]) -> PluginConfig:
    model = registry.load(kind, name).Options
    complete = typed(model, options, f"{kind} '{name}'").model_dump()
    return PluginConfig(name=name, options=complete, sha256=_sha256(kind, name))


def _sha256(kind: str, name: str) -> str | None:
    file = registry.source(kind, name)
    return None if file is None else hashlib.sha256(file.read_bytes()).hexdigest()


def typed(model: type[M], values: Mapping[str, Any], where: str) -> M:
    """`values` as the model; the word 'none' is no value where a field may have none (TOML has no null).

    Raises BenchbedError of one line that names the option, its value and what is accepted.
    """
    given = dict(values)
    for key, value in given.items():
        if key not in model.model_fields:
            raise unknown(f"option of {where}", key, model.model_fields)
        if value == "none" and type(None) in get_args(model.model_fields[key].annotation):
            given[key] = None
        if isinstance(value, float) and not math.isfinite(value):
            raise BenchbedError(f"{where}: {key} = {value}: a finite number is needed")
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # of several options together
            raise BenchbedError(f"{where}: {message}") from None
        name = ".".join(str(part) for part in first["loc"])
        message = message[:1].lower() + message[1:]
        raise BenchbedError(f"{where}: {name} = {first['input']!r}: {message}") from None
