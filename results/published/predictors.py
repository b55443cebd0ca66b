"""Predictors' printed tau on NAS-Bench-201 beside ours, learned from as many cells of the same set.

`study predictors` draws from one cell of each class that computes one function; the printed figures are of other sets
of cells, so that ours are measured on those here: `scored`, the 9,445 of the zero-cost scores, or `all`. A draw is n
cells that are learned from; tau is of all the others. Forests `as theirs` see the columns that ours see, with
scikit-learn's defaults and the plain accuracy as target, as GRAF's script has them.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from again import lines_of
from zero_cost import SCORES

from benchbed.predictors._encoded import ENCODINGS, choices_of
from benchbed.ranking.asked import predictor_of
from benchbed.space import Architecture
from benchbed.spaces.nb201.space import NB201, all_architectures
from benchbed.stats.interval import mean_interval
from benchbed.stats.kendall import kendall
from benchbed.streams import Streams
from benchbed.tables import Table

THEIRS = "as theirs:"  # before the name of an encoding


def cells_of(pool: str, file: Path = SCORES) -> list[Architecture] | None:
    """The set of cells; None where the file that names it is not there."""
    if pool == "all":
        return list(all_architectures())
    if not file.exists():
        return None
    with file.open() as opened:
        return [NB201().parse(row["net_str"]) for row in csv.DictReader(opened)]


def said(text: str, cells: Sequence[Architecture], seen: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """float64 (cells,): what the predictor expects of every cell after it has learned those at `seen`."""
    if text.startswith(THEIRS):
        from sklearn.ensemble import RandomForestRegressor

        rows = ENCODINGS[text.removeprefix(THEIRS)](NB201(), choices_of(cells))
        found: np.ndarray = RandomForestRegressor(random_state=seed).fit(rows[seen], y[seen]).predict(rows)
        return found
    loaded, options = predictor_of(text)
    predictor = loaded(NB201(), options, Streams(seed))
    predictor.fit([cells[i] for i in seen], y[seen])
    return np.asarray(predictor.predict(cells).accuracy)


def computed(table: Table, asked: Sequence[Mapping[str, Any]], file: Path = SCORES) -> list[dict[str, Any]]:
    """A line a set of printed figures, predictor of ours and number of trainings: tau of every draw, and their mean."""
    lines = []
    for one in asked:
        if (cells := cells_of(one["cells"], file)) is None:
            continue
        learned, judged = (
            np.array([values[cell.choices] for cell in cells])
            for values in (table.values(one["dataset"], split, table.full_epochs) for split in one["splits"])
        )
        for n in one["sizes"]:
            for text in one["ours"]:
                taus = []
                for seed in range(one["draws"]):
                    order = Streams(seed).numpy("trainings").permutation(len(cells))
                    expected = said(text, cells, order[:n], learned, seed)[order[n:]]
                    taus.append(kendall(expected, judged[order[n:]]))
                lines.append({"of": one["id"], "predictor": text, "n": n, "cells": len(cells), "taus": taus,
                              "tau": mean_interval(taus)._asdict()})  # fmt: skip
    return lines


def section(folder: Path, printed: Sequence[Mapping[str, Any]], read: Mapping[str, str]) -> list[str]:
    """A table a set of printed figures: theirs, then ours at the same number of trainings."""
    lines = lines_of(folder / "predictors.jsonl")
    if not lines:
        return ["", "Not made yet."]
    text: list[str] = []
    for one in printed:
        own = [line for line in lines if line["of"] == one["id"]]
        head = ("predictor", *(f"{n} trainings" for n in one["sizes"]))
        text += ["", f"{one['source']}. Read in: {read[one['tag']]}. {one['note']}", "",
                 f"| {' | '.join(head)} |", "|---" * len(head) + "|"]  # fmt: skip
        text += [f"| printed: {name} | {' | '.join(figures)} |" for name, *figures in one["rows"]]
        for predictor in one["ours"]:
            by_size = {line["n"]: line for line in own if line["predictor"] == predictor}
            values = (_word(by_size[n]) if n in by_size else "-" for n in one["sizes"])
            text.append(f"| ours: {predictor} | {' | '.join(values)} |")
        text += ["", f"{_verdict(one, own)} {one['found']}".strip()]
    return text


def _verdict(one: Mapping[str, Any], own: Sequence[Mapping[str, Any]]) -> str:
    """Whether the printed draws agree with those of our predictor that is like theirs; '' where none is."""
    if "like" not in one:
        return ""
    (ours,) = [line for line in own if line["predictor"] == one["like"]]
    draws = [float(figure) for figure in one["rows"][0][1].split(", ")]
    if len(draws) == 1:
        low, high = np.quantile(ours["taus"], [0.025, 0.975])
        agrees = bool(low <= draws[0] <= high)
        how = f"the printed draw lies {'within' if agrees else 'outside'} the middle 95 % of ours"
    else:
        theirs = mean_interval(draws)
        agrees = theirs.low <= ours["tau"]["high"] and ours["tau"]["low"] <= theirs.high
        how = f"the printed draws' mean is {theirs.mean:.3f} ({theirs.low:.3f} to {theirs.high:.3f}), its interval "
        how += "and that of our mean meet" if agrees else "and that of our mean do not meet"
    return f"`{one['like']}` **{'agrees' if agrees else 'is outside'}**: {how}."


def _word(line: Mapping[str, Any]) -> str:
    tau, (low, high) = line["tau"], np.quantile(line["taus"], [0.025, 0.975])
    mean = f"{tau['mean']:.3f} ± {tau['deviation']:.3f} ({tau['low']:.3f} to {tau['high']:.3f})"
    return f"{mean}, draws {low:.3f} to {high:.3f}"
