"""Search for each device, measure on all: the cross table, and which operations each device prefers.

The specialisation table of ProxylessNAS (Cai et al., ICLR 2019, section 4). Each device is searched for with the same
seeds, and so is none (the same search without a cost). What was found is then measured on every device. How often a
rule holds is counted: the architecture found for A is no slower on A than the one found for B, wherever B's is at most
0.3 points more accurate.
"""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

from ..cost import Cost
from ..errors import BenchbedError
from ..pipeline.config import RunConfig
from ..report.markdown import in_words, markdown_table
from ..report.plots import preferences_svg
from ..runtime.reading import csv_cell
from ..space import Space
from ..stats.interval import Interval, mean_interval
from ..study import Comma, Files, PairingOptions, Positive, Records, Study, last_probabilities, seeded, settled

NONE = "none"  # searched for no device: latency-ignorant
CLOSE = 0.3  # points of accuracy within which the architecture found for a device must not be slower there


class Options(PairingOptions):
    """The devices, and what is demanded on each: targets in their order, or a fraction of the way from the fastest
    architecture to the slowest."""

    latency: list[str] = Field(description="a device: a latency FILE or FILE:DEVICE; two or more")
    target: Annotated[tuple[Positive, ...], Comma] | None = Field(
        None,
        description="a target for each --latency, in order, with commas",
        json_schema_extra={"flags": ["--target-ms", "--target"]},
    )
    fraction: float | None = Field(
        None, gt=0, le=1, description="or each target as a part of the way from fastest to slowest  [default: 0.5]"
    )
    searcher: str = Field("proxyless", description="one searcher")


class Device(NamedTuple):
    """One latency table. source: FILE or FILE:COLUMN; target: in its unit."""

    name: str
    source: str
    cost: Cost
    target: float


class Found(NamedTuple):
    """One search. searched_for: a device's name, or NONE. costs: device -> in its unit; accuracy: test, in percent.

    probabilities: (P, O), the searcher's at the end of the search; seconds: of the search.
    """

    searched_for: str
    seed: int
    architecture: str
    accuracy: float
    costs: dict[str, float]
    probabilities: list[list[float]]
    seconds: float


class Crossed(NamedTuple):
    """A finished study."""

    space: Space
    devices: list[Device]
    found: Sequence[Found]


class DevicesStudy(Study[Options]):
    """Every device, and none, with every seed."""

    def check(self) -> None:
        options = self.options
        if options.target is not None and options.fraction is not None:
            raise BenchbedError(
                f"--fraction {options.fraction:g}: goes without --target-ms, which gives the targets themselves"
            )
        if (count := len(options.latency)) < 2:
            raise BenchbedError(f"{count} device: expected two or more, each as --latency FILE or FILE:DEVICE")
        if options.target is not None and len(options.target) != count:
            raise BenchbedError(f"{len(options.target)} targets for {count} devices: expected one for each --latency")

    def runs(self, base: Mapping[str, Any]) -> Mapping[tuple[str, int], RunConfig]:
        for key in ("table", "target"):
            if key in base.get("cost", {}):
                raise BenchbedError(f"cost.{key}: give it for each device, by --latency and --target-ms")
        options, without = self.options, {key: value for key, value in base.items() if key != "cost"}
        ignorant = seeded(without, options, options.selector)
        first = next(iter(ignorant.values()))
        self.space, self.devices = self.lab.space(first), self._devices(first)
        configs = {(NONE, seed): config for seed, config in ignorant.items()}
        for device in self.devices:
            cost = {**base.get("cost", {}), "table": device.source, "target": device.target}
            own = seeded({**base, "cost": cost}, options, options.selector)
            configs |= {(device.name, seed): config for seed, config in own.items()}
        return configs

    def _devices(self, config: RunConfig) -> list[Device]:
        """The devices by name; by what was given where two tables name theirs alike."""
        sources = self.options.latency
        costs = [self.lab.cost(config, source) for source in sources]
        names = [cost.name for cost in costs]
        if len(set(names)) < len(names) or NONE in names:
            names = list(sources)
        if len({cost.fingerprint for cost in costs}) < len(costs) or len(set(names)) < len(names):
            raise BenchbedError(f"two of the devices {', '.join(sources)} are the same: each is searched for once")
        fraction = 0.5 if self.options.fraction is None else self.options.fraction
        ways = [(cost.least().value, cost.greatest().value) for cost in costs]
        part = [settled(low + fraction * (high - low), cost) for cost, (low, high) in zip(costs, ways, strict=True)]
        return [Device(*of) for of in zip(names, sources, costs, self.options.target or part, strict=True)]

    def rows(self, records: Records, measured: Sequence[dict[str, Any]]) -> list[Found]:
        found = []
        for (name, seed), record in records.items():
            chosen = self.space.parse(record.architecture)
            costs = {device.name: device.cost.of(chosen) for device in self.devices}
            p = last_probabilities(self.lab.options.out / "searches" / record.search)
            figures = (str(chosen), record.test_accuracy, costs, p, record.seconds["search"])
            found.append(Found(name, seed, *figures))
        return found

    def figures(self, rows: Sequence[Found]) -> Files:
        crossed = Crossed(self.space, self.devices, rows)
        return {"devices.md": markdown(crossed), "devices.csv": sheet(crossed), "devices.svg": picture(crossed)}


# -- the page ----------------------------------------------------------------------------------------------------------


def summary(crossed: Crossed) -> dict[str, tuple[Interval, dict[str, Interval], float]]:
    """By device searched for, then NONE: accuracy, cost by device measured on, seconds; means over seeds."""
    table = {}
    for name in [*(d.name for d in crossed.devices), NONE]:
        own = [f for f in crossed.found if f.searched_for == name]
        costs = {d.name: mean_interval([f.costs[d.name] for f in own]) for d in crossed.devices}
        table[name] = mean_interval([f.accuracy for f in own]), costs, float(np.mean([f.seconds for f in own]))
    return table


class Rule(NamedTuple):
    """How often the rule applies to what was found for `a` against `b`, paired by seed, and how often it then holds."""

    a: str
    b: str
    applies: int
    holds: int


def rule(crossed: Crossed) -> list[Rule]:
    """Every ordered pair of devices."""
    by_key = {(f.searched_for, f.seed): f for f in crossed.found}
    seeds, counts = list(dict.fromkeys(f.seed for f in crossed.found)), []
    for a, b in permutations([d.name for d in crossed.devices], 2):
        pairs = [(by_key[a, seed], by_key[b, seed]) for seed in seeds]
        close = [(own, other) for own, other in pairs if other.accuracy - own.accuracy <= CLOSE]
        counts.append(Rule(a, b, len(close), sum(own.costs[a] <= other.costs[a] for own, other in close)))
    return counts


def markdown(crossed: Crossed) -> list[str]:
    """The cross table, a device's own column in bold, and the counts of the rule."""
    head = ["searched for", "target", "test accuracy, %", *(f"on {d.name}, {d.cost.unit}" for d in crossed.devices)]
    targets = {d.name: f"{d.target:g} {d.cost.unit}" for d in crossed.devices}
    lines = []
    for of, (accuracy, costs, seconds) in summary(crossed).items():
        cells = [f"**{in_words(i)}**" if name == of else in_words(i) for name, i in costs.items()]
        lines.append([of, targets.get(of, ""), in_words(accuracy), *cells, f"{seconds:.1f}"])
    seeds, counts = len({f.seed for f in crossed.found}), rule(crossed)
    about = f"Means over {seeds} seed(s), 95 % intervals (Student's t). Row '{NONE}': the same search without a cost."
    applies, holds = sum(r.applies for r in counts), sum(r.holds for r in counts)
    claim = "The architecture found for A is no slower on A than the one found for B of the same seed, wherever B's is "
    claim += f"at most {CLOSE:g} points more accurate: it holds in {holds} of the {applies} pairs to which it applies."
    counted = markdown_table(["A", "B", "applies", "holds"], [[r.a, r.b, str(r.applies), str(r.holds)] for r in counts])
    return [*markdown_table([*head, "search s"], lines), "", about, "", claim, "", *counted]


def sheet(crossed: Crossed) -> str:
    """The cross table as CSV, a row for each device searched for and measure: mean, low, high, n.

    low, high: empty where there is no interval.
    """
    import pandas as pd

    units = {d.name: d.cost.unit for d in crossed.devices}
    rows = [
        [of, measure, units.get(measure, "%"), i.mean, i.low, i.high, i.n]
        for of, (accuracy, costs, _) in summary(crossed).items()
        for measure, i in {"test_accuracy": accuracy, **costs}.items()
    ]
    heads = ["searched_for", "measure", "unit", "mean", "low", "high", "n"]
    return str(pd.DataFrame(rows, columns=heads).map(csv_cell).to_csv(index=False, float_format="%.6g"))


def picture(crossed: Crossed) -> bytes:
    """The operations that each device prefers, by position: the mean over seeds of the final probabilities, as SVG."""
    panels = {}
    for name in [*(d.name for d in crossed.devices), NONE]:
        p = np.mean([f.probabilities for f in crossed.found if f.searched_for == name], axis=0)
        panels["latency-ignorant" if name == NONE else f"searched for {name}"] = p
    return preferences_svg(crossed.space, panels)
