"""A dry run: each pairing's whole way from search to score in a few true steps; whatever more is due is counted.

The networks are the configuration's own. A split is one batch of a few images, a search one epoch of one step, and
the tuning of a selection one step altogether. Validation is looked at truly once in each way of looking; later figures
are made up, so that every decision of a selector falls, and falls at once. States are not saved, nor read back.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from ..objective import Batch, Measure, Outcomes
from ..objectives.options import check_batches
from ..objectives.supernet import SupernetObjective
from ..runtime.folder import read_json
from ..runtime.options import RunOptions
from ..runtime.parallel import Group
from ..runtime.progress import Reporter
from ..task import Task, truncated
from .budget import Budget, Meter
from .build import Parts, build_parts, check_config, task_in
from .config import RunConfig
from .record import Record
from .run import run, shared_by

IMAGES = 2  # of a split, a process: one batch, and as few as have batch statistics
MOST_STEPS = 30  # of an epoch on a table
T = TypeVar("T")


class Glancing(SupernetObjective):
    """A supernet that is measured truly once in each way, by all its views together.

    Later figures are that one's with a little of the gates added, so that no two candidates are tied. looks: how many
    were 'made', and how many were 'due', of those at validation. Its steps are not compiled.
    """

    def __init__(self, looks: Counter[str], *given: Any):
        super().__init__(*given)
        self.looks, self.found = looks, dict[Any, Any]()
        if self.options.compile:  # it could be, as was just found; a few steps do not repay it
            cast(Any, self.network).forward_once = self.network.forward

    def measure(self, gates: Tensor, batch: Batch | None = None) -> Measure:
        seen = self._seen(batch is None, gates, partial(super().measure, batch=batch))
        tilt = _tilt(gates)
        return Measure(seen.loss[0] + tilt, (seen.accuracy[0] + tilt).clamp(max=100.0), seen.images)

    def outcomes(self, gates: Tensor, part: int) -> Outcomes:
        seen = self._seen(part, gates, partial(super().outcomes, part=part))
        tilt = _tilt(gates)[..., None]
        return Outcomes(seen.loss[0] + tilt, seen.correct[0] + 0 * tilt)

    def _seen(self, kind: bool | int, gates: Tensor, look: Callable[[Tensor], T]) -> T:
        """What the look at the first of the gates finds, or the first look of its kind found."""
        flat = gates.reshape(-1, *gates.shape[-2:])
        key = (type(kind), kind, self.view.norm, self.view.images, self.view.augmentation is None)
        if true := key not in self.found:
            self.found[key] = look(flat[:1])
        if kind is not False:  # at a batch: an architecture step's own
            self.looks.update(due=len(flat), made=int(true))
        found: T = self.found[key]
        return found


def _tilt(gates: Tensor) -> Tensor:
    """(*K,) of gates (*K, P, O): small, and other for other gates."""
    size = gates.shape[-2:]
    return 1e-3 * (gates.detach().cpu() * torch.linspace(0, 1, size.numel()).reshape(size)).sum((-2, -1)).float()


def dry_run(configs: Sequence[RunConfig], options: RunOptions) -> list[Record]:
    """Walks each pairing of the configurations once, in a folder that is removed again: its records.

    What was walked of what is in their notes; `in_words` says it. Raises BenchbedError as `run_all` does.
    """
    pairings = {(c.searcher.name, c.selector.name): c for c in shared_by(list(configs), options.group)}
    for config in pairings.values():
        check_config(config)
    tasks: dict[str, Task] = {}
    with tempfile.TemporaryDirectory(prefix="benchbed-dry-") as scratch:
        small = options._replace(out=Path(scratch), force=None, track=None)
        return [walked(config, task_in(tasks, config), small) for config in pairings.values()]


def walked(config: RunConfig, task: Task, options: RunOptions, keep: bool = False) -> Record:
    """The record of one walk; config and task may be cut down already. Only its epochs are told to the reporter.

    keep: the states of the search are saved, for whoever looks at them later.
    """
    if config.supernet is not None:
        check_batches(config.supernet, task)
    options.reporter.line(f"dry run: {config.searcher.name} x {config.selector.name}")
    quiet = Reporter(quiet=True, told=options.reporter.epoch)
    short, looks = shortened(config, max([1, *(epoch + 1 for epoch in options.snapshots)])), Counter[str]()

    def build(config: RunConfig, task: Task, device: torch.device, group: Group) -> Parts:
        parts = build_parts(config, task, device, group, partial(Glancing, looks))
        states = [parts.state] * (short.epochs if keep else 0)  # a selection's many need not be kept
        parts.state = lambda: states.pop()() if states else {}  # type: ignore[method-assign]
        if not keep:
            own = lambda checkpoint, sha256=None: read_json(checkpoint.with_name("record.json"))  # noqa: E731
            parts.restore = own  # type: ignore[method-assign]
        return parts

    record = run(short, cut(task, config), options._replace(reporter=quiet), build=build)
    record.notes["dry_run"] = _counted(config, short, task, record, looks)
    return record


def cut(task: Task, config: RunConfig) -> Task:
    """The task on one batch a split; a table's as it is."""
    images = images_of(config)
    few = config.supernet is None or max(len(task.train), len(task.valid)) <= images
    return task if few else truncated(task, images)


def images_of(config: RunConfig) -> int:
    """Images of a split. A race measures validation in two parts."""
    return IMAGES * config.processes * (2 if config.selector.options.get("race") else 1)


def shortened(config: RunConfig, epochs: int = 1) -> RunConfig:
    """The run on so many epochs of one batch, and a budget that leaves a step to tuning; twice is as once."""
    batch, epochs = images_of(config), min(epochs, config.epochs)
    parts: dict[str, Any] = {"epochs": epochs, "steps": config.steps and min(config.steps, MOST_STEPS)}
    if config.supernet is not None:
        few = {"batch": batch, "valid_batch": batch, "eval_batch": IMAGES}
        parts |= {"supernet": config.supernet.model_copy(update=few), "budget": f"steps={epochs + 1}"}
        if "every" in config.searcher.options:  # batches an architecture step: an epoch has one
            options = {**config.searcher.options, "every": 1}
            parts["searcher"] = config.searcher.model_copy(update={"options": options})
    if config.scoring is not None:
        parts["scoring"] = config.scoring.model_copy(update={"epochs": 1, "warmup_epochs": 0, "batch": batch})
    return config.model_copy(update=parts)


def _counted(
    config: RunConfig, short: RunConfig, task: Task, record: Record, looks: Mapping[str, int]
) -> dict[str, list[int]]:
    """What was walked and what there is, by what it is."""
    if config.supernet is None:
        return {"epochs on the table": [short.epochs, config.epochs]}
    epoch, spent = len(task.train) // config.supernet.batch, record.notes["budget"]
    tuned = spent["steps"] - short.epochs
    search, tuning = config.epochs * epoch, (tuned + spent["untuned"]) * epoch
    if config.budget is not None and (limit := Budget.parse(config.budget)).unit != "seconds":
        most = int(Meter(str(limit), epoch).left)
        search, tuning = min(search, most), min(tuning, max(0, most - search))
    found = {"training images": [min(len(task.train), images_of(config)), len(task.train)]}
    found |= {"search steps": [short.epochs, search], "tuning steps": [tuned, tuning]}
    if config.scoring is not None:
        of = config.scoring
        found["training steps"] = [1, of.epochs * -(-len(task.train) // (of.batch * of.accumulate))]
    return found | {"looks at validation": [looks["made"], looks["due"]]}


def in_words(records: Sequence[Record], done: str | None = None) -> str:
    """One line on a dry run: what was walked, and what was counted alone. done: which way it went."""
    totals: dict[str, list[int]] = {}
    for record in records:
        for what, pair in record.notes["dry_run"].items():
            totals[what] = [a + b for a, b in zip(totals.get(what, [0, 0]), pair, strict=True)]
    walked = ", ".join(f"{made:,} of {due:,} {what}" for what, (made, due) in totals.items() if due)
    size = ", with networks of the true size" if "search steps" in totals else ""
    walked = f"; walked {walked}{size}; the rest was counted" if records else ""
    return f"dry run: {done or f'{len(records)} pairing(s) went from search to score'}{walked}; nothing was kept"
