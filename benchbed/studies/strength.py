"""Does alpha say how strong an operation is? DARTS-PT's first analysis (Wang et al., ICLR 2021, figures 1, 2).

On the supernet of every seed and at each edge: the probability of every operation, the accuracy of the supernet without
it (the cheap score of perturbation), and its discretisation accuracy, to which the supernet converges once the edge
holds that operation alone. The last is the truth that the paper holds the first against.

A finished candidate is a line in `OUT/strength/<search id>-.../history.jsonl`: a killed study goes on after it, and a
later one over more edges adds to it.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import BenchbedError
from ..objective import Decisions
from ..pipeline.build import Parts, build_parts
from ..pipeline.config import RunConfig, identity
from ..pipeline.resolve import expand
from ..pipeline.select import selection_context
from ..runtime.folder import Folder, load_checkpoint
from ..runtime.options import RunOptions
from ..selection.compare import compare
from ..selection.discretize import TrainingOptions, discretised
from ..space import Space
from ..streams import derive
from ..typed import typed
from .common import Lab

PATHS = 32  # behind a measurement where a searcher is measured on sampled paths; the same for every candidate
TIMED = 3  # steps that are measured to foretell the cost, after one that is not
LEAST = 5  # tuning epochs of a candidate, where the most that it may have are not fewer


class Candidate(NamedTuple):
    """One operation on one edge. Accuracies in percent, on validation.

    p: its probability. without: the supernet's accuracy with it masked alone. alone: its discretisation accuracy, after
    `epochs` of tuning.
    """

    edge: str
    operation: str
    p: float
    without: float
    alone: float
    epochs: int
    seconds: float


class Found(NamedTuple):
    """One seed's supernet: its accuracy in percent, and the candidates, an edge after the other."""

    seed: int
    accuracy: float
    candidates: list[Candidate]

    def by_edge(self) -> dict[str, list[Candidate]]:
        edges: dict[str, list[Candidate]] = {}
        for one in self.candidates:
            edges.setdefault(one.edge, []).append(one)
        return edges


def study(
    raw: Mapping[str, Any],
    searcher: str,
    seeds: Sequence[int],
    training: Mapping[str, Any],
    edges: int | None,
    options: RunOptions,
) -> list[Found]:
    """A search a seed, made once per folder, and the strength of its operations.

    training: options of `TrainingOptions`. edges: how many, drawn at random and the same for every seed; None: all.
    What it will cost is told first. Raises BenchbedError, before anything is made, for whatever a configuration or an
    option refuses.
    """
    tuning = training_options(training)
    if raw.get("objective", "supernet") != "supernet":
        raise BenchbedError(f"study strength on objective '{raw['objective']}': it needs a supernet to tune")
    configs = dict(zip(seeds, expand(raw, [searcher], ["magnitude"], list(seeds)), strict=True))
    lab = Lab(options)
    lab.check(configs.values())
    first = configs[seeds[0]]
    chosen = edges_of(lab.space(first), edges)
    options.reporter.line(foretold(lab, first, len(seeds), chosen, tuning))
    records = lab.records(configs, lambda seed: f"seed {seed}")
    found = []
    for seed, config in configs.items():
        candidates = _measured(lab, config, records[seed]["search"], chosen, tuning)
        found.append(Found(seed, records[seed]["supernet_accuracy"], candidates))
    return found


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
    parts = build_parts(config, lab.task(config), lab.options.device)
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


def _measured(
    lab: Lab, config: RunConfig, search: str, edges: Sequence[int], tuning: TrainingOptions
) -> list[Candidate]:
    options, place = lab.options, identity(search, search, tuning.model_dump())
    with Folder(options.out / "strength" / place) as folder:
        done: dict[tuple[int, int], list[Any]] = {}
        for i, k, *values in (folder.load() or {"candidates": []})["candidates"]:
            done[i, k] = values
        parts = build_parts(config, lab.task(config), options.device)
        parts.load_state(load_checkpoint(options.out / "searches" / search / "checkpoint.pt")["tree"]["parts"])
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
    context = selection_context(parts, folder, options.reporter)
    decisions = Decisions.none(parts.space).decide(i, k)
    trained = discretised(context, decisions, tuning, lambda: _gates(parts, mask))
    where = parts.space.positions[i]
    seconds = time.perf_counter() - began
    return Candidate(where.name, where.operations[k], p, without, trained.accuracy, trained.epochs, seconds)
