"""Perturbation minus each other selector on five kinds of supernet: the second table of results/selection.md.

python -m benchbed sweep results/selection.toml --workers 2 --out RUNS
python results/selection.py RUNS                       # writes results/selection.jsonl, a line a run
python results/selection.py results/selection.jsonl    # the table from that file alone
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from statistics import fmean
from typing import Any

from benchbed.stats.interval import mean_interval
from benchbed.stats.paired import permutation

SEARCHERS = ("darts", "blank", "sdarts-rs", "gdas", "sgas")
OTHERS = ("magnitude", "perturb-magnitude", "constant")
COUNTED = ("nor_conv_3x3", "skip_connect", "none")
KEPT = ("searcher", "selector", "seed", "architecture", "test_accuracy", "valid_accuracy", "rank", "supernet_accuracy")
Runs = dict[tuple[str, str], dict[int, dict[str, Any]]]  # (searcher, selector) -> seed -> figures


def kept(runs: Path) -> list[dict[str, Any]]:
    """The figures of the folder's records that the page is made of."""
    records = [json.loads(path.read_text()) for path in sorted(runs.glob("*/record.json"))]
    return [{key: record[key] for key in (*KEPT, "commit")} for record in records]


def by_pair(lines: list[dict[str, Any]]) -> Runs:
    found: Runs = {}
    for line in lines:
        found.setdefault((line["searcher"], line["selector"]), {})[line["seed"]] = line
    return found


def difference(one: dict[int, dict[str, Any]], other: dict[int, dict[str, Any]]) -> str:
    """The mean of `one` minus `other` over their seeds, its 95 % interval, and the p of the permutation test."""
    points = [one[seed]["test_accuracy"] - other[seed]["test_accuracy"] for seed in sorted(one)]
    i = mean_interval(points)
    return f"{i.mean:+.2f} ({i.low:+.2f} to {i.high:+.2f}) | {permutation(points).p:.3f}"


def operations(of_seed: dict[int, dict[str, Any]]) -> str:
    """How many edges of the chosen cells have each of the counted operations."""
    names = Counter(part.split("~")[0] for run in of_seed.values() for part in run["architecture"].split("|"))
    return ", ".join(str(names[name]) for name in COUNTED)


def table(runs: Runs) -> list[str]:
    head = ["searcher", "supernet, %", *(word for name in OTHERS for word in (f"minus {name}", "p"))]
    head += ["by perturbation", "by magnitude"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for searcher in SEARCHERS:
        chosen, base = runs[searcher, "perturb"], runs[searcher, "magnitude"]
        accuracy = fmean(run["supernet_accuracy"] for run in base.values())
        against = " | ".join(difference(chosen, runs[searcher, name]) for name in OTHERS)
        lines.append(f"| {searcher} | {accuracy:.1f} | {against} | {operations(chosen)} | {operations(base)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="the sweep's folder, or the page's file of lines")
    given = parser.parse_args().runs
    if given.is_dir():
        lines = kept(given)
        Path("results/selection.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    else:
        lines = [json.loads(line) for line in given.read_text().splitlines()]
    runs = by_pair(lines)
    print("\n".join(table(runs)))
    print(f"\nblank minus darts, both with perturb: {difference(runs['blank', 'perturb'], runs['darts', 'perturb'])}")


if __name__ == "__main__":
    main()
