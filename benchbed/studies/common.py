"""What the studies share: runs that are made once, figures of single architectures, tables in Markdown, files."""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import torch

from ..cost import Cost
from ..errors import BenchbedError
from ..latency.costs import AdditiveCost, WholeCost
from ..latency.load import load_cost
from ..latency.penalty import check_cost, configured
from ..pipeline.build import Parts, build_parts, check_config, space_of, task_in, task_of
from ..pipeline.config import RunConfig
from ..pipeline.history import history
from ..pipeline.record import Record
from ..pipeline.run import run
from ..pipeline.saved import refuse_another, saved_config
from ..pipeline.score import trained
from ..runtime.options import RunOptions
from ..selector import Selection
from ..space import Architecture, Space
from ..task import Task

K = TypeVar("K", bound=Hashable)
DIGITS = 6  # significant ones of a target that a study derives: it is part of a search's identity


class Lab:
    """The runs of one study. Each task is loaded once; what is done in `options.out` is not done again."""

    def __init__(self, options: RunOptions):
        self.options = options
        self._tasks: dict[str, Task] = {}

    def task(self, config: RunConfig) -> Task:
        """The configuration's task. Raises BenchbedError on whatever it refuses."""
        return task_in(self._tasks, config)

    def space(self, config: RunConfig) -> Space:
        """The configuration's space, on the images of its task."""
        return space_of(config, self.task(config))

    def cost(self, config: RunConfig, source: str) -> AdditiveCost | WholeCost:
        """The cost by `source` on the configuration's space, whatever the configuration itself pays for."""
        return load_cost(source, self.space(config), config.space)

    def check(self, configs: Iterable[RunConfig]) -> None:
        """Raises BenchbedError, before anything is made, for what any of the runs would refuse."""
        configs = list(configs)
        for config in configs:
            check_config(config)
        for config in configs:
            check_cost(configured(config.cost, self.space(config), config.space), config.cost)

    def records(self, configs: Mapping[K, RunConfig], words: Callable[[K], str]) -> dict[K, Record]:
        """The record of every run, made in this order; `words` says which one it is while it is made."""
        found = {}
        for number, (key, config) in enumerate(configs.items(), 1):
            self.options.reporter.line(f"search {number} of {len(configs)}: {words(key)}")
            found[key] = run(config, self.task(config), self.options)
        return found

    def test_accuracy(self, config: RunConfig, chosen: Architecture, dataset: str | None = None) -> float:
        """Test accuracy in percent: by the configuration's table, or trained as its runs are, once per folder.

        dataset: of the table, None for the run's own. Raises BenchbedError where a partial table lacks it.
        """
        if config.table is not None:
            table = config.table.open()
            return float(table.query(chosen, dataset or config.table.dataset, "test", table.full_epochs))
        space = self.space(config)
        only = Selection(chosen, space.gates(chosen), {})
        record = trained(config, space, self.task(config), only, self.options, redone=set())
        return float(record["test_accuracy"])


def finished(search: Path, device: torch.device) -> Parts:
    """A finished search with its supernet and searcher as a selector would find them.

    Raises BenchbedError where the folder holds none, or where its code or data are not what they were.
    """
    config = saved_config(search)
    task = task_of(config)
    refuse_another(search, config, task)
    parts = build_parts(config, task, device)
    parts.restore(search / "checkpoint.pt")
    return parts


def last_probabilities(search: Path) -> list[list[float]]:
    """The probabilities of a finished search's last epoch. Raises BenchbedError where its history is damaged."""
    return [list(row) for row in history(search / "history.jsonl")[-1].probabilities]


def settled(target: float, cost: Cost) -> float:
    """A derived target in a few digits, and never below the fastest architecture."""
    return max(float(f"{target:.{DIGITS}g}"), cost.least().value)


def numbers(text: str, option: str, least: float = 0.0, above: bool = True) -> tuple[float, ...]:
    """The numbers of a list with commas, each above `least` (or at it). Raises BenchbedError otherwise."""
    found = []
    for part in text.split(","):
        try:
            value = float(part)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value < least or (above and value == least):
            wanted = f"{'above' if above else 'of at least'} {least:g}"
            raise BenchbedError(f"{option} '{text}': '{part.strip()}' is no number {wanted}; expected e.g. 3,4,5")
        found.append(value)
    return tuple(found)
