"""Search on proxies, score on the target: a transfer matrix with intervals, paired by seed.

The thesis of ProxylessNAS (Cai et al., ICLR 2019) as an experiment. A proxy is the target's configuration with
something made smaller or other: fewer epochs, channels, cells or images, another data set, the 12-epoch accuracies of a
table. Each proxy is searched with the same seeds, and the architecture that it finds is scored on the targets. The
proxy without a change is the direct search that the others are held against, paired by seed.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import Field

from ..errors import BenchbedError, unknown
from ..pipeline.config import RunConfig
from ..pipeline.resolve import with_settings
from ..report.markdown import in_words, markdown_table
from ..stats.interval import mean_interval
from ..study import Files, Job, Names, PairingOptions, Records, Several, Study, score_job, seeded
from ..typed import whole_number

DIRECT = "direct"  # the name of the proxy that changes nothing
PLAIN = ("task", "dataset", "epochs", "fidelity", "protocol", "preset", "budget", "data", "splits")
SECTIONS = ("supernet.", "searcher.", "task_options.", "space_options.")


class Options(PairingOptions):
    """What is changed, and where it is scored."""

    proxy: Several = Field(description="KEY=VALUE[,...] over the target, e.g. epochs=2; several may be given")
    target: Names | None = Field(None, description="data sets of the table that scores, with commas")


class Proxy(NamedTuple):
    """`changes`: (key, value as typed) pairs laid over the target's configuration."""

    name: str
    changes: tuple[tuple[str, str], ...]


class Found(NamedTuple):
    """One search. `scores`: target -> test accuracy in percent; `seconds`: of the search."""

    proxy: str
    seed: int
    architecture: str
    scores: dict[str, float]
    seconds: float


def parse_proxy(text: str) -> Proxy:
    """The proxy of 'KEY=VALUE[,KEY=VALUE...]'. Raises BenchbedError for a key that no proxy can change."""
    changes = []
    for part in text.split(","):
        key, equals, value = part.strip().partition("=")
        if not equals or not value:
            raise BenchbedError(f"proxy '{text}': expected KEY=VALUE, such as epochs=2 or supernet.channels=4")
        if (key not in PLAIN and not key.startswith(SECTIONS)) or key == "searcher.name":
            raise unknown("key of a proxy", key, [*PLAIN, *(f"{s}KEY" for s in SECTIONS)])
        changes.append((key, value))
    return Proxy(text.strip(), tuple(changes))


def laid_over(raw: Mapping[str, Any], proxy: Proxy) -> dict[str, Any]:
    """The target's raw configuration with the proxy's changes."""
    changed = {key: type(value)(value) if isinstance(value, dict) else value for key, value in raw.items()}
    settings = []
    for key, value in proxy.changes:
        if "." in key:
            settings.append(f"{key}={value}")
        else:
            number = whole_number(value) if key in ("epochs", "fidelity") else None
            changed[key] = value if number is None else number
    return with_settings(changed, settings)


class ProxyStudy(Study[Options]):
    """Every proxy with every seed, the direct search first.

    The targets are data sets of the table that scores; without a table the target is the runs' own task.
    """

    def runs(self, base: Mapping[str, Any]) -> Mapping[tuple[str, int], RunConfig]:
        options, proxies = self.options, [Proxy(DIRECT, ()), *map(parse_proxy, self.options.proxy)]
        by_proxy = {p.name: seeded(laid_over(base, p), options, options.selector) for p in proxies}
        self.direct = by_proxy[DIRECT]
        self.targets = _targets(next(iter(self.direct.values())), options.target)
        return {(name, seed): own[seed] for seed in options.seeds for name, own in by_proxy.items()}

    def jobs(self, records: Records) -> list[Job]:
        jobs = []
        for (_, seed), record in records.items():
            config = self.direct[seed]
            named = self.targets if config.table is not None else [None]
            jobs += [score_job(self.lab, config, record.architecture, target) for target in named]
        return jobs

    def rows(self, records: Records, measured: Sequence[dict[str, Any]]) -> list[Found]:
        scores = iter(measured)
        return [
            Found(name, seed, record.architecture, {t: next(scores)["test_accuracy"] for t in self.targets},
                  record.seconds["search"])
            for (name, seed), record in records.items()
        ]  # fmt: skip

    def figures(self, rows: Sequence[Found]) -> Files:
        return {"proxy.md": markdown(summary(rows))}


def _targets(direct: RunConfig, targets: Sequence[str] | None) -> list[str]:
    if direct.table is None:
        if targets:
            raise BenchbedError(f"target '{targets[0]}': of a table; without one the target is the task itself")
        return [direct.task]
    table = direct.table.open()
    known = [d for d in table.datasets if (d, "test", table.full_epochs) in table.figures]
    for target in targets or ():
        if target not in known:
            raise unknown(f"target of table {direct.table.name}", target, known)
    return list(targets) if targets else [direct.table.dataset]


def summary(found: Sequence[Found]) -> list[dict[str, Any]]:
    """A row a proxy: seconds, and per target the mean over seeds and the paired difference to the direct search."""
    by_proxy: dict[str, dict[int, Found]] = {}
    for one in found:
        by_proxy.setdefault(one.proxy, {})[one.seed] = one
    direct = by_proxy[DIRECT]
    table = []
    for name, own in by_proxy.items():
        row: dict[str, Any] = {"proxy": name, "seconds": sum(o.seconds for o in own.values()) / len(own), "targets": {}}
        for target in next(iter(own.values())).scores:
            values = [o.scores[target] for o in own.values()]
            differences = [o.scores[target] - direct[seed].scores[target] for seed, o in own.items()]
            row["targets"][target] = (mean_interval(values), mean_interval(differences))
        table.append(row)
    return table


def markdown(table: Sequence[Mapping[str, Any]]) -> list[str]:
    """The transfer matrix: test accuracy by proxy and target, and the difference to the direct search, in points."""
    targets = list(table[0]["targets"])
    head = ["searched on", *(part for t in targets for part in (t, f"{t}, minus direct")), "search s"]
    lines = []
    for row in table:
        cells = [row["proxy"]]
        for target in targets:
            mean, difference = row["targets"][target]
            cells += [in_words(mean), "" if row["proxy"] == DIRECT else in_words(difference, signed=True)]
        lines.append([*cells, f"{row['seconds']:.1f}"])
    return markdown_table(head, lines)
