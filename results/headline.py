"""The DARTS-PT paper's headline on NAS-Bench-201, in calls of ten minutes: CIFAR-10, 100 epochs, scored by the table.

    python results/headline.py OUT --data DIR --splits DIR --table nb201 [--seeds 0:1] [--minutes 9] [--archive FILE]

DARTS, fixed alpha (blank) and ProxylessNAS at the paper's size (C=16, N=5), with magnitude and perturbation by the
official schedule; on a GPU in bfloat16, the dense steps of DARTS and blank in a CUDA graph. A call ends after --minutes
and says what is left; the same command goes on from the last epoch. What another machine needs to go on is packed
into --archive at the end of a call, and unpacked from it where OUT is not there: records, histories and, of 13.6 MB
each, the checkpoints that are still needed. `--pairs`, `--task` and `--set` are for a rehearsal; benchmarks/first_gpu
has the calls.
"""

import argparse
import json
import signal
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch

from benchbed.errors import BenchbedError
from benchbed.pipeline.build import run_id, search_id, task_of
from benchbed.pipeline.config import RunConfig
from benchbed.pipeline.record import Record
from benchbed.pipeline.resolve import resolve, seed_range, with_settings
from benchbed.pipeline.run import run
from benchbed.runtime.machine import pick_device
from benchbed.runtime.options import RunOptions
from benchbed.runtime.progress import Reporter
from benchbed.task import Task

PAIRS = (  # searcher, selector, published accuracy (Wang et al., ICLR 2021, unverified) or None
    ("darts", "magnitude", 54.30),
    ("darts", "perturb", 88.11),
    ("blank", "perturb", 93.80),
    ("proxyless", "magnitude", None),
    ("proxyless", "perturb", None),
)
DENSE = ("darts", "blank")  # their step is the same from step to step: it can be captured
PARCEL = Path(__file__).resolve().parents[1] / "benchmarks" / "first_gpu"  # has the archive and its limits


def configurations(given: argparse.Namespace, device: torch.device) -> list[tuple[RunConfig, float | None]]:
    """Every run, seed by seed, with what was published of it."""
    pairs: Any = PAIRS
    if given.pairs is not None:
        pairs = [(*pair.partition(":")[::2], None) for pair in given.pairs.split(",")]
    raw: dict[str, Any] = {"task": given.task, "protocol": "generic-paper", "table": given.table, "dataset": "cifar10"}
    raw |= {key: str(value) for key in ("data", "splits") if (value := getattr(given, key)) is not None}
    found = []
    for seed in seed_range(given.seeds):
        for searcher, selector, published in pairs:
            own = dict(raw)
            if device.type == "cuda":
                own["supernet"] = {"bf16": True, **({"graph": True} if searcher in DENSE else {})}
            if given.epochs is not None:
                own["epochs"] = given.epochs
            found.append((resolve(with_settings(own, given.set), searcher, selector, seed), published))
    return found


def travelling(out: Path, runs: list[tuple[RunConfig, float | None]], task: Task) -> tuple[dict[str, Path], list[str]]:
    """What another machine needs of OUT to go on, by its name there, and which of it only saves time.

    A finished run needs its record alone. A search's checkpoint is needed until the search is done and each of its
    runs is finished or has one of its own; where it travels, a run's own only saves time.
    """
    needed, spare = set(), list[str]()
    for name in {search_id(config, task) for config, _ in runs}:
        mine = [out / run_id(config, task) for config, _ in runs if search_id(config, task) == name]
        open_runs = [run for run in mine if not (run / "record.json").exists()]
        begun = [run / "checkpoint.pt" for run in open_runs if (run / "checkpoint.pt").exists()]
        needed |= set(begun)
        if not (out / "searches" / name / "record.json").exists() or len(begun) < len(open_runs):
            needed.add(out / "searches" / name / "checkpoint.pt")
            spare += [str(path.relative_to(out)) for path in begun]
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and not path.name.startswith("."))
    kept = {str(p.relative_to(out)): p for p in files if p.suffix != ".pt" or p in needed}
    return kept, spare


def pack(file: Path, out: Path, runs: list[tuple[RunConfig, float | None]], task: Task) -> None:
    """Writes the archive, and says what of it had no room."""
    if str(PARCEL) not in sys.path:
        sys.path.append(str(PARCEL))
    import parcel

    try:
        left = parcel.archive(file, *travelling(out, runs, task))
    except parcel.Refused as refusal:
        raise SystemExit(f"headline: {refusal}; {out} has it all") from None
    print(f"{file}: {parcel.size(file.stat().st_size)} to go on with; the limit is {parcel.size(parcel.BACK)}")
    for name in left:
        print(f"no room for {name}: that selection begins again from its search")


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
    parser.add_argument("--archive", type=Path)
    parser.add_argument("--pairs", help="others than the paper's, as darts:magnitude,blank:perturb")
    parser.add_argument("--task", default="cifar10")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default auto)")
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args(arguments)
    try:
        device = pick_device(given.device)
    except BenchbedError as error:
        raise SystemExit(f"headline: {error}") from None
    if given.archive is not None and given.archive.exists() and not given.out.exists():
        try:
            with zipfile.ZipFile(given.archive) as packed:
                packed.extractall(given.out)
        except (OSError, zipfile.BadZipFile) as error:
            raise SystemExit(f"headline: --archive {given.archive} cannot be unpacked: {error}") from None
    runs = configurations(given, device)
    records, task = [], task_of(runs[0][0])
    signal.signal(signal.SIGALRM, up)
    try:
        signal.setitimer(signal.ITIMER_REAL, max(given.minutes * 60, 1e-3))
        with Reporter() as reporter:
            for config, _ in runs:
                records.append(run(config, task, RunOptions(given.out, device, reporter=reporter, mixed=True)))
    except KeyboardInterrupt:
        print("the time is up")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if given.archive is not None:
        pack(given.archive, given.out, runs, task)
    if records:
        heads = ("searcher", "selector", "seed", "test, %", "published, unverified", "rank", "supernet, %", "search, s")
        print(f"| {' | '.join((*heads, 'selection, s'))} |\n|{'---|' * 9}")
        for record, (_, published) in zip(records, runs, strict=False):
            print(line(record, published))
        print(json.dumps({key: records[-1].dump()[key] for key in ("commit", "machine", "versions")}))
    left = len(runs) - len(records)
    print(f"{len(records)} of {len(runs)} runs are done{'; the same command goes on' if left else ''}")
    return 75 if left else 0  # EX_TEMPFAIL: come again


if __name__ == "__main__":
    raise SystemExit(main())
