"""Selectors on a search's snapshots: what each would have chosen after fewer epochs, and where alpha collapses.

DARTS-PT's figure 4 (Wang et al., ICLR 2021). Every search keeps its state at given epochs; on each such snapshot every
selector runs as it does on the finished search, and what it selects is scored. A search *collapses* at the first epoch
from which, to its end, the share of parameter-free operations in its most probable cell is at a threshold or above.

Tuning on a snapshot goes as on a finished search: fresh optimiser, the searcher's clock at its end.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import Field, PositiveInt

from ..errors import BenchbedError
from ..pipeline.build import search_id
from ..pipeline.config import RunConfig, identity
from ..pipeline.history import history
from ..pipeline.resolve import expand
from ..pipeline.select import run_selection
from ..report.markdown import in_words, markdown_table
from ..report.plots import Curve, trajectory_svg
from ..runtime.folder import REMADE, Folder, snapshot_path
from ..space import Space
from ..stats.interval import mean_interval
from ..study import Comma, Files, Job, Lab, Names, Records, SearchOptions, Study, search_job
from ..tables.figures import in_epochs
from ._supernets import kept

POINT_KEYS = ("architecture", "test_accuracy")
# Figure 4 of the paper, as its text has it; it tabulates no number.
PAPER = (
    "In the paper's figure 4, on NAS-Bench-201, magnitude's cells grow worse with the search's epochs while "
    "perturbation's stay about level (read in the paper's double-blind submission)."
)


class Options(SearchOptions):
    """When a state is kept, and who selects on it."""

    at: Annotated[tuple[PositiveInt, ...], Comma] = Field(
        description="epochs of a search after which its state is kept, e.g. 2,5,10"
    )
    selector: Names = Field("magnitude,perturb", validate_default=True, description="selectors, with commas")
    collapse: float = Field(
        0.75, gt=0, le=1, description="share of parameter-free operations in the most probable cell that is a collapse"
    )


class Point(NamedTuple):
    """What one selector chose at one snapshot. accuracy: of the chosen on test, in percent; free: None: not told."""

    seed: int
    epoch: int
    selector: str
    architecture: str
    accuracy: float
    free: float | None


Shares = Mapping[int, Sequence[tuple[int, float]]]  # by seed, (epoch, parameter-free share) of the argmax cell


def collapse(shares: Sequence[tuple[int, float]], threshold: float) -> int | None:
    """The first epoch from which on every share is at the threshold or above; None where the last is below."""
    since = None
    for epoch, share in reversed(shares):
        if share < threshold:
            break
        since = epoch
    return since


class TrajectoryStudy(Study[Options]):
    """A search a seed with snapshots, and every selector on each; what is done is not done again.

    A search that is found finished without some of the snapshots is made once more for them, beside itself.
    """

    few: ClassVar[dict[str, Any]] = {"at": (1,)}

    def runs(self, base: Mapping[str, Any]) -> Mapping[tuple[int, str], RunConfig]:
        names, seeds = list(self.options.selector), list(self.options.seeds)
        named = {**base, "selector": {**base.get("selector", {}), "name": ",".join(names)}}  # options go where they fit
        configs = expand(named, [self.options.searcher], names, seeds)
        for epoch in self.snapshots():
            if epoch > configs[0].epochs:
                raise BenchbedError(f"--at {epoch}: the searches have epochs 1 to {configs[0].epochs}")
        return {(c.seed, c.selector.name): c for c in configs}

    def snapshots(self) -> tuple[int, ...]:
        return tuple(sorted(set(self.options.at)))

    def jobs(self, records: Records) -> list[Job]:
        at = list(self.snapshots())
        return [
            search_job(self.configs[key], record, epoch=epoch, at=at)
            for key, record in records.items()
            for epoch in at
            if epoch < self.configs[key].epochs
        ]

    @classmethod
    def measure(cls, lab: Lab, job: Job) -> dict[str, Any]:
        config = RunConfig.model_validate(job["config"])
        folder = kept(lab, "trajectory", config, job["search"], job["at"])
        lab.options.reporter.line(f"{config.selector.name}, seed {config.seed}, after {in_epochs(job['epoch'])}")
        return _selected(lab, config, snapshot_path(folder, job["epoch"]), job["epoch"])

    def rows(self, records: Records, measured: Sequence[dict[str, Any]]) -> list[Point]:
        early, points, self.free = iter(measured), [], dict[int, list[tuple[int, float]]]()
        for (seed, selector), config in self.configs.items():
            space, record = self.lab.space(config), records[seed, selector]
            for epoch in self.snapshots():
                of = record if epoch == config.epochs else next(early)
                share = _free(space, of["architecture"])
                points.append(Point(seed, epoch, selector, of["architecture"], of["test_accuracy"], share))
            epochs = history(self.lab.search(record.search) / "history.jsonl")
            shares = [(e.number, _free(space, e.architecture)) for e in epochs if e.architecture is not None]
            if told := [(epoch, share) for epoch, share in shares if share is not None]:
                self.free[seed] = told
        return points

    def figures(self, rows: Sequence[Point]) -> Files:
        threshold, collapsed = self.options.collapse, []
        for shares in self.free.values():
            collapsed += [epoch for epoch in [collapse(shares, threshold)] if epoch is not None]
        free = {f"seed {seed}": [(float(e), s) for e, s in shares] for seed, shares in self.free.items()}
        picture = trajectory_svg(curves(rows), free, threshold, collapsed)
        return {"trajectory.md": markdown(rows, self.free, threshold), "trajectory.svg": picture}


def _selected(lab: Lab, config: RunConfig, snapshot: Path, epoch: int) -> dict[str, Any]:
    """The selector's choice at the snapshot, and its test accuracy; in a folder of its own, resumable."""
    search = search_id(config, lab.task(config))
    names = f"{config.selector.name}-e{epoch}-{search}"
    key = [search, epoch, config.selector.model_dump(), config.scoring_key()]
    options = lab.options
    with Folder(options.out / "trajectory" / identity(names, *key), POINT_KEYS, again=REMADE) as folder:
        if folder.record is not None:
            return folder.record
        parts = lab.parts(config)
        selection, figures = run_selection(parts, snapshot, folder, options.reporter)
        chosen = selection.architecture
        record = {
            "search": search,
            "epoch": epoch,
            "selector": config.selector.name,
            "architecture": str(chosen),
            "test_accuracy": lab.test_accuracy(config, chosen),
            "notes": selection.notes,
            "seconds": figures["seconds"],
        }
        folder.finish(record)
        return record


def _free(space: Space, text: str) -> float | None:
    """The parameter-free share of an architecture's operations; None where the space does not tell."""
    share = space.facts(space.parse(text)).get("parameter_free")
    return None if share is None else float(share)


# -- the page ----------------------------------------------------------------------------------------------------------


def by_selector(points: Sequence[Point]) -> dict[str, dict[int, dict[int, Point]]]:
    """selector -> epoch -> seed -> point."""
    table: dict[str, dict[int, dict[int, Point]]] = {}
    for point in points:
        table.setdefault(point.selector, {}).setdefault(point.epoch, {})[point.seed] = point
    return table


def markdown(points: Sequence[Point], free: Shares, threshold: float) -> list[str]:
    """Test accuracy by selector and epoch, the change from the first to the last, and which searches collapsed."""
    table = by_selector(points)
    epochs, seeds = sorted({p.epoch for p in points}), len({p.seed for p in points})
    head = ["selector", *(f"epoch {e}" for e in epochs), *([f"{epochs[-1]} minus {epochs[0]}"] if epochs[1:] else [])]
    lines = []
    for selector, of in table.items():
        cells = [in_words(mean_interval([p.accuracy for p in of[e].values()])) for e in epochs]
        if epochs[1:]:
            first, last = of[epochs[0]], of[epochs[-1]]
            change = mean_interval([last[seed].accuracy - first[seed].accuracy for seed in first])
            cells.append(in_words(change, signed=True))
        lines.append([selector, *cells])
    return [
        *markdown_table(head, lines),
        "",
        *_free_table(table, epochs),
        f"Test accuracy in percent of what is selected at each snapshot; {seeds} searches, "
        "95 % intervals over them where there are several; the last column is paired by seed.",
        _collapsed(free, threshold),
        PAPER,
    ]


def _free_table(table: Mapping[str, Mapping[int, Mapping[int, Point]]], epochs: Sequence[int]) -> list[str]:
    """The parameter-free share of what was selected."""
    lines = []
    for selector, of in table.items():
        shares = [[p.free for p in of[e].values() if p.free is not None] for e in epochs]
        if not all(shares):
            return []
        lines.append([selector, *(f"{sum(s) / len(s):.0%}" for s in shares)])
    head = ["parameter-free operations", *(f"epoch {e}" for e in epochs)]
    return [*markdown_table(head, lines), ""]


def _collapsed(free: Shares, threshold: float) -> str:
    if not free:
        return "The space does not tell which of its operations are parameter-free: no collapse is marked."
    collapses = {seed: collapse(shares, threshold) for seed, shares in free.items()}
    gone = {seed: epoch for seed, epoch in collapses.items() if epoch is not None}
    rule = f"{threshold:.0%} or more of the most probable cell parameter-free from there to the end"
    where = "; ".join(f"seed {seed} at epoch {epoch}" for seed, epoch in gone.items())
    return f"Collapsed ({rule}): {len(gone)} of {len(collapses)} searches{': ' + where if where else ''}."


def curves(points: Sequence[Point]) -> list[Curve]:
    """A curve a selector."""
    return [
        Curve(name, [(e, mean_interval([p.accuracy for p in of[e].values()])) for e in sorted(of)])
        for name, of in by_selector(points).items()
    ]
