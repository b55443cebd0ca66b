"""Search for one device, measure on all: the specialisation table of ProxylessNAS (Cai et al., ICLR 2019, section 4).

Each device is searched for with the same seeds, and so is none (the same search without a cost). What was found is then
measured on every device. How often a rule holds is counted: the architecture found for A is no slower on A than the one
found for B, wherever B's is at most 0.3 points more accurate.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..cost import Cost
from ..errors import BenchbedError
from ..pipeline.config import RunConfig
from ..pipeline.resolve import expand
from ..report.markdown import in_words, json_lines, markdown_table, write_files
from ..report.plots import preferences_svg
from ..runtime.options import RunOptions
from ..space import Space
from ..stats.interval import Interval, mean_interval
from .common import Lab, last_probabilities, settled

NONE = "none"  # searched for no device: latency-ignorant
CLOSE = 0.3  # points of accuracy within which the architecture found for a device must not be slower there


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
    found: list[Found]


def study(
    raw: Mapping[str, Any],
    searcher: str,
    selector: str,
    seeds: Sequence[int],
    sources: Sequence[str],
    demand: float | Sequence[float],
    options: RunOptions,
) -> Crossed:
    """Every device, and none, with every seed. What is done in `options.out` is not done again.

    demand: the targets in the order of the sources, or a number f in (0, 1]: the target is then f of the way from the
    fastest architecture to the slowest, on each device. Raises BenchbedError, before the first search, for whatever
    any of the configurations refuses.
    """
    _check_raw(raw, sources, demand)
    lab, without = Lab(options), {key: value for key, value in raw.items() if key != "cost"}
    configs = dict(zip(((NONE, s) for s in seeds), expand(without, [searcher], [selector], list(seeds)), strict=True))
    first = configs[NONE, seeds[0]]
    space, devices = lab.space(first), _devices(lab, first, sources, demand)
    for device in devices:
        cost = {**raw.get("cost", {}), "table": device.source, "target": device.target}
        own = expand({**raw, "cost": cost}, [searcher], [selector], list(seeds))
        configs |= {(device.name, seed): config for seed, config in zip(seeds, own, strict=True)}
    lab.check(configs.values())
    records = lab.records(configs, lambda key: f"for {key[0]}, seed {key[1]}")
    found = []
    for (name, seed), record in records.items():
        chosen = space.parse(record["architecture"])
        costs = {device.name: device.cost.of(chosen) for device in devices}
        p = last_probabilities(options.out / "searches" / record["search"])
        figures = (str(chosen), record["test_accuracy"], costs, p, record["seconds"]["search"])
        found.append(Found(name, seed, *figures))
    return Crossed(space, devices, found)


def _check_raw(raw: Mapping[str, Any], sources: Sequence[str], demand: float | Sequence[float]) -> None:
    for key in ("table", "target"):
        if key in raw.get("cost", {}):
            raise BenchbedError(f"cost.{key}: give it for each device, by --latency and --target-ms")
    if len(sources) < 2:
        raise BenchbedError(f"{len(sources)} device: expected two or more, each as --latency FILE or FILE:DEVICE")
    if not isinstance(demand, Sequence):
        if not 0 < demand <= 1:
            raise BenchbedError(f"fraction {demand:g}: expected a number above 0 and at most 1")
    elif len(demand) != len(sources):
        raise BenchbedError(f"{len(demand)} targets for {len(sources)} devices: expected one for each --latency")


def _devices(lab: Lab, config: RunConfig, sources: Sequence[str], demand: float | Sequence[float]) -> list[Device]:
    """The devices by name; by what was given where two tables name theirs alike."""
    costs = [lab.cost(config, source) for source in sources]
    names = [cost.name for cost in costs]
    if len(set(names)) < len(names) or NONE in names:
        names = list(sources)
    if len({cost.fingerprint for cost in costs}) < len(costs) or len(set(names)) < len(names):
        raise BenchbedError(f"two of the devices {', '.join(sources)} are the same: each is searched for once")
    devices = []
    for number, (name, source, cost) in enumerate(zip(names, sources, costs, strict=True)):
        if isinstance(demand, Sequence):
            target = demand[number]
        else:
            least, greatest = cost.least().value, cost.greatest().value
            target = settled(least + demand * (greatest - least), cost)
        devices.append(Device(name, source, cost, target))
    return devices


# -- the page ----------------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """What was found for one device, means over seeds. costs: by device that it was measured on."""

    searched_for: str
    accuracy: Interval
    costs: dict[str, Interval]
    seconds: float


def rows(crossed: Crossed) -> list[Row]:
    """The devices in the order given, then the latency-ignorant search."""
    table = []
    for name in [*(d.name for d in crossed.devices), NONE]:
        own = [f for f in crossed.found if f.searched_for == name]
        costs = {d.name: mean_interval([f.costs[d.name] for f in own]) for d in crossed.devices}
        seconds = float(np.mean([f.seconds for f in own]))
        table.append(Row(name, mean_interval([f.accuracy for f in own]), costs, seconds))
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
    for row in rows(crossed):
        cells = [f"**{in_words(i)}**" if name == row.searched_for else in_words(i) for name, i in row.costs.items()]
        lines.append([row.searched_for, targets.get(row.searched_for, ""), in_words(row.accuracy), *cells,
                      f"{row.seconds:.1f}"])  # fmt: skip
    seeds, counts = len({f.seed for f in crossed.found}), rule(crossed)
    about = f"Means over {seeds} seed(s), 95 % intervals (BCa bootstrap). Row '{NONE}': the same search without a cost."
    applies, holds = sum(r.applies for r in counts), sum(r.holds for r in counts)
    claim = "The architecture found for A is no slower on A than the one found for B of the same seed, wherever B's is "
    claim += f"at most {CLOSE:g} points more accurate: it holds in {holds} of the {applies} pairs to which it applies."
    counted = markdown_table(["A", "B", "applies", "holds"], [[r.a, r.b, str(r.applies), str(r.holds)] for r in counts])
    return [*markdown_table([*head, "search s"], lines), "", about, "", claim, "", *counted]


def sheet(crossed: Crossed) -> str:
    """The cross table as CSV, a row for each device searched for and measure: mean, low, high, n."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["searched_for", "measure", "unit", "mean", "low", "high", "n"])
    units = {d.name: d.cost.unit for d in crossed.devices}
    for row in rows(crossed):
        writer.writerow([row.searched_for, "test_accuracy", "%", *_fields(row.accuracy)])
        for name, interval in row.costs.items():
            writer.writerow([row.searched_for, name, units[name], *_fields(interval)])
    return out.getvalue()


def _fields(i: Interval) -> list[str]:
    """Mean, low, high and n; empty where there is no interval."""
    ends = ["" if np.isnan(x) else f"{x:.6g}" for x in (i.low, i.high)]
    return [f"{i.mean:.6g}", *ends, str(i.n)]


def picture(crossed: Crossed) -> bytes:
    """The operations that each device prefers, by position: the mean over seeds of the final probabilities, as SVG."""
    panels = {}
    for name in [*(d.name for d in crossed.devices), NONE]:
        p = np.mean([f.probabilities for f in crossed.found if f.searched_for == name], axis=0)
        panels["latency-ignorant" if name == NONE else f"searched for {name}"] = p
    return preferences_svg(crossed.space, panels)


def write(crossed: Crossed, place: Path) -> None:
    """devices.jsonl (a line a search), devices.md, devices.csv and devices.svg into the folder, each whole or not."""
    files: dict[str, str | bytes] = {
        "devices.jsonl": json_lines(f._asdict() for f in crossed.found),
        "devices.md": "\n".join(markdown(crossed)) + "\n",
        "devices.csv": sheet(crossed),
        "devices.svg": picture(crossed),
    }
    write_files(place, files)
