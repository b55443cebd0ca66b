"""Prints the table of results/evaluation-gates.md from the records of the runs that the page names.

    python results/evaluation_gates.py RUNS_FOLDER

RUNS_FOLDER is the --out of these commands, for S in darts, proxyless, reinforce, random and G in mixture, sampled:

    python -m benchbed run --searcher S --selector perturb --set selector.gates=G --seeds 910:913 --table none \\
        --out RUNS_FOLDER
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for file in sorted(parser.parse_args().runs.glob("*/record.json")):
        record = json.loads(file.read_text())
        groups[record["searcher"], record["notes"]["gates"]].append(record)
    print("| searcher | gates | test accuracy of each seed, % | mean | spread of the scores | supernet | select s |")
    print("|---|---|---|---|---|---|---|")
    for (searcher, gates), group in sorted(groups.items()):
        values = [r["test_accuracy"] for r in group]
        # how far apart a position's masked accuracies lie: what the selector has to go by
        rows = [np.array(row, dtype=float) for r in group for row in r["scores"]]
        spread = float(np.mean([np.nanmax(row) - np.nanmin(row) for row in rows]))
        supernet = np.mean([r["supernet"][f"supernet_{gates}_accuracy"] for r in group])
        seconds = np.mean([r["seconds"]["selection"] for r in group])
        each = ", ".join(f"{v:.1f}" for v in values)
        print(
            f"| {searcher} | {gates} | {each} | {np.mean(values):.1f} | {spread:.1f} points "
            f"| {supernet:.1f} | {seconds:.0f} |"
        )


if __name__ == "__main__":
    main()
