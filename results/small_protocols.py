"""What sets alpha on digits, chosen by the finished supernet's accuracy alone.

    python -m benchbed sweep results/small-protocols.toml --workers 2 --out RUNS
    python -m benchbed sweep results/small-protocols-edges.toml --workers 2 --out RUNS2
    python results/small_protocols.py RUNS RUNS2    # results/small-protocols.jsonl; the table goes to the terminal

Nothing but the finished supernet's accuracy and the seconds of a search is read of a record. The rule was written down
before the runs of the second file were made: what `small-digits` had stays, unless another setting is better on every
seed and by a point on average; of several the best on average is taken.
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from benchbed.pipeline.record import Record
from benchbed.report.markdown import json_lines, markdown_table

TRIED = ("alpha_lr", "controller_lr", "step")
LINES = Path("results/small-protocols.jsonl")
BEFORE = {"darts-minus": 3e-3, "pc-darts": 3e-3, "gdas": 6e-3, "snas": 3e-3, "drnas": 3e-3, "setn": 3e-3,
          "fair-darts": 3e-3, "enas": 0.02, "shapley": 0.1}  # fmt: skip
LEAST = 1.0  # points on average that a setting must gain
Accuracies = Mapping[float, Mapping[int, float]]  # setting -> seed -> the supernet's accuracy


def line(record: Record) -> dict[str, Any]:
    options = record.config["searcher"]["options"]
    (tried,) = (name for name in TRIED if name in options)
    return {
        "searcher": record.searcher, "option": tried, "value": options[tried], "epochs": record.config["epochs"],
        "seed": record.seed, "supernet_accuracy": record.supernet_accuracy, "seconds": record.seconds["search"],
    }  # fmt: skip


def taken(before: float, found: Accuracies) -> float:
    """The setting by the rule above. Every setting has the same seeds."""
    base = found[before]
    better = {
        value: fmean(own.values())
        for value, own in found.items()
        if all(own[seed] > base[seed] for seed in base) and fmean(own.values()) - fmean(base.values()) >= LEAST
    }
    return max(better, key=better.__getitem__, default=before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+", help="the sweeps' folders")
    paths = [path for runs in parser.parse_args().runs for path in sorted(runs.glob("*/record.json"))]
    lines = sorted(map(line, map(Record.read, paths)), key=lambda one: (one["searcher"], one["value"], one["seed"]))
    LINES.write_text(json_lines(lines))
    by_searcher = defaultdict[str, list[dict[str, Any]]](list)
    for one in lines:
        by_searcher[one["searcher"]].append(one)
    rows = []
    for searcher, own in by_searcher.items():
        found = defaultdict[float, dict[int, float]](dict)
        for one in own:
            found[one["value"]][one["seed"]] = one["supernet_accuracy"]
        chosen = taken(BEFORE[searcher], found)
        for value, accuracies in found.items():
            words = ["taken"] if value == chosen else []
            words += ["before"] if value == BEFORE[searcher] else []
            each = ", ".join(f"{one:.1f}" for one in accuracies.values())
            seconds = fmean(one["seconds"] for one in own if one["value"] == value)
            rows.append([searcher, f"{own[0]['option']} {value:g}", str(own[0]["epochs"]), each,
                         f"{fmean(accuracies.values()):.1f}", ", ".join(words), f"{seconds:.0f}"])  # fmt: skip
    head = ["searcher", "setting", "epochs", "supernet accuracy of each seed, %", "mean", "", "seconds a search"]
    print("\n".join(markdown_table(head, rows)))


if __name__ == "__main__":
    main()
