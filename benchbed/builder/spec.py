"""What a build makes: the space, the task, the recipe; how far it goes; and all that by the command line's words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from .. import registry
from ..errors import BenchbedError, unknown
from ..pipeline.config import OnTask, ScoringOptions
from ..pipeline.resolve import scoring_base, seed_range, with_settings
from ..runtime.files import absolute
from ..task import Task
from ..typed import typed

FORMAT = 1  # of the folder
SECTIONS = ("scoring", "task_options")  # of --set


class Spec(OnTask):
    """A build. All that a worker needs to take part in it.

    `seeds`: each class is trained once with each of them; `sample`: so many of them, drawn at random, None
    for all; `every_epoch`: networks are measured after every epoch, and the table keeps it all.
    """

    scoring: ScoringOptions
    seeds: tuple[int, ...] = Field(min_length=1)
    sample: int | None = Field(default=None, ge=1)
    every_epoch: bool = False
    device: str = "cpu"

    @property
    def kept(self) -> list[int]:
        """The epochs after which a network is measured."""
        return list(range(1, self.scoring.epochs + 1)) if self.every_epoch else [self.scoring.epochs]

    def identity(self, task: Task) -> dict[str, Any]:
        """What every result of a folder must share: two builds with the same identity fill the same table."""
        return {
            "format": FORMAT,
            "space": self.space,
            "task": {"name": task.name, "fingerprint": task.fingerprint, **task.facts},
            "scoring": self.scoring.model_dump(),
            **({"every_epoch": True} if self.every_epoch else {}),
        }


def dataset_of(task: str) -> str:
    """What the table calls the task's data: its name, or that of the file, folder or function behind its colon."""
    return task.partition(":")[2].removesuffix(".npz") or task


def spec_of(given: Mapping[str, Any], settings: list[str], plugins: list[Path]) -> Spec:
    """The specification, complete. Raises BenchbedError, one line, for an unknown name or a value out of range."""
    registry.add_files(plugins)
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
