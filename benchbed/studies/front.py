"""A sweep of targets or weights: the front of latency and accuracy, beside random and latency-ignorant ones.

One search for each value and seed. Two controls stand in the same table: as many random architectures, and the same
search without the cost (the ablation of ProxylessNAS, Cai et al., ICLR 2019). Everything is judged by test accuracy.

A target is no limit: in `add#linear` it is the scale of the cost (lambda E / T), so that a sweep of targets is one of
weights. What must not cost more has `cost.limit`.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import AfterValidator, Field, NonNegativeFloat

from ..errors import BenchbedError
from ..latency.costs import AdditiveCost, WholeCost, values_of_all
from ..pipeline.config import RunConfig
from ..report.markdown import in_words, markdown_table, mean_in_words, means
from ..report.plots import Cloud, Mark, front_svg
from ..space import Architecture, Space
from ..stats.interval import Interval, mean_interval
from ..stats.pareto import front, hypervolume
from ..streams import Streams
from ..study import Comma, Distinct, Files, Job, PairingOptions, Positive, Records, Study, score_job, seeded, settled

IGNORANT, RANDOM = "latency-ignorant", "random"
Values = Annotated[tuple[Positive, ...], Comma, Distinct]


def _corner(values: tuple[float, ...]) -> tuple[float, ...]:
    if len(values) != 2 or values[1] > 100:
        raise ValueError("expected COST,ACCURACY with an accuracy in percent, such as 40,80")
    return values


Corner = Annotated[tuple[NonNegativeFloat, ...], Comma, AfterValidator(_corner)]


class Options(PairingOptions):
    """One sweep, of targets or of weights. weight: lambda of add#linear (beta of mul#log), and w."""

    latency: str = Field(description="what is paid for: a latency FILE, FILE:DEVICE, macs or params")
    targets: Values | None = Field(None, description="the sweep: targets in the cost's unit, e.g. 3,4,5")
    weights: Values | None = Field(None, description="or the sweep: how much the cost counts, e.g. 0.01,0.1,1")
    target: float | None = Field(
        None,
        description="with --weights  [default: the mean architecture's]",
        json_schema_extra={"flags": ["--target-ms", "--target"]},
    )
    reference: Corner | None = Field(
        None, description="COST,ACCURACY of the hypervolume  [default: the slowest, the worst or chance]"
    )
    searcher: str = Field("proxyless", description="one searcher")

    @property
    def kind(self) -> str:
        """What is swept: 'target' or 'weight'."""
        return "target" if self.weights is None else "weight"


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
    device: str
    unit: str


class Fronts(NamedTuple):
    """A finished study. reference: (cost, accuracy) of the hypervolume; whole: all architectures, if a table scores."""

    points: Sequence[Point]
    reference: tuple[float, ...]
    whole: Cloud | None

    @property
    def axis(self) -> str:
        """What is paid, and its unit."""
        return f"{self.points[0].device}, {self.points[0].unit}"


class FrontStudy(Study[Options]):
    """Every value with every seed, and the controls.

    A sweep of weights takes `cost.target`, by default the mean over uniformly drawn architectures. The reference is by
    default the slowest architecture and the table's worst accuracy, or chance.
    """

    def check(self) -> None:
        if (self.options.targets is None) == (self.options.weights is None):
            raise BenchbedError("a front needs one sweep: add --targets 3,4,5 or --weights 0.01,0.1,1")
        if self.options.targets is not None and self.options.target is not None:
            raise BenchbedError(f"--target-ms {self.options.target:g}: goes with --weights; --targets are the targets")

    def runs(self, base: Mapping[str, Any]) -> Mapping[tuple[str, float | None, int], RunConfig]:
        options, kind, values = self.options, self.options.kind, self.options.targets or self.options.weights or ()
        given = {**base.get("cost", {}), "table": options.latency}
        given |= {} if options.target is None else {"target": options.target}
        for key in _laid_over(given, kind, 1.0):
            if key in given:
                raise BenchbedError(f"cost.{key} = {given[key]}: --{kind}s sweeps it, leave it out")
        without = {key: value for key, value in base.items() if key != "cost"}
        self.ignorant = seeded(without, options, options.selector)
        self.first = next(iter(self.ignorant.values()))
        self.cost, self.space = self.lab.cost(self.first, options.latency), self.lab.space(self.first)
        if kind == "weight":
            given.setdefault("target", settled(self.cost.uniform(), self.cost))
        configs: dict[tuple[str, float | None, int], RunConfig]
        configs = {(IGNORANT, None, seed): config for seed, config in self.ignorant.items()}
        for value in values:
            paying = seeded({**base, "cost": {**given, **_laid_over(given, kind, value)}}, options, options.selector)
            configs |= {(kind, value, seed): config for seed, config in paying.items()}
        self.drawn = [
            (seed, config, drawn)
            for seed, config in self.ignorant.items()
            for drawn in _drawn(self.space, config, seed, len(values))
        ]
        return configs

    def jobs(self, records: Records) -> list[Job]:
        return [score_job(self.lab, config, str(drawn)) for _, config, drawn in self.drawn]

    def rows(self, records: Records, measured: Sequence[dict[str, Any]]) -> list[Point]:
        said, points = (self.cost.name, self.cost.unit), []
        for (of, value, seed), record in records.items():
            paid = self.cost.of(self.space.parse(record.architecture))
            figures = (paid, record.test_accuracy, record.seconds["search"])
            points.append(Point(of, value, seed, record.architecture, *figures, *said))
        for (seed, _, drawn), scored in zip(self.drawn, measured, strict=True):
            figures = (self.cost.of(drawn), scored["test_accuracy"], 0.0)
            points.append(Point(RANDOM, None, seed, str(drawn), *figures, *said))
        return points

    def figures(self, rows: Sequence[Point]) -> Files:
        whole = _whole(self.first, self.cost)
        least = 100 / self.lab.task(self.first).classes if whole is None else float(whole.accuracy.min())
        found = Fronts(rows, self.options.reference or (self.cost.greatest().value, least), whole)
        return {"front.md": markdown(found), "front.svg": picture(found)}


def _laid_over(given: Mapping[str, Any], kind: str, value: float) -> dict[str, float]:
    """The options that a value of the sweep stands for: a gradient searcher and REINFORCE each read their own."""
    if kind == "target":
        return {"target": value}
    return {"exponent" if given.get("regulariser") == "mul#log" else "weight": value, "reward_exponent": value}


def _drawn(space: Space, config: RunConfig, seed: int, count: int) -> list[Architecture]:
    """Uniform random architectures of the run's own stream; of a partial table, those that it has."""
    rng, table, known = Streams(seed).numpy("random architectures"), None, None
    if config.table is not None:
        table = config.table.open()
        known = np.isfinite(table.values(config.table.dataset, "test", table.full_epochs)).reshape(-1)
    found: list[Architecture] = []
    while len(found) < count:
        one = space.random(rng)
        if table is None or known is None or ((place := table.places.of(one)) >= 0 and known[place]):
            found.append(one)
    return found


def _whole(config: RunConfig, cost: AdditiveCost | WholeCost) -> Cloud | None:
    """All architectures that the scoring table has, or None where no table scores."""
    if config.table is None:
        return None
    table = config.table.open()
    accuracy = table.values(config.table.dataset, "test", table.full_epochs).ravel()
    if table.places.missing:  # too large a space for a cloud of all
        return None
    there = np.isfinite(accuracy)
    return Cloud(values_of_all(cost).ravel()[there], accuracy[there])


# -- the page ----------------------------------------------------------------------------------------------------------


def summary(points: Sequence[Point]) -> dict[tuple[str, float | None], dict[str, Interval]]:
    """Means over seeds (random: over all draws): the sweep's values, the latency-ignorant search, random ones."""
    ordered = sorted(points, key=lambda p: (p.of == IGNORANT) + 2 * (p.of == RANDOM))
    return means(ordered, lambda p: (p.of, p.value), ("cost", "accuracy", "seconds"))


def on_front(table: Mapping[tuple[str, float | None], Mapping[str, Interval]]) -> list[bool]:
    """Which rows of a `summary` are on the front of their means."""
    best = front(*(np.array([row[column].mean for row in table.values()]) for column in ("cost", "accuracy")))
    return [number in best for number in range(len(table))]


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
    seeds = len({p.seed for p in found.points})
    lines = []
    table = summary(found.points)
    for ((of, value), row), best in zip(table.items(), on_front(table), strict=True):
        label = f"{RANDOM}, {row['cost'].n} of them" if of == RANDOM else of if value is None else f"{of} {value:g}"
        seconds = "" if of == RANDOM else f"{row['seconds'].mean:.1f}"
        lines.append([label, in_words(row["cost"]), in_words(row["accuracy"]), "yes" if best else "", seconds])
    page = markdown_table(["searched with", found.axis, "test accuracy, %", "on the front", "search s"], lines)
    volumes, whole = hypervolumes(found), None
    if found.whole is not None:
        whole = hypervolume(*found.whole, *found.reference)
    swept, drawn = len({p.value for p in found.points} - {None}), len([p for p in found.points if p.of == RANDOM])
    lines = []
    for kind, values in volumes.items():
        controls = {IGNORANT: "1 latency-ignorant search", RANDOM: f"{drawn // seeds} random"}
        label = controls.get(kind, f"{swept} {kind}s")
        share = [] if not whole else [mean_in_words([v / whole for v in values], digits=3)]
        lines.append([label, in_words(mean_interval(values)), *share])
    if found.whole is not None and whole:
        lines.append([f"all {len(found.whole.cost):,}", f"{whole:.2f}", "1.000"])
    head = ["architectures of a seed", "hypervolume", *(["share of the true front's"] if whole else [])]
    (cost, accuracy), unit = found.reference, found.points[0].unit
    about = f"Means over {seeds} seed(s), 95 % intervals (Student's t). Hypervolume: {unit} times points of "
    about += f"accuracy, within the reference point of {cost:g} {unit} and {accuracy:g} %."
    return [*page, "", *markdown_table(head, lines), "", about]


def picture(found: Fronts) -> bytes:
    """The front as SVG."""

    def cloud(points: list[Point]) -> Cloud:
        return Cloud(np.array([p.cost for p in points]), np.array([p.accuracy for p in points]))

    table = summary(found.points)
    marks = {k: Mark("" if k[1] is None else f"{k[1]:g}", r["cost"], r["accuracy"]) for k, r in table.items()}
    swept, blind = [m for k, m in marks.items() if k[1] is not None], marks[IGNORANT, None]
    own = [p for p in found.points if p.value is not None]
    random = cloud([p for p in found.points if p.of == RANDOM])
    title = f"searches by {own[0].of} on {own[0].device}"
    return front_svg(title, found.axis, swept, blind, cloud(own), random, found.whole)
