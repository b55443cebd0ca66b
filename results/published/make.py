"""Makes the published tables again as far as the benchmark's table alone allows, and the page that shows them.

    python results/published/make.py [--table nb201] [--seeds 500] [--workers 2] [--work DIR] [--page-alone]

The table is NAS-Bench-201's, imported with per-seed values and, for the last correlations, with the files of
HW-NAS-Bench, Jung et al. and few-shot-NAS beside it (`table import table.csv per_seed_200.npz hw_nas_bench_cifar10.csv
robustness.csv one-shot-nb201.json --name nb201`); what it lacks is left out. The published scores of zero-cost proxies
are read from ../shared/data, and their two parts left as they are without it. DIR keeps the searches, so that the same
command goes on where it was stopped. Written beside this file: `searches.jsonl`, `evolution.jsonl`, `rungs.jsonl`,
`correlations.jsonl`, `zero-cost.jsonl`, `predictors.jsonl`, `cells.json` (which cell a printed row is), and
`published.md` by `page.py`.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import page
import predictors
import rungs
import torch
import zero_cost
from again import cells
from evolution import explanations

from benchbed.errors import BenchbedError
from benchbed.pipeline.resolve import seed_range
from benchbed.runtime.machine import made_with
from benchbed.stats.interval import mean_interval
from benchbed.studies.correlate import agreement, predictor, truth_of
from benchbed.tables import Table
from benchbed.tables.trusted import trusted

HERE = Path(__file__).resolve().parent
SEARCHERS = ("random-search", "regularised-evolution", "reinforce-search", "local-search", "optuna:sampler=tpe")
ASK_A_MODEL = ("gp", "gp:predictor=gp:encoding=graph", "bananas:predictor=mlp-ensemble:encoding=path",
               "npenas:predictor=random-forest:encoding=graph")  # fmt: skip
RATES = ("reinforce-search:alpha_lr=0.5", "reinforce-search:alpha_lr=0.001")  # its own is 0.01


class Protocol(NamedTuple):
    """Searches on one data set within a budget of simulated seconds."""

    paper: str
    dataset: str
    budget: int
    searchers: tuple[str, ...] = SEARCHERS
    most: int | None = None  # seeds, however many are asked for
    part: str = ""  # of the folder's name


PROTOCOLS = (
    Protocol("nb201", "cifar10", 12_000),  # the paper prints the other data sets' figures of the same cells
    Protocol("nb201", "cifar10", 12_000, ("bohb",), part="-bohb"),  # its rungs are 12 and 200 epochs
    Protocol("nb201", "cifar10", 12_000, RATES, part="-rates"),
    Protocol("nb201", "cifar10", 12_000, ASK_A_MODEL, 40, "-models"),  # a seed takes a second or two
    Protocol("nats", "cifar10", 20_000),
    Protocol("nats", "cifar100", 40_000),
    Protocol("nats", "imagenet16-120", 120_000),
)
CORRELATIONS = {  # data set -> predictors of its test accuracy after the full training
    "cifar10": ("valid@12", "test@12", "valid@200", "params", "flops", "figure:one-shot-nb201",
                "figure:edgegpu_latency", "figure:edgegpu_energy", "figure:raspi4_latency", "figure:edgetpu_latency",
                "figure:pixel3_latency", "figure:eyeriss_latency", "figure:eyeriss_energy", "figure:fpga_latency",
                "figure:fpga_energy", "figure:fgsm@Linf_eps-1.0", "figure:pgd@Linf_eps-1.0",
                "figure:aa_apgd-ce@Linf_eps-1.0", "figure:aa_square@Linf_eps-1.0"),
    "cifar100": ("valid@12", "test@12", "valid@200", "params", "flops"),
    "imagenet16-120": ("valid@12", "test@12", "valid@200", "params", "flops"),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", default="nb201")
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path("published-searches"))
    parser.add_argument("--page-alone", action="store_true", help="compute nothing")
    given = parser.parse_args()
    if not given.page_alone:
        try:
            seed_range(f"0:{given.seeds}")
            table = trusted(given.table)
        except BenchbedError as error:
            raise SystemExit(f"make.py: {error}") from None
        if table.meta["space"] != "nb201":
            raise SystemExit(f"make.py: table {given.table} is of space '{table.meta['space']}', expected nb201")
        conditions = made_with(torch.device("cpu")) | {"table": table.fingerprint, "seeds": given.seeds}
        write("searches.jsonl", [line for p in PROTOCOLS for line in searches(p, table, given)], conditions)
        write("correlations.jsonl", correlations(table), conditions)
        write("evolution.jsonl", explanations(table, given.seeds), conditions)
        write("rungs.jsonl", rungs.explanations(table, given.seeds), conditions)
        if zero_cost.SCORES.exists():
            write("zero-cost.jsonl", zero_cost.computed(table), conditions)
            write("predictors.jsonl", predictors.computed(table, page.printed("predictor")), conditions)
        which = {one["id"]: found for one in page.tables() if (found := cells(one, table))}
        (HERE / "cells.json").write_text(json.dumps(which, indent=1) + "\n")
    page.write()


def write(name: str, lines: Sequence[dict[str, Any]], conditions: dict[str, Any]) -> None:
    """The lines, and on what they were made once more in a last one."""
    text = "".join(json.dumps(line) + "\n" for line in [*lines, {"conditions": conditions}])
    (HERE / name).write_text(text)


def searches(of: Protocol, table: Table, given: argparse.Namespace) -> list[dict[str, Any]]:
    """By searcher: mean, interval and deviation over seeds of the chosen cells' figures on every data set."""
    out = given.work / f"{of.paper}-{of.dataset}{of.part}"
    seeds = min(given.seeds, of.most or given.seeds)
    words = ["study", "tabular", "--table", given.table, "--dataset", of.dataset, "--budget", str(of.budget),
             "--seeds", f"0:{seeds}", "--workers", str(given.workers), "--out", str(out)]  # fmt: skip
    words += [word for searcher in of.searchers for word in ("--searcher", searcher)]
    print(f"searches by {of.paper}'s budget on {of.dataset}", file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, "-m", "benchbed", *words], stdout=subprocess.DEVNULL)
    if done.returncode != 0:
        raise SystemExit(done.returncode)
    runs = [json.loads(line) for line in (out / "tabular.jsonl").read_text().splitlines()]
    datasets = [of.dataset] if of.paper == "nats" else list(table.datasets)
    lines = []
    for searcher in of.searchers:
        own = [run for run in runs if run["searcher"] == searcher]
        cells = [run["architecture"] for run in own]
        figures = {
            f"{dataset} {split}": _asdict(table.query(cells, dataset, split, table.full_epochs))
            for dataset in datasets
            for split in ("valid", "test")
        }
        evaluations = float(np.mean([run["evaluations"] for run in own]))
        where = {"paper": of.paper, "dataset": of.dataset, "budget": of.budget}
        lines.append({**where, "searcher": searcher, "evaluations": evaluations, "figures": figures})
    return lines


def _asdict(values: np.ndarray) -> dict[str, Any]:
    i = mean_interval(values.tolist())
    return {"mean": i.mean, "deviation": i.deviation, "low": i.low, "high": i.high, "n": i.n}


def correlations(table: Table) -> list[dict[str, Any]]:
    """By data set and predictor, as `study correlate` has them; what the table lacks is left out."""
    lines = []
    for dataset, named in CORRELATIONS.items():
        truth = truth_of(table.name, dataset)
        for text in named:
            try:
                found = agreement(text, predictor(text, truth), truth, 0.1)
            except BenchbedError as error:
                print(f"left out: {text} on {dataset}: {error}", file=sys.stderr)
                continue
            lines.append({"dataset": dataset, "predictor": text, **found})
    return lines


if __name__ == "__main__":
    main()
