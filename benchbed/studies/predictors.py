"""How well a predictor ranks architectures that were not trained, by how many were.

For each draw a random order of the table's architectures, one of each class that computes one function: a predictor
learns the accuracies of the first n and ranks all others. No trained architecture, and none that computes the same, is
ever among those that it is judged on. White et al., "How Powerful are Performance Predictors in Neural Architecture
Search?", NeurIPS 2021; here with the truth's top beside the whole, since a search lives there.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import AfterValidator, Field, PositiveInt

from .. import registry
from ..errors import BenchbedError
from ..ranking.asked import predictor_of
from ..report.markdown import json_lines, markdown_table, mean_in_words
from ..report.plots import Curve, curves_svg
from ..space import Architecture, Space
from ..spaces.classes import classes
from ..stats.agreement import best_of_liked
from ..stats.interval import Interval, mean_interval
from ..stats.kendall import kendall
from ..streams import Streams
from ..study import Comma, Distinct, Files, Job, Lab, Records, Seeds, Several, Study, StudyOptions
from ..tables.table import Table
from ..tables.trusted import trusted

LIKED = 10
PARAMETERS = "params"


def _rising(sizes: tuple[int, ...]) -> tuple[int, ...]:
    if list(sizes) != sorted(sizes) or sizes[0] < 2:
        raise ValueError(f"expected numbers of at least 2, rising, and they are {list(sizes)}")
    return sizes


Sizes = Annotated[tuple[PositiveInt, ...], Comma, Distinct, AfterValidator(_rising)]


class Options(StudyOptions):
    """The table, the predictors, and how many trainings they see."""

    table: str = Field(description="the table whose accuracies are learned and predicted")
    dataset: str = Field(description="of the table")
    predictor: Several = Field(
        ["gp", "random-forest", "gradient-boosting", "mlp-ensemble"],
        description="NAME or NAME:KEY=VALUE[,...]; several",
    )
    sizes: Sizes = Field("10,30,100,300,1000", validate_default=True, description="numbers of trainings: 10,100")
    seeds: Seeds = Field("0:10", validate_default=True, description="a range: a draw of the trainings a seed")
    split: Literal["valid", "test"] = Field("valid", description="whose accuracies, after the table's full training")
    top: float = Field(0.1, gt=0, le=1, description="the share of the others that counts as their top")


class Row(NamedTuple):
    """A predictor after one draw of n trainings. tau of all others and inside their top; NaN: a constant one."""

    predictor: str
    n: int
    seed: int
    tau: float
    top_tau: float
    best: float
    others: int


class Cells(NamedTuple):
    """What is drawn from: one architecture a class, its accuracy in percent and its parameters."""

    space: Space
    architectures: Sequence[Architecture]
    accuracy: np.ndarray
    parameters: np.ndarray


def cells(table: Table, dataset: str, split: str) -> Cells:
    """Those that the table has the accuracy of. Raises BenchbedError where it has none at all."""
    accuracy = table.values(dataset, split, table.full_epochs).reshape(-1)
    parameters = table.cost("params", dataset).reshape(-1).astype(np.float64)
    space = registry.load("space", table.meta["space"])()
    if table.places.missing:
        found = [(table.places.architecture(place), place) for place in range(len(accuracy))]
    else:
        found = [(one.trained, int(table.places.of(one.trained))) for one in classes(space)]
    found = [(architecture, place) for architecture, place in found if np.isfinite(accuracy[place])]
    places = [place for _, place in found]
    return Cells(space, [architecture for architecture, _ in found], accuracy[places], parameters[places])


def judged(said: np.ndarray, truth: np.ndarray, top: float) -> tuple[float, float, float]:
    """(tau, tau inside the truth's top, best truth of the ten that are liked most)."""
    inside = truth >= np.quantile(truth, 1 - top)
    return kendall(said, truth), kendall(said[inside], truth[inside]), best_of_liked(said, truth, LIKED)


class PredictorsStudy(Study[Options]):
    """Every predictor on every draw; a job is a predictor and a draw."""

    few: ClassVar[dict[str, Any]] = {"sizes": (10, 30)}

    def check(self) -> None:
        self.table = trusted(self.options.table)
        self.cells = cells(self.table, self.options.dataset, self.options.split)
        most, there = self.options.sizes[-1], len(self.cells.architectures)
        if there < most + 2 * LIKED:
            raise BenchbedError(f"--sizes {most}: the table has {there:,} different architectures, take fewer")
        for text in self.options.predictor:
            loaded, options = predictor_of(text)
            loaded.check(options, self.cells.space)

    def jobs(self, records: Records) -> list[Job]:
        options = self.options
        shared = {key: getattr(options, key) for key in ("table", "dataset", "split", "top")}
        shared |= {"sizes": list(options.sizes), "fingerprint": self.table.fingerprint}
        names = [*options.predictor, PARAMETERS]
        return [{**shared, "predictor": text, "seed": seed} for text in names for seed in options.seeds]

    @classmethod
    def measure(cls, lab: Lab, job: Job) -> dict[str, Any]:
        found, seed = cells(trusted(job["table"]), job["dataset"], job["split"]), job["seed"]
        order = Streams(seed).numpy("trainings").permutation(len(found.architectures))
        rows = []
        for n in job["sizes"]:
            seen, others = order[:n], order[n:]
            if job["predictor"] == PARAMETERS:
                said = found.parameters[others]
            else:
                loaded, options = predictor_of(job["predictor"])
                predictor = loaded(found.space, options, Streams(seed))
                predictor.fit([found.architectures[i] for i in seen], found.accuracy[seen])
                said = predictor.predict([found.architectures[i] for i in others]).accuracy
            rows.append([n, *judged(said, found.accuracy[others], job["top"]), len(others)])
        return {"predictor": job["predictor"], "seed": seed, "rows": rows}

    def rows(self, records: Records, measured: Sequence[dict[str, Any]]) -> list[Row]:
        return [Row(one["predictor"], n, one["seed"], *rest) for one in measured for n, *rest in one["rows"]]

    def figures(self, rows: Sequence[Row]) -> Files:
        names = [*self.options.predictor, PARAMETERS]
        panels: dict[str, list[Curve]] = {}
        for title, column in (("tau of all others", "tau"), (f"tau inside their top {self.options.top:g}", "top_tau")):
            curves = {name: self._curve(rows, name, column) for name in names}
            panels[title] = [Curve(name, points) for name, points in curves.items() if points]
        lines = [
            {"predictor": name, "n": n, "truth": self._truth,
             **{column: mean_interval(found)._asdict() for column in ("tau", "top_tau", "best")
                if (found := self._values(rows, name, n, column))}}
            for name in names for n in self.options.sizes
        ]  # fmt: skip
        return {"predictors-summary.jsonl": json_lines(lines), "predictors.md": self._page(rows, names),
                "predictors.svg": curves_svg(panels, "trainings")}  # fmt: skip

    @property
    def _truth(self) -> str:
        return f"{self.options.dataset} {self.options.split}, table {self.table.name}"

    @staticmethod
    def _values(rows: Sequence[Row], name: str, n: int, column: str) -> list[float]:
        """Of every draw, those that are numbers."""
        own = [getattr(row, column) for row in rows if (row.predictor, row.n) == (name, n)]
        return [value for value in own if np.isfinite(value)]

    def _curve(self, rows: Sequence[Row], name: str, column: str) -> list[tuple[float, Interval]]:
        values = {n: self._values(rows, name, n, column) for n in self.options.sizes}
        return [(n, mean_interval(found)) for n, found in values.items() if found]

    def _page(self, rows: Sequence[Row], names: Sequence[str]) -> list[str]:
        page = []
        for title, column, digits in (
            ("Kendall's tau of all others", "tau", 3),
            (f"tau inside the truth's top {self.options.top:g} of them", "top_tau", 3),
            (f"the best accuracy of the {LIKED} that it likes most, %", "best", 2),
        ):
            lines = []
            for name in names:
                values = [self._values(rows, name, n, column) for n in self.options.sizes]
                lines.append([name, *(mean_in_words(found, digits=digits) or "none" for found in values)])
            head = [title, *(f"{n:,} trainings" for n in self.options.sizes)]
            page += [*markdown_table(head, lines), ""]
        count, best = len(self.cells.architectures), self.cells.accuracy.max()
        about = f"Accuracies: {self._truth} (fingerprint {self.table.fingerprint[:16]}), {count:,} architectures that "
        about += f"compute different functions, the best {best:.2f} %. Means over {len(self.options.seeds)} draws of "
        about += "the trainings, with Student's t intervals of 95 %; the others are all that were not drawn. A "
        about += f"predictor that says the same of all has no tau. `{PARAMETERS}` learns nothing and ranks by their "
        about += "number."
        return [*page, about]
