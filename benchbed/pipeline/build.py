"""A configuration's parts: task, space, objective, searcher; whether they fit, and how their results are named."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .. import registry
from ..checkpoints.alpha import give
from ..checkpoints.nb201 import check_fit
from ..cost import Cost, Problem
from ..errors import BenchbedError
from ..latency.penalty import check_cost, configured, with_cost
from ..objective import Objective
from ..objectives.asked import AskedObjective
from ..objectives.options import import_class, partial_of
from ..objectives.supernet import SupernetObjective
from ..objectives.table import TableObjective, imageless
from ..runtime.digest import digest
from ..runtime.folder import damaged, load_checkpoint
from ..runtime.parallel import ALONE, Group
from ..searcher import Searcher
from ..selector import Selector
from ..space import Space
from ..streams import Streams
from ..supernet import Supernet
from ..tables.surrogate import Surrogate
from ..task import Task
from ..training.cell import check_recipe
from .config import PluginConfig, RunConfig, identity


@dataclass
class Parts:
    """What one search is made of, freshly built from its configuration."""

    config: RunConfig
    space: Space
    task: Task
    streams: Streams
    objective: SupernetObjective | TableObjective | AskedObjective
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

    def restore(self, checkpoint: Path, sha256: str | None = None) -> dict[str, Any]:
        """The state at the end of a search, whose record says that it is `sha256`; None: nothing says. The whole tree.

        Raises BenchbedError where its checkpoint is missing or damaged, or holds another state.
        """
        saved: dict[str, Any] = self.group.from_leader(lambda: load_checkpoint(checkpoint)["tree"])
        with whole(checkpoint):
            self.load_state(saved["parts"])
        if sha256 is not None and (found := self.digest()) != sha256:
            raise self.group.refusal(
                f"{checkpoint} is not the state that record.json beside it names (state_sha256 {found[:12]}, there "
                f"{sha256[:12]}): put it back, or remove {checkpoint.parent} and search again"
            )
        return saved

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


def build_parts(
    config: RunConfig,
    task: Task,
    device: torch.device,
    group: Group = ALONE,
    supernet: Callable[..., SupernetObjective] = SupernetObjective,
) -> Parts:
    """The parts of a search, the same in every process of the group."""
    space = space_of(config, task)
    streams = Streams(config.seed)
    searcher_class = registry.load("searcher", config.searcher.name)
    objective: SupernetObjective | TableObjective | AskedObjective
    if config.supernet is None:
        objective = _table_objective(config)
    else:
        objective = supernet(space, task, config.supernet, streams, config.epochs, device, group)
    searcher = searcher_class(space, searcher_class.Options(**config.searcher.options), streams)
    cost = configured(config.cost, space, config.space)
    return Parts(config, space, task, streams, objective, searcher, cost, group)


def tell(parts: Parts, notice: Callable[[str], None]) -> None:
    """Steps that keep a person waiting say so from now on."""
    if isinstance(parts.objective, SupernetObjective) and isinstance(parts.objective.network, Supernet):
        parts.objective.network.notice = notice


def space_of(config: RunConfig, task: Task) -> Space:
    """The configured space, on the task's images. Raises BenchbedError where its networks are not made for them."""
    if config.foreign is not None:
        check_fit(config.foreign, task)
    space = config.load_space()
    return space if config.supernet is None else space.for_images(task.shape, task.classes)


def _table_objective(config: RunConfig) -> TableObjective | AskedObjective:
    """Raises BenchbedError where the table has not what it climbs, or cannot be climbed by the searcher."""
    assert config.table is not None
    table = config.table.open()
    if isinstance(table, Surrogate) and table.is_list and config.figure is None:
        found: type[Searcher] = registry.load("searcher", config.searcher.name)
        if "fidelity" not in found.needed(found.Options(**config.searcher.options)):
            raise BenchbedError(
                f"searcher '{config.searcher.name}' mixes architectures, and table {table.name} predicts single ones: "
                "take a searcher that evaluates those, such as random-search or regularised-evolution"
            )
        return AskedObjective(table, config.table.dataset, config.steps, config.fidelity)
    if config.figure is not None:
        return TableObjective.of_further(table, config.figure, config.steps)
    return TableObjective.of(table, config.table.dataset, config.steps, config.fidelity)


def check_config(config: RunConfig) -> None:
    """Raises BenchbedError, before anything is made or trained, where the parts of a run do not go together.

    A plug-in may need what the objective does not provide; a selector's options may not fit the space.
    """
    searcher_class = registry.load("searcher", config.searcher.name)
    selector_class = registry.load("selector", config.selector.name)
    selector_options = selector_class.Options(**config.selector.options)
    _check_needs("searcher", searcher_class, config.searcher, config.objective)
    _check_needs("selector", selector_class, config.selector, config.objective)
    space = config.load_space()
    if config.foreign is not None:
        searcher = searcher_class(space, searcher_class.Options(**config.searcher.options), Streams(config.seed))
        give(searcher, torch.zeros(space.mask.shape))
    needed = {"supernet": config.supernet is not None, "network": config.supernet or config.scoring}
    for role in (role for role, is_needed in needed.items() if is_needed):
        try:
            import_class(getattr(space, role))
        except (ImportError, AttributeError, ValueError) as error:
            raise BenchbedError(f"space '{config.space}': its {role} cannot be imported: {error}") from None
    if config.supernet is not None:
        partial_of(space, config.supernet)
    table = _table_objective(config) if config.objective == "table" else None
    selector_class.check(selector_options, space, table)
    searcher_class.check(searcher_class.Options(**config.searcher.options), space, table)
    if config.scoring is not None:
        check_recipe(space, config.scoring.recipe(), config.scoring.channels, config.scoring.cells)
    if type(space).for_images is Space.for_images:  # others are counted for the task's images, when it is there
        check_cost(configured(config.cost, space, config.space), config.cost)


def check_objective(parts: Parts) -> None:
    """Raises BenchbedError where a plug-in cannot work on the objective of the search; before it is begun."""
    for kind, chosen in (("searcher", parts.config.searcher), ("selector", parts.config.selector)):
        loaded = registry.load(kind, chosen.name)
        loaded.check(loaded.Options(**chosen.options), parts.space, parts.objective)


def _check_needs(kind: str, of: type[Searcher] | type[Selector], plugin: PluginConfig, objective: str) -> None:
    provides = TableObjective.provides if objective == "table" else SupernetObjective.provides
    options = of.Options(**plugin.options)
    if not (missing := of.needed(options) - provides):
        return
    why = ""
    for name, field in type(options).model_fields.items():  # an option whose default needs no more is to blame
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        if not field.is_required() and missing - of.needed(options.model_copy(update={name: default})):
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


def task_in(tasks: dict[str, Task], config: RunConfig) -> Task:
    """The configured task out of `tasks`, made and kept there where none of the same kind has been yet."""
    table = config.table.key() if config.table is not None and config.objective == "table" else None
    made_of = [config.task, config.task_options, config.data, config.splits, table]
    key = json.dumps(made_of, sort_keys=True, default=str)
    if key not in tasks:
        tasks[key] = task_of(config)
    return tasks[key]


def task_of(config: RunConfig) -> Task:
    """The configured task. Raises BenchbedError on whatever it refuses."""
    if config.objective == "table":
        assert config.table is not None
        return imageless(config.task, config.table.name, config.table.dataset, config.table.fingerprint)
    return config.load_task()
