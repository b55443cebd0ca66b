"""The typed configuration of a run: TOML and flags in, JSON out, defaults filled in, and its identity."""

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ..checkpoints.source import ForeignConfig
from ..latency.penalty import CostConfig
from ..objectives.options import SupernetOptions
from ..space import Space
from ..spaces.load import load_space
from ..task import Task
from ..tasks.load import load_task
from ..training.train import Recipe
from .tables import TableConfig


class ScoringOptions(Recipe):
    """Training the chosen cell from scratch: its network and recipe."""

    channels: int
    cells: int

    def recipe(self) -> Recipe:
        """The training alone."""
        return Recipe(**self.model_dump(exclude={"channels", "cells"}))


class PluginConfig(BaseModel):
    """A searcher or selector, its options complete."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    options: dict[str, Any]
    sha256: str | None  # of the plug-in's file


class OnTask(BaseModel):
    """A space and a task. `task_options`, `data` and `splits` make the task again; what they do to a result is in the
    task's fingerprint, which is part of an identity where they are not."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    space: str
    space_options: dict[str, Any] = {}
    space_sha256: str | None = None  # of the file of a space that is not our own
    task: str
    task_options: dict[str, Any] = {}
    data: str | None = None  # the folder of a published data set, absolute
    splits: str | None = None  # the folder of NAS-Bench-201's split files, absolute

    def space_key(self) -> str:
        """The space by name and options, and by content where it is a user's own."""
        text = json.dumps(self.space_options, sort_keys=True) if self.space_options else None
        return " ".join(part for part in (self.space, self.space_sha256, text) if part)

    def load_space(self) -> Space:
        return load_space(self.space, self.space_options)

    def load_task(self) -> Task:
        return load_task(self.task, data=self.data, splits=self.splits, **self.task_options)


class RunConfig(OnTask):
    """Everything that decides a run's result. Device, threads and versions are recorded, not configured."""

    objective: Literal["supernet", "table"]
    table: TableConfig | None = None
    seed: int
    protocol: str  # what gave the values that the user did not
    epochs: int  # of the search's schedule
    budget: str | None = None  # what search and tuning may spend together, such as steps=1000: see budget.py
    fidelity: int | None = None  # training epochs of the accuracies that a table objective descends; None: the full
    figure: str | None = None  # a further figure of the table, which a table objective climbs in place of accuracies
    steps: int | None = None  # of an epoch of a table objective; None: its own number, or a supernet's batches
    searcher: PluginConfig
    supernet: SupernetOptions | None  # None: the objective is a table
    selector: PluginConfig
    scoring: ScoringOptions | None  # None: scored by the table
    cost: CostConfig | None = None
    foreign: ForeignConfig | None = None  # the supernet was trained elsewhere: there is nothing to search
    origins: dict[str, str] = {}  # dotted key -> who set it; a key that is not there has its option's default
    processes: int = 1  # that share every batch: each has batch statistics of its own

    def search_key(self) -> dict[str, Any]:
        """The part that a search depends on, but for the content of its task."""
        left_out = {"selector", "scoring", "protocol", "origins", "task_options", "data", "splits", "table"}
        left_out |= {"space_sha256", "space_options"}  # in `space_key`; and what has a key of its own, below
        left_out |= {"cost", "foreign"}
        left_out |= {name for name in ("steps", "fidelity", "figure", "budget") if getattr(self, name) is None}
        if self.processes == 1:
            left_out.add("processes")
        supernet: dict[str, Any] = {}
        if self.supernet is not None:  # ids from before there were such things
            older = {name for name in ("history_images", "compile") if not getattr(self.supernet, name)}
            older |= {"partial"} if self.supernet.partial == 1 else set()
            supernet = {"supernet": self.supernet.model_dump(exclude=older)}
        searcher = self.searcher.model_dump()
        if searcher["options"].get("sampling") == "uniform":  # likewise
            del searcher["options"]["sampling"]
        cost = {} if self.cost is None else {"cost": self.cost.key()}
        foreign = {} if self.foreign is None else {"foreign": self.foreign.sha256}
        found = {**self.model_dump(exclude=left_out), "searcher": searcher}
        return {**found, **supernet, "space": self.space_key(), **cost, **foreign}

    def scoring_key(self) -> object:
        """What the chosen cell's figures depend on, but for the task."""
        if self.table is not None:
            return self.table.key()
        assert self.scoring is not None
        shared = {"processes": self.processes} if self.processes > 1 else {}
        return self.scoring.model_dump() | shared


def identity(readable: str, *parts: object) -> str:
    """`readable` and ten hex digits of the SHA-256 over the parts as canonical JSON."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
