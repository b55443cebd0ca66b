"""How long an interval of Kendall's tau over all cells takes, as a ratio to scipy's own bootstrap in the same process.

    python benchmarks/intervals/run.py [--table nb201 --resamples 1000 --rounds 3] [--out FILE.json]

The pairs are a table's validation accuracy after its shortest training and its test accuracy after the longest. Ours is
`benchbed.stats.agreement.estimate(kendall, ...)`, theirs `scipy.stats.bootstrap` of `scipy.stats.kendalltau`, paired
and by percentiles. Rounds take turns in beginning; the CPU time of the process counts. Before anything is timed, tau
and both intervals are compared: the resamples are others, so the ends agree to a fifth of the interval's width.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy import stats

from benchbed.runtime.machine import made_with
from benchbed.runtime.script import Parser, ended
from benchbed.stats.agreement import Estimate, estimate
from benchbed.stats.kendall import kendall
from benchbed.tables import Table


def ours(x: np.ndarray, y: np.ndarray, resamples: int) -> Estimate:
    return estimate(kendall, x, y, resamples=resamples)


def theirs(x: np.ndarray, y: np.ndarray, resamples: int) -> Estimate:
    def tau(a: np.ndarray, b: np.ndarray) -> float:
        return float(stats.kendalltau(a, b).statistic)

    found = stats.bootstrap((x, y), tau, paired=True, vectorized=False, method="percentile", n_resamples=resamples,
                            rng=np.random.default_rng(1)).confidence_interval  # fmt: skip
    return Estimate(tau(x, y), float(found.low), float(found.high), len(x))


def check(a: Estimate, b: Estimate) -> None:
    """Raises SystemExit where the two do not say the same."""
    width = a.high - a.low
    if abs(a.value - b.value) > 1e-12 or max(abs(a.low - b.low), abs(a.high - b.high)) > max(width / 5, 1e-9):
        raise SystemExit(f"the two intervals differ: {a} and {b}")


def pairs(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """(short validation, full test) accuracies of the first data set, of the cells that have both."""
    dataset = table.datasets[0]
    x = table.values(dataset, "valid", min(table.epochs(dataset, "valid"))).reshape(-1)
    y = table.values(dataset, "test", table.full_epochs).reshape(-1)
    there = np.isfinite(x) & np.isfinite(y)
    return x[there], y[there]


def seconds(act: Callable[[], Any]) -> float:
    begun = time.process_time()
    act()
    return time.process_time() - begun


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--table", default="nb201")
    parser.counts(resamples=1000, rounds=3)
    given = parser.parse_args()
    x, y = pairs(Table.open(given.table))
    check(ours(x, y, max(given.resamples, 500)), theirs(x, y, max(given.resamples, 500)))
    acts = {"ours": lambda: ours(x, y, given.resamples), "scipy": lambda: theirs(x, y, given.resamples)}
    times: dict[str, list[float]] = {name: [] for name in acts}
    for number in range(given.rounds):
        for name in list(acts)[:: 1 if number % 2 else -1]:
            times[name].append(seconds(acts[name]))
    ratio = statistics.median(b / a for a, b in zip(times["ours"], times["scipy"], strict=True))
    found: dict[str, Any] = {
        "cells": len(x),
        "resamples": given.resamples,
        "cpu_seconds": {name: statistics.median(values) for name, values in times.items()},
        "scipy_over_ours": ratio,
        "rounds": times,
        **made_with(torch.device("cpu")),
    }
    cpu = found["cpu_seconds"]
    print(f"Kendall's tau over {len(x):,} cells, {given.resamples:,} resamples, CPU seconds: "
          f"ours {cpu['ours']:.2f}, scipy {cpu['scipy']:.2f}, ratio {ratio:.2f}")  # fmt: skip
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(ended(main))
