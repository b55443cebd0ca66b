"""Gradient against REINFORCE under a latency term on digits: the page results/latency-digits.md, from finished runs.

    for s in proxyless reinforce; do
        python -m benchbed run --searcher $s --selector magnitude --seeds 0:10 --out RUNS \
            --latency ../shared/data/hw/nb201_latency_ms.csv:pixel3 --target-ms 11.2138 \
            --set task_options.train=8000 --set scoring.epochs=4
    done
    python results/latency_digits.py RUNS
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchbed.report.markdown import in_words, json_lines, markdown_table, write_files
from benchbed.stats.interval import Interval, mean_interval
from benchbed.stats.paired import permutation

SEARCHERS = ("proxyless", "reinforce")
HERE = Path(__file__).parent
READING = (  # of the run of 2026-11-25
    "At this weight both end in cells that are nearly free of parameters. REINFORCE's are the faster ones in",
    "every seed, ProxylessNAS' the more accurate ones in nine, by an amount whose interval holds 0: two points",
    "of one trade, and no better or worse search. Half of the images and one weight a searcher; a front would",
    "need a sweep (`study front`).",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    records = [json.loads(f.read_text()) for f in sorted(parser.parse_args().runs.glob("*/record.json"))]
    rows = [row(r) for r in records]
    seeds = {s: {r["seed"]: r for r in rows if r["searcher"] == s} for s in SEARCHERS}
    if seeds["proxyless"].keys() != seeds["reinforce"].keys() or not seeds["proxyless"]:
        raise SystemExit("the two searchers have different seeds: run both to the end")
    page = [
        *head(records[0], len(seeds["proxyless"])),
        "",
        *table(seeds),
        "",
        *differences(seeds),
        "",
        *READING,
        "",
        *cells(seeds),
    ]
    files = {"latency-digits.md": "\n".join(page) + "\n", "latency-digits.jsonl": json_lines(rows)}
    write_files(HERE, files)


def row(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "searcher": record["searcher"],
        "seed": record["seed"],
        "architecture": record["architecture"],
        "test_accuracy": record["test_accuracy"],
        "ms": record["cost"]["chosen"],
        "expected_ms": record["cost"]["expected"],
        "search_seconds": round(record["seconds"]["search"], 1),
        "commit": record["commit"],
    }


def head(record: dict[str, Any], n: int) -> list[str]:
    machine, versions = record["machine"], record["versions"]
    return [
        "# Gradient against REINFORCE under a latency term, on digits",
        "",
        "Shared weights on the embedded task (8,000 training images), preset `small` (10 epochs), the",
        f"measured latency of whole cells on pixel3 (HELP's table), {n} seeds a searcher. ProxylessNAS in",
        "mode `two` pays `add#linear` with the official lambda of 0.1, REINFORCE's reward is acc (T /",
        "ms)^0.1; T = 11.21 ms, the mean over uniformly drawn cells. Both fixed beforehand, nothing tuned.",
        "The most probable cell is trained from scratch for 4 epochs.",
        "",
        f"{machine['processor']}, {machine['cores']} cores that other work shared, one thread a search; "
        f"torch {versions['torch']}, commit {record['commit'][:12]}. Commands: in `results/latency_digits.py`.",
    ]


def table(seeds: dict[str, dict[int, dict[str, Any]]]) -> list[str]:
    def mean(name: str, key: str) -> Interval:
        return mean_interval([r[key] for r in seeds[name].values()])

    lines = [
        [name, *(in_words(mean(name, key)) for key in ("test_accuracy", "ms", "expected_ms", "search_seconds"))]
        for name in SEARCHERS
    ]
    return markdown_table(
        ["searcher", "test accuracy, %", "ms of the cell", "expected ms at the end", "search s"], lines
    )


def differences(seeds: dict[str, dict[int, dict[str, Any]]]) -> list[str]:
    lines = []
    for key, words in (("test_accuracy", "test accuracy, points"), ("ms", "ms of the cell")):
        d = [seeds["proxyless"][s][key] - seeds["reinforce"][s][key] for s in seeds["proxyless"]]
        lines.append([words, in_words(mean_interval(d), signed=True), f"{sum(x > 0 for x in d)} of {len(d)}",
                      f"{permutation(d).p:.3f}"])  # fmt: skip
    return ["ProxylessNAS minus REINFORCE, paired by seed (the same initial weights and data order):", "",
            *markdown_table(["", "mean", "above", "p (permutation)"], lines)]  # fmt: skip


def cells(seeds: dict[str, dict[int, dict[str, Any]]]) -> list[str]:
    lines = [[name, str(s), f"`{r['architecture']}`", f"{r['ms']:.2f}", f"{r['test_accuracy']:.2f}"]
             for name in SEARCHERS for s, r in sorted(seeds[name].items())]  # fmt: skip
    return ["The cells:", "", *markdown_table(["searcher", "seed", "cell", "ms", "test, %"], lines)]


if __name__ == "__main__":
    main()
