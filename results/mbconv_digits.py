"""Does a search of the small MBConv space on digits beat random networks of its own cost? results/mbconv-digits.md.

    python results/mbconv_digits.py RUNS [--seeds 0:2] [--others 10] [--out results/mbconv-digits]

Searches with `proxyless` (preset small), takes the most probable network, and draws `--others` networks of the space
whose MACs are within 2 % of its own. All are trained from scratch alike: same recipe, same seed. What RUNS holds is
not done again.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from benchbed.pipeline.resolve import resolve, seed_range
from benchbed.pipeline.run import run
from benchbed.runtime.machine import made_with
from benchbed.runtime.options import RunOptions
from benchbed.runtime.progress import Reporter
from benchbed.space import Architecture, Space
from benchbed.stats.interval import mean_interval
from benchbed.study import Lab

NEAR = 0.02  # share of the found network's MACs


def draw(space: Space, found: Architecture, count: int, seed: int) -> list[Architecture]:
    """Random members other than `found`, of nearly its MACs, each once."""
    rng, wanted = np.random.default_rng(seed), space.facts(found)["flops"]
    others: dict[tuple[int, ...], Architecture] = {}
    for _ in range(200_000):
        one = space.random(rng)
        if one.choices != found.choices and abs(space.facts(one)["flops"] / wanted - 1) <= NEAR:
            others[one.choices] = one
        if len(others) == count:
            return list(others.values())
    raise SystemExit(f"only {len(others)} random networks lie within {NEAR:.0%} of {wanted:,} MACs")


def compare(runs: Path, seed: int, others: int, reporter: Reporter) -> dict[str, object]:
    """The found network and the others: MACs and test accuracy of each."""
    lab = Lab(RunOptions(runs, torch.device("cpu"), reporter=reporter))
    config = resolve({"space": "mbconv", "table": "none"}, "proxyless", "magnitude", seed)
    record = run(config, lab.task(config), lab.options)
    space = lab.space(config)
    found = space.parse(record["architecture"])
    rivals = [
        {"architecture": str(one), "macs": space.facts(one)["flops"], "test": lab.test_accuracy(config, one)}
        for one in draw(space, found, others, seed)
    ]
    return {
        "seed": seed,
        "found": {
            "architecture": str(found),
            "macs": space.facts(found)["flops"],
            "test": record["test_accuracy"],
        },
        "supernet_accuracy": record["supernet_accuracy"],
        "search_seconds": record["seconds"]["search"],
        "others": rivals,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seeds", default="0:2")
    parser.add_argument("--others", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("results/mbconv-digits"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    with Reporter() as reporter:
        lines = [compare(given.runs, seed, given.others, reporter) for seed in seed_range(given.seeds)]
    print(
        "| search seed | MACs | found | random, mean | found minus random | found is above |\n|---|---|---|---|---|---|"
    )
    for line in lines:
        own, tests = line["found"]["test"], [o["test"] for o in line["others"]]
        i = mean_interval([own - t for t in tests])
        print(
            f"| {line['seed']} | {line['found']['macs'] / 1e6:.2f}M | {own:.2f} % | {np.mean(tests):.2f} % "
            f"| {i.mean:+.2f} ({i.low:+.2f} to {i.high:+.2f}) | {sum(own > t for t in tests)} of {len(tests)} |"
        )
    result = {"lines": lines, **made_with(torch.device("cpu"))}
    given.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
