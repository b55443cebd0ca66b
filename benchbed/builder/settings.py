"""From the words of the command line to the specification of a build."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import registry
from ..errors import BenchbedError, unknown
from ..pipeline.config import ScoringOptions
from ..pipeline.resolve import scoring_base, seed_range, with_settings
from ..runtime.files import absolute
from ..typed import typed
from .spec import Spec

SECTIONS = ("scoring", "task_options")


def spec_of(given: Mapping[str, Any], settings: list[str], plugins: list[Path]) -> Spec:
    """The specification, complete. Raises BenchbedError, one line, for an unknown name or a value out of range."""
    for file in plugins:
        registry.add_file(file)
    registry.find("space", given["space"])
    registry.find("task", str(given["task"]).partition(":")[0])
    raw = with_settings({}, settings)
    for section in raw:
        if section not in SECTIONS and raw[section]:
            raise unknown("section in --set", section, SECTIONS)
    recipe = {k: given[k] for k in ("epochs", "channels", "cells") if given.get(k) is not None}
    base = scoring_base(given["space"], str(given["task"]))
    scoring = typed(ScoringOptions, {**base, **raw.get("scoring", {}), **recipe}, "scoring")
    if (sample := given.get("sample")) is not None and sample < 1:
        raise BenchbedError(f"--sample {sample}: at least one class is needed")
    return Spec(
        space=given["space"],
        task=given["task"],
        task_options=raw.get("task_options", {}),
        data=absolute(given.get("data")),
        splits=absolute(given.get("splits")),
        scoring=scoring,
        seeds=tuple(seed_range(given["seeds"])),
        sample=sample,
        every_epoch=bool(given.get("every_epoch")),
        device=given["device"],
    )
