"""Random classes of a built table trained anew, one at a time, by `benchbed train`: is the table what it says?

    python results/table_check.py TABLE results/nb201-digits-check.jsonl [--classes 30] [--seed 100]

Each class is trained with a seed of its own that the table has not: one seed is one order of the images and one draw of
the initial weights for all classes, so its trainings share a part of their luck. A difference to the table's mean of k
seeds has the variance s^2 (1 + 1/k), s the deviation of one training, pooled over all the table's classes. Lines that
are in the file are not made again; the figures are printed at the end.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchbed.builder.quality import seeds_by_class
from benchbed.spaces.classes import CellClass, classes
from benchbed.tables import Table
from benchbed.tables.figures import Figure

DRAW = 30  # seeds the draw of the classes


def trained_anew(table: Table, cell: str, seed: int) -> float:
    """Test accuracy, percent, by the plain command with the table's task and recipe."""
    settings = [f"scoring.{key}={value}" for key, value in table.meta["recipe"].items() if value is not None]
    task = table.meta["task"]
    if "images" in task and task["name"] == "digits":
        settings.append(f"task_options.train={task['images']['train']}")
    with TemporaryDirectory() as out:
        command = [sys.executable, "-m", "benchbed", "train", "--space", table.meta["space"], "--task", task["name"]]
        command += ["--arch", cell, "--seed", str(seed), "--out", out, "--device", "cpu", "--quiet"]
        for setting in settings:
            command += ["--set", setting]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (record,) = Path(out).glob("*/record.json")
        found: dict[str, Any] = json.loads(record.read_text())
    if found["task_facts"]["fingerprint"] != task["fingerprint"]:
        raise SystemExit(
            f"the task {task['name']} is not the table's: fingerprint {found['task_facts']['fingerprint']}"
        )
    return float(found["test_accuracy"])


def summary(lines: list[dict[str, Any]], spread: float, count: int) -> str:
    """The two questions: is the mean difference near zero, and is any class far off."""
    differences = np.array([line["anew"] - line["table"] for line in lines])
    one = spread * np.sqrt(1 + 1 / count)
    error = one / np.sqrt(len(differences))
    largest = float(np.abs(differences / one).max())
    return (
        f"{len(lines)} classes, {count} seeds in the table, deviation of one training {spread:.2f} points\n"
        f"mean difference {differences.mean():+.2f}, {differences.mean() / error:+.2f} standard errors\n"
        f"largest standardised difference {largest:.2f}"
    )


def seeds_of(table: Table, figure: Figure) -> tuple[list[CellClass], np.ndarray]:
    """The classes that the table has with every seed, and their accuracies, float64 (classes, seeds)."""
    groups = classes(table.space)
    seeds = seeds_by_class(table, groups, figure)
    there = np.isfinite(seeds).all(1)
    return [group for group, here in zip(groups, there, strict=True) if here], seeds[there]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table")
    parser.add_argument("out", type=Path)
    parser.add_argument("--classes", type=int, default=30)
    parser.add_argument("--seed", type=int, default=100, help="of the first class; the next has the next one")
    arguments = parser.parse_args()
    table = Table.open(arguments.table)
    figure = Figure(table.datasets[0], "test", table.full_epochs)
    lines = [json.loads(line) for line in arguments.out.read_text().splitlines()] if arguments.out.exists() else []
    done = {line["cell"] for line in lines}
    groups, seeds = seeds_of(table, figure)
    chosen = np.random.default_rng(DRAW).permutation(len(groups))[: arguments.classes].tolist()
    for seed, i in enumerate(chosen, arguments.seed):
        cell, mean = groups[i].trained.text, float(seeds[i].mean())
        if cell in done:
            continue
        anew = trained_anew(table, cell, seed)
        lines.append({"cell": cell, "table": mean, "seed": seed, "anew": anew})
        with open(arguments.out, "a") as file:
            file.write(json.dumps(lines[-1]) + "\n")
        print(f"{len(lines)} of {len(chosen)}: table {mean:.2f}, anew {anew:.2f}  {cell}", file=sys.stderr)
    spread = float(np.sqrt(seeds.var(axis=1, ddof=1).mean()))
    print(summary(lines, spread, seeds.shape[1]))


if __name__ == "__main__":
    main()
