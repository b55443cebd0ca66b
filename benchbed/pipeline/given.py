"""What a user gave, from a file, flags and settings, as one raw configuration: the command line and Python share it."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .. import registry
from ..errors import BenchbedError
from ..runtime.files import read_toml
from .protocol import Origins, dotted, followed
from .resolve import seed_range, with_settings

FLAGS = {"cost.table": "--latency", "cost.target": "--target-ms"}  # whose flag has another name


def read_configuration(path: Path) -> dict[str, Any]:
    """A TOML configuration, its `plugins` registered and left out: files, relative to that of the configuration.

    Raises BenchbedError for a file that cannot be read, and for a plug-in that is not there or cannot be loaded.
    """
    return with_plugins(read_toml(path), f"configuration {path}", path.parent)


def with_plugins(raw: Mapping[str, Any], named: str, folder: Path) -> dict[str, Any]:
    """A configuration without its `plugins`, files relative to `folder`, which are registered; `named` in a refusal."""
    files = raw.get("plugins", [])
    if not isinstance(files, list) or not all(isinstance(file, str) and file for file in files):
        raise BenchbedError(f"{named}: plugins = {files!r}: expected a list of files")
    for file in files:
        try:
            registry.add_file(folder / file)
        except BenchbedError as error:
            raise BenchbedError(f"{named}: {error}") from None
    return {key: value for key, value in raw.items() if key != "plugins"}


def configuration(
    config: Path | Mapping[str, Any] | None,
    flags: Mapping[str, Any],
    settings: Iterable[str] = (),
    plugins: Iterable[Path] = (),
) -> dict[str, Any]:
    """The file's values, the flags over them, `settings` ('SECTION.KEY=VALUE') over both; a flag that is None is none.

    Registers the plug-in files first. Raises BenchbedError for an unknown key and for a value of another type.
    """
    registry.add_files(plugins)
    read = read_configuration(config) if isinstance(config, Path) else dict(config or {})
    raw = with_settings(read, [])
    by = config.name if isinstance(config, Path) else "config"
    origins = Origins({key: by for key, _ in dotted(raw)})
    for key, value in flags.items():
        if value is None:
            continue
        origins[f"{key}.name" if key in ("searcher", "selector") else key] = FLAGS.get(key, f"--{key}")
        if key in ("searcher", "selector"):
            raw[key] = {**raw.get(key, {}), "name": value}
        elif "." in key:
            section, _, name = key.partition(".")
            raw[section] = {**raw.get(section, {}), name: value}
        else:
            raw[key] = value
    if flags.get("seed") is not None and flags.get("seeds") is None:
        raw.pop("seeds", None)
    return followed(with_settings({**raw, "origins": origins}, list(settings)))


def names_in(raw: Mapping[str, Any], kind: str) -> list[str]:
    """The searchers or selectors that are named, with commas between them. Raises BenchbedError where none is."""
    text = raw.get(kind, {}).get("name")
    if not text:
        known = ", ".join(p.name for p in registry.plugins(kind))
        raise BenchbedError(f"no {kind} given: add --{kind} NAME (known: {known})")
    names = [n.strip() for n in str(text).split(",")]
    for name in names:
        registry.find(kind, name)
    return list(dict.fromkeys(names))


def seeds_in(raw: Mapping[str, Any]) -> list[int]:
    """The seeds of 'FIRST:AFTER_LAST', or the one seed, or 0."""
    text = raw.get("seeds")
    return [raw.get("seed", 0)] if text is None else list(seed_range(str(text)))


def named_options(text: str) -> tuple[str, dict[str, Any]]:
    """(NAME, its options) of 'NAME' or 'NAME:KEY=VALUE[,KEY=VALUE...]', a searcher with options.

    NAME+MODIFIER has those of its modifier as MODIFIER.KEY.
    """
    name, _, rest = text.partition(":")
    parts = re.split(r",(?![^\[]*\])", rest) if rest else []  # not at the commas of a list
    given = with_settings({}, [f"searcher.{part.strip()}" for part in parts])
    own = dict(given.get("searcher", {}))
    for modifier in name.split("+")[1:]:
        if modifier in own:
            section = own.setdefault("modifiers", {})
            section[modifier] = {**section.get(modifier, {}), **own.pop(modifier)}
    return name, own
