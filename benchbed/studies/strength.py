"""Alpha, and the cheap score of perturbation, against discretisation accuracy on every edge.

Does alpha say how strong an operation is? DARTS-PT's first analysis (Wang et al., ICLR 2021, figures 1, 2). On the
supernet of every seed and at each edge: the probability of every operation, the accuracy of the supernet without it
(the cheap score of perturbation), and its discretisation accuracy, to which the supernet converges once the edge holds
that operation alone. The last is the truth that the paper holds the first against.

A finished candidate is a line in `OUT/strength/<search id>-.../history.jsonl`: a killed study goes on after it, and a
later one over more edges adds to it.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ..errors import BenchbedError
from ..objective import Decisions
from ..pipeline.budget import Meter
from ..pipeline.build import Parts
from ..pipeline.config import RunConfig, identity
from ..pipeline.select import selection_context
from ..runtime.folder import Folder
from ..runtime.options import RunOptions
from ..selection.compare import compare
from ..selection.discretize import TrainingOptions, discretised
from ..space import Space
from ..streams import derive
from ..study import Files, Job, Lab, Records, SearchOptions, Study, search_job, seeded
from ..typed import typed
from .analysis.strength_page import Candidate, Found, markdown, picture

PATHS = 32  # behind a measurement where a searcher is measured on sampled paths; the same for every candidate
TIMED = 3  # steps that are measured to foretell the cost, after one that is not
LEAST = 5  # tuning epochs of a candidate, where the most that it may have are not fewer


class Options(SearchOptions):
    """Which edges, and how long a candidate is tuned."""

    edges: int | None = Field(None, description="so many, drawn at random  [default: all]")
    tune_epochs: int = Field(20, description="most tuning epochs of a candidate")
    min_tune_epochs: int | None = Field(None, description="fewest  [default: 5, or as many as the most]")
    patience: int = Field(2, description="tuning ends after so many epochs without a better accuracy")


class StrengthStudy(Study[Options]):
    """A search a seed, and the strength of its operations; what that will cost is told first."""

    few: ClassVar[dict[str, Any]] = {"edges": 1, "tune_epochs": 1, "min_tune_epochs": 1}

    def check(self) -> None:
        options, objective = self.options, self.options.objective or "supernet"
        given = {"epochs": options.tune_epochs, "patience": options.patience}
        least = {} if options.min_tune_epochs is None else {"min_epochs": options.min_tune_epochs}
        self.tuning = training_options({**given, **least})
        if objective != "supernet":
            raise BenchbedError(f"study strength on objective '{objective}': it needs a supernet to tune")

    def runs(self, base: Mapping[str, Any]) -> Mapping[int, RunConfig]:
        configs = seeded(base, self.options)
        self.first = next(iter(configs.values()))
        self.edges = edges_of(self.lab.space(self.first), self.options.edges)
        return configs

    def foretell(self) -> str:
        return foretold(self.lab, self.first, len(self.configs), self.edges, self.tuning)

    def jobs(self, records: Records) -> list[Job]:
        how = {"edges": self.edges, "tuning": self.tuning.model_dump()}
        return [search_job(self.configs[seed], record, **how) for seed, record in records.items()]

    @classmethod
    def measure(cls, lab: Lab, job: Job) -> dict[str, Any]:
        config, tuning = RunConfig.model_validate(job["config"]), TrainingOptions(**job["tuning"])
        return {"candidates": [c._asdict() for c in measured(lab, config, job["search"], job["edges"], tuning)]}

    def rows(self, records: Records, measured: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {"seed": seed, "supernet_accuracy": record.supernet_accuracy, **candidate}
            for (seed, record), one in zip(records.items(), measured, strict=True)
            for candidate in one["candidates"]
        ]

    def figures(self, rows: Sequence[dict[str, Any]]) -> Files:
        found = found_in(rows)
        return {"strength.md": markdown(found), "strength.svg": picture(found)}


def found_in(rows: Sequence[Mapping[str, Any]]) -> list[Found]:
    """The lines of strength.jsonl by seed."""
    found: dict[int, Found] = {}
    for row in rows:
        one = found.setdefault(row["seed"], Found(row["seed"], row["supernet_accuracy"], []))
        one.candidates.append(Candidate(*(row[key] for key in Candidate._fields)))
    return list(found.values())


def training_options(given: Mapping[str, Any]) -> TrainingOptions:
    """The options, the fewest epochs lowered to the most where these alone are given. Raises BenchbedError."""
    most = given.get("epochs", TrainingOptions.model_fields["epochs"].default)
    if isinstance(most, int) and most < 1:
        raise BenchbedError(f"study strength: --tune-epochs {most}: at least 1 is needed")
    lowered = {"min_epochs": min(LEAST, most)} if isinstance(most, int) else {}
    return typed(TrainingOptions, {**lowered, **given}, "study strength")


def edges_of(space: Space, count: int | None) -> list[int]:
    """The positions with a choice, or `count` of them at random, in the space's order; more hold the fewer."""
    choices = np.flatnonzero(space.selectable.sum(1) > 1)
    if count is None:
        return [int(i) for i in choices]
    if not 1 <= count <= len(choices):
        raise BenchbedError(f"--edges {count}: the space has {len(choices)} positions with a choice")
    order = np.random.default_rng(derive(0, "study-strength")).permutation(choices)
    return sorted(int(i) for i in order[:count])


def foretold(lab: Lab, config: RunConfig, seeds: int, edges: Sequence[int], tuning: TrainingOptions) -> str:
    """How many tunings there are at most, and how long they take here, from a few measured steps on fresh weights."""
    parts = lab.parts(config)
    objective, space = parts.objective, parts.space
    gates = parts.searcher.probabilities()
    alone = objective.decided(Decisions.none(space).decide(edges[0], int(space.selectable[edges[0]].argmax())))
    began = 0.0
    for step in range(TIMED + 1):
        began = time.perf_counter() if step == 1 else began
        loss = alone.weight_step(gates, objective.batch("train"))
    float(loss)  # waits for an accelerator
    per_step = (time.perf_counter() - began) / TIMED
    batch = objective.batch("valid")
    assert batch is not None
    began = time.perf_counter()
    alone.measure(_gates(parts, torch.from_numpy(space.mask)), batch).accuracy.tolist()
    per_pass = (time.perf_counter() - began) * objective.validation_images / len(batch.labels)
    per_epoch = objective.steps_per_epoch * per_step + per_pass
    tunings = seeds * int(space.selectable[edges].sum())
    hours = [tunings * epochs * per_epoch / 3600 for epochs in (tuning.min_epochs, tuning.epochs)]
    return (
        f"strength: edges {len(edges)}, searches {seeds}: {tunings} tunings of {tuning.min_epochs} to "
        f"{tuning.epochs} epochs, {hours[0]:.2g} to {hours[1]:.2g} hours on {lab.options.device.type} from {TIMED} "
        f"measured steps of {1000 * per_step:.0f} ms; the searches, and what is done before, not counted"
    )


def _gates(parts: Parts, allowed: Tensor) -> Tensor:
    """The searcher's own evaluation gates (K, P, O), any paths drawn from a generator of the study."""
    generator = torch.Generator().manual_seed(derive(parts.config.seed, "study-strength"))
    uniforms = torch.rand(PATHS, len(allowed), generator=generator)
    return parts.searcher.evaluation_gates(allowed, parts.searcher.evaluation, uniforms)


def measured(
    lab: Lab, config: RunConfig, search: str, edges: Sequence[int], tuning: TrainingOptions
) -> list[Candidate]:
    """The candidates of a finished search's edges; those that are done in its folder are not measured again."""
    options, place = lab.options, identity(search, search, tuning.model_dump())
    with Folder(options.out / "strength" / place) as folder:
        done: dict[tuple[int, int], list[Any]] = {}
        for i, k, *values in (folder.load() or {"candidates": []})["candidates"]:
            done[i, k] = values
        parts = lab.parts(config, search)
        todo = [(i, int(k)) for i in edges for k in np.flatnonzero(parts.space.selectable[i])]
        options.reporter.begin(f"strength, seed {config.seed}", len(todo), sum(key in done for key in todo))
        for number, (i, k) in enumerate(todo, 1):
            if (i, k) in done:
                continue
            candidate = _candidate(parts, folder, options, i, k, tuning)
            done[i, k] = list(candidate)
            folder.log({"candidate": candidate._asdict()})
            folder.save({"candidates": [[*key, *values] for key, values in done.items()]})
            options.reporter.advance(number)
            options.reporter.line(
                f"seed {config.seed}, {number} of {len(todo)}: {candidate.edge} {candidate.operation}  "
                f"p {candidate.p:.3f}  without {candidate.without:.2f} %  alone {candidate.alone:.2f} %"
            )
        return [Candidate(*done[key]) for key in todo]


def _candidate(parts: Parts, folder: Folder, options: RunOptions, i: int, k: int, tuning: TrainingOptions) -> Candidate:
    """Everything that is said of operation k at position i; the parts are left as they were."""
    began = time.perf_counter()
    mask, p = torch.from_numpy(parts.space.mask), float(parts.searcher.probabilities()[i, k])
    masked = mask.clone()
    masked[i, k] = False
    without = -float(compare(parts.objective, _gates(parts, masked)[None], "acc").strength)
    context = selection_context(parts, folder, options.reporter, Meter(None, parts.objective.steps_per_epoch))
    decisions = Decisions.none(parts.space).decide(i, k)
    trained = discretised(context, decisions, tuning, lambda: _gates(parts, mask))
    where = parts.space.positions[i]
    seconds = time.perf_counter() - began
    return Candidate(where.name, where.operations[k], p, without, trained.accuracy, trained.epochs, seconds)
