"""What each selector gives to skip connections (S2) and to noise (S4), on digits: results/s2-s4.md and the cells drawn.

    python -m benchbed sweep results/s2-s4.toml --workers 2 --out RUNS
    python results/s2_s4.py RUNS [--out results/s2-s4]

An edge's operation is that of the selector's greatest score, before a node drops inputs (the paper's figure 2 has the
14 edges of the normal cell); `random` and `best-of` decide whole cells, so that only the kept inputs can be counted.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchbed.report.draw import draw_cell
from benchbed.spaces.load import load_space
from benchbed.stats.interval import mean_interval
from benchbed.stats.paired import permutation

SELECTORS = ("magnitude", "perturb", "best-of", "random")
Records = dict[tuple[str, str], dict[int, dict[str, Any]]]  # (space, selector) -> seed -> record


def records(runs: Path) -> Records:
    found: Records = defaultdict(dict)
    for path in sorted(runs.glob("*/record.json")):
        record = json.loads(path.read_text())
        found[record["space"], record["selector"]][record["seed"]] = record
    return found


def by_edge(record: dict[str, Any]) -> dict[str, int]:
    """How many of a cell's 14 edges get the space's first operation, skip or noise, by cell."""
    first = [int(np.argmax(row) == 0) for row in record["scores"]]
    return {"normal": sum(first[:14]), "reduce": sum(first[14:])}


def kept(record: dict[str, Any], operation: str) -> int:
    """How many of the eight kept inputs of both cells, 16, have the operation."""
    return str(record["architecture"]).count(f"'{operation}'")


def row(space: str, selector: str, found: Records, operation: str) -> str:
    of_seed = found[space, selector]
    seeds = sorted(of_seed)
    accuracy = [of_seed[s]["test_accuracy"] for s in seeds]
    i = mean_interval(accuracy)
    edges = "-"
    if selector in ("magnitude", "perturb"):
        normal = [by_edge(of_seed[s])["normal"] for s in seeds]
        reduce = [by_edge(of_seed[s])["reduce"] for s in seeds]
        edges = f"{fmean(normal):.1f} ({', '.join(map(str, normal))}); {fmean(reduce):.1f}"
    counts = [kept(of_seed[s], operation) for s in seeds]
    against = "-"
    if selector != "magnitude":
        base = found[space, "magnitude"]
        differences = [of_seed[s]["test_accuracy"] - base[s]["test_accuracy"] for s in seeds]
        d = mean_interval(differences)
        against = f"{d.mean:+.2f} ({d.low:+.2f} to {d.high:+.2f}), p {permutation(differences).p:.3f}"
    cost = fmean(of_seed[s]["seconds"]["selection"] for s in seeds)
    cells = [
        selector,
        edges,
        f"{fmean(counts):.1f} ({', '.join(map(str, counts))})",
        f"{i.mean:.2f} ± {i.deviation:.2f}",
        against,
        f"{cost:,.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--out", type=Path, default=Path("results/s2-s4"))
    given = parser.parse_args()
    found = records(given.runs)
    with open(f"{given.out}.jsonl", "w") as file:
        for (space, selector), of_seed in sorted(found.items()):
            for seed, record in sorted(of_seed.items()):
                names = ("architecture", "scores", "test_accuracy", "supernet_accuracy", "seconds", "commit", "machine")
                line = {"space": space, "selector": selector, "seed": seed} | {k: record[k] for k in names}
                file.write(json.dumps(line) + "\n")
    for space in sorted({space for space, _ in found}):
        operation = load_space(space, {}).positions[0].operations[0]
        supernets = [r["supernet_accuracy"] for r in found[space, "magnitude"].values()]
        print(f"\n## {space}: {operation} or a separable 3x3 convolution\n")
        print(f"Supernets: {fmean(supernets):.1f} % at the mixture (validation), {len(supernets)} seeds.\n")
        edges = f"of 14 edges to {operation}: normal cell (each seed); reduction"
        print(f"| selector | {edges} | of the 16 kept inputs (each seed) | test accuracy, % | ", end="")
        print("minus magnitude, paired | selection, s |\n|---|---|---|---|---|---|")
        for selector in SELECTORS:
            print(row(space, selector, found, operation))
            if selector in ("magnitude", "perturb"):
                record = found[space, selector][min(found[space, selector])]
                whole = load_space(space, {})
                draw_cell(whole, whole.parse(record["architecture"]), f"{given.out}-{space[-2:]}-{selector}.svg")


if __name__ == "__main__":
    main()
