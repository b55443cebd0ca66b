"""How well shared weights rank cells, over training: Kendall's tau with a table's truth, for each way of sampling.

Yu et al., "Evaluating the Search Phase of Neural Architecture Search", ICLR 2020; Ning et al., "Evaluating Efficient
Performance Estimators of Neural Architectures", NeurIPS 2021. Each searcher trains a supernet and keeps it at given
epochs. There every cell is measured on its own path by the shared weights, on validation images, and the ranking is
held against the table's accuracies of cells that were trained alone: over all cells, inside the truth's top, and by
the best of the ten cells that the supernet likes most. A file of another supernet's accuracies is one more curve.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field, PositiveInt

from ..errors import BenchbedError
from ..pipeline.config import RunConfig, identity
from ..pipeline.given import named_options
from ..pipeline.history import history
from ..pipeline.resolve import expand
from ..report.markdown import markdown_table
from ..report.plots import Curve, curves_svg
from ..runtime.folder import REMADE, Folder, snapshot_path
from ..stats.agreement import Estimate, best_of_liked, estimate_of_mean
from ..stats.interval import Interval
from ..stats.kendall import kendall
from ..study import Comma, Files, Job, Lab, Records, SearchOptions, Several, Study, search_job
from ..tables.from_json import read_by_cell
from ..tables.table import FURTHER
from ..tables.table_builder import Draft
from ._supernets import by_weights, drawn, kept
from .correlate import Truth, truth_of

LIKED = 10  # the cells that a supernet likes most
LEAST = 20  # cells that make a ranking with a top
MEASURES = ("tau", "top_tau", "best")


class Options(SearchOptions):
    """What trains supernets, and which cells they are asked about."""

    searcher: Several = Field(  # type: ignore[assignment]  # several, here
        ["random", "random:sampling=fair", "few-shot", "darts", "gdas"],
        description="what trains a supernet, NAME or NAME:KEY=VALUE[,...]; several may be given",
    )
    at: Annotated[tuple[PositiveInt, ...], Comma] = Field(
        description="epochs of a search after which its supernet is looked at, e.g. 2,5,10"
    )
    cells: int | None = Field(
        None, ge=LEAST, description="cells of the table that are ranked, drawn at random, the same for all; all of them"
    )
    top: float = Field(0.1, gt=0, lt=1, description="the fraction of the cells that is the truth's top")
    ranking: Path | None = Field(
        None, description="a JSON file with a number a cell, such as a published supernet's accuracies: one more curve"
    )
    ranking_truth: str | None = Field(
        None, description="TABLE:DATASET that the file is held against  [default: the study's own]"
    )


class Point(NamedTuple):
    """A supernet after some epochs, or a file (seed and epoch None). seconds: of training so far; truth: of what."""

    searcher: str
    seed: int | None
    epoch: int | None
    tau: Estimate
    top_tau: Estimate
    best: Estimate
    seconds: float | None
    truth: str


class SupernetStudy(Study[Options]):
    """A search a searcher and seed with snapshots, and the cells measured at each; what is done is not done again."""

    few: ClassVar[dict[str, Any]] = {"at": (1,), "cells": LEAST}

    def check(self) -> None:
        o = self.options
        if o.ranking_truth is not None and o.ranking is None:
            raise BenchbedError(f"--ranking-truth {o.ranking_truth}: there is no --ranking FILE to hold against it")
        if o.ranking is not None and not o.ranking.exists():
            raise BenchbedError(f"--ranking {o.ranking}: no such file")

    def runs(self, base: Mapping[str, Any]) -> Mapping[tuple[str, int], RunConfig]:
        configs = dict[tuple[str, int], RunConfig]()
        for text in self.options.searcher:
            name, own = named_options(text)
            raw = {**base, "searcher": {**base.get("searcher", {}), **own}}
            made = expand(raw, [name], ["magnitude"], list(self.options.seeds))
            configs |= {(text, config.seed): config for config in made}
        first = next(iter(configs.values()))
        if first.table is None:
            raise BenchbedError("study supernet holds rankings against a table: give --table NAME and its --dataset")
        if first.objective != "supernet":
            raise BenchbedError("study supernet looks at shared weights: --objective table has none")
        for (text, _), config in configs.items():
            if (last := max(self.options.at)) > config.epochs:
                raise BenchbedError(f"--at {last}: the searches of {text} have epochs 1 to {config.epochs}")
        self.truth = truth_of(first.table.name, first.table.dataset)
        self.places = drawn(self.truth.values, self._count(int(np.isfinite(self.truth.values).sum())))
        self.file = None if self.options.ranking is None else self._of_file(self.options.ranking)
        return configs

    def _count(self, known: int) -> int:
        count = known if self.options.cells is None else self.options.cells
        if count > known:
            raise BenchbedError(f"--cells {count}: table {self.truth.table.name} has a truth of {known:,}")
        return count

    def _of_file(self, path: Path) -> tuple[Truth, np.ndarray]:
        """What the file is held against, and its numbers by the table's places, NaN where it has none."""
        truth = self.truth
        if (text := self.options.ranking_truth) is not None:
            table, colon, dataset = text.rpartition(":")
            if not colon or not table or not dataset:
                raise BenchbedError(f"--ranking-truth {text}: expected TABLE:DATASET, such as nb201:cifar10")
            truth = truth_of(table, dataset)
        draft = Draft(truth.table.meta["space"])
        if draft.grid is None:
            raise BenchbedError(f"--ranking {path}: such a file is of nb201, and table {truth.table.name} is not")
        read_by_cell(path, draft)
        return truth, draft.arrays[FURTHER + path.stem]

    def snapshots(self) -> tuple[int, ...]:
        return tuple(sorted(set(self.options.at)))

    def jobs(self, records: Records) -> list[Job]:
        at = list(self.snapshots())
        return [
            search_job(self.configs[key], record, epoch=epoch, at=at, cells=len(self.places))
            for key, record in records.items()
            for epoch in at
        ]

    @classmethod
    def measure(cls, lab: Lab, job: Job) -> dict[str, Any]:
        config, search, epoch = RunConfig.model_validate(job["config"]), job["search"], job["epoch"]
        assert config.table is not None
        folder = kept(lab, "supernet", config, search, job["at"])
        key = [search, epoch, job["cells"], config.table.key()]
        name = identity(f"{config.searcher.name}-e{epoch}-{search}", *key)
        with Folder(lab.options.out / "supernet" / name, ("accuracy",), again=REMADE) as place:
            if place.record is not None:
                return place.record
            lab.options.reporter.line(f"{config.searcher.name}, seed {config.seed}, after epoch {epoch}")
            parts = lab.parts(config)
            last = epoch == config.epochs
            parts.restore(lab.search(search) / "checkpoint.pt" if last else snapshot_path(folder, epoch))
            truth = truth_of(config.table.name, config.table.dataset)
            found = by_weights(parts, truth.table, drawn(truth.values, job["cells"]))
            place.finish({"search": search, "epoch": epoch, "accuracy": found.tolist()})
            return {"accuracy": found.tolist()}

    def rows(self, records: Records, measured: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        found, truth = iter(measured), self.truth
        self.likings = dict[tuple[str, int], list[np.ndarray]]()  # (searcher, epoch) -> a ranking a seed
        self.points = points = list[Point]()
        for (name, seed), record in records.items():
            spent = {e.number: e.seconds for e in history(self.lab.search(record.search) / "history.jsonl")}
            for epoch in self.snapshots():
                liking = np.array(next(found)["accuracy"])
                self.likings.setdefault((name, epoch), []).append(liking)
                three = agreements([liking], truth.values[self.places], self.options.top)
                points.append(Point(name, seed, epoch, *three, spent.get(epoch), str(truth.figure)))
        if self.file is not None:
            assert self.options.ranking is not None
            of, numbers = self.file
            there = np.isfinite(numbers) & np.isfinite(of.values)
            three = agreements([numbers[there]], of.values[there], self.options.top)
            name = f"file {self.options.ranking.name}"
            points.append(Point(name, None, None, *three, None, f"{of.figure} of table {of.table.name}"))
        return [p._asdict() | {key: getattr(p, key)._asdict() for key in MEASURES} for p in points]

    def figures(self, rows: Sequence[dict[str, Any]]) -> Files:
        y = self.truth.values[self.places]
        means = {key: agreements(several, y, self.options.top) for key, several in self.likings.items()}
        own = {"supernet.md": markdown(self.points, means, self.truth.words, self.options.top, y)}
        return {**own, "supernet.svg": picture(self.points, means, self.options.top)}


Three = tuple[Estimate, Estimate, Estimate]  # of MEASURES


def agreements(likings: Sequence[np.ndarray], truth: np.ndarray, top: float) -> Three:
    """tau, tau inside the truth's top, and the best truth of the ten liked most: means over the rankings (n,)."""
    best = truth >= np.quantile(truth, 1 - top)
    return (
        estimate_of_mean(kendall, likings, truth),
        estimate_of_mean(kendall, [one[best] for one in likings], truth[best]),
        estimate_of_mean(best_of_liked, likings, truth),
    )


# -- the page ----------------------------------------------------------------------------------------------------------


def markdown(
    points: Sequence[Point], means: Mapping[tuple[str, int], Three], truth: str, top: float, values: np.ndarray
) -> list[str]:
    """A row a searcher and epoch. means: over the seeds; truth: in words; values: the truth of the cells."""
    share = f"{100 * top:g} %"
    head = ["supernet", "epoch", "training s", "Kendall tau-b", "seeds", f"tau-b in the top {share}",
            f"best of {LIKED} liked most, %"]  # fmt: skip
    lines = []
    for (name, epoch), (tau, top_tau, best) in means.items():
        own = [p for p in points if (p.searcher, p.epoch) == (name, epoch)]
        spent = [p.seconds for p in own if p.seconds is not None]
        seconds = f"{sum(spent) / len(spent):.1f}" if spent else ""
        taus = [p.tau.value for p in own]
        apart = f"{min(taus):.3f} to {max(taus):.3f}" if len(own) > 1 else ""
        lines.append([name, str(epoch), seconds, _words(tau), apart, _words(top_tau), _words(best, 2)])
    files = [p for p in points if p.epoch is None]
    lines += [[p.searcher, "", "", _words(p.tau), "", _words(p.top_tau), _words(p.best, 2)] for p in files]
    seeds, n = len({p.seed for p in points if p.seed is not None}), len(values)
    about = f"Against {truth}: {n:,} cells, each on its own path by the shared weights, on validation images; of "
    about += f"{seeds} supernet(s) a searcher the mean, and at 'seeds' the lowest and highest. 95 % intervals: "
    about += "percentile bootstrap over the cells, 1,000 resamples, which says nothing of other seeds. Best of "
    about += f"{LIKED}: of the {LIKED} cells of highest accuracy by shared weights, ties by lot; of {LIKED} cells "
    about += f"drawn at random it is {by_chance(values):.2f} in expectation, of all {values.max():.2f}. Training "
    about += "seconds are those of the search with a look at validation an epoch."
    notes = [f"{p.searcher}: {p.tau.n:,} cells against {p.truth}." for p in files]
    return [*markdown_table(head, lines), "", about, *notes]


def by_chance(values: np.ndarray) -> float:
    """The expected best of ten cells drawn at random: all are liked alike."""
    return best_of_liked(np.zeros(len(values)), values)


def _words(e: Estimate, digits: int = 3) -> str:
    form = f".{digits}f"
    return f"{e.value:{form}} ({e.low:{form}} to {e.high:{form}})" if np.isfinite(e.value) else "not defined"


def picture(points: Sequence[Point], means: Mapping[tuple[str, int], Three], top: float) -> bytes:
    """A panel a measure over the epochs, a curve a searcher; a file's ranking is level."""
    titles = ("Kendall's tau-b", f"tau-b inside the truth's top {100 * top:g} %", f"best of {LIKED} liked most, %")
    names = list(dict.fromkeys(name for name, _ in means))
    ends = sorted({epoch for _, epoch in means})
    truths = {p.truth for p in points if p.epoch is not None}
    panels = dict[str, list[Curve]]()
    for k, title in enumerate(titles):
        curves = [Curve(n, [(e, _interval(found[k])) for (m, e), found in means.items() if m == n]) for n in names]
        for p in points:
            if p.epoch is None and (k < 2 or p.truth in truths):  # accuracies of another data set are on another scale
                level = _interval((p.tau, p.top_tau, p.best)[k])
                curves.append(Curve(p.searcher, [(e, level) for e in (ends[0], ends[-1])]))
        panels[title] = curves
    return curves_svg(panels, "epochs of training")


def _interval(e: Estimate) -> Interval:
    return Interval(e.n, e.value, float("nan"), e.low, e.high)
