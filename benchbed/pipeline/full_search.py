"""What a search at its paper's size would take here: extrapolated from a few measured steps.

Shown beside the seconds that a search did take, which say nothing of a full one: small protocols have other networks.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import BenchbedError
from ..protocols.load import load
from ..runtime.machine import now
from ..runtime.options import RunOptions
from ..runtime.parallel import ALONE, within
from ..searcher import Clock
from .build import build_parts, task_of, tell
from .given import names_in
from .protocol import GENERIC, followed
from .resolve import resolve

TIMED = 5  # steps that are measured, after one that is not


class FullSearch(NamedTuple):
    """`hours` of wall-clock time on `device` (cpu or cuda), extrapolated: `epochs` of `steps` steps each.

    hours: NaN where none were measured.
    """

    searcher: str
    hours: float
    device: str
    epochs: int
    steps: int
    protocol: str

    @property
    def heading(self) -> str:
        """Of a column of hours."""
        return f"full search, {self._unit} h (extrapolated)"

    def __str__(self) -> str:
        if math.isnan(self.hours):
            return f"a full search with {self.searcher}: {self._many}; its hours are measured without --dry-run"
        return f"a full search with {self.searcher}: {self.hours:.1f} {self._unit} hours here, {self.how}"

    @property
    def _unit(self) -> str:
        return "CPU" if self.device == "cpu" else "GPU"

    @property
    def how(self) -> str:
        """From what it is extrapolated."""
        return f"extrapolated to {self._many} from {TIMED} measured ones"

    @property
    def _many(self) -> str:
        return f"{self.epochs} epochs of {self.steps:,} steps (protocol {self.protocol})"


def full_searches(raw: Mapping[str, Any], options: RunOptions, images: int | None = None) -> dict[str, FullSearch]:
    """`full_search` by searcher, with the first of the selectors."""
    selector = names_in(raw, "selector")[0]
    return {name: full_search(raw, name, selector, options, images) for name in names_in(raw, "searcher")}


def full_search(
    raw: Mapping[str, Any], searcher: str, selector: str, options: RunOptions, images: int | None = None
) -> FullSearch:
    """Measures `TIMED` weight steps with the architecture steps due beside them; nothing of it is kept.

    raw: a run's configuration, whose size and epochs give way to those of its protocol, or of
    `generic-paper` where that is no paper's. The steps are those of the last
    epoch, when warm-ups are over, and of no more images than the task has. images: how many those of the training split
    are; then steps are counted alone, and none is made. Raises BenchbedError for whatever such a search refuses.
    """
    check_timeable(raw)
    raw = followed(raw)
    own = raw.get("protocol") is not None and load(str(raw["protocol"])).paper != "ours"
    dropped = ("epochs", "supernet", "objective", "steps", "fidelity", "figure", "budget")
    stripped = {key: value for key, value in raw.items() if key not in dropped}
    its = {"protocol": raw["protocol"] if own else GENERIC, "table": raw.get("table", "none")}
    config = resolve({**stripped, **its}, searcher, selector, 0)
    if images is not None and config.supernet is not None:
        steps = max(1, images // config.supernet.batch)
        return FullSearch(searcher, math.nan, options.device.type, config.epochs, steps, config.protocol)
    with within(ALONE):  # of several processes one measures
        task = task_of(config)
    assert config.supernet is not None
    supernet = config.supernet  # its batches are those of the paper, or all images of a split that has fewer
    fitting = {"batch": min(supernet.batch, len(task.train)), "valid_batch": min(supernet.valid_batch, len(task.valid))}
    config = config.model_copy(update={"supernet": supernet.model_copy(update=fitting)})
    parts = build_parts(config, task, options.device)
    tell(parts, options.reporter.line)
    steps = parts.objective.steps_per_epoch
    began = 0.0
    for step in range(TIMED + 1):
        if step == 1:
            began = now(options.device)
        clock = Clock(config.epochs - 1, step % steps, config.epochs, steps)
        batch = parts.objective.batch("train")
        for _ in range(parts.searcher.arch_steps_due(clock)):
            parts.searcher.arch_step(parts.problem, batch, clock)
        parts.objective.weight_step(parts.searcher.weight_gates(parts.objective, batch, clock), batch)
    hours = (now(options.device) - began) / TIMED * steps * config.epochs / 3600
    return FullSearch(searcher, hours, options.device.type, config.epochs, steps, config.protocol)


def check_timeable(raw: Mapping[str, Any]) -> None:
    """Raises BenchbedError where there are no steps to time: a table has no images, and no network."""
    if raw.get("objective") == "table":
        raise BenchbedError(
            "--full-cost: the objective is a table, whose search has no paper's size; it goes with a task"
        )
