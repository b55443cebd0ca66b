"""Hundreds of seeds of table-only searchers on the table's simulated clock: accuracy, regret, anytime curves.

Each run is the very search that `run` makes with the same searcher, options and seed, without folders and checkpoints:
the searcher is given its budget in one step (what it finds does not depend on the loop's steps). A run's result is its
incumbent by validation accuracy after a few epochs; the incumbent's test accuracy after the table's full training is
looked up when the search is over, as a score is. NAS-Bench-201's own protocol: 500 runs of 12,000 simulated seconds.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from .. import registry
from ..black_box import BlackBoxSearcher
from ..cost import without_cost
from ..errors import BenchbedError
from ..modifier import Modified
from ..objectives.table import TableObjective
from ..pipeline.given import named_options
from ..report.markdown import json_lines, markdown_table, means, with_deviation
from ..report.plots import Curve, curves_svg
from ..searcher import Clock
from ..stats.interval import Interval, mean_interval
from ..streams import Streams
from ..study import Files, Job, Lab, Records, Seeds, Several, Study, StudyOptions
from ..tables.score import Ceiling, ceiling
from ..tables.table import Table
from ..tables.trusted import trusted
from ..typed import typed

WHOLE = Clock(0, 0, 1, 1)  # one step, which is all of the budget
CHUNK = 25  # seeds of a job
LAYOUT = 2  # of what a job measures: since it says after how many epochs an incumbent was chosen
GRID = 24  # points of an anytime curve
COLUMNS = ("test", "valid", "accuracy", "regret", "evaluations", "distinct", "seconds")


class Options(StudyOptions):
    """The table, the searchers, and what a search may cost."""

    table: str = Field(description="the table that stands for training")
    dataset: str = Field(description="of the table")
    searcher: Several = Field(description="a table-only searcher, NAME or NAME:KEY=VALUE[,...]; several")
    seeds: Seeds = Field("0:500", validate_default=True, description="a range such as 0:500")
    budget: float | None = Field(None, description="simulated seconds of a search  [default: 12000]")
    fidelity: int | None = Field(
        None, description="training epochs of an evaluation  [default: 12, or the table's only]"
    )


class Entry(NamedTuple):
    """A searcher with options. name: as asked for, such as 'optuna:sampler=tpe'."""

    name: str
    searcher: str
    options: dict[str, Any]


class Search(NamedTuple):
    """A finished search. anytime: (simulated seconds, validation accuracy, architecture) of each new incumbent.

    fidelity: the training epochs after which the last incumbent was chosen.
    """

    searcher: str
    seed: int
    evaluations: int
    distinct: int
    seconds: float
    anytime: list[tuple[float, float, str]]
    fidelity: int


class Run(NamedTuple):
    """A search and the figures of its result, in percent and points: `accuracy` is the one that it was chosen by."""

    searcher: str
    seed: int
    architecture: str
    accuracy: float
    valid: float
    test: float
    regret: float
    evaluations: int
    distinct: int
    seconds: float
    anytime: list[tuple[float, float, float, str]]  # with the incumbent's test accuracy
    fidelity: int  # of the `accuracy`
    of: str = ""


def parse_entry(text: str, shared: Mapping[str, Any]) -> Entry:
    """The searcher of 'NAME' or 'NAME:KEY=VALUE[,KEY=VALUE...]', its options complete.

    shared: options of every entry, below its own. Raises BenchbedError for what is no searcher on a table, or an option
    that it does not have.
    """
    name, own = named_options(text)
    loaded = registry.load("searcher", name)
    if not issubclass(loaded.of if issubclass(loaded, Modified) else loaded, BlackBoxSearcher):
        raise BenchbedError(f"searcher '{name}' trains no single architectures: it has no simulated clock; use 'run'")
    options = typed(loaded.Options, {**shared, **own}, f"searcher '{text}'").model_dump()
    if options.get("result", "best") != "best":
        raise BenchbedError(f"searcher '{text}': result = {options['result']}, and the study follows the best that was "
                            "seen: leave it out, or use 'run'")  # fmt: skip
    return Entry(text, name, options)


def only_fidelity(table: str, dataset: str) -> int | None:
    """The number of epochs of the table's validation accuracies where there is one number alone; None for several."""
    found = trusted(table).epochs(dataset, "valid")
    return found[0] if len(found) == 1 else None


def search(entry: Entry, objective: TableObjective, seed: int) -> Search:
    """One search to the end of its budget. Raises BenchbedError, naming searcher and seed, where it finds nothing."""
    loaded = registry.load("searcher", entry.searcher)
    searcher = loaded(objective.space, loaded.Options(**entry.options), Streams(seed))
    try:
        searcher.arch_step(without_cost(objective), None, WHOLE)
    except BenchbedError as error:
        raise BenchbedError(f"searcher '{entry.name}', seed {seed}: {error}") from None
    box = searcher.base if isinstance(searcher, Modified) else searcher
    assert isinstance(box, BlackBoxSearcher)
    assert box.incumbent is not None
    distinct = len({trial.architecture for trial in box.trials})
    counts = (len(box.trials), distinct, box.seconds)
    return Search(entry.name, seed, *counts, box.anytime(), box.incumbent.fidelity)


def scored(table: Table, dataset: str, found: Search) -> Run:
    """The search with what the table says of its incumbents. Only here is test accuracy read."""
    full = table.full_epochs
    _, accuracy, text = found.anytime[-1]
    tests = [float(table.query(name, dataset, "test", full)) for _, _, name in found.anytime]
    anytime = [(s, a, test, name) for (s, a, name), test in zip(found.anytime, tests, strict=True)]
    valid = float(table.query(text, dataset, "valid", full))
    regret = table.best(dataset, "test", full).value - tests[-1]
    counts = (found.evaluations, found.distinct, found.seconds)
    return Run(found.searcher, found.seed, text, accuracy, valid, tests[-1], regret, *counts, anytime, found.fidelity)


class TabularStudy(Study[Options]):
    """Every searcher on every seed; a job is some seeds of one searcher."""

    def check(self) -> None:
        options = self.options
        self.table = trusted(options.table)
        objective = TableObjective.of(self.table, options.dataset)
        lone = only_fidelity(options.table, options.dataset) if options.fidelity is None else options.fidelity
        shared = {key: v for key, v in (("budget", options.budget), ("fidelity", lone)) if v is not None}
        self.entries = [parse_entry(text, shared) for text in options.searcher]
        for entry in self.entries:
            loaded = registry.load("searcher", entry.searcher)
            loaded.check(loaded.Options(**entry.options), objective.space, objective)

    def jobs(self, records: Records) -> list[Job]:
        options = self.options
        shared = {"table": options.table, "fingerprint": self.table.fingerprint, "dataset": options.dataset,
                  "layout": LAYOUT}  # fmt: skip
        chunks = [list(options.seeds[i : i + CHUNK]) for i in range(0, len(options.seeds), CHUNK)]
        return [{**shared, "entry": entry._asdict(), "seeds": seeds} for entry in self.entries for seeds in chunks]

    @classmethod
    def measure(cls, lab: Lab, job: Job) -> dict[str, Any]:
        entry, objective = Entry(**job["entry"]), TableObjective.of(trusted(job["table"]), job["dataset"])
        began = time.process_time()
        found = [search(entry, objective, seed)._asdict() for seed in job["seeds"]]
        return {"searches": found, "cpu": time.process_time() - began}

    def rows(self, records: Records, measured: Sequence[dict[str, Any]]) -> list[Run]:
        dataset, found = self.options.dataset, [Search(**one) for chunk in measured for one in chunk["searches"]]
        self.cpu = dict.fromkeys(self.options.searcher, 0.0)
        for chunk in measured:
            self.cpu[chunk["searches"][0]["searcher"]] += chunk["cpu"]
        words = f"{dataset}, table {self.table.name} (fingerprint {self.table.fingerprint[:16]})"
        return [scored(self.table, dataset, one)._replace(of=words) for one in found]

    def figures(self, rows: Sequence[Run]) -> Files:
        table = means(rows, lambda run: run.searcher, COLUMNS)
        lines = [
            {"searcher": entry.name, "budget": float(entry.options["budget"]), "of": rows[0].of,
             "cpu_seconds": round(self.cpu[entry.name], 2),
             "chosen_after": _chosen_after(rows, entry.name),
             **{column: interval._asdict() for column, interval in table[entry.name].items()}}
            for entry in self.entries
        ]  # fmt: skip
        lines += [{"control": c.name, "of": rows[0].of, **c._asdict()} for c in self._ceilings(rows)]
        panels = curves(rows, {entry.name: float(entry.options["budget"]) for entry in self.entries})
        return {"tabular-summary.jsonl": json_lines(lines), "tabular.md": self._page(rows, table),
                "tabular.svg": curves_svg(panels, "simulated seconds")}  # fmt: skip

    def _ceilings(self, rows: Sequence[Run]) -> list[Ceiling]:
        """One for each number of epochs that an incumbent was chosen after."""
        return [ceiling(self.table, self.options.dataset, epochs) for epochs in sorted({row.fidelity for row in rows})]

    def _page(self, rows: Sequence[Run], table: Mapping[str, Mapping[str, Interval]]) -> list[str]:
        """A row a searcher."""
        head = ["searcher", "test, %", "95 % interval", "regret", "validation, %", "chosen by, %", "evaluations",
                "distinct", "simulated s", "CPU s"]  # fmt: skip
        lines = []
        for name, row in table.items():
            ci = row["test"]
            chosen_by = with_deviation(row["accuracy"]) if len(_chosen_after(rows, name)) == 1 else "-"
            lines.append([
                name, with_deviation(row["test"]), ci.span(), with_deviation(row["regret"]),
                with_deviation(row["valid"]), chosen_by, f"{row['evaluations'].mean:.1f}",
                f"{row['distinct'].mean:.1f}", f"{row['seconds'].mean:,.0f}", f"{self.cpu[name]:.0f}",
            ])  # fmt: skip
        for c in self._ceilings(rows):
            figures = f"{c.test:.2f}", "", f"{c.regret:.2f}", f"{c.valid:.2f}", f"{c.accuracy:.2f}"
            lines.append([c.name, *figures, "", "", "", ""])
        seeds, options = len(self.options.seeds), [entry.options for entry in self.entries]
        budgets = ", ".join(f"{budget:,.0f}" for budget in dict.fromkeys(o["budget"] for o in options))
        epochs = ", ".join(map(str, sorted({row.fidelity for row in rows})))
        about = f"{rows[0].of}: {seeds} seeds each, a budget of {budgets} simulated seconds. Mean ± sample standard "
        about += "deviation over seeds; the interval is of the mean (Student's t). Test, validation and regret "
        about += "(points to the best cell by test accuracy) are of the full training; 'chosen by' is the validation "
        about += f"accuracy that decided (training epochs: {epochs}; a dash where they differ from seed to seed). CPU "
        about += "seconds are the processor time of all searches of the row. The ceiling is the cell that a perfect "
        about += "searcher at that fidelity would end at."
        return [*markdown_table(head, lines), "", about]


def _chosen_after(rows: Sequence[Run], searcher: str) -> list[int]:
    return sorted({row.fidelity for row in rows if row.searcher == searcher})


def curves(runs: Sequence[Run], budgets: Mapping[str, float]) -> dict[str, list[Curve]]:
    """Two panels over simulated seconds: test accuracy of the incumbent, and the accuracy that it is chosen by.

    A point is the mean over all seeds, from the first time on at which each of them has an incumbent.
    """
    panels: dict[str, list[Curve]] = {}
    for title, column in (("test accuracy of the incumbent, %", 2), ("its validation accuracy as evaluated, %", 1)):
        panels[title] = []
        for name, budget in budgets.items():
            own = [run.anytime for run in runs if run.searcher == name]
            times = [budget * k / GRID for k in range(1, GRID + 1)]
            started = [t for t in times if all(curve[0][0] <= t for curve in own)]
            points = [(t, mean_interval([at(curve, t)[column] for curve in own])) for t in started]
            panels[title].append(Curve(name, points))
    return panels


def at(anytime: Sequence[tuple[float, float, float, str]], seconds: float) -> tuple[float, float, float]:
    """(seconds, accuracy, test) of the incumbent at a time that is not before the first."""
    place = int(np.searchsorted([point[0] for point in anytime], seconds, side="right")) - 1
    return anytime[place][:3]
