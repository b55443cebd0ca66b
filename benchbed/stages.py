"""The first two stages of a run, each in a folder of its own, each resumable: search and selection.

The third, the score, is `benchbed.scoring`.
"""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import registry
from .config import PluginConfig, RunConfig, identity
from .cost import Cost, Problem
from .digest import digest
from .errors import BenchbedError
from .folder import AGAIN, Folder, damaged, load_checkpoint
from .foreign.alpha import give
from .foreign.nb201 import check_fit, take_over
from .latency.penalty import check_cost, configured, with_cost, within_limit
from .machine import peak_memory
from .objective import Decisions, Objective, View
from .objectives.supernet import SupernetObjective, import_class
from .objectives.table import TableObjective
from .parallel import ALONE, Group
from .progress import Reporter
from .search_loop import NonFiniteLoss, train_epoch
from .searcher import Clock, EvaluationMode, Searcher
from .selector import Context, Selection, Selector
from .space import Architecture, Space
from .spaces.load import load_space
from .streams import Streams, derive
from .task import Task
from .training.cell import check_recipe

# What a finished stage's record holds at least: a record without it is damaged.
SEARCH_KEYS = ("supernet_accuracy", "evaluation", "state_sha256", "seconds", "peak_memory_bytes")
REPORT_PATHS = 8  # sampled paths behind the accuracy of an epoch's line
FINAL_PATHS = 32  # and behind a finished supernet's


@dataclass
class Parts:
    """What one search is made of, freshly built from its configuration."""

    config: RunConfig
    space: Space
    task: Task
    streams: Streams
    objective: SupernetObjective | TableObjective
    searcher: Searcher
    cost: Cost | None = None
    group: Group = ALONE

    @property
    def problem(self) -> Problem:
        return self.problem_on(self.objective)

    def problem_on(self, objective: Objective) -> Problem:
        return with_cost(objective, self.cost, self.config.cost)

    def expected_cost(self) -> dict[str, float]:
        return {} if self.cost is None else {"expected_cost": float(self.cost.value(self.searcher.probabilities()))}

    def state(self) -> dict[str, Any]:
        return {
            "streams": self.streams.state(),
            "objective": self.objective.state(),
            "searcher": self.searcher.state(),
        }

    def load_state(self, tree: dict[str, Any]) -> None:
        self.objective.load_state(tree["objective"])
        self.searcher.load_state(tree["searcher"])
        self.streams.load_state(tree["streams"])

    def restore(self, checkpoint: Path) -> None:
        """The state at the end of a search. Raises BenchbedError where its checkpoint is missing or damaged."""
        saved = self.group.from_leader(lambda: load_checkpoint(checkpoint)["tree"])
        with whole(checkpoint):
            self.load_state(saved["parts"])

    def digest(self) -> str:
        """SHA-256 over the weights and the searcher's state: equal for two runs that went the same way."""
        return digest({"weights": self.objective.weights(), "searcher": self.searcher.state()})


@contextmanager
def whole(checkpoint: Path) -> Iterator[None]:
    """A checkpoint's tree is unpacked within: whatever is missing or of another type in it is named as its damage."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, RuntimeError) as error:
        if isinstance(error, BenchbedError):
            raise BenchbedError(f"{checkpoint}: {error}") from None
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise damaged(checkpoint, reason) from None


def build(config: RunConfig, task: Task, device: torch.device, group: Group = ALONE) -> Parts:
    """The parts of a search, the same in every process of the group."""
    space = space_of(config, task)
    streams = Streams(config.seed)
    searcher_class = registry.load("searcher", config.searcher.name)
    objective: SupernetObjective | TableObjective
    if config.supernet is None:
        objective = _table_objective(config)
    else:
        objective = SupernetObjective(space, task, config.supernet, streams, config.epochs, device, group)
    searcher = searcher_class(space, searcher_class.Options(**config.searcher.options), streams)
    cost = configured(config.cost, space, config.space)
    return Parts(config, space, task, streams, objective, searcher, cost, group)


def space_of(config: RunConfig, task: Task) -> Space:
    """The configured space, on the task's images. Raises BenchbedError where its networks are not made for them."""
    if config.foreign is not None:
        check_fit(config.foreign, task)
    space = load_space(config.space, config.space_options)
    return space if config.supernet is None else space.for_images(task.shape, task.classes)


def _table_objective(config: RunConfig) -> TableObjective:
    assert config.table is not None
    return TableObjective.of(config.table.open(), config.table.dataset, config.steps, config.fidelity)


def check(config: RunConfig) -> None:
    """Raises BenchbedError, before anything is made or trained, where the parts of a run do not go together.

    A plug-in may need what the objective does not provide; a selector's options may not fit the space.
    """
    searcher_class = registry.load("searcher", config.searcher.name)
    selector_class = registry.load("selector", config.selector.name)
    selector_options = selector_class.Options(**config.selector.options)
    _check_needs("searcher", searcher_class, config.searcher, config.objective)
    _check_needs("selector", selector_class, config.selector, config.objective)
    space = load_space(config.space, config.space_options)
    if config.foreign is not None:
        searcher = searcher_class(space, searcher_class.Options(**config.searcher.options), Streams(config.seed))
        give(searcher, torch.zeros(space.mask.shape))
    for role in ("supernet", "network"):
        try:
            import_class(getattr(space, role))
        except (ImportError, AttributeError, ValueError) as error:
            raise BenchbedError(f"space '{config.space}': its {role} cannot be imported: {error}") from None
    selector_class(selector_options).check(space)
    if config.scoring is not None:
        check_recipe(space, config.scoring.recipe(), config.scoring.channels, config.scoring.cells)
    if config.objective == "table":
        searcher_class.check(searcher_class.Options(**config.searcher.options), _table_objective(config))
    if type(space).for_images is Space.for_images:  # others are counted for the task's images, when it is there
        check_cost(configured(config.cost, space, config.space), config.cost)


def check_objective(parts: Parts) -> None:
    """Raises BenchbedError where the selector cannot work on what the search will leave; before it is begun."""
    chosen = parts.config.selector
    selector_class = registry.load("selector", chosen.name)
    selector_class(selector_class.Options(**chosen.options)).check_objective(parts.objective)


def _check_needs(kind: str, of: type[Searcher] | type[Selector], plugin: PluginConfig, objective: str) -> None:
    provides = TableObjective.provides if objective == "table" else SupernetObjective.provides
    options = of.Options(**plugin.options)
    if not (missing := of.needed(options) - provides):
        return
    why = ""
    for name, field in type(options).model_fields.items():  # an option whose default needs no more is to blame
        if not field.is_required() and missing - of.needed(options.model_copy(update={name: field.get_default()})):
            why = f" with {name} = {getattr(options, name)!r}"
    raise BenchbedError(
        f"{kind} '{plugin.name}'{why} needs {', '.join(sorted(missing))}, "
        f"which objective '{objective}' does not provide"
    )


def search_id(config: RunConfig, task: Task) -> str:
    key = {**config.search_key(), "task": [task.name, task.fingerprint]}
    return identity(f"{config.searcher.name}-{config.space}-{task.name}-s{config.seed}", key)


def run_id(config: RunConfig, task: Task) -> str:
    rest = [config.selector.model_dump(), config.scoring_key()]
    names = f"{config.searcher.name}-{config.selector.name}-{config.space}-{task.name}-s{config.seed}"
    return identity(names, search_id(config, task), rest)


# -- search --------------------------------------------------------------------------------------------------------


def search(parts: Parts, folder: Folder, reporter: Reporter, snapshots: Collection[int] = ()) -> dict[str, Any]:
    """Trains the supernet and the searcher, an epoch at a time; the record of the finished search.

    A finished search costs nothing again. A killed one goes on from its last epoch. Its state after each number of
    epochs in `snapshots` is kept; a finished search keeps no more.
    """
    if (record := folder.record) is not None:
        return _checked(folder.path / "record.json", record)
    config, epochs = parts.config, parts.config.epochs
    done, seconds = _begun(parts, folder, reporter)
    total = parts.objective.steps_per_epoch
    reporter.begin(f"search {config.searcher.name}", epochs * total, done * total)
    for epoch in range(done, epochs):
        if epoch in snapshots:
            folder.keep(epoch)  # here, before the next epoch: a kill between saving and keeping loses nothing
        began = time.perf_counter()

        def show(clock: Clock, loss: float) -> None:
            reporter.advance(clock.epoch * total + clock.step + 1, f"epoch {clock.epoch + 1} loss {loss:.3f}")

        try:
            means = train_epoch(parts.problem, parts.searcher, epoch, epochs, on_step=show)
            _check_finite(parts, f"epoch {epoch + 1}")
        except NonFiniteLoss as error:
            raise _diverged(error, parts, folder) from None
        shown = None if config.supernet is None else config.supernet.history_images
        shown = None if shown is None else min(shown, parts.objective.validation_images)
        accuracy = supernet_accuracy(parts, parts.searcher.evaluation, REPORT_PATHS, shown)
        seconds += time.perf_counter() - began
        line = {
            "epoch": epoch + 1,
            **means,
            "accuracy": accuracy,
            **({} if shown is None else {"accuracy_images": shown}),
            **parts.expected_cost(),
            **parts.searcher.progress(),
            "architecture": str(argmax_architecture(parts)),
            "probabilities": [[round(x, 6) for x in row] for row in parts.searcher.probabilities().tolist()],
            "seconds": seconds,
        }
        folder.log(line)
        folder.save({"epochs": epoch + 1, "seconds": seconds, "parts": parts.state()})
        reporter.epoch(line)
        reporter.line(
            f"epoch {epoch + 1:>3}/{epochs}  loss {means['loss']:.3f}  accuracy {accuracy:5.2f} %  "
            f"{seconds:5.0f} s  {line['architecture']}"
        )
    record = {
        "config": config.search_key(),
        "supernet_accuracy": supernet_accuracy(parts, parts.searcher.evaluation, FINAL_PATHS),
        "supernet_mixture_accuracy": supernet_accuracy(parts, "mixture", 1),
        "supernet_sampled_accuracy": supernet_accuracy(parts, "sampled", FINAL_PATHS),
        "evaluation": parts.searcher.evaluation,
        **parts.expected_cost(),
        **parts.searcher.progress(),
        "state_sha256": parts.digest(),
        "seconds": seconds,
        "peak_memory_bytes": peak_memory(parts.objective.device),
    }
    if isinstance(parts.objective, SupernetObjective) and (broken := parts.objective.skipped()):
        record["skipped"] = broken
    if curve := parts.searcher.anytime():
        record["anytime"] = [list(point) for point in curve]
    folder.finish(record)
    return record


def _checked(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    """A finished search's record. Raises BenchbedError for a figure that is none: a run's record takes it over."""
    for key in ("supernet_accuracy", "seconds", "peak_memory_bytes"):
        if isinstance(record[key], bool) or not isinstance(record[key], int | float):
            raise BenchbedError(f"{path} is damaged ({key} = {record[key]!r:.60}): {AGAIN}")
    return record


def _begun(parts: Parts, folder: Folder, reporter: Reporter) -> tuple[int, float]:
    """(epochs done, their seconds) of the search in the folder, restored; a foreign supernet has them all behind it."""
    config, saved = parts.config, folder.load()
    if config.foreign is not None and saved is None:
        assert parts.objective.network is not None
        take_over(config.foreign, parts.objective.network, parts.searcher)
        reporter.line(f"search {config.searcher.name}: the supernet of {config.foreign.file}")
        folder.save({"epochs": config.epochs, "seconds": 0.0, "parts": parts.state()})
        return config.epochs, 0.0
    if saved is None:
        return 0, 0.0
    parts.load_state(saved["parts"])
    reporter.line(f"search {config.searcher.name}: goes on after epoch {saved['epochs']} of {config.epochs}")
    return saved["epochs"], saved["seconds"]


def _check_finite(parts: Parts, when: str) -> None:
    """The last step's loss is from before that step, and samples of a searcher hide its NaN: look at the values."""
    values = {"weights": parts.objective.weights().values(), "probabilities": [parts.searcher.probabilities()]}
    for name, tensors in values.items():
        if not all(bool(torch.isfinite(t).all()) for t in tensors):
            raise NonFiniteLoss(f"the {name} are not finite after {when}")


def _diverged(error: NonFiniteLoss, parts: Parts, folder: Folder, tuning: float | None = None) -> BenchbedError:
    """tuning: the factor of the rate that a selector tunes at; None in a search."""
    o, kept = parts.config.supernet, folder.path / "checkpoint.pt"
    where = f"the last good checkpoint is {kept}" if kept.exists() else "no epoch was finished"
    how = f"searcher {parts.config.searcher.name}"
    if o is not None:
        factor = "" if tuning is None else f", selector {parts.config.selector.name}, selector.tune_lr_factor={tuning}"
        how += f"{factor}, supernet.lr={o.lr}, supernet.clip={o.clip}, supernet.batch={o.batch}"
        where += f"; try a smaller {'supernet.lr' if tuning is None else 'selector.tune_lr_factor'}"
    return parts.group.refusal(f"{error}: {how}, seed {parts.config.seed}; {where}")


def supernet_accuracy(parts: Parts, mode: EvaluationMode, paths: int, images: int | None = None) -> float:
    """Validation accuracy in percent at the searcher's evaluation gates; sampled: the mean over `paths` paths.

    images: how many of validation are looked at, None: all. The paths come from a stream of their own, the same at
    every call: looking changes nothing.
    """
    generator = torch.Generator().manual_seed(derive(parts.config.seed, "report"))
    uniforms = torch.rand(paths, len(parts.searcher.mask), generator=generator)
    gates = parts.searcher.evaluation_gates(parts.searcher.mask, mode, uniforms)
    objective = parts.objective if images is None else parts.objective.seen(View(images=images))
    return float(objective.measure(gates).accuracy.mean())


def argmax_architecture(parts: Parts) -> Architecture:
    """The architecture of the greatest probabilities now: what the search leans to, shown while it runs."""
    p = np.where(parts.space.selectable, parts.searcher.probabilities().numpy(), -1.0)
    return parts.space.architecture_of(parts.space.keep_strongest(p.argmax(1).tolist(), p.max(1).tolist()))


# -- selection -----------------------------------------------------------------------------------------------------


def select(
    parts: Parts, search_checkpoint: Path, folder: Folder, reporter: Reporter
) -> tuple[Selection, dict[str, Any]]:
    """Runs the configured selector on the finished search; (selection, what the record says of it).

    Begins from the search's final state, so that every selector starts from the same supernet and the same draws.
    """
    config = parts.config
    selector_class = registry.load("selector", config.selector.name)
    selector: Selector = selector_class(selector_class.Options(**config.selector.options))
    saved, seconds, steps = folder.load(), 0.0, 0
    if saved is None:
        parts.restore(search_checkpoint)
    else:
        with whole(folder.path / "checkpoint.pt"):
            parts.load_state(saved["parts"])
            if "selection" in saved:
                kept = saved["selection"]
                chosen = parts.space.architecture_of(tuple(kept["choices"]))
                return Selection(chosen, kept["scores"].numpy(), kept["notes"]), saved["figures"]
            selector.load_state(saved["selector"])
            seconds, steps = float(saved["seconds"]), int(saved["steps"])
        reporter.line(f"select {config.selector.name}: goes on after step {steps}")
    context = selection_context(parts, folder, reporter)
    reporter.begin(f"select {config.selector.name}", selector.steps(parts.space), steps)
    while True:
        began = time.perf_counter()
        try:
            selection = selector.step(context)
            _check_finite(parts, f"selection step {steps + 1}")
        except NonFiniteLoss as error:
            raise _diverged(error, parts, folder, getattr(selector.options, "tune_lr_factor", None)) from None
        seconds, steps = seconds + time.perf_counter() - began, steps + 1
        tree = {"parts": parts.state(), "selector": selector.state(), "seconds": seconds, "steps": steps}
        reporter.advance(steps)
        if selection is not None:
            selection = within_limit(selection, parts.searcher.probabilities(), parts.cost, config.cost)
            break
        folder.save(tree)
    memory = peak_memory(parts.objective.device)
    figures = {"seconds": seconds, "state_sha256": parts.digest(), "peak_memory_bytes": memory}
    choices, scores = list(selection.architecture.choices), torch.from_numpy(selection.scores)
    kept = {"choices": choices, "scores": scores, "notes": selection.notes}
    folder.save({**tree, "selection": kept, "figures": figures})
    return selection, figures


def selection_context(parts: Parts, folder: Folder, reporter: Reporter) -> Context:
    """What a selector works on; its history goes to the folder."""

    def log(values: dict[str, Any]) -> None:
        folder.log(values)
        if "operation" in values:
            reporter.line(f"decided {values['position']}: {values['operation']}")
        elif "kept" in values:
            reporter.line(f"decided {values['node']}: keeps {', '.join(values['kept'])}")

    def tune(decisions: Decisions, epoch: int, epochs: int, lr_factor: float, train_alpha: bool) -> None:
        if "weights" not in parts.objective.provides:
            return  # nothing to tune
        objective = parts.objective.decided(decisions)
        if epoch == 0:
            objective.new_optimiser(lr_factor, epochs, "constant")
        # the searcher's clock stands at the end of its search: no warm-up comes again
        clock = parts.config.epochs - 1
        means = train_epoch(parts.problem_on(objective), parts.searcher, clock, clock + 1, train_alpha, tuning=True)
        folder.log({"tuning_epoch": epoch + 1, **means})
        reporter.line(f"tuning epoch {epoch + 1}/{epochs}  loss {means['loss']:.3f}")

    return Context(parts.space, parts.searcher, parts.objective, parts.streams, tune, log)
