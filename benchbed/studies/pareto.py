"""Several objectives at once: NSGA-II, TPE and others on a table, by the share of the true front's hypervolume.

An evaluation is a training of `fidelity` epochs on the table's clock; its validation accuracy and the other figures of
the architecture are what the sampler is told. A search's result are its evaluated architectures that no other of them
beats in all objectives. They are judged twice, by the hypervolume that they dominate as a share of what all of the
table's architectures dominate: by the figures as evaluated, which says how well it was searched, and with the test
accuracy after the full training in place of the accuracy, which says what it was good for. Every figure is scaled to
0..1 over the table, 0 its worst, which is the reference point.

Samplers are Optuna's at their defaults, over one categorical parameter a position: Deb et al., "A Fast and Elitist
Multiobjective Genetic Algorithm: NSGA-II", 2002; Ozaki et al., "Multiobjective Tree-Structured Parzen Estimator", JAIR
2022 (tpe); the control is `random`.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from ..errors import BenchbedError, unknown
from ..objectives.table import trainings_of
from ..report.markdown import in_words, json_lines, markdown_table, mean_in_words, means
from ..stats.pareto import dominated, undominated
from ..streams import Streams
from ..study import Files, Job, Lab, Records, Seeds, Several, Study, StudyOptions
from ..tables.table import Table
from ..tables.trusted import trusted
from .tabular import only_fidelity

SAMPLERS = {"nsgaii": "NSGAIISampler", "tpe": "TPESampler", "random": "RandomSampler"}
MOST = 4  # objectives: the exact hypervolume of more takes hours
CHUNK = 10  # seeds of a job
EPOCHS = 12  # of an evaluation, where the table has several: as NAS-Bench-201's searchers have it


class Options(StudyOptions):
    """The table, what is wanted of an architecture, who searches, and what a search may cost."""

    table: str = Field(description="the table that stands for training")
    dataset: str = Field(description="of the table")
    objective: Several = Field(
        description="accuracy, params, flops or a further figure of the table; several. Accuracy is to be great, "
        "others small; or say max:NAME, min:NAME"
    )
    sampler: Several = Field(["nsgaii", "tpe", "random"], description=f"of {', '.join(SAMPLERS)}; several")
    seeds: Seeds = Field("0:50", validate_default=True, description="a range such as 0:50")
    budget: float = Field(12000.0, gt=0, description="simulated seconds of a search")
    fidelity: int | None = Field(
        None, ge=1, description="training epochs of an evaluation  [default: 12, or the table's only]"
    )


class Goal(NamedTuple):
    """An objective as asked for: the figure's name, and whether it is to be great."""

    text: str
    figure: str
    great: bool


def goal(text: str) -> Goal:
    """What 'NAME', 'max:NAME' or 'min:NAME' asks for."""
    way, colon, rest = text.partition(":")
    if colon and way in ("max", "min"):
        return Goal(text, rest, way == "max")
    return Goal(text, text, text == "accuracy")


class Found(NamedTuple):
    """A search. searched, useful: shares of the true front's hypervolume, as evaluated and by test accuracy."""

    sampler: str
    seed: int
    searched: float
    useful: float
    evaluations: int
    distinct: int
    front: int
    seconds: float


class Scene(NamedTuple):
    """What is searched: everything in the table's order of places."""

    goals: Sequence[Goal]
    evaluated: np.ndarray  # (n, objectives), 0 the worst and 1 the best of the table
    useful: np.ndarray  # the same with test accuracy
    seconds: np.ndarray  # (n,) of an evaluation


def scene(table: Table, dataset: str, objectives: Sequence[str], fidelity: int) -> Scene:
    """Raises BenchbedError for a figure that the table does not have, or not of every architecture."""
    if not 2 <= len(objectives) <= MOST:
        raise BenchbedError(f"objectives: {', '.join(objectives)}: expected 2 to {MOST} of them")
    accuracy, seconds = trainings_of(table, dataset, fidelity)
    goals = [goal(text) for text in objectives]
    twice = [g.figure for g in goals if [other.figure for other in goals].count(g.figure) > 1]
    if twice:
        raise BenchbedError(f"objectives: {', '.join(objectives)}: '{twice[0]}' is there twice")
    test = table.values(dataset, "test", table.full_epochs)
    columns = [_figure(table, dataset, g, accuracy) for g in goals]
    useful = [test if g.figure == "accuracy" else column for g, column in zip(goals, columns, strict=True)]
    return Scene(goals, _scaled(columns, goals), _scaled(useful, goals), seconds.reshape(-1))


def _figure(table: Table, dataset: str, goal: Goal, accuracy: np.ndarray) -> np.ndarray:
    if goal.figure == "accuracy":
        return accuracy
    if goal.figure in ("params", "flops"):
        return table.cost(goal.figure, dataset).astype(np.float64)
    if goal.figure not in table.further_names:
        raise unknown("objective", goal.figure, ("accuracy", "params", "flops", *table.further_names))
    return table.further(goal.figure)


def _scaled(columns: Sequence[np.ndarray], goals: Sequence[Goal]) -> np.ndarray:
    return np.stack([_share(column, goal) for column, goal in zip(columns, goals, strict=True)], 1)


def _share(values: np.ndarray, goal: Goal) -> np.ndarray:
    flat = values.reshape(-1).astype(np.float64)
    if gaps := int((~np.isfinite(flat)).sum()):
        raise BenchbedError(f"objective '{goal.text}': the table lacks it of {gaps:,} of {len(flat):,} architectures")
    if (least := flat.min()) == (most := flat.max()):
        raise BenchbedError(f"objective '{goal.text}': it is {most:g} everywhere, there is nothing to choose")
    share: np.ndarray = (flat - least) / (most - least)
    return share if goal.great else 1 - share


def search(table: Table, scene: Scene, sampler: str, seed: int, budget: float) -> tuple[list[int], float]:
    """(places evaluated in order, simulated seconds). Raises BenchbedError where no evaluation ends in the budget."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    number = int(Streams(seed).numpy("search").integers(2**31))
    made = getattr(optuna.samplers, SAMPLERS[sampler])(seed=number)
    study = optuna.create_study(directions=["maximize"] * len(scene.goals), sampler=made)
    categorical = optuna.distributions.CategoricalDistribution
    asked_of: dict[str, Any] = {f"position {i}": categorical(range(size)) for i, size in enumerate(table.shape)}
    places, clock = list[int](), 0.0
    while True:
        trial = study.ask(asked_of)
        place = int(np.ravel_multi_index([trial.params[name] for name in asked_of], table.shape))
        if clock + scene.seconds[place] > budget:
            if not places:
                raise BenchbedError(
                    f"--budget {budget:g}: sampler {sampler}, seed {seed}: the first evaluation takes "
                    f"{scene.seconds[place]:.6g} seconds"
                )
            return places, clock
        clock += float(scene.seconds[place])
        places.append(place)
        study.tell(trial, scene.evaluated[place].tolist())


class ParetoStudy(Study[Options]):
    """Every sampler on every seed; a job is some seeds of one sampler."""

    def check(self) -> None:
        options = self.options
        for name in options.sampler:
            if name not in SAMPLERS:
                raise unknown("sampler", name, SAMPLERS)
        self.table = trusted(options.table)
        if self.table.places.missing:
            raise BenchbedError(f"table {self.table.name} lists some architectures of its space: all are needed")
        self.fidelity = options.fidelity or only_fidelity(options.table, options.dataset) or EPOCHS
        self.scene = scene(self.table, options.dataset, options.objective, self.fidelity)
        if options.budget < self.scene.seconds.min():
            least = self.scene.seconds.min()
            raise BenchbedError(f"--budget {options.budget:g}: the quickest evaluation takes {least:g} seconds")

    def jobs(self, records: Records) -> list[Job]:
        options = self.options
        keys = ("table", "dataset", "objective", "budget")
        shared = {key: getattr(options, key) for key in keys}
        shared |= {"fidelity": self.fidelity, "fingerprint": self.table.fingerprint}
        chunks = [list(options.seeds[i : i + CHUNK]) for i in range(0, len(options.seeds), CHUNK)]
        return [{**shared, "sampler": name, "seeds": seeds} for name in options.sampler for seeds in chunks]

    @classmethod
    def measure(cls, lab: Lab, job: Job) -> dict[str, Any]:
        table = trusted(job["table"])
        of = scene(table, job["dataset"], job["objective"], job["fidelity"])
        began = time.process_time()
        found = [search(table, of, job["sampler"], seed, job["budget"]) for seed in job["seeds"]]
        return {"found": found, "sampler": job["sampler"], "seeds": job["seeds"], "cpu": time.process_time() - began}

    def rows(self, records: Records, measured: Sequence[dict[str, Any]]) -> list[Found]:
        self.cpu = dict.fromkeys(self.options.sampler, 0.0)
        whole = [dominated(values) for values in (self.scene.evaluated, self.scene.useful)]
        rows = []
        for chunk in measured:
            self.cpu[chunk["sampler"]] += chunk["cpu"]
            for seed, (places, seconds) in zip(chunk["seeds"], chunk["found"], strict=True):
                distinct = sorted(set(places))
                kept = np.array(distinct)[undominated(self.scene.evaluated[distinct])]
                searched, useful = dominated(self.scene.evaluated[kept]), dominated(self.scene.useful[kept])
                shares, counts = (searched / whole[0], useful / whole[1]), (len(places), len(distinct), len(kept))
                rows.append(Found(chunk["sampler"], seed, *shares, *counts, seconds))
        return rows

    def figures(self, rows: Sequence[Found]) -> Files:
        columns = ("searched", "useful", "evaluations", "distinct", "front", "seconds")
        table = means(rows, lambda row: row.sampler, columns)
        lines = [
            {"sampler": name, "objectives": list(self.options.objective), "budget": self.options.budget,
             **{column: interval._asdict() for column, interval in row.items()}}
            for name, row in table.items()
        ]  # fmt: skip
        return {"pareto-summary.jsonl": json_lines(lines), "pareto.md": self._page(rows, table)}

    def _page(self, rows: Sequence[Found], table: Any) -> list[str]:
        head = ["sampler", "share of the true front, as evaluated", "minus random", "share by test accuracy",
                "evaluations", "distinct", "on its front", "CPU s"]  # fmt: skip
        lines = []
        for name, row in table.items():
            lines.append([
                name, in_words(row["searched"], digits=3), self._beside_random(rows, name),
                in_words(row["useful"], digits=3),
                f"{row['evaluations'].mean:.1f}", f"{row['distinct'].mean:.1f}", f"{row['front'].mean:.1f}",
                f"{self.cpu[name]:.0f}",
            ])  # fmt: skip
        options, of = self.options, self.scene
        sizes = [len(undominated(values)) for values in (of.evaluated, of.useful)]
        wanted = ", ".join(f"{g.figure} ({'great' if g.great else 'small'})" for g in of.goals)
        about = f"Objectives: {wanted}; {options.dataset}, table {self.table.name} (fingerprint "
        about += f"{self.table.fingerprint[:16]}), {len(options.seeds)} seeds, {options.budget:,.0f} simulated "
        about += f"seconds, accuracy after {self.fidelity} epochs. Means and 95 % intervals (Student's t). The true "
        about += f"front has {sizes[0]:,} of the table's {len(of.seconds):,} architectures as evaluated, {sizes[1]:,} "
        about += "by test accuracy."
        return [*markdown_table(head, lines), "", about]

    def _beside_random(self, rows: Sequence[Found], name: str) -> str:
        pairs = {of: {row.seed: row.searched for row in rows if row.sampler == of} for of in (name, "random")}
        if name == "random" or not pairs["random"]:
            return ""
        return mean_in_words([share - pairs["random"][seed] for seed, share in pairs[name].items()], True, 3)
