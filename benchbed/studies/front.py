"""A sweep of a cost's target or weight: the front of cost and accuracy that a searcher reaches.

One search for each value and seed. Two controls stand in the same table: as many random architectures, and the same
search without the cost (the ablation of ProxylessNAS, Cai et al., ICLR 2019). Everything is judged by test accuracy.

A target is no limit: in `add#linear` it is the scale of the cost (lambda E / T), so that a sweep of targets is one of
weights. What must not cost more has `cost.limit`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from ..errors import BenchbedError
from ..latency.costs import AdditiveCost, WholeCost, values_of_all
from ..pipeline.config import RunConfig
from ..pipeline.resolve import expand
from ..report.markdown import in_words, json_lines, markdown_table, write_files
from ..report.plots import Cloud, Mark, front_svg
from ..runtime.options import RunOptions
from ..space import Architecture, Space
from ..stats.interval import Interval, mean_interval
from ..stats.pareto import front, hypervolume
from ..streams import Streams
from .common import Lab, numbers, settled

IGNORANT, RANDOM = "latency-ignorant", "random"


class Sweep(NamedTuple):
    """What is swept and its values, in the order given. weight: lambda of add#linear (beta of mul#log), and w."""

    kind: Literal["target", "weight"]
    values: tuple[float, ...]


class Point(NamedTuple):
    """One architecture. of: 'target' or 'weight', IGNORANT or RANDOM; value: of the sweep, None for a control.

    cost: in the cost's unit; accuracy: test, in percent; seconds: of its search.
    """

    of: str
    value: float | None
    seed: int
    architecture: str
    cost: float
    accuracy: float
    seconds: float


class Fronts(NamedTuple):
    """A finished study. reference: (cost, accuracy) of the hypervolume; whole: all architectures, if a table scores."""

    points: list[Point]
    device: str
    unit: str
    reference: tuple[float, float]
    whole: Cloud | None


def parse_sweep(targets: str | None, weights: str | None) -> Sweep:
    """Raises BenchbedError unless exactly one list is given, of different numbers."""
    if (targets is None) == (weights is None):
        raise BenchbedError("a front needs one sweep: add --targets 3,4,5 or --weights 0.01,0.1,1")
    kind: Literal["target", "weight"] = "weight" if targets is None else "target"
    text = targets or weights or ""
    values = numbers(text, f"--{kind}s")
    if len(set(values)) < len(values):
        raise BenchbedError(f"--{kind}s '{text}': a value stands there twice, each is searched once")
    return Sweep(kind, values)


def parse_reference(text: str | None) -> tuple[float, float] | None:
    """(cost, accuracy in percent) of 'COST,ACCURACY'. Raises BenchbedError for anything else."""
    if text is None:
        return None
    found = numbers(text, "--reference", above=False)
    if len(found) != 2 or found[1] > 100:
        raise BenchbedError(f"--reference '{text}': expected COST,ACCURACY with an accuracy in percent, such as 40,80")
    return found[0], found[1]


def study(
    raw: Mapping[str, Any],
    searcher: str,
    selector: str,
    seeds: Sequence[int],
    sweep: Sweep,
    reference: tuple[float, float] | None,
    options: RunOptions,
) -> Fronts:
    """Every value with every seed, and the controls. What is done in `options.out` is not done again.

    raw: a run's configuration with `cost.table`; a sweep of weights takes `cost.target`, by default the mean over
    uniformly drawn architectures. reference: None for the slowest architecture and the table's worst accuracy, or
    chance. Raises BenchbedError, before the first search, for whatever any of the configurations refuses.
    """
    given = dict(raw["cost"])
    _check_free(given, sweep)
    lab, without = Lab(options), {key: value for key, value in raw.items() if key != "cost"}
    ignorant = dict(zip(seeds, expand(without, [searcher], [selector], list(seeds)), strict=True))
    first = ignorant[seeds[0]]
    cost, space = lab.cost(first, str(given["table"])), lab.space(first)
    if sweep.kind == "weight":
        given.setdefault("target", settled(cost.uniform(), cost))
    configs: dict[tuple[str, float | None, int], RunConfig]
    configs = {(IGNORANT, None, seed): config for seed, config in ignorant.items()}
    for value in sweep.values:
        paying = {**raw, "cost": {**given, **_laid_over(given, sweep.kind, value)}}
        found = expand(paying, [searcher], [selector], list(seeds))
        configs |= {(sweep.kind, value, seed): config for seed, config in zip(seeds, found, strict=True)}
    lab.check(configs.values())
    records = lab.records(configs, lambda key: f"{_label(key[0], key[1])}, seed {key[2]}")
    points = []
    for (of, swept, seed), record in records.items():
        chosen = space.parse(record["architecture"])
        figures = (cost.of(chosen), record["test_accuracy"], record["seconds"]["search"])
        points.append(Point(of, swept, seed, str(chosen), *figures))
    for seed, config in ignorant.items():
        for drawn in _drawn(space, config, seed, len(sweep.values)):
            accuracy = lab.test_accuracy(config, drawn)
            points.append(Point(RANDOM, None, seed, str(drawn), cost.of(drawn), accuracy, 0.0))
    whole = _whole(first, cost)
    least = 100 / lab.task(first).classes if whole is None else float(whole.accuracy.min())
    return Fronts(points, cost.name, cost.unit, reference or (cost.greatest().value, least), whole)


def _check_free(given: Mapping[str, Any], sweep: Sweep) -> None:
    """Raises BenchbedError where what is swept is given beside the sweep."""
    for key in _laid_over(given, sweep.kind, 1.0):
        if key in given:
            raise BenchbedError(f"cost.{key} = {given[key]}: --{sweep.kind}s sweeps it, leave it out")


def _laid_over(given: Mapping[str, Any], kind: str, value: float) -> dict[str, float]:
    """The options that a value of the sweep stands for: a gradient searcher and REINFORCE each read their own."""
    if kind == "target":
        return {"target": value}
    return {"exponent" if given.get("regulariser") == "mul#log" else "weight": value, "reward_exponent": value}


def _drawn(space: Space, config: RunConfig, seed: int, count: int) -> list[Architecture]:
    """Uniform random architectures of the run's own stream; of a partial table, those that it has."""
    rng, known = Streams(seed).numpy("random architectures"), None
    if config.table is not None:
        table = config.table.open()
        known = np.isfinite(table.values(config.table.dataset, "test", table.full_epochs))
    found: list[Architecture] = []
    while len(found) < count:
        one = space.random(rng)
        if known is None or known[one.choices]:
            found.append(one)
    return found


def _whole(config: RunConfig, cost: AdditiveCost | WholeCost) -> Cloud | None:
    """All architectures that the scoring table has, or None where no table scores."""
    if config.table is None:
        return None
    table = config.table.open()
    accuracy = table.values(config.table.dataset, "test", table.full_epochs).ravel()
    there = np.isfinite(accuracy)
    return Cloud(values_of_all(cost).ravel()[there], accuracy[there])


# -- the page ----------------------------------------------------------------------------------------------------------


def _label(of: str, value: float | None) -> str:
    return of if value is None else f"{of} {value:g}"


class Row(NamedTuple):
    """What one value of the sweep, or one control, came to: means over seeds (random: over all draws)."""

    of: str
    value: float | None
    cost: Interval
    accuracy: Interval
    seconds: float
    on_front: bool  # of the rows' means


def rows(found: Fronts) -> list[Row]:
    """The values in the order of the sweep, then the latency-ignorant search, then the random architectures."""
    groups: dict[tuple[str, float | None], list[Point]] = {}
    for point in sorted(found.points, key=lambda p: (p.of == IGNORANT) + 2 * (p.of == RANDOM)):
        groups.setdefault((point.of, point.value), []).append(point)
    means = np.array([[np.mean([p.cost for p in g]), np.mean([p.accuracy for p in g])] for g in groups.values()])
    best = set(front(means[:, 0], means[:, 1]).tolist())
    return [
        Row(of, value, mean_interval([p.cost for p in group]), mean_interval([p.accuracy for p in group]),
            float(np.mean([p.seconds for p in group])), number in best)
        for number, ((of, value), group) in enumerate(groups.items())
    ]  # fmt: skip


def hypervolumes(found: Fronts) -> dict[str, list[float]]:
    """By kind of architecture (a point's `of`) the hypervolume of each seed's points, in the order of the seeds."""
    seeds = list(dict.fromkeys(p.seed for p in found.points))
    kinds = [*dict.fromkeys(p.of for p in found.points if p.value is not None), IGNORANT, RANDOM]
    volumes: dict[str, list[float]] = {}
    for kind in kinds:
        for seed in seeds:
            own = [p for p in found.points if (p.of, p.seed) == (kind, seed)]
            figures = np.array([p.cost for p in own]), np.array([p.accuracy for p in own])
            volumes.setdefault(kind, []).append(hypervolume(*figures, *found.reference))
    return volumes


def markdown(found: Fronts) -> list[str]:
    """Two tables: what each value came to, and the hypervolumes with their reference point."""
    seeds, axis = len({p.seed for p in found.points}), f"{found.device}, {found.unit}"
    lines = []
    for row in rows(found):
        label = f"{RANDOM}, {row.cost.n} of them" if row.of == RANDOM else _label(row.of, row.value)
        seconds = "" if row.of == RANDOM else f"{row.seconds:.1f}"
        lines.append([label, in_words(row.cost), in_words(row.accuracy), "yes" if row.on_front else "", seconds])
    page = markdown_table(["searched with", axis, "test accuracy, %", "on the front", "search s"], lines)
    volumes, whole = hypervolumes(found), None
    if found.whole is not None:
        whole = hypervolume(*found.whole, *found.reference)
    swept, drawn = len({p.value for p in found.points} - {None}), len([p for p in found.points if p.of == RANDOM])
    lines = []
    for kind, values in volumes.items():
        label = {IGNORANT: "1 latency-ignorant search", RANDOM: f"{drawn // seeds} random"}.get(
            kind, f"{swept} {kind}s"
        )
        share = [] if not whole else [_share(mean_interval([v / whole for v in values]))]
        lines.append([label, in_words(mean_interval(values)), *share])
    if found.whole is not None and whole:
        lines.append([f"all {len(found.whole.cost):,}", f"{whole:.2f}", "1.000"])
    head = ["architectures of a seed", "hypervolume", *(["share of the true front's"] if whole else [])]
    cost, accuracy = found.reference
    about = f"Means over {seeds} seed(s), 95 % intervals (BCa bootstrap). Hypervolume: {found.unit} times points of "
    about += f"accuracy, within the reference point of {cost:g} {found.unit} and {accuracy:g} %."
    return [*page, "", *markdown_table(head, lines), "", about]


def _share(i: Interval) -> str:
    return f"{i.mean:.3f}" + (f" ({i.low:.3f} to {i.high:.3f})" if np.isfinite([i.low, i.high]).all() else "")


def picture(found: Fronts) -> bytes:
    """The front as SVG."""

    def cloud(points: list[Point]) -> Cloud:
        return Cloud(np.array([p.cost for p in points]), np.array([p.accuracy for p in points]))

    table = rows(found)
    marks = [Mark(f"{r.value:g}" if r.value is not None else "", r.cost, r.accuracy) for r in table]
    swept = [m for m, r in zip(marks, table, strict=True) if r.value is not None]
    (blind,) = [m for m, r in zip(marks, table, strict=True) if r.of == IGNORANT]
    own = [p for p in found.points if p.value is not None]
    random = cloud([p for p in found.points if p.of == RANDOM])
    title = f"searches by {own[0].of} on {found.device}"
    return front_svg(title, f"{found.device}, {found.unit}", swept, blind, cloud(own), random, found.whole)


def write(found: Fronts, place: Path) -> None:
    """front.jsonl (a line an architecture), front.md and front.svg into the folder, each whole or not at all."""
    page = "\n".join(markdown(found)) + "\n"
    lines = json_lines({**p._asdict(), "device": found.device, "unit": found.unit} for p in found.points)
    write_files(place, {"front.jsonl": lines, "front.md": page, "front.svg": picture(found)})
