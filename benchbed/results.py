"""What runs came to, in Python: a sequence of records with a frame, a summary, a paired comparison and plots."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from .errors import unknown
from .pipeline.record import Record

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

FIGURES = ("test_accuracy", "valid_accuracy", "regret", "search_seconds")  # what can be compared, of a record
UNITS = {"search_seconds": "seconds", "regret": "points of regret"}
SUMMARY = ("space", "data", "searcher", "selector", "settings", "control", "n", "mean", "deviation", "low", "high", "p")


class Comparison(NamedTuple):
    """`a` minus `b` in `figure`, pair by pair of the same seed.

    n: pairs; mean, low, high: of the difference and its 95 % interval (`benchbed.stats.interval.mean_interval`), in the
    figure's unit; p: paired permutation test, p_rank: Wilcoxon's signed-rank test, two-sided; delta: Cliff's, from -1
    to 1; wins: pairs where `a` is greater; differences: by seed.
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
    wins: int
    differences: dict[int, float]

    def __str__(self) -> str:
        unit = UNITS.get(self.figure, f"points of {self.figure.replace('_', ' ')}")
        inside = "no interval of one pair" if self.n < 2 else f"95 % interval {self.low:+.2f} to {self.high:+.2f}"
        tests = f"{self.n} pairs, {self.wins} won, p = {self.p:.3g} by permutation, {self.p_rank:.3g} by Wilcoxon"
        return f"{self.a} minus {self.b}: {self.mean:+.2f} {unit} ({inside}; {tests})"


class Results(Sequence[Record]):
    """Records of runs, in the order in which they were asked for. A slice of it is a Results too.

    place: the folder of the runs, absolute; None where nothing was kept (a dry run). problems: a line each about what
    is left out or odd.
    """

    def __init__(self, records: Iterable[Record], place: Path | None = None, problems: Iterable[str] = ()) -> None:
        self._records = tuple(records)
        self.place, self.problems = place, tuple(problems)

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

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def where(self, **values: Any) -> "Results":
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
        raise NotImplementedError

    def summary(self) -> "pd.DataFrame":
        """A row a setting of searcher x selector over seeds, controls beside: mean test accuracy and 95 % interval."""
        raise NotImplementedError

    def compare(self, a: "str | Results", b: "str | Results", figure: str = "test_accuracy") -> Comparison:
        """`a` minus `b`, paired by seed. A side is a searcher, a selector, `"darts x perturb"`, or a Results.

        Raises BenchbedError where a name fits no record, where it fits several of one seed, and without a shared seed.
        """
        raise NotImplementedError

    def plot_accuracy(self, ax: "Axes | None" = None) -> "Axes":
        """Test accuracy by setting: a point a seed, and the mean with its 95 % interval."""
        raise NotImplementedError

    def plot_curves(self, ax: "Axes | None" = None) -> "Axes":
        """Validation accuracy over the seconds of the search, by searcher: the mean over seeds and its interval."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"Results of {len(self)} run(s) in {self.place}"


def _among(value: Any, wanted: Any) -> bool:
    several = isinstance(wanted, Iterable) and not isinstance(wanted, str)
    return value in wanted if several else value == wanted
