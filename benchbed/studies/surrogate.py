"""Whether cross-validation says how well a surrogate predicts what was never trained.

For each draw so many of the table's trainings, one of each set of architectures that compute one function: a surrogate
learns from them, is cross-validated on them as `table fit` does it, and then judged on all others, whose truth the
table has. No architecture that it is judged on, and none that computes the same, was ever shown to it.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field, PositiveInt

from ..builder.fit import LEAST, TOP, checked, held_out, parameters, recipe_of
from ..errors import BenchbedError
from ..ranking.asked import predictor_of
from ..report.markdown import json_lines, markdown_table, mean_in_words
from ..stats.kendall import kendall
from ..streams import Streams
from ..study import Files, Job, Lab, Records, Seeds, Several, Study, StudyOptions
from ..tables.figures import Figure
from ..tables.surrogate import Trainings, fitted, said_of, trainings
from ..tables.trusted import trusted
from .predictors import Sizes


class Options(StudyOptions):
    """The table, the predictors, how many trainings they see."""

    table: str = Field(description="the table whose trainings are learned from, and whose others are predicted")
    dataset: str = Field(description="of the table")
    predictor: Several = Field(["random-forest"], description="NAME or NAME:KEY=VALUE[,...]; several")
    sizes: Sizes = Field("50,200", validate_default=True, description="numbers of trainings: 50,200")
    seeds: Seeds = Field("0:10", validate_default=True, description="a range: a draw of the trainings a seed")
    folds: PositiveInt = Field(10, description="of the cross-validation")
    split: str = Field("valid", description="valid or test: whose accuracies, after the table's full training")


class Row(NamedTuple):
    """A predictor after one draw of n trainings: what cross-validation says, and on the others that it never saw."""

    predictor: str
    n: int
    seed: int
    tau: float | None
    tau_low: float | None
    tau_high: float | None
    rmse: float
    within_1: float | None
    within_2: float | None
    others: int
    unseen_tau: float
    unseen_top_tau: float
    unseen_rmse: float
    unseen_within_1: float | None
    unseen_within_2: float | None
    unseen_tau_params: float

    @property
    def holds(self) -> bool:
        """Whether the cross-validated interval has the tau of the others."""
        if self.tau_low is None or self.tau_high is None:
            return False
        return bool(self.tau_low <= self.unseen_tau <= self.tau_high)


class SurrogateStudy(Study[Options]):
    """A job is a predictor and a draw."""

    few: ClassVar[dict[str, Any]] = {"sizes": (20,)}

    def check(self) -> None:
        options = self.options
        self.table = trusted(options.table)
        self.figure = Figure(options.dataset, options.split, self.table.full_epochs)
        there = len(trainings(self.table, self.figure).accuracy)
        least, most = options.sizes[0], options.sizes[-1]
        if least < LEAST or there < most + LEAST:
            raise BenchbedError(
                f"--sizes {','.join(map(str, options.sizes))}: the table has {there:,} trainings that compute "
                f"different functions, of which {LEAST} are to be left: expected {LEAST} to {there - LEAST:,}"
            )
        if not 2 <= options.folds <= least // 2:
            raise BenchbedError(f"--folds {options.folds}: expected 2 to {least // 2:,}, half of {least:,} trainings")
        for text in options.predictor:
            loaded, own = predictor_of(text)
            loaded.check(own, self.table.space)

    def jobs(self, records: Records) -> list[Job]:
        options = self.options
        shared = {key: getattr(options, key) for key in ("table", "dataset", "split", "folds")}
        shared |= {"sizes": list(options.sizes), "fingerprint": self.table.fingerprint}
        return [{**shared, "predictor": text, "seed": seed} for text in options.predictor for seed in options.seeds]

    @classmethod
    def measure(cls, lab: Lab, job: Job) -> dict[str, Any]:
        table, seed = trusted(job["table"]), job["seed"]
        figure = Figure(job["dataset"], job["split"], table.full_epochs)
        every = trainings(table, figure)
        params = parameters(table, figure, every)
        order = Streams(seed).numpy("trainings").permutation(len(every.accuracy))
        recipe, rows = recipe_of(job["predictor"], seed), []
        for n in job["sizes"]:
            seen, others = (_some(every, chosen) for chosen in (order[:n], order[n:]))
            found = checked(held_out(recipe, table, seen, job["folds"]), seen.accuracy, None)
            made = fitted(recipe, table, seen.architectures, seen.accuracy)
            said = said_of(made, others.architectures, f"predictor '{job['predictor']}'")
            truth = others.accuracy
            error, top = np.abs(said.accuracy - truth), truth >= np.quantile(truth, 1 - TOP)
            within = [float((error <= k * said.deviation).mean()) if said.deviation.any() else None for k in (1, 2)]
            rows.append([
                n, *(found[key] for key in ("tau", "tau_low", "tau_high", "rmse", "within_1", "within_2")), len(truth),
                kendall(said.accuracy, truth), kendall(said.accuracy[top], truth[top]),
                float(np.sqrt(np.mean(error**2))), *within,
                np.nan if params is None else kendall(params[order[n:]], truth),
            ])  # fmt: skip
        return {"predictor": job["predictor"], "seed": seed, "rows": rows}

    def rows(self, records: Records, measured: Sequence[dict[str, Any]]) -> list[Row]:
        return [Row(one["predictor"], n, one["seed"], *rest) for one in measured for n, *rest in one["rows"]]

    def figures(self, rows: Sequence[Row]) -> Files:
        lines, known = list[list[str]](), list[dict[str, Any]]()
        for name in self.options.predictor:
            for n in self.options.sizes:
                own = [row for row in rows if (row.predictor, row.n) == (name, n)]
                holds = sum(row.holds for row in own)
                known.append({"predictor": name, "n": n, "draws": len(own), "holds": holds, "others": own[0].others})
                lines.append([
                    name, f"{n:,}", _mean(own, "tau"), _mean(own, "unseen_tau"), f"{holds} of {len(own)}",
                    _mean(own, "unseen_tau_params"), _mean(own, "unseen_top_tau"), _mean(own, "rmse", 2),
                    _mean(own, "unseen_rmse", 2), _mean(own, "unseen_within_1", 2), _mean(own, "unseen_within_2", 2),
                ])  # fmt: skip
        head = ["predictor", "trainings", "tau, cross-validated", "tau of the others", "inside the interval",
                "tau of parameters", f"tau in the others' top {TOP:g}", "error, cross-validated", "error of the others",
                "others within one deviation", "within two"]  # fmt: skip
        return {"surrogate.md": [*markdown_table(head, lines), "", self._about()],
                "surrogate-summary.jsonl": json_lines(known)}  # fmt: skip

    def _about(self) -> str:
        there = len(trainings(self.table, self.figure).accuracy)
        return (
            f"Accuracies: {self.figure.words}, table {self.table.name} (fingerprint {self.table.fingerprint[:16]}), "
            f"{there:,} architectures that compute different functions. Means over {len(self.options.seeds)} draws of "
            "the trainings, with Student's t intervals of 95 %; the others are all that were not drawn. Inside the "
            f"interval: in how many draws tau of the others lies in the 95 % interval that {self.options.folds}-fold "
            "cross-validation on the trainings gave. Errors: root mean square, points. Deviations are those that the "
            "predictor states; of a normal one 0.68 and 0.95 lie within one and two."
        )


def _some(every: Trainings, chosen: np.ndarray) -> Trainings:
    return Trainings([every.architectures[i] for i in chosen], every.places[chosen], every.accuracy[chosen])


def _mean(rows: Sequence[Row], column: str, digits: int = 3) -> str:
    found = [value for row in rows if (value := getattr(row, column)) is not None and np.isfinite(value)]
    return mean_in_words(found, digits=digits) or "none"
