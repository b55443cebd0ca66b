"""A study: one question that takes many runs, as a plug-in. `benchbed study NAME` is made of it.

A file of one's own is a study as ours are: a subclass of `Study` with `Options`, run by `study NAME --plugin FILE`.
`runs` says which runs it needs, the pool makes them, `rows` says what came out, `figures` draws the page.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, TypeVar

import torch
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from . import registry
from .latency.costs import AdditiveCost, WholeCost
from .latency.load import load_cost
from .latency.penalty import check_cost, configured
from .pipeline.build import Parts, build_parts, check_config, space_of, task_in, task_of
from .pipeline.config import RunConfig
from .pipeline.full_search import check_timeable, full_search
from .pipeline.resolve import expand, seed_range, with_settings
from .pipeline.run import run_all
from .pipeline.saved import refuse_another, saved_config
from .pipeline.score import trained
from .report.markdown import json_lines, write_files
from .runtime.folder import load_checkpoint
from .runtime.options import RunOptions
from .selector import Selection
from .space import Architecture, Space
from .task import Task
from .typed import typed

# -- options: each field is a flag -------------------------------------------------------------------------------------


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _seeds(value: Any) -> Any:
    return seed_range(value) if isinstance(value, str) else value


def _distinct(values: Any) -> Any:
    if twice := [v for v in values if values.count(v) > 1]:
        raise ValueError(f"{twice[0]} is given twice; expected each once")
    return values


Distinct = AfterValidator(_distinct)
Comma = BeforeValidator(_split)
Seeds = Annotated[tuple[int, ...], BeforeValidator(_seeds)]  # "0:3", or integers
Names = Annotated[tuple[str, ...], Comma, Distinct]  # "a,b"
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Several = Annotated[list[str], Distinct]  # a flag that may be repeated


class StudyOptions(BaseModel):
    """A study's options. Each field is a flag of its command, its description the help text.

    `list[str]` is a flag that may be repeated; every other sequence is one text, such as `Seeds` and `Names`. A field
    `tune_epochs` is `--tune-epochs`; `json_schema_extra={"flags": [...]}` names others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    def base(self) -> dict[str, Any]:
        """The raw configuration that the study's runs share; keys as in a configuration file."""
        return {}


class SearchOptions(StudyOptions):
    """Of a study that makes searches: what they share."""

    searcher: str = Field("darts", description="one searcher")
    seeds: Seeds = Field("0:3", validate_default=True, description="a range such as 0:10")
    objective: str | None = Field(None, description="supernet or table")
    space: str | None = Field(None, description="the search space")
    preset: str | None = Field(None, description="small, paper or table; default: by task and objective")
    task: str | None = Field(None, description="digits, cifar10, ... : what is searched on")
    data: str | None = Field(None, description="the folder of a published data set's files")
    splits: str | None = Field(None, description="the folder of NAS-Bench-201's split files; default: halves")
    table: str | None = Field(None, description="score by this table")
    dataset: str | None = Field(None, description="of the table")
    epochs: int | None = Field(None, description="of a search")
    set: list[str] = Field([], description="SECTION.KEY=VALUE of every search")

    def base(self) -> dict[str, Any]:
        """Raises BenchbedError for a setting that no run has."""
        given = self.model_dump(include=set(SearchOptions.model_fields) - {"searcher", "seeds", "set"})
        return with_settings({key: value for key, value in given.items() if value is not None}, self.set)


class PairingOptions(SearchOptions):
    """Of a study that compares finished runs: one searcher with one selector."""

    selector: str = Field("magnitude", description="one selector")
    full_cost: bool = Field(False, description="also time steps of a search at the paper's size")


O = TypeVar("O", bound=StudyOptions)  # noqa: E741  (options)


# -- what a study works with -------------------------------------------------------------------------------------------


class Lab:
    """Where and how a study runs, and what its runs are of; each task is loaded once."""

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

    def parts(self, config: RunConfig, search: str | None = None) -> Parts:
        """Supernet and searcher: fresh, or as they are at the end of `OUT/searches/SEARCH`."""
        parts = build_parts(config, self.task(config), self.options.device)
        if search is not None:
            saved = load_checkpoint(self.options.out / "searches" / search / "checkpoint.pt")
            parts.load_state(saved["tree"]["parts"])
        return parts

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


# -- the contract ------------------------------------------------------------------------------------------------------

Records = Mapping[Any, dict[str, Any]]
Job = dict[str, Any]


class Study(ABC, Generic[O]):
    """One question. Called once each, in this order: `check`, `runs`, `jobs`, `measure` (once a job, in any process),
    `rows`, `figures`. Whatever can be refused is refused by the first two, when nothing has been made.

    The docstring of the file begins with the line that `list studies` and `study --help` show.
    """

    Options: ClassVar[type[StudyOptions]] = StudyOptions

    def __init__(self, options: O, lab: Lab):
        self.options, self.lab = options, lab

    def check(self) -> None:
        """Raises BenchbedError for options that the study cannot work with."""

    def runs(self, base: Mapping[str, Any]) -> Mapping[Any, RunConfig]:
        """The runs that it needs, by whatever key `rows` will ask for; none by default.

        base: the raw configuration of `Options.base()`, for `pipeline.resolve.expand`. Raises BenchbedError as that
        does.
        """
        return {}

    def snapshots(self) -> tuple[int, ...]:
        """The epochs after which the searches keep their state."""
        return ()

    def jobs(self, records: Records) -> list[Job]:
        """What is measured beyond the runs: a JSON object each, which holds all that its outcome depends on."""
        return []

    @classmethod
    def measure(cls, lab: Lab, job: Job) -> dict[str, Any]:
        """A job's outcome, a JSON object. By default {"test_accuracy"} of a `score_job`."""
        config = RunConfig.model_validate(job["config"])
        chosen = lab.space(config).parse(job["architecture"])
        return {"test_accuracy": lab.test_accuracy(config, chosen, job["dataset"])}

    @abstractmethod
    def rows(self, records: Records, measured: Sequence[dict[str, Any]]) -> Sequence[Any]:
        """The lines of NAME.jsonl, each a mapping or a NamedTuple. records: by the keys of `runs`; measured: the jobs'
        outcomes, in their order."""

    @abstractmethod
    def figures(self, rows: Sequence[Any]) -> Mapping[str, str | bytes]:
        """File name -> content; NAME.md is the page that is printed too."""


def score_job(config: RunConfig, architecture: str, dataset: str | None = None) -> Job:
    """The job of `Study.measure`: the test accuracy of an architecture, scored as the configuration's runs are."""
    return {"config": config.model_dump(mode="json"), "architecture": architecture, "dataset": dataset}


def seeded(raw: Mapping[str, Any], options: SearchOptions, selector: str = "magnitude") -> dict[int, RunConfig]:
    """One run a seed of the options' searcher, by seed. Raises BenchbedError as `expand` does."""
    configs = expand(raw, [options.searcher], [selector], list(options.seeds))
    return dict(zip(options.seeds, configs, strict=True))


# -- a study's way from options to files -------------------------------------------------------------------------------


class Finished(NamedTuple):
    """rows: of NAME.jsonl; page: NAME.md; files: what was written; more: lines that belong to the page's end."""

    rows: Sequence[Any]
    page: str
    files: list[Path]
    more: str


def run_study(name: str, values: Mapping[str, Any], options: RunOptions) -> Finished:
    """Runs a study to its files in `options.out`; what is done there is not done again.

    values: of its `Options`, by field. Raises BenchbedError, before anything is made, for whatever it refuses.
    """
    study, configs = prepared(name, values, options)
    options = study.lab.options._replace(snapshots=study.snapshots())
    made = run_all(list(configs.values()), options)
    records = dict(zip(configs, made, strict=True))
    rows = study.rows(records, [study.measure(study.lab, job) for job in study.jobs(records)])
    lines = json_lines(row if isinstance(row, Mapping) else row._asdict() for row in rows)
    files = {f"{name}.jsonl": lines, **study.figures(rows)}
    write_files(options.out, files)
    page, more = files.get(f"{name}.md", lines), ""
    asked = study.options
    if isinstance(asked, PairingOptions) and asked.full_cost:
        more = str(full_search(asked.base(), asked.searcher, asked.selector, options))
    return Finished(rows, str(page), [options.out / file for file in sorted(files)], more)


def prepared(name: str, values: Mapping[str, Any], options: RunOptions) -> tuple[Study[Any], Mapping[Any, RunConfig]]:
    """The study and the runs that it needs, all checked. Raises BenchbedError for whatever it refuses."""
    made = registry.load("study", name)
    asked = typed(made.Options, values, f"study {name}")
    study: Study[Any] = made(asked, Lab(options))
    base = asked.base()
    if isinstance(asked, PairingOptions) and asked.full_cost:
        check_timeable(base)
    study.check()
    configs = study.runs(base)
    study.lab.check(configs.values())
    return study, configs
