"""A study: one question that takes many runs, as a plug-in. `benchbed study NAME` is made of it.

A file of one's own is a study as ours are: a subclass of `Study` with `Options`, run by `study NAME --plugin FILE`.
`runs` says which runs it needs, the pool makes them, `rows` says what came out, `figures` draws the page.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, TypeVar, get_args, get_origin

import torch
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from . import registry
from .cost import Cost
from .latency.costs import AdditiveCost, WholeCost
from .latency.load import load_cost
from .pipeline.build import Parts, build_parts, run_id, space_of, task_in, task_of
from .pipeline.config import RunConfig
from .pipeline.full_search import check_timeable, full_search
from .pipeline.given import configuration
from .pipeline.history import history
from .pipeline.many import check_runs, records_of
from .pipeline.record import Record
from .pipeline.resolve import expand, file_sha256, seed_range
from .pipeline.saved import refuse_another, saved_config
from .pipeline.score import trained
from .report.markdown import json_lines, write_files
from .runtime.folder import load_checkpoint
from .runtime.machine import pick_device
from .runtime.options import RunOptions
from .runtime.worker import Place
from .runtime.workers import HERE, Pool, jobs_of
from .selector import Selection
from .space import Architecture, Space
from .task import Task
from .typed import typed

DIGITS = 6  # significant ones of a target that a study derives

# -- options: each field is a flag -------------------------------------------------------------------------------------


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _seeds(value: object) -> object:
    return seed_range(value) if isinstance(value, str) else value


def _distinct(values: Sequence[object]) -> Sequence[object]:
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

    def base(self, under: Mapping[str, Any]) -> dict[str, Any]:
        """The raw configuration that the study's runs share, laid over `under`; keys as in a configuration file."""
        return dict(under)


class SearchOptions(StudyOptions):
    """Of a study that makes searches: what they share."""

    searcher: str = Field("darts", description="one searcher")
    seeds: Seeds = Field("0:3", validate_default=True, description="a range such as 0:10")
    objective: str | None = Field(None, description="supernet or table")
    space: str | None = Field(None, description="the search space")
    protocol: str | None = Field(None, description="whose settings (see 'list protocols'); default: by the task")
    preset: str | None = Field(None, description="the old name of --protocol")
    budget: str | None = Field(None, description="steps=N, epochs=N or seconds=S of a search and its tuning")
    task: str | None = Field(None, description="digits, cifar10, ... : what is searched on")
    data: str | None = Field(None, description="the folder of a published data set's files")
    splits: str | None = Field(None, description="the folder of NAS-Bench-201's split files; default: halves")
    table: str | None = Field(None, description="score by this table")
    dataset: str | None = Field(None, description="of the table")
    epochs: int | None = Field(None, description="of a search")
    set: list[str] = Field([], description="SECTION.KEY=VALUE of every search")

    def base(self, under: Mapping[str, Any]) -> dict[str, Any]:
        """Raises BenchbedError for a setting that no run has."""
        flags = self.model_dump(include=set(SearchOptions.model_fields) - {"searcher", "seeds", "set"})
        return configuration(under, flags, self.set)


class PairingOptions(SearchOptions):
    """Of a study that compares finished runs: one searcher with one selector."""

    selector: str = Field("magnitude", description="one selector")
    full_cost: bool = Field(False, description="also time steps of a search at the paper's size")


O = TypeVar("O", bound=StudyOptions)  # noqa: E741  (options)


# -- what a study works with -------------------------------------------------------------------------------------------


class Lab:
    """Where and how a study runs, and what its runs are of; each task is loaded once."""

    build = staticmethod(build_parts)

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
        check_runs(configs, self._tasks)

    def records(self, configs: Sequence[RunConfig], pool: Pool) -> list[Record]:
        """The record of each run, made where it is not there yet."""
        return records_of(configs, self.options, pool)

    def search(self, name: str) -> Path:
        """The folder of a search by its record's `search`."""
        return self.options.out / "searches" / name

    def parts(self, config: RunConfig, search: str | None = None) -> Parts:
        """Supernet and searcher: fresh, or as they are at the end of a search."""
        parts = self.build(config, self.task(config), self.options.device)
        if search is not None:
            parts.load_state(load_checkpoint(self.search(search) / "checkpoint.pt")["tree"]["parts"])
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
        record = trained(config, space, self.task(config), only, self.options)
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
    """A derived target in a few digits, for a search's identity has it; never below the fastest architecture."""
    return max(float(f"{target:.{DIGITS}g}"), cost.least().value)


# -- the contract ------------------------------------------------------------------------------------------------------

Records = Mapping[Any, Record]
Job = dict[str, Any]
Files = Mapping[str, str | bytes | list[str]]


class Study(ABC, Generic[O]):
    """One question. Called once each, in this order: `check`, `runs`, `foretell`, `jobs`, `measure` (once a job, in
    any process), `rows`, `figures`. Whatever can be refused is refused by the first two, when nothing has been made.

    The docstring of the file begins with the line that `list studies` and `study --help` show.
    """

    Options: ClassVar[type[StudyOptions]] = StudyOptions
    few: ClassVar[dict[str, Any]] = {}  # options in place of the user's in a dry run, where his take many steps

    name: str
    base: dict[str, Any]  # the raw configuration that the runs share
    configs: Mapping[Any, RunConfig]  # what `runs` gave

    def __init__(self, options: O, lab: Lab):
        self.options, self.lab = options, lab

    def __init_subclass__(cls, **more: object) -> None:
        super().__init_subclass__(**more)
        for base in vars(cls).get("__orig_bases__", ()):
            if get_origin(base) is Study and isinstance(get_args(base)[0], type):
                cls.Options = get_args(base)[0]

    def check(self) -> None:
        """Raises BenchbedError for options that the study cannot work with."""

    def runs(self, base: Mapping[str, Any]) -> Mapping[Any, RunConfig]:
        """The runs that it needs, by whatever key `rows` will ask for; none by default.

        base: the raw configuration of `Options.base()`, for `pipeline.resolve.expand`. Raises BenchbedError as that
        does.
        """
        return {}

    def foretell(self) -> str | None:
        """A line, told before anything is made: what the study's own work will cost, where that is much."""
        return None

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
    def figures(self, rows: Sequence[Any]) -> Files:
        """File name -> content, text as a list of lines or whole; NAME.md is the page that is printed too."""


def score_job(lab: Lab, config: RunConfig, architecture: str, dataset: str | None = None) -> Job:
    """The job of `Study.measure`: the test accuracy of an architecture, scored as the configuration's runs are."""
    whole = {"config": config.model_dump(mode="json"), "task": lab.task(config).fingerprint}
    return {**whole, "architecture": architecture, "dataset": dataset}


def search_job(config: RunConfig, record: Record, **more: object) -> Job:
    """The job of a study that looks at a finished search: its configuration, name and state, and what else counts."""
    state = record.state_sha256.get("search")  # another where the search was made again elsewhere
    return {"config": config.model_dump(mode="json"), "search": record.search, "state": state, **more}


def seeded(raw: Mapping[str, Any], options: SearchOptions, selector: str = "magnitude") -> dict[int, RunConfig]:
    """One run a seed of the options' searcher, by seed. Raises BenchbedError as `expand` does."""
    configs = expand(raw, [options.searcher], [selector], list(options.seeds))
    return dict(zip(options.seeds, configs, strict=True))


# -- a study's way from options to files -------------------------------------------------------------------------------


class Finished(NamedTuple):
    """rows: of NAME.jsonl; page: NAME.md, with the hours of a full search where asked for; files: what was written."""

    rows: Sequence[Any]
    page: str
    files: list[Path]


def prepared(
    name: str, values: Mapping[str, Any], options: RunOptions, under: Mapping[str, Any] = MappingProxyType({})
) -> Study[Any]:
    """The study NAME with `values` of its options over the configuration `under`, and the runs that it needs.

    Raises BenchbedError for whatever the options or a run are refused for; nothing has been made then.
    """
    made = registry.load("study", name)
    asked = typed(made.Options, values, f"study {name}")
    study: Study[Any] = made(asked, Lab(options))
    study.name, study.base = name, asked.base(under)
    if getattr(asked, "full_cost", False):
        check_timeable(study.base)
    study.check()
    study.configs = study.runs(study.base)
    study.lab.check(study.configs.values())
    study.lab.options = options._replace(snapshots=study.snapshots())
    return study


def finish(study: Study[Any], pool: Pool = HERE) -> Finished:
    """Makes the runs, measures, and writes the study's files into OUT; what is done there is not done again.

    A shard makes its share of the runs; once all of them are there, its share of the jobs; it writes no files.
    """
    name, options = study.name, study.lab.options
    if (line := study.foretell()) is not None:
        options.reporter.line(line)
    if (records := _records(study, pool)) is None:
        return Finished([], f"{_share(pool)} of the {len(study.configs)} runs is made\n", [])
    outcomes = _measured(study, jobs := study.jobs(records), pool)
    if pool.shard is not None:
        of = f"{len(jobs)} measurements" if jobs else f"{len(study.configs)} runs"
        return Finished([], f"{_share(pool)} of the {of} is made\n", [])
    rows = study.rows(records, outcomes)
    lines = json_lines(row if isinstance(row, Mapping) else row._asdict() for row in rows)
    files: dict[str, str | bytes] = {f"{name}.jsonl": lines}
    for file, content in study.figures(rows).items():
        files[file] = "\n".join([*content, ""]) if isinstance(content, list) else content
    write_files(options.out, files)
    page = str(files.get(f"{name}.md", lines))
    if getattr(study.options, "full_cost", False):
        unpaid = {key: value for key, value in study.base.items() if key != "cost"}
        page += f"\n{full_search(unpaid, study.options.searcher, study.options.selector, options)}\n"
    return Finished(rows, page, [options.out / file for file in sorted(files)])


def _records(study: Study[Any], pool: Pool) -> Records | None:
    """The records by the keys of `runs`; None where a shard has made its own and others are still missing."""
    lab, configs = study.lab, list(study.configs.values())
    made = lab.records(configs, pool) if configs else []
    if configs and pool.shard is not None:
        folders = [lab.options.out / run_id(config, lab.task(config)) for config in configs]
        if not all((folder / "record.json").exists() for folder in folders):
            return None
        made = records_of(configs, lab.options)
    return dict(zip(study.configs, made, strict=True))


def _measured(study: Study[Any], jobs: Sequence[Job], pool: Pool) -> list[dict[str, Any]]:
    """The jobs' outcomes, each kept in OUT; in this process by the study's own lab, which has the tasks loaded."""
    options, name = study.lab.options, study.name
    code = None if registry.is_ours(registry.find("study", name)) else file_sha256("study", name)
    payloads = [{"study": name, "code": code, "job": job} for job in jobs]

    def here(payload: dict[str, Any], place: Place) -> dict[str, Any]:
        return study.measure(study.lab, payload["job"])

    return jobs_of("benchbed.study:measured", payloads, options.out, pool, str(options.device), options.reporter, here)


@lru_cache(maxsize=1)  # the tasks stay loaded from one job of a worker to the next
def _lab_in(out: Path, device: str) -> Lab:
    return Lab(RunOptions(out, pick_device(device)))


def measured(payload: dict[str, Any], place: Place) -> dict[str, Any]:
    """A worker's part: the outcome of {"study": name, "job": ...}."""
    study: type[Study[Any]] = registry.load("study", payload["study"])
    return study.measure(_lab_in(place.out, place.device), payload["job"])


def _share(pool: Pool) -> str:
    index, count = pool.shard or (1, 1)
    return f"shard {index}/{count}, of a study that is written by the same command without --shard: its share"


def run_study(
    name: str,
    values: Mapping[str, Any],
    options: RunOptions,
    under: Mapping[str, Any] = MappingProxyType({}),
    pool: Pool = HERE,
) -> Finished:
    """A study from its options to its files; the arguments and refusals are those of `prepared`."""
    return finish(prepared(name, values, options, under), pool)
