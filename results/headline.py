"""The DARTS-PT paper's headline on NAS-Bench-201, in calls of ten minutes: CIFAR-10, 100 epochs, scored by the table.

    python results/headline.py OUT --data DIR --splits DIR --table nb201 [--seeds 0:1] [--minutes 9] [--from FOLDER]

DARTS, fixed alpha (blank) and ProxylessNAS at the paper's size (C=16, N=5), with magnitude and perturbation by the
official schedule; on a GPU in bfloat16, DARTS' dense step in a CUDA graph. A call ends after --minutes and says what
is left; the same command goes on from the last epoch, on another machine with --from, a copy of the OUT that came
back. `--task` and `--set` are for a rehearsal. A checkpoint has 13.6 MB.
"""

import argparse
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import torch

from benchbed.pipeline.build import task_of
from benchbed.pipeline.config import RunConfig
from benchbed.pipeline.record import Record
from benchbed.pipeline.resolve import resolve, seed_range, with_settings
from benchbed.pipeline.run import run
from benchbed.runtime.machine import pick_device
from benchbed.runtime.options import RunOptions
from benchbed.runtime.progress import Reporter

PAIRS = (  # searcher, selector, published accuracy (Wang et al., ICLR 2021, unverified) or None
    ("darts", "magnitude", 54.30),
    ("darts", "perturb", 88.11),
    ("blank", "perturb", 93.80),
    ("proxyless", "magnitude", None),
    ("proxyless", "perturb", None),
)
LARGEST = 16 * 2**20  # bytes of a file that comes back from a lent machine


def configurations(given: argparse.Namespace, device: torch.device) -> list[tuple[RunConfig, float | None]]:
    """Every run, seed by seed, with what was published of it."""
    raw: dict[str, Any] = {"task": given.task, "protocol": "generic-paper", "table": given.table, "dataset": "cifar10"}
    raw |= {key: str(value) for key in ("data", "splits") if (value := getattr(given, key)) is not None}
    found = []
    for seed in seed_range(given.seeds):
        for searcher, selector, published in PAIRS:
            own = dict(raw)
            if device.type == "cuda":  # only DARTS' step is the same from step to step
                own["supernet"] = {"bf16": True, **({"graph": True} if searcher == "darts" else {})}
            if given.epochs is not None:
                own["epochs"] = given.epochs
            found.append((resolve(with_settings(own, given.set), searcher, selector, seed), published))
    return found


def up(*_: object) -> None:
    raise KeyboardInterrupt  # what everything here can be stopped by, at any moment


def line(record: Record, published: float | None) -> str:
    """A row of the table: what came out beside what was published."""
    seconds, known = record.seconds, "-" if published is None else f"{published:.2f}"
    cells = [record.searcher, record.selector, record.seed, f"{record.test_accuracy:.2f}", known, record.rank]
    cells += [f"{record.supernet_accuracy:.2f}", f"{seconds['search']:,.0f}", f"{seconds['selection']:,.0f}"]
    return f"| {' | '.join(map(str, cells))} |"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--splits", type=Path)
    parser.add_argument("--table", default="nb201")
    parser.add_argument("--seeds", default="0:1")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--from", dest="before", type=Path)
    parser.add_argument("--task", default="cifar10")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args(arguments)
    if given.before is not None and not given.out.exists():
        shutil.copytree(given.before, given.out)
    device = pick_device("auto")
    runs = configurations(given, device)
    records = []
    signal.signal(signal.SIGALRM, up)
    signal.setitimer(signal.ITIMER_REAL, given.minutes * 60)
    try:
        with Reporter() as reporter:
            task = task_of(runs[0][0])
            for config, _ in runs:
                records.append(run(config, task, RunOptions(given.out, device, reporter=reporter)))
    except KeyboardInterrupt:
        print(f"stopped: {len(records)} of {len(runs)} runs are done; the same command goes on")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    for path in given.out.rglob("*"):
        if path.is_file() and path.stat().st_size > LARGEST:
            print(f"larger than a lent machine gives back: {path}, {path.stat().st_size / 2**20:.1f} MB")
    if records:
        heads = ("searcher", "selector", "seed", "test, %", "published, unverified", "rank", "supernet, %", "search, s")
        print(f"| {' | '.join((*heads, 'selection, s'))} |\n|{'---|' * 9}")
        for record, (_, published) in zip(records, runs, strict=False):
            print(line(record, published))
        print(json.dumps({key: records[-1].dump()[key] for key in ("commit", "machine", "versions")}))
    return 0 if len(records) == len(runs) else 75  # EX_TEMPFAIL: come again


if __name__ == "__main__":
    raise SystemExit(main())
