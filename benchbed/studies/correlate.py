"""How well cheap rankings predict a table's: tau-b, Spearman, precision of the top, with intervals.

A predictor is anything that gives each architecture of a table a number, higher for better. The truth is the table's
test accuracy after its full training. Architectures are the unit, each once, also where two compute the same function:
the published tables trained them separately. Ties: tau-b, mean ranks, and a top's edge counted in part.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from .. import registry
from ..errors import BenchbedError, unknown
from ..ranking.asked import Asked, asked
from ..ranking.prior import FILE
from ..ranking.run import ready, run
from ..ranking.scores import in_words, read
from ..ranking.setting import Setting
from ..report.markdown import markdown_table
from ..report.plots import Panel, scatters_svg
from ..runtime.folder import read_json
from ..runtime.machine import pick_device
from ..runtime.reading import sha256_of
from ..space import Architecture
from ..stats.agreement import Estimate, estimate, estimate_of_difference, spearman, top_precision
from ..stats.kendall import kendall
from ..study import Files, Job, Lab, Records, Several, Study, StudyOptions, finished, last_probabilities
from ..tables.figures import Figure
from ..tables.table import Table
from ..tables.trusted import trusted
from ._supernets import by_weights, drawn

PROXY_CELLS = 500  # architectures that a proxy scores, unless told otherwise
TASKS = {"imagenet16-120": "imagenet16"}  # data sets whose task has another name
FORMS = ("params", "flops", "PROXY[:KEY=VALUE,...]", "FILE.csv:COLUMN", "figure:NAME",
         "SPLIT@EPOCHS", "DATASET/SPLIT@EPOCHS", "TABLE:DATASET/SPLIT@EPOCHS",
         "alpha:SEARCH", "scores:RUN", "supernet:SEARCH", "supernet:SEARCH@N")  # fmt: skip
MEASURED = 200  # architectures whose paths a supernet is measured on, unless told otherwise
LEAST_P = 1e-12  # below it a probability is as good as none
_FIGURE = re.compile(r"(?:(?P<dataset>[^/@]+)/)?(?P<split>[^/@]+)@(?P<epochs>[1-9][0-9]*)")


class Options(StudyOptions):
    """The truth, and what is held against it."""

    table: str = Field(description="the table whose full training is the truth")
    dataset: str = Field(description="of the table")
    predictor: Several = Field(
        description="params, flops, PROXY[:KEY=VALUE,...], FILE.csv:COLUMN, figure:NAME, "
        "[[TABLE:]DATASET/]SPLIT@EPOCHS, alpha:SEARCH, supernet:SEARCH[@N], scores:RUN"
    )
    split: str = Field("test", description="whose accuracy is the truth: test, or valid")
    top: float = Field(0.1, gt=0, lt=1, description="the fraction that is the top")
    cells: int = Field(PROXY_CELLS, ge=3, description="architectures that a proxy scores, drawn at random")
    task: str | None = Field(None, description="whose images a proxy sees; default: the data set's")
    data: str | None = Field(None, description="the folder of that published data set's files")
    seed: int = Field(0, ge=0, description="of a proxy's initial weights and images")


class Truth(NamedTuple):
    """What is predicted: test accuracy after the full training. values: float64 (n,) in percent, NaN where missing."""

    table: Table
    figure: Figure
    values: np.ndarray

    @property
    def words(self) -> str:
        return f"{self.figure.words} in table {self.table.name}"


def truth_of(table: str, dataset: str, split: str = "test") -> Truth:
    """The data set's accuracies after the table's full training. Raises BenchbedError where there are none."""
    opened = trusted(table)
    figure = Figure(dataset, split, opened.full_epochs)
    return Truth(opened, figure, opened.values(*figure).reshape(-1))


ESTIMATES = ("tau", "rho", "precision", "top_tau", "top_rho")  # over all architectures, and inside the truth's top


class CorrelateStudy(Study[Options]):
    """Every predictor against the table's truth on the data set."""

    def check(self) -> None:
        self.truth = truth_of(self.options.table, self.options.dataset, self.options.split)
        for text in self.options.predictor:
            if (found := FILE.fullmatch(text)) is not None:
                read(Path(found["file"]), found["column"], self.truth.table.space)
            if (proxy := proxy_in(text)) is not None:
                ready(setting_of(self.options.model_dump(), self.truth), [proxy])

    def jobs(self, records: Records) -> list[Job]:
        shared = {**self.options.model_dump(exclude={"predictor"}), "fingerprint": self.truth.table.fingerprint}
        return [{**shared, "predictor": text, "content": _content(text)} for text in self.options.predictor]

    def foretell(self) -> str | None:
        proxies = [text for text in self.options.predictor if proxy_in(text) is not None]
        count = min(self.options.cells, int(np.isfinite(self.truth.values).sum()))
        return f"{', '.join(proxies)}: {count:,} architectures each are scored" if proxies else None

    @classmethod
    def measure(cls, lab: Lab, job: Job) -> dict[str, Any]:
        truth = truth_of(job["table"], job["dataset"], job["split"])
        values, note = predicted(job, truth, lab.options.out)
        beside = beside_parameters(values, truth, job["top"])
        return {"values": values.tolist(), "note": note, "params": beside,
                **agreement(job["predictor"], values, truth, job["top"])}  # fmt: skip

    def rows(self, records: Records, measured: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        table, top = self.truth.table, self.options.top
        self.values = [np.array(one["values"]) for one in measured]
        of = {"truth": str(self.truth.figure), "table": table.name, "fingerprint": table.fingerprint, "top": top}
        named = zip(self.options.predictor, measured, strict=True)
        return [{"predictor": name, **of, **{key: one[key] for key in (*ESTIMATES, "params", "note")}}
                for name, one in named]  # fmt: skip

    def figures(self, rows: Sequence[dict[str, Any]]) -> Files:
        panels = [
            Panel(f"{row['predictor']}: tau-b {row['tau']['value']:.3f}", values, self.truth.values)
            for row, values in zip(rows, self.values, strict=True)
        ]
        picture = scatters_svg(panels, f"{self.truth.figure.words}, %")
        return {"correlate.md": markdown(rows, self.truth.words), "correlate.svg": picture}


def proxy_in(text: str) -> Asked | None:
    """The proxy that a predictor names; None where it is of another form. Raises BenchbedError for options amiss.

    The parameters and FLOPs of all cells stand in the table.
    """
    name = text.partition(":")[0].replace("_", "-")
    if name not in {plugin.name for plugin in registry.plugins("proxy")} - {"params", "flops"}:
        return None
    return asked([text])[0]


def setting_of(given: Mapping[str, Any], truth: Truth) -> Setting:
    """What a proxy scores on, by the study's options: the table's space at its own size, the data set's images."""
    dataset = truth.figure.dataset
    task = given["task"] or TASKS.get(dataset, dataset)
    return Setting(space=truth.table.meta["space"], task=task, data=given["data"], seed=given["seed"])


def predicted(job: Mapping[str, Any], truth: Truth, out: Path) -> tuple[np.ndarray, str | None]:
    """What the job's predictor says, as `predictor` gives it, and in words which of its scores are not finite."""
    text, table = job["predictor"], truth.table
    if (proxy := proxy_in(text)) is not None:
        setting = setting_of(job, truth)
        cells = some_of(truth, job["cells"])
        scores = run(setting, [proxy], cells, out / "proxies").scores
        name = proxy.label
    elif (found := FILE.fullmatch(text)) is not None:
        name = found["column"]
        scores = read(Path(found["file"]), name, table.space)
    else:
        return predictor(text, truth), None
    places = np.array([table.places.of(cell) for cell in scores.cells])
    values, column = np.full(truth.values.shape, np.nan), scores.columns[name]
    there = (places >= 0) & np.isfinite(column)
    values[places[there]] = column[there]
    return values, in_words(text, column, scores.cells)


def some_of(truth: Truth, count: int) -> list[Architecture]:
    """So many of the architectures that have a truth, drawn at random and the same for every proxy; all where fewer."""
    known = np.flatnonzero(np.isfinite(truth.values))
    drawn = np.random.default_rng(0).permutation(known)[:count]
    return [truth.table.places.architecture(place) for place in drawn.tolist()]


def beside_parameters(values: np.ndarray, truth: Truth, top: float) -> dict[str, Any] | None:
    """tau and top_tau of the parameter count on the architectures that the values speak of, and by how much the values'
    are above these, paired by architecture; None: no table has it."""
    try:
        params = truth.table.cost("params", truth.figure.dataset).reshape(-1).astype(np.float64)
    except BenchbedError:
        return None
    there = np.isfinite(values) & np.isfinite(truth.values)
    x, y = params[there], truth.values[there]
    if len(x) < 3:
        return None
    best = y >= np.quantile(y, 1 - top)
    own = values[there]
    found = {
        "tau": estimate(kendall, x, y),
        "top_tau": estimate(kendall, x[best], y[best]),
        "above": estimate_of_difference(kendall, own, x, y),
        "top_above": estimate_of_difference(kendall, own[best], x[best], y[best]),
    }
    return {key: value._asdict() for key, value in found.items()}


def _content(text: str) -> list[str]:
    """The digests of what a predictor of a folder or another table reads: where it changed, it is measured again."""
    form, _, rest = text.partition(":")
    if form in ("alpha", "scores", "supernet"):
        files = [Path(re.sub(r"@\d+$", "", rest)) / name for name in ("record.json", "history.jsonl")]
        return [sha256_of(file) for file in files if file.exists()]
    if (found := FILE.fullmatch(text)) is not None:
        return [sha256_of(Path(found["file"]))]
    if (proxy := proxy_in(text)) is not None:
        return [proxy.code] if proxy.code is not None else []
    return [trusted(form).fingerprint] if rest and _FIGURE.fullmatch(rest) else []


def predictor(text: str, truth: Truth) -> np.ndarray:
    """What one of `FORMS` says: float64 (n,) in the order of the table's cells, higher predicts better; NaN: nothing.

    Raises BenchbedError for any other form, and for what the form's source lacks.
    """
    table, dataset = truth.table, truth.figure.dataset
    form, colon, rest = text.partition(":")
    if text in ("params", "flops"):
        return table.cost(text, dataset).reshape(-1).astype(np.float64)
    if form == "figure":
        return table.further(rest).reshape(-1)
    if form == "alpha":
        return _summed(np.log(np.maximum(_probabilities(Path(rest), table), LEAST_P)), table)
    if form == "supernet":
        return _by_supernet(rest, truth)
    if form == "scores":
        return _summed(_scores(Path(rest), table), table)
    if text.endswith(".csv"):
        raise BenchbedError(f"predictor '{text}': say which column of it predicts, {text}:COLUMN")
    found = _FIGURE.fullmatch(rest if colon else text)
    if found is None:
        raise unknown("predictor", text, [*FORMS, *(plugin.name for plugin in registry.plugins("proxy"))])
    other = trusted(form) if colon else table
    if other.meta["space"] != table.meta["space"]:
        raise BenchbedError(f"predictor '{text}': table {other.name} is of space {other.meta['space']}, the truth of "
                            f"{table.meta['space']}")  # fmt: skip
    own = Figure(found["dataset"] or dataset, found["split"], int(found["epochs"]))
    if other.fingerprint == table.fingerprint and own == truth.figure:
        raise BenchbedError(f"predictor '{text}' is the truth itself: expected another figure")
    values = other.values(*own).reshape(-1)
    if not other.places.missing and not table.places.missing:
        return values
    places = np.array([other.places.of(table.places.architecture(place)) for place in range(len(table.places))])
    return np.where(places >= 0, values[places], np.nan)


def _by_supernet(text: str, truth: Truth) -> np.ndarray:
    """float64 (n,): validation accuracy of a supernet at one-hot gates, of randomly drawn architectures; NaN elsewhere.

    They are drawn of those that have a truth, the same for every search.
    """
    path, at, number = text.rpartition("@") if re.search(r"@\d+$", text) else (text, "", "")
    search, count = Path(path), int(number) if at else MEASURED
    _of_its_space(search, truth.table)
    parts = finished(search, pick_device("auto"))
    if parts.config.objective != "supernet":
        raise BenchbedError(f"predictor 'supernet:{text}': the search's objective is a table, there is no supernet")
    known = int(np.isfinite(truth.values).sum())
    if not 3 <= count <= known:
        raise BenchbedError(f"predictor 'supernet:{text}': {count} architectures, expected 3 to {known:,}")
    places, found = drawn(truth.values, count), np.full(truth.values.shape, np.nan)
    found[places] = by_weights(parts, truth.table, places)
    return found


def _summed(of_each: np.ndarray, table: Table) -> np.ndarray:
    """float64 (n,): the sum over positions of what (P, O) says of each operation."""
    total = np.zeros(len(table.places))
    for row, chosen in zip(of_each, table.places.choices().T, strict=True):
        total += np.where(chosen >= 0, row[chosen], 0.0)
    return total


def _probabilities(search: Path, table: Table) -> np.ndarray:
    """(P, O) of a finished search's last epoch."""
    _of_its_space(search, table)
    return np.array(last_probabilities(search), dtype=np.float64)


def _scores(run: Path, table: Table) -> np.ndarray:
    """(P, O): a finished run's scores by its selector, such as what masking an operation cost."""
    _of_its_space(run, table)
    record = read_json(run / "record.json", ("scores", "selector"))
    found = np.array([[np.nan if x is None else x for x in row] for row in record["scores"]], dtype=np.float64)
    if not np.isfinite(found).any():
        raise BenchbedError(f"{run}: its selector '{record['selector']}' scores no operation")
    return found


def _of_its_space(folder: Path, table: Table) -> None:
    config = read_json(folder / "config.json", ("space",))
    if config["space"] != table.meta["space"]:
        raise BenchbedError(f"{folder} is of space {config['space']}, table {table.name} of {table.meta['space']}")


def agreement(name: str, values: np.ndarray, truth: Truth, top: float) -> dict[str, Any]:
    """`ESTIMATES` of a predictor's values (n,), as dicts. Raises BenchbedError for fewer than three architectures."""
    there = np.isfinite(values) & np.isfinite(truth.values)
    x, y = values[there], truth.values[there]
    if len(x) < 3:
        raise BenchbedError(f"predictor '{name}' speaks of {len(x)} architectures of {truth.words}: 3 at least")
    best = y >= np.quantile(y, 1 - top)

    def precision(a: np.ndarray, b: np.ndarray) -> float:
        return top_precision(a, b, top)

    whole = {"tau": estimate(kendall, x, y), "rho": estimate(spearman, x, y), "precision": estimate(precision, x, y)}
    inside = {"top_tau": estimate(kendall, x[best], y[best]), "top_rho": estimate(spearman, x[best], y[best])}
    return {key: value._asdict() for key, value in (whole | inside).items()}


def markdown(rows: Sequence[dict[str, Any]], truth: str) -> list[str]:
    """The table, and how to read it. truth: in words."""
    top = rows[0]["top"]
    share = f"{100 * top:g}%"
    over_all = ["predictor", "n", "Kendall tau-b", "Spearman", f"top-{share} precision"]
    head = [*over_all, f"n of the top {share}", "tau-b there", "Spearman there"]
    head += ["parameters' tau-b on the same", "and in the top", "tau-b minus theirs", "and in the top"]
    lines = []
    for row in rows:
        tau, rho, precision, top_tau, top_rho = (Estimate(**row[key]) for key in ESTIMATES)
        whole = [_words(e) for e in (tau, rho, precision)]
        by = row["params"] or {}
        beside = [_words(Estimate(**by[key])) if key in by else "" for key in ("tau", "top_tau", "above", "top_above")]
        top_of = [f"{top_tau.n:,}", _words(top_tau), _words(top_rho)]
        lines.append([row["predictor"], f"{tau.n:,}", *whole, *top_of, *beside])
    about = f"Against {truth}. 95 % intervals: percentile bootstrap over architectures, 1,000 resamples; "
    about += "differences are of the same resamples. Ties: tau-b, mean ranks; at a top's edge they count in part. "
    about += f"Top-{share} precision: the share of the predictor's top {share} that is in the truth's; chance {top:g}."
    notes = [f"{row['note']}; they are left out." for row in rows if row["note"]]
    return [*markdown_table(head, lines), "", about, *(line for note in notes for line in ("", note))]


def _words(e: Estimate) -> str:
    return f"{e.value:.3f} ({e.low:.3f} to {e.high:.3f})" if np.isfinite(e.value) else "not defined"
