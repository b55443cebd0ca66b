"""What a configuration says about a supernet that was trained elsewhere, and what follows from it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import BenchbedError
from .nb201 import SPACE, converted
from .reading_room import read
from .source import ForeignConfig


def foreign_config(raw: Mapping[str, Any]) -> ForeignConfig | None:
    """The checkpoint of a raw configuration: `foreign` is its file, or what an earlier run has kept of it.

    Raises BenchbedError, one line that names the file and what is wrong, for a checkpoint that is not a whole
    NAS-Bench-201 supernet, and for what does not go with one.
    """
    given = raw.get("foreign")
    if given is None:
        return None
    if raw.get("objective", "supernet") != "supernet":
        raise BenchbedError(f"foreign '{_file(given)}': objective '{raw['objective']}' has no supernet")
    if (space := raw.get("space", SPACE)) != SPACE:
        raise BenchbedError(f"foreign '{_file(given)}': checkpoints of space '{SPACE}' are known, not of '{space}'")
    if raw.get("epochs") is not None:
        raise BenchbedError(f"epochs = {raw['epochs']}: the supernet of '{_file(given)}' has been trained")
    if isinstance(given, Mapping):
        return ForeignConfig(**given)
    foreign = read(Path(given))
    converted(foreign)
    return foreign.config


def sized(raw: Mapping[str, Any], foreign: ForeignConfig) -> dict[str, Any]:
    """`raw` with the supernet's sizes and epochs of the file. Raises BenchbedError where others were given."""
    own = {"channels": foreign.channels, "cells": foreign.cells}
    given = raw.get("supernet") or {}
    for key, value in own.items():
        if given.get(key, value) != value:
            raise BenchbedError(f"supernet.{key} = {given[key]}: the supernet of '{foreign.file}' has {value}")
    return {**raw, "supernet": {**given, **own}, "epochs": foreign.epochs}


def _file(given: object) -> str:
    return str(given["file"] if isinstance(given, Mapping) else given)
