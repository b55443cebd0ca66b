"""Perturbation minus each other selector on five kinds of supernet, and three questions asked afterwards: the tables of
results/selection.md below the report's own.

python -m benchbed sweep results/selection.toml --workers 2 --out RUNS
python -m benchbed sweep results/discretize.toml --workers 2 --out RUNS2      # with RUNS/searches copied into RUNS2
python -m benchbed sweep results/gdas-sampled.toml --workers 2 --out RUNS3    # the same
python -m benchbed sweep results/batch-norm.toml --workers 2 --out RUNS4
python results/selection.py RUNS RUNS2 RUNS3 RUNS4     # writes results/selection.jsonl, a line a run
python results/selection.py results/selection.jsonl    # the tables from that file alone
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from statistics import fmean
from typing import Any

from benchbed.report.markdown import in_words
from benchbed.stats.interval import mean_interval
from benchbed.stats.paired import permutation

SEARCHERS = ("darts", "blank", "sdarts-rs", "gdas", "sgas")
OTHERS = ("magnitude", "perturb-magnitude", "constant")
COUNTED = ("nor_conv_3x3", "skip_connect", "none")
KEPT = ("searcher", "selector", "seed", "architecture", "test_accuracy", "valid_accuracy", "rank", "supernet_accuracy")
Runs = dict[tuple[str, str], dict[int, dict[str, Any]]]  # (searcher, selector) -> seed -> figures


def kept(folders: list[Path]) -> list[dict[str, Any]]:
    """The figures of the folders' records that the page is made of.

    Perturbation of GDAS' supernets at sampled paths is a selector of its own here, and so is one that measures by other
    statistics of batch norm than the batch's. A run that two folders hold is the later one's. `seconds`: of selecting.
    """
    lines = {}
    for folder in folders:
        for path in sorted(folder.glob("*/record.json")):
            record = json.loads(path.read_text())
            options, name = record["config"]["selector"]["options"], record["selector"]
            if record["searcher"] == "gdas" and options.get("gates") == "sampled":
                name += "-sampled"
            elif (statistics := options.get("batch_norm", "batch")) != "batch":
                name += f"-{statistics}"
            own = {"selector": name, "seconds": round(record["seconds"]["selection"], 1)}
            line = {key: record[key] for key in (*KEPT, "commit")} | own
            lines[record["searcher"], name, record["seed"]] = line
    return list(lines.values())


def by_pair(lines: list[dict[str, Any]]) -> Runs:
    found: Runs = {}
    for line in lines:
        found.setdefault((line["searcher"], line["selector"]), {})[line["seed"]] = line
    return found


def difference(one: dict[int, dict[str, Any]], other: dict[int, dict[str, Any]]) -> str:
    """The mean of `one` minus `other` over their seeds, its 95 % interval, and the p of the permutation test."""
    points = [one[seed]["test_accuracy"] - other[seed]["test_accuracy"] for seed in sorted(one)]
    i = mean_interval(points)
    return f"{in_words(i, signed=True)} | {permutation(points).p:.3f}"


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


def yardstick(runs: Runs) -> list[str]:
    """`discretize` beside what it is the yardstick of, a row a supernet."""
    lines = [
        "| searcher | seed | discretize, % | perturb, % | magnitude, % | by discretize | by perturb |",
        "|---" * 7 + "|",
    ]
    for searcher in ("darts", "blank"):
        for seed, run in sorted(runs[searcher, "discretize"].items()):
            others = [runs[searcher, name][seed] for name in ("perturb", "magnitude")]
            points = " | ".join(f"{r['test_accuracy']:.2f}" for r in (run, *others))
            lines.append(f"| {searcher} | {seed} | {points} | {operations({0: run})} | {operations({0: others[0]})} |")
    return lines


def sampled(runs: Runs) -> list[str]:
    """Perturbation of GDAS' supernets at sampled paths, minus each other selector of the same supernets."""
    chosen = runs["gdas", "perturb-sampled"]
    lines = ["| GDAS: perturb at sampled paths minus | points | p |", "|---|---|---|"]
    names = {"perturb": "perturb at the mixture", **{name: name for name in OTHERS}}
    lines += [f"| {said} | {difference(chosen, runs['gdas', name])} |" for name, said in names.items()]
    return [*lines, "", f"{operations(chosen)} of {', '.join(COUNTED)} among its 60 edges."]


def statistics(runs: Runs) -> list[str]:
    """Perturbation of DARTS' supernets by whose statistics batch norm takes, beside the batch's own."""
    own = runs["darts", "perturb"]
    lines = [
        "| batch_norm | test accuracy, % | minus batch | p | minus magnitude | p | selection, s | edges as batch |"
    ]
    lines.append("|---" * 8 + "|")
    for name in ("batch", "eval", "recalibrated"):
        chosen = own if name == "batch" else runs["darts", f"perturb-{name}"]
        accuracy, seconds = (fmean(run[key] for run in chosen.values()) for key in ("test_accuracy", "seconds"))
        against = "- | -" if name == "batch" else difference(chosen, own)
        pairs = [(edges(chosen[seed]), edges(own[seed])) for seed in sorted(own)]
        same = sum(a == b for one, other in pairs for a, b in zip(one, other, strict=True))
        cells = [name, f"{accuracy:.2f}", against, difference(chosen, runs["darts", "magnitude"]), f"{seconds:.0f}"]
        lines.append(f"| {' | '.join(cells)} | {same} of {6 * len(own)} |")
    return lines


def edges(run: dict[str, Any]) -> list[str]:
    """The operation of each edge of the chosen cell, with the edge's source."""
    return [part for part in run["architecture"].split("|") if "~" in part]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="the sweeps' folders, or the page's file of lines")
    given = parser.parse_args().runs
    if given[0].is_dir():
        lines = kept(given)
        Path("results/selection.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    else:
        lines = [json.loads(line) for line in given[0].read_text().splitlines()]
    runs = by_pair(lines)
    print("\n".join(table(runs)))
    print(f"\nblank minus darts, both with perturb: {difference(runs['blank', 'perturb'], runs['darts', 'perturb'])}")
    print("\n" + "\n".join(yardstick(runs)) + "\n\n" + "\n".join(sampled(runs)))
    print("\n" + "\n".join(statistics(runs)))


if __name__ == "__main__":
    main()
