"""What runs came to, in Python: a sequence of records with a frame, a summary, a paired comparison and plots."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from .errors import BenchbedError, unknown
from .pipeline.record import Record

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from .pipeline.full_search import FullSearch
    from .space import Architecture

FIGURES = ("test_accuracy", "valid_accuracy", "regret", "search_seconds")  # what can be compared, of a record
UNITS = {"search_seconds": "seconds", "regret": "points of regret"}
COLUMNS = (
    "id", "search", "searcher", "selector", "space", "task", "seed", "architecture", "test_accuracy", "valid_accuracy",
    "supernet_accuracy", "scored_by", "predicted", "regret", "rank",
)  # fmt: skip
SUMMARY = (
    "space", "data", "searcher", "selector", "settings", "control", "n", "predicted", "mean", "median", "deviation",
    "low", "high", "p", "p_best_better", "mean_regret", "mean_search_seconds",
)  # fmt: skip
ALWAYS = SUMMARY[:4] + SUMMARY[6:7] + SUMMARY[8:14]  # columns of a summary also where nothing stands in them


class Comparison(NamedTuple):
    """`a` minus `b` in `figure`, pair by pair of the same seed.

    n: pairs; mean, low, high: of the difference and its 95 % interval (`benchbed.stats.interval.mean_interval`), in the
    figure's unit; p: paired permutation test, p_rank: Wilcoxon's signed-rank test, two-sided; delta: Cliff's, from -1
    to 1; greater, same, less: the probabilities that `a` is greater or less by more than the rope, or neither, by the
    Bayesian signed-rank test (`benchbed.stats.bayes.signed_rank`); wins: pairs where `a` is greater; differences: by
    seed. Of one pair, or of pairs that are all equal, no test says anything: NaN.
    """

    a: str
    b: str
    figure: str
    n: int
    mean: float
    low: float
    high: float
    p: float
    p_rank: float
    delta: float
    greater: float
    same: float
    less: float
    wins: int
    differences: dict[int, float]
    predicted: bool = False  # whether a surrogate scored: the figures are predicted, except of what it was trained on

    def __str__(self) -> str:
        unit = UNITS.get(self.figure, f"points of {self.figure.replace('_', ' ')}")
        said = f"{self.a} minus {self.b}: {self.mean:+.2f} {unit}"
        said += ", predicted by a surrogate and not trained" if self.predicted else ""
        if self.n < 2:
            return f"{said} (one pair: no interval and no test)"
        if math.isnan(self.p):
            return f"{said} (equal in all {self.n} pairs: no interval and no test)"
        flat = math.isnan(self.low)
        inside = "all differences equal" if flat else f"95 % interval {self.low:+.2f} to {self.high:+.2f}"
        tests = f"{self.n} pairs, {self.wins} won, p = {self.p:.3g} by permutation, {self.p_rank:.3g} by Wilcoxon"
        rope = f", {self.same:.2f} the same" if self.same else ""
        return f"{said} ({inside}; {tests}; probability of being greater {self.greater:.2f}{rope})"


class Results(Sequence[Record]):
    """Records of runs, in the order in which they were asked for. A slice of it is a Results too.

    place: the folder of the runs, absolute; None where nothing was kept (a dry run). problems: a line each about what
    is left out or odd. full: by searcher, what its search at the paper's size would take, where that was asked for.
    """

    def __init__(
        self,
        records: Iterable[Record],
        place: Path | None = None,
        problems: Iterable[str] = (),
        full: "Mapping[str, FullSearch]" = MappingProxyType({}),
    ) -> None:
        self._records = tuple(records)
        self.place, self.problems, self.full = place, tuple(problems), full

    @classmethod
    def read(cls, path: str | Path) -> "Results":
        """The finished runs of a folder (`runs/`), of one run's folder, or of the folder that a TOML file writes to.

        Raises BenchbedError where there is none; a damaged record is left out and named in `problems`.
        """
        from .report.collect import collect, place_of

        path = Path(path).absolute()
        path = path.parent if path.name == "record.json" else path
        if (path / "record.json").is_file():
            return cls([Record.read(path)], path.parent)
        found = collect(place_of(path))
        return cls(found.records, found.place.absolute(), found.problems)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> "Results": ...
    def __getitem__(self, index: int | slice) -> "Record | Results":
        if isinstance(index, slice):
            return Results(self._records[index], self.place, self.problems)
        return self._records[index]

    def __len__(self) -> int:
        return len(self._records)

    @property
    def searches(self) -> list[Path]:
        """The folders of the searches, each once. Raises BenchbedError where nothing was kept, and for no record."""
        if self.place is None or not self:
            raise BenchbedError("these results have no searches: they are of a dry run, or empty")
        return [self.place / "searches" / search for search in dict.fromkeys(record.search for record in self)]

    def architectures(self) -> "list[Architecture]":
        """The architecture of each record; in a notebook each shows its picture."""
        from .spaces.load import load_space

        return [load_space(r.space, r.config.get("space_options")).parse(r.architecture) for r in self]

    def where(self, **values: object) -> "Results":
        """The records whose attribute has the value, or one of several: `where(searcher="darts", seed=range(5))`.

        Raises BenchbedError for an attribute that a record does not have, naming the nearest.
        """
        for name in values:
            if name not in Record.model_fields:
                raise unknown("attribute of a record", name, Record.model_fields)

        def fits(record: Record) -> bool:
            return all(_among(getattr(record, name), wanted) for name, wanted in values.items())

        return Results(filter(fits, self), self.place, self.problems)

    def frame(self) -> "pd.DataFrame":
        """A row a record: names, seed, architecture, accuracies in percent, seconds, and the settings that differ."""
        import pandas as pd

        from .report.collect import settings

        flat = [settings(record) for record in self]
        seen: dict[str, set[Any]] = defaultdict(set)  # a key has several values within one searcher x selector
        for record, own in zip(self, flat, strict=True):
            for key, value in own.items():
                seen[key].add((_name(record), str(value)))
        differ = [key for key, values in seen.items() if len(values) > len({name for name, _ in values})]
        differ = [key for key in differ if key not in COLUMNS]
        rows = []
        for record, own in zip(self, flat, strict=True):
            row = {name: getattr(record, name, None) for name in COLUMNS}
            row |= {name: record.facts.get(name) for name in ("params", "flops")}
            rows.append(
                row | {f"{stage}_s": value for stage, value in record.seconds.items()} | {k: own.get(k) for k in differ}
            )
        return pd.DataFrame(rows)

    def summary(self) -> "pd.DataFrame":
        """A row a setting of searcher x selector over seeds, controls beside: mean test accuracy and 95 % interval.

        Accuracies in percent. p: of the paired permutation test against the best of its group, after Holm; a group is
        what can be compared: one space, and one task and training or one table. As `python -m benchbed report` has it.
        """
        from .report.groups import groups
        from .report.tables import frame

        if not self:
            raise BenchbedError("these results hold no record: there is nothing to summarise")
        found = frame(groups(self))
        wanted = [*(["group"] if found["group"].nunique() > 1 else []), *SUMMARY]
        return found[
            [name for name in wanted if name in ALWAYS or not (found[name].isna() | (found[name] == "")).all()]
        ]

    def effects(self) -> "pd.DataFrame":
        """What a selector or a modifier alone changes: a row a difference in test accuracy, paired by seed, points.

        A selector is held against `magnitude` on the same searcher, a modified searcher against the one without it by
        the same selector. difference, low, high: mean and 95 % t interval; p: permutation test, after Holm over all of
        its kind. As `python -m benchbed report` has it; no row where nothing is crossed.
        """
        import pandas as pd

        from .report.crossed import COLUMNS, frame
        from .report.groups import groups

        compared = groups(self)
        found = [frame(group).assign(group=group.title) if compared[1:] else frame(group) for group in compared]
        found = [rows for rows in found if len(rows)]
        return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=COLUMNS)

    def compare(
        self, a: "str | Results", b: "str | Results", figure: str = "test_accuracy", rope: float = 0.0
    ) -> Comparison:
        """`a` minus `b`, paired by seed. A side is a searcher, a selector, `"darts x perturb"`, or a Results.

        rope: differences up to this, in the figure's unit, are held to be the same by the Bayesian test.

        Raises BenchbedError where a name fits no record, where it fits several of one seed, without a shared seed, and
        for a rope that is negative.
        """
        from .report.groups import comparable
        from .stats.bayes import signed_rank
        from .stats.interval import mean_interval
        from .stats.paired import cliffs_delta, differ, permutation, wilcoxon

        if figure not in FIGURES:
            raise unknown("figure to compare", figure, FIGURES)
        if not 0 <= rope < math.inf:
            raise BenchbedError(f"rope {rope}: expected 0 or more, in the unit of {figure}")
        (one, x), (two, y) = (self._side(side, figure) for side in (a, b))
        kinds = {comparable(record) for record in (*x.values(), *y.values())}
        if len(kinds) > 1:
            raise BenchbedError(
                f"{one} and {two} are of several spaces, tasks or ways of scoring: narrow them with where(...)"
            )
        shared = sorted(x.keys() & y.keys())
        if not shared:
            raise BenchbedError(
                f"{one} has the seeds {_seeds(x)}, {two} has {_seeds(y)}: no seed is shared, nothing can be paired"
            )
        u, v = ([float(getattr(side[seed], figure)) for seed in shared] for side in (x, y))
        differences = [p - q for p, q in zip(u, v, strict=True)]
        i, tests = mean_interval(differences), (math.nan,) * 6
        if i.n > 1 and differ(differences):
            tests = (permutation(differences).p, wilcoxon(differences).p, cliffs_delta(u, v),
                     *signed_rank(differences, rope))  # fmt: skip
        return Comparison(
            one, two, figure, i.n, i.mean, i.low, i.high, *tests, sum(d > 0 for d in differences),
            dict(zip(shared, differences, strict=True)),
            figure != "search_seconds" and any(r.surrogate for r in (*x.values(), *y.values())),
        )  # fmt: skip

    def _side(self, side: "str | Results", figure: str) -> tuple[str, dict[int, Record]]:
        """(its name, its records by seed) of one side of a comparison."""
        if isinstance(side, str):
            words = {word.strip() for word in side.split(" x ")}
            found = [r for r in self if words <= {r.searcher, r.selector, _name(r)}]
            if not found:
                known = {word for r in self for word in (r.searcher, r.selector, _name(r))}
                raise unknown("setting of these results", side, known)
        else:
            found, side = list(side), " and ".join(dict.fromkeys(map(_name, side))) or "an empty Results"
        by_seed: dict[int, Record] = {}
        for record in found:
            if (other := by_seed.setdefault(record.seed, record)) is not record:
                raise BenchbedError(
                    f"'{side}' names several runs of seed {record.seed}, such as {other.id} and {record.id}: name one "
                    f"setting, such as '{_name(record)}', or narrow the results with where(...)"
                )
        if missing := [record.id for record in found if getattr(record, figure) is None]:
            raise BenchbedError(f"run {missing[0]} has no {figure}: it cannot be compared by it")
        return side, by_seed

    def plot_accuracy(self, ax: "Axes | None" = None) -> "Axes":
        """Test accuracy by setting, the best first: a point a seed, and the mean with its 95 % interval."""
        from .report.groups import groups
        from .report.plots import accuracy_axes

        found = groups(self)
        axes = _axes(ax)
        accuracy_axes([(f"{g.title}: " if found[1:] else "", row) for g in found for row in g.rows], axes)
        return axes

    def plot_curves(self, ax: "Axes | None" = None) -> "Axes":
        """Validation accuracy over the seconds of the search, by searcher: mean over seeds with its 95 % t interval.

        Raises BenchbedError where the searches' histories are not kept, or damaged.
        """
        from .pipeline.history import history
        from .report.curves import Searched, curves_on, searches_of
        from .report.groups import groups
        from .report.looks import Looks

        histories = {folder.name: history(folder / "history.jsonl") for folder in self.searches}
        found: dict[str, Searched] = {}
        for group in (several := groups(self)):
            for name, searches in searches_of(group, histories).items():
                found[f"{group.title}: {name}" if several[1:] else name] = searches
        axes = _axes(ax)
        curves_on(axes, found, Looks(several))
        axes.legend(frameon=False, fontsize=8)
        return axes

    def __repr__(self) -> str:
        counts = Counter(map(_name, self))
        where = "" if self.place is None else f" in {self.place}"
        odd = f"; {len(self.problems)} left out or odd, see .problems" if self.problems else ""
        return (
            f"Results of {len(self)} run(s){where}: {', '.join(f'{k} ({n})' for k, n in counts.items()) or 'none'}{odd}"
        )

    def _repr_html_(self) -> str:
        """The summary, for notebooks."""
        table = self.summary().to_html(index=False, border=0, float_format="{:.2f}".format, na_rep="") if self else ""
        return f"<p>{escape(repr(self))}</p>{table}"


def _name(record: Record) -> str:
    return f"{record.searcher} x {record.selector}"


def _seeds(found: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(found))) or "none"


def _axes(given: "Axes | None") -> "Axes":
    """The axes given, or those of a new pyplot figure, which a notebook shows by itself."""
    if given is not None:
        return given
    from matplotlib import pyplot

    made: Axes = pyplot.figure(figsize=(6.4, 3.6), layout="constrained").add_subplot()
    return made


def _among(value: object, wanted: object) -> bool:
    return value in wanted if isinstance(wanted, Iterable) and not isinstance(wanted, str) else value == wanted
