"""How well one ranking of architectures predicts another: what is cheap to know against a table's full training.

A predictor is anything that gives each architecture of a table a number, higher for better. The truth is the table's
test accuracy after its full training. Architectures are the unit, each once, also where two compute the same function:
the published tables trained them separately. Ties: tau-b, mean ranks, and a top's edge counted in part.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..errors import BenchbedError, unknown
from ..report.markdown import json_lines, markdown_table, write_files
from ..report.plots import Panel, scatters_svg
from ..runtime.folder import read_json
from ..runtime.machine import pick_device
from ..stats.agreement import Estimate, estimate, kendall, spearman, top_precision
from ..tables.figures import Figure
from ..tables.table import Table
from .common import finished, last_probabilities

FORMS = ("params", "flops", "SPLIT@EPOCHS", "DATASET/SPLIT@EPOCHS", "TABLE:DATASET/SPLIT@EPOCHS", "alpha:SEARCH",
         "scores:RUN", "supernet:SEARCH", "supernet:SEARCH@N")  # fmt: skip
MEASURED = 200  # architectures whose paths a supernet is measured on, unless told otherwise
AT_ONCE = 50  # of them
LEAST_P = 1e-12  # below it a probability is as good as none
_FIGURE = re.compile(r"(?:(?P<dataset>[^/@]+)/)?(?P<split>[^/@]+)@(?P<epochs>[1-9][0-9]*)")


class Truth(NamedTuple):
    """What is predicted: test accuracy after the full training. values: float64 (n,) in percent, NaN where missing."""

    table: Table
    figure: Figure
    values: np.ndarray

    @property
    def words(self) -> str:
        return f"{self.figure.words} in table {self.table.name}"


class Predictor(NamedTuple):
    """values: float64 (n,) in the order of the table's cells, higher predicts better; NaN where it says nothing."""

    name: str
    values: np.ndarray


class Row(NamedTuple):
    """How well a predictor agrees with the truth: over all architectures, and inside the truth's top."""

    predictor: str
    tau: Estimate
    rho: Estimate
    precision: Estimate
    top_tau: Estimate
    top_rho: Estimate


class Correlation(NamedTuple):
    """A finished study; `top` is the fraction of a top."""

    truth: Truth
    top: float
    predictors: list[Predictor]
    rows: list[Row]


def study(table: str, dataset: str, asked: Sequence[str], top: float) -> Correlation:
    """Every predictor against the table's truth on the data set.

    Raises BenchbedError for a predictor that nothing gives, one that stands there twice, or a fraction outside (0, 1).
    """
    if not 0 < top < 1:
        raise BenchbedError(f"--top {top:g}: expected a fraction above 0 and below 1, such as 0.1")
    if len(set(asked)) < len(asked):
        raise BenchbedError(f"predictor '{next(a for a in asked if asked.count(a) > 1)}' is asked for twice")
    opened = Table.open(table)
    figure = Figure(dataset, "test", opened.full_epochs)
    truth = Truth(opened, figure, opened.values(*figure).reshape(-1))
    predictors = [predictor(text, truth) for text in asked]
    return Correlation(truth, top, predictors, [_row(p, truth, top) for p in predictors])


def predictor(text: str, truth: Truth) -> Predictor:
    """The predictor of one of `FORMS`. Raises BenchbedError for anything else, and for what the form's source lacks."""
    table, dataset = truth.table, truth.figure.dataset
    form, colon, rest = text.partition(":")
    if text in ("params", "flops"):
        return Predictor(text, table.cost(text, dataset).reshape(-1).astype(np.float64))
    if form == "alpha":
        return Predictor(text, _summed(np.log(np.maximum(_probabilities(Path(rest), table), LEAST_P)), table))
    if form == "supernet":
        return Predictor(text, _by_supernet(rest, truth))
    if form == "scores":
        return Predictor(text, _summed(_scores(Path(rest), table), table))
    found = _FIGURE.fullmatch(rest if colon else text)
    if found is None:
        raise unknown("predictor", text, FORMS)
    other = Table.open(form) if colon else table
    if other.meta["space"] != table.meta["space"] or other.shape != table.shape:
        raise BenchbedError(f"predictor '{text}': table {other.name} is of space {other.meta['space']}, the truth of "
                            f"{table.meta['space']}")  # fmt: skip
    own = Figure(found["dataset"] or dataset, found["split"], int(found["epochs"]))
    if other.fingerprint == table.fingerprint and own == truth.figure:
        raise BenchbedError(f"predictor '{text}' is the truth itself: expected another figure")
    return Predictor(text, other.values(*own).reshape(-1))


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
    known = np.flatnonzero(np.isfinite(truth.values))
    if not 3 <= count <= len(known):
        raise BenchbedError(f"predictor 'supernet:{text}': {count} architectures, expected 3 to {len(known):,}")
    drawn = np.random.default_rng(0).choice(known, count, replace=False)
    choices = np.stack(np.unravel_index(drawn, truth.table.shape), axis=1)
    space, found = parts.space, np.full(truth.values.shape, np.nan)
    for some in range(0, count, AT_ONCE):
        cells = [space.architecture_of(tuple(map(int, row))) for row in choices[some : some + AT_ONCE]]
        gates = torch.from_numpy(np.stack([space.gates(cell) for cell in cells]))
        found[drawn[some : some + AT_ONCE]] = parts.objective.measure(gates).accuracy.double().numpy()
    return found


def _summed(of_each: np.ndarray, table: Table) -> np.ndarray:
    """float64 (n,): the sum over positions of what (P, O) says of each operation."""
    total = np.zeros(table.shape)
    for i, (row, count) in enumerate(zip(of_each, table.shape, strict=True)):
        total = total + row[:count].reshape([-1 if j == i else 1 for j in range(len(table.shape))])
    return total.reshape(-1)


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


def _row(predictor: Predictor, truth: Truth, top: float) -> Row:
    there = np.isfinite(predictor.values) & np.isfinite(truth.values)
    x, y = predictor.values[there], truth.values[there]
    if len(x) < 3:
        raise BenchbedError(
            f"predictor '{predictor.name}' speaks of {len(x)} architectures of {truth.words}: 3 at least"
        )
    best = y >= np.quantile(y, 1 - top)

    def precision(a: np.ndarray, b: np.ndarray) -> float:
        return top_precision(a, b, top)

    return Row(
        predictor.name,
        estimate(kendall, x, y),
        estimate(spearman, x, y),
        estimate(precision, x, y),
        estimate(kendall, x[best], y[best]),
        estimate(spearman, x[best], y[best]),
    )


def markdown(found: Correlation) -> list[str]:
    """The table, and how to read it."""
    share = f"{100 * found.top:g}%"
    over_all = ["predictor", "n", "Kendall tau-b", "Spearman", f"top-{share} precision"]
    head = [*over_all, f"n of the top {share}", "tau-b there", "Spearman there"]
    lines = []
    for r in found.rows:
        whole = [_words(e) for e in (r.tau, r.rho, r.precision)]
        lines.append([r.predictor, f"{r.tau.n:,}", *whole, f"{r.top_tau.n:,}", _words(r.top_tau), _words(r.top_rho)])
    about = f"Against {found.truth.words}. 95 % intervals: percentile bootstrap over architectures, 1,000 resamples. "
    about += "Ties: tau-b, mean ranks; at a top's edge they count in part. "
    about += (
        f"Top-{share} precision: the share of the predictor's top {share} that is in the truth's; chance {found.top:g}."
    )
    return [*markdown_table(head, lines), "", about]


def _words(e: Estimate) -> str:
    return f"{e.value:.3f} ({e.low:.3f} to {e.high:.3f})" if np.isfinite(e.value) else "not defined"


def write(found: Correlation, place: Path) -> None:
    """correlate.jsonl (a line a predictor), correlate.md, correlate.svg into the folder, each whole or not at all."""
    lines: list[dict[str, Any]] = []
    for row in found.rows:
        figures = {name: value._asdict() for name, value in row._asdict().items() if name != "predictor"}
        source = {"table": found.truth.table.name, "fingerprint": found.truth.table.fingerprint}
        lines.append(
            {"predictor": row.predictor, "truth": str(found.truth.figure), **source, "top": found.top, **figures}
        )
    panels = [
        Panel(f"{r.predictor}: tau-b {r.tau.value:.3f}", p.values, found.truth.values)
        for r, p in zip(found.rows, found.predictors, strict=True)
    ]
    picture = scatters_svg(panels, f"{found.truth.figure.words}, %")
    page = "\n".join(markdown(found)) + "\n"
    write_files(place, {"correlate.jsonl": json_lines(lines), "correlate.md": page, "correlate.svg": picture})
