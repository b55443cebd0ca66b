"""Prints the tables of results/digits-selection.md and draws its picture, from the records of the runs that it names.

    python results/digits_selection.py RUNS_FOLDER [--out results]

RUNS_FOLDER is the --out of these commands, one for each alpha learning rate A:

    python -m benchbed run --searcher darts --selector perturb,magnitude,best-of,random,constant \\
        --seeds 10:20 --set searcher.alpha_lr=A --table none --out RUNS_FOLDER
"""

import argparse
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from benchbed.stats.interval import mean_interval

SELECTORS = ("perturb", "magnitude", "best-of", "random", "constant")
Records = dict[float, dict[str, dict[int, dict[str, Any]]]]  # alpha_lr -> selector -> seed -> record


def load(folder: Path) -> Records:
    found: Records = defaultdict(lambda: defaultdict(dict))
    for file in sorted(folder.glob("darts-*/record.json")):
        record = json.loads(file.read_text())
        rate = record["config"]["searcher"]["options"]["alpha_lr"]
        found[rate][record["selector"]][record["seed"]] = record
    return found


def operations(records: dict[int, dict[str, Any]]) -> str:
    """How often each operation was chosen over all edges and seeds, most frequent first."""
    words = [w.split("~")[0] for r in records.values() for w in r["architecture"].replace("+", "").split("|") if w]
    return ", ".join(f"{name} {count}" for name, count in Counter(words).most_common())


def page(records: Records) -> list[str]:
    lines = []
    for rate, by_selector in sorted(records.items()):
        supernet = mean_interval([r["supernet_accuracy"] for r in by_selector["perturb"].values()])
        lines += [
            f"\n## alpha learning rate {rate:g}\n",
            f"Supernet accuracy {supernet.mean:.2f} +- {supernet.deviation:.2f} % over {supernet.n} seeds.\n",
            "| selector | seeds | mean | deviation | 95 % interval | parameter-free | select s | operations chosen |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for selector in SELECTORS:
            group = by_selector[selector]
            i = mean_interval([r["test_accuracy"] for r in group.values()])
            free = sum(r["facts"]["parameter_free"] for r in group.values()) / i.n
            seconds = sum(r["seconds"]["selection"] for r in group.values()) / i.n
            lines.append(
                f"| {selector} | {i.n} | {i.mean:.2f} | {i.deviation:.2f} | {i.low:.2f} to {i.high:.2f} "
                f"| {free:.0%} | {seconds:.0f} | {operations(group)} |"
            )
        lines += ["\n| paired difference | seeds | mean | 95 % interval | wins |", "|---|---|---|---|---|"]
        for other in SELECTORS[1:]:
            pairs = [
                r["test_accuracy"] - by_selector[other][seed]["test_accuracy"]
                for seed, r in by_selector["perturb"].items()
            ]
            i = mean_interval(pairs)
            wins = sum(x > 0 for x in pairs)
            lines.append(
                f"| perturb - {other} | {i.n} | {i.mean:+.2f} | {i.low:+.2f} to {i.high:+.2f} | {wins} of {i.n} |"
            )
    return lines


def picture(records: Records, path: Path) -> None:
    """Each dot a seed: test accuracy of the selected cell, by selector, one panel an alpha learning rate."""
    figure, panels = plt.subplots(1, len(records), figsize=(3.4 * len(records), 3.2), sharey=True, squeeze=False)
    for panel, (rate, by_selector) in zip(panels[0], sorted(records.items()), strict=True):
        for x, selector in enumerate(SELECTORS):
            values = [r["test_accuracy"] for r in by_selector[selector].values()]
            panel.plot([x] * len(values), values, "o", alpha=0.45, color=f"C{x}", markersize=5)
            panel.plot([x - 0.25, x + 0.25], [sum(values) / len(values)] * 2, color="black", linewidth=1.5)
        panel.set_xticks(range(len(SELECTORS)), SELECTORS, rotation=35, ha="right")
        panel.set_title(f"alpha learning rate {rate:g}", fontsize=10)
        panel.grid(axis="y", alpha=0.3)
    panels[0][0].set_ylabel("test accuracy of the chosen cell, %")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    records = load(arguments.runs)
    one = next(iter(records.values()))["perturb"]
    made_with = next(iter(one.values()))
    facts = {k: made_with[k] for k in ("versions", "commit", "machine")}
    print("\n".join([f"Made with {json.dumps(facts)}", *page(records)]))
    picture(records, arguments.out / "digits-selection.svg")
    with (arguments.out / "digits-selection.jsonl").open("w") as file:
        for by_selector in records.values():
            for group in by_selector.values():
                for r in group.values():
                    keys = ("id", "seed", "architecture", "supernet_accuracy", "valid_accuracy", "test_accuracy")
                    kept = {"alpha_lr": r["config"]["searcher"]["options"]["alpha_lr"], "selector": r["selector"]}
                    file.write(json.dumps({**kept, **{k: r[k] for k in keys}, "seconds": r["seconds"]}) + "\n")


if __name__ == "__main__":
    main()
