"""Surrogates on trial: where the truth is known, and a search on one whose choices are trained really.

python -m benchbed study surrogate --table nb201 --dataset cifar10 --sizes 50,200 --seeds 0:20 \
    --predictor gp:encoding=path --predictor random-forest:encoding=graph --out NB201
python results/surrogate.py --nb201 NB201 --darts TABLE.npz --work FOLDER    # results/surrogate.md and .jsonl

TABLE.npz: random cells of the DARTS space on digits, made by `table build` with SETTINGS; any number from 60 on. A
surrogate learns from the first two thirds of the draws and is judged on the last third, which it never saw. SEARCHES
searches on it choose a cell each, which are trained by the table's recipe and seed, beside as many of the last third:
what random search would have trained next. FOLDER keeps what is trained, so that the command goes on where it stopped.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchbed.builder.fit import fit
from benchbed.builder.spec import spec_of
from benchbed.builder.worker import EVERY, train
from benchbed.pipeline.record import Record
from benchbed.report.markdown import json_lines, markdown_table
from benchbed.runtime.machine import made_with, pick_device
from benchbed.spaces.classes import drawn
from benchbed.stats.folds import tau_within
from benchbed.stats.interval import mean_interval
from benchbed.tables import Figure, Table
from benchbed.tables.importing import import_table
from benchbed.tables.show import to_csv
from benchbed.tables.surrogate import Surrogate

LEAST, SEARCHES, EVALUATIONS, SEED = 60, 20, 500, 0
PREDICTOR, SEARCHER = "random-forest", "regularised-evolution"
GIVEN: dict[str, Any] = {
    "space": "darts", "task": "digits", "seeds": "0:1", "epochs": 3, "channels": 4, "cells": 3, "device": "cpu"
}  # fmt: skip
SETTINGS = [f"task_options.{one}" for one in ("train=4000", "clutter=1", "valid=2000", "test=4000")]
RESULT, PAGE = Path("results/surrogate.jsonl"), Path("results/surrogate.md")


def first_draws(table: Table, work: Path) -> tuple[Surrogate, list[str]]:
    """The surrogate of the first two thirds of the draws, and the strings of the others, in the order of the draws."""
    texts = [one.text for one in drawn(table.space, len(table.places))]
    assert set(texts) == set(table.strings), "the table is not of the first draws"
    seen = set(texts[: 2 * len(texts) // 3])
    whole, part = work / "whole.csv", work / "first.csv"
    to_csv(table, whole)
    header, *rows = whole.read_text().splitlines(keepends=True)
    part.write_text(header + "".join(row for row in rows if row.split('"')[1] in seen))
    import_table([part], "first", space="darts", partial=True, force=True)
    return fit("first", "first-fitted", None, None, PREDICTOR, 10, SEED, True), texts[len(seen) :]


def chosen(surrogate: Surrogate, work: Path) -> list[Record]:
    """The records of the searches."""
    seconds = float(np.mean(surrogate.train_seconds("digits", "valid", GIVEN["epochs"])))
    words = ["run", "--space", "darts", "--objective", "table", "--table", surrogate.name, "--dataset", "digits"]
    words += ["--searcher", SEARCHER, "--selector", "magnitude", "--seeds", f"0:{SEARCHES}", "--quiet"]
    words += ["--set", f"searcher.fidelity={GIVEN['epochs']}", "--set", f"searcher.budget={EVALUATIONS * seconds:.3f}"]
    out = work / f"runs-{surrogate.fingerprint[:12]}"
    subprocess.run([sys.executable, "-m", "benchbed", *words, "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
    found = [Record.read(path) for path in sorted(out.glob("*/record.json"))]
    return sorted(found, key=lambda record: record.seed)


def trained(texts: list[str], table: Table, work: Path) -> dict[str, dict[str, float]]:
    """{"valid", "test"} of each cell by the table's recipe and seed."""
    spec, kept = spec_of(GIVEN, SETTINGS, []), work / "trained.jsonl"
    space, task = spec.load_space(), spec.load_task()
    assert spec.scoring.model_dump() == table.meta["recipe"], "the table is of another recipe"
    assert task.fingerprint == table.meta["task"]["fingerprint"], "the table is of other images"
    known = {one["cell"]: one for one in map(json.loads, kept.read_text().splitlines())} if kept.exists() else {}
    test = task.seal.open(EVERY)
    for text in dict.fromkeys(texts):
        if text not in known:
            known[text] = {"cell": text, **train(spec, space, task, test, space.parse(text), SEED)}
            with kept.open("a") as file:
                file.write(json.dumps(known[text]) + "\n")
    return known


def on_darts(path: Path, work: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """The lines of the page's part, and of the results."""
    table = Table.open(path)
    if len(table.places) < LEAST:
        raise SystemExit(f"{path} has {len(table.places)} cells: expected {LEAST} or more, so let the build go on")
    surrogate, others = first_draws(table, work)
    figures = {split: Figure("digits", split, GIVEN["epochs"]) for split in ("valid", "test")}
    lines, results = list[str](), list[dict[str, Any]]()
    rows = []
    for split, figure in figures.items():
        own = surrogate.said.checked[str(figure)].model_dump()
        truth = np.array([table.query(text, *figure) for text in others])
        said = [surrogate.answer(text, *figure) for text in others]
        tau = tau_within(np.array([one.mean for one in said]), truth, np.zeros(len(said), dtype=int))
        error = np.abs(np.array([one.mean for one in said]) - truth)
        within = [float((error <= k * np.array([one.deviation or 0.0 for one in said])).mean()) for k in (1, 2)]
        params = np.array([table.cost("params", "digits")[table.place(text)] for text in others])
        counted = tau_within(params, truth, np.zeros(len(said), dtype=int))
        rows.append([split, f"{own['tau']:.3f} ({own['tau_low']:.3f} to {own['tau_high']:.3f})",
                     f"{tau.value:.3f} ({tau.low:.3f} to {tau.high:.3f})",
                     f"{counted.value:.3f} ({counted.low:.3f} to {counted.high:.3f})", f"{own['rmse']:.2f}",
                     f"{np.sqrt(np.mean(error**2)):.2f}", f"{truth.std():.2f}",
                     *(f"{share:.2f}" for share in within)])  # fmt: skip
        results.append({"part": "darts unseen", "split": split, "trainings": own["n"], "others": len(others),
                        "cross_validated": own, "unseen_tau": tau._asdict(), "params_tau": counted._asdict(),
                        "within": within})  # fmt: skip
    head = ["accuracy", "tau, cross-validated", "tau of the unseen", "tau of parameters", "error, cross-validated",
            "error of the unseen", "their deviation", "within one stated deviation", "within two"]  # fmt: skip
    lines += [f"{surrogate.trained} trainings, {len(others)} cells that it never saw, {PREDICTOR}, seed {SEED}; table "
              f"fingerprint {table.fingerprint[:16]}.", "", *markdown_table(head, rows), ""]  # fmt: skip
    return _search(table, surrogate, others, work, lines, results)


def _search(
    table: Table, surrogate: Surrogate, others: list[str], work: Path, lines: list[str], results: list[dict[str, Any]]
) -> tuple[list[str], list[dict[str, Any]]]:
    """What the searches chose, trained, beside random search's next cells."""
    records = chosen(surrogate, work)
    known = trained([record.architecture for record in records], table, work)
    rest = others[: len(records)]
    found = {"search on the surrogate": [known[record.architecture] for record in records],
             "random search": [{split: float(table.query(text, "digits", split, GIVEN["epochs"]))
                                for split in ("valid", "test")} for text in rest]}  # fmt: skip
    rows, tests = [], {}
    for name, cells in found.items():
        test = tests[name] = np.array([cell["test"] for cell in cells])
        best, i = max(cells, key=lambda cell: cell["valid"]), mean_interval(test)
        rows.append([name, str(len(cells)), f"{i.mean:.2f} ({i.low:.2f} to {i.high:.2f})", f"{best['test']:.2f}"])
        results.append({"part": "darts search", "name": name, "cells": cells, "mean": i._asdict()})
    apart = stats.ttest_ind(*tests.values(), equal_var=False)
    ends, said = apart.confidence_interval(0.95), np.array([record.test_accuracy for record in records])
    real = tests["search on the surrogate"]
    lines += [
        f"{len(records)} searches ({SEARCHER}, {EVALUATIONS} evaluations each, seeds 0 to {len(records) - 1}) chose "
        f"{len({record.architecture for record in records})} different cells, each trained by the table's recipe and "
        f"seed; random search's are the next {len(rest)} uniform draws after the {surrogate.trained} that the "
        "surrogate has learned from.", "",
        *markdown_table(["cells of", "trainings", "mean test accuracy, %", "of the best on valid"],
                        rows), "",
        f"The difference of the means is {real.mean() - tests['random search'].mean():+.2f} points (Welch's interval "
        f"of 95 %: {ends.low:+.2f} to {ends.high:+.2f}). The surrogate had predicted {said.mean():.2f} % of its cells, "
        f"which came to {real.mean():.2f} %.",
    ]  # fmt: skip
    results.append({"part": "darts search", "predicted": said.tolist(), "low": ends.low, "high": ends.high})
    return lines, results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nb201", type=Path, required=True)
    parser.add_argument("--darts", type=Path, help="without it the page has its first part alone")
    parser.add_argument("--work", type=Path, default=Path("surrogate-work"))
    args = parser.parse_args()
    lines, results = list[str](), list[dict[str, Any]]()
    if args.darts is not None:
        args.work.mkdir(parents=True, exist_ok=True)
        os.environ["BENCHBED_HOME"] = str(args.work.absolute() / "home")
        own, results = on_darts(args.darts, args.work.absolute())
        command = "    python results/surrogate.py --nb201 NB201 --darts TABLE.npz --work FOLDER"
        lines = ["", "## The DARTS space on digits, and a search on it", "", command, "", *own]
    made = made_with(pick_device("cpu"))
    known = [json.loads(line) for line in (args.nb201 / "surrogate.jsonl").read_text().splitlines()]
    whole = [*({"part": "nb201", **one} for one in known), *results, {"part": "made with", **made}]
    RESULT.write_text(json_lines(whole))
    versions, machine = made["versions"], made["machine"]
    where = f"Commit {str(made['commit'])[:10]}, {machine['processor']}, torch {versions['torch']}, numpy "
    page = [
        "# Surrogates", "",
        "[What they are](../docs/surrogates.md). Lines with every draw: [surrogate.jsonl](surrogate.jsonl). "
        f"{where}{versions['numpy']}.", "",
        "## Where the truth is known: does cross-validation hold?", "",
        "    python -m benchbed study surrogate --table nb201 --dataset cifar10 --sizes 50,200 --seeds 0:20 \\",
        "        --predictor gp:encoding=path --predictor random-forest:encoding=graph", "",
        (args.nb201 / "surrogate.md").read_text().strip(), *lines,
    ]  # fmt: skip
    PAGE.write_text("\n".join(page) + "\n")
    print("\n".join(page))


if __name__ == "__main__":
    main()
