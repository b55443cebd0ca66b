"""Prints the tables of results/table-objective.md from the records of the runs that the page names.

    python results/table_objective.py RUNS_FOLDER [RUNS_FOLDER ...]

Each folder is the --out of one of the page's `benchbed run --objective table` commands.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    for folder in parser.parse_args().runs:
        records = [json.loads(file.read_text()) for file in sorted(folder.glob("*/record.json"))]
        print(f"\n**{folder.name}**, {records[0]['table']['dataset']}, {_budget(records[0])}, "
              f"{len({r['seed'] for r in records})} seeds\n")  # fmt: skip
        show(records)


def _budget(record: dict[str, Any]) -> str:
    config = record["config"]
    return f"{config['epochs'] * (config.get('steps') or 30)} architecture steps"


def show(records: list[dict[str, Any]]) -> None:
    """Median regret over seeds, first and third quartile: a row a searcher, a column a selector."""
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for record in records:
        groups[record["searcher"], record["selector"]].append(record["regret"])
    order = ("magnitude", "perturb", "best-of", "random", "constant")
    selectors = [s for s in order if any(pair[1] == s for pair in groups)]
    print("| searcher | " + " | ".join(selectors) + " |")
    print("|---" * (len(selectors) + 1) + "|")
    for searcher in ("darts", "proxyless", "reinforce", "random"):
        fields = []
        for selector in selectors:
            low, middle, high = np.quantile(groups[searcher, selector], [0.25, 0.5, 0.75])
            fields.append(f"{middle:.2f} ({low:.2f} to {high:.2f})")
        print(f"| {searcher} | " + " | ".join(fields) + " |")


if __name__ == "__main__":
    main()
