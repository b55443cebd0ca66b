"""Perturbation plain against raced: validation images forwarded, seconds, and whether they decide alike.

    python benchmarks/perturb/run.py [--searcher darts --seeds 0:4 --epochs 5 --race 0.05 --interval N] [--out FILE]

For each seed a supernet is trained on a task (digits), and both arms select from the very same state, one after the
other, the first in turn another. Seconds are the process's own CPU time, of the measurements alone and of the whole
selection with its tuning. Gates, order and tuning draws are the same in both arms as long as they decide alike.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchbed.pipeline.build import Parts, build_parts
from benchbed.pipeline.resolve import resolve, seed_range
from benchbed.pipeline.search import run_search
from benchbed.pipeline.select import run_selection
from benchbed.runtime import machine
from benchbed.runtime.folder import Folder
from benchbed.runtime.progress import Reporter
from benchbed.runtime.script import Parser, at_least, ended
from benchbed.tasks.load import load_task

ARMS = ("plain", "raced")


class Stopwatch:
    """CPU seconds that calls of wrapped functions took."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.process_time() - began

        return timed


def selected(parts: Parts, checkpoint: Path, place: Path) -> dict[str, Any]:
    """One selection from the search's checkpoint: what it chose, and what that took."""
    watch, objective = Stopwatch(), parts.objective
    objective.measure = watch.around(objective.measure)  # type: ignore[method-assign]
    objective.outcomes = watch.around(objective.outcomes)  # type: ignore[method-assign]
    began = time.process_time()
    with Folder(place) as folder:
        selection, _ = run_selection(parts, checkpoint, folder, Reporter(quiet=True))
    return {
        "architecture": str(selection.architecture),
        "choices": list(selection.architecture.choices),
        "images": selection.notes["validation_images"],
        "measuring": watch.seconds,
        "seconds": time.process_time() - began,
        "order": selection.notes["order"],
    }


def compared(options: argparse.Namespace, seed: int, place: Path) -> dict[str, Any]:
    """Both arms on one supernet."""
    raw: dict[str, Any] = {"task": options.task, "epochs": options.epochs, "supernet": json.loads(options.supernet)}
    task = load_task(options.task)
    shared = {} if options.interval is None else {"interval": options.interval}
    given = {"plain": shared, "raced": {**shared, "race": options.race}}

    def parts(arm: str) -> Parts:
        config = resolve({**raw, "selector": given[arm]}, options.searcher, "perturb", seed)
        return build_parts(config, task, torch.device("cpu"))

    with Folder(place / "search") as folder:
        record = run_search(parts("plain"), folder, Reporter(quiet=True))
    found: dict[str, Any] = {"seed": seed, "supernet_accuracy": record["supernet_accuracy"]}
    for arm in ARMS if seed % 2 else ARMS[::-1]:
        found[arm] = selected(parts(arm), place / "search" / "checkpoint.pt", place / arm)
    pairs = list(zip(found["plain"]["choices"], found["raced"]["choices"], strict=True))
    found["same"] = sum(a == b for a, b in pairs)
    found["decisions"] = len(pairs)
    return found


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Ratios of totals over all supernets, plain over raced, and on how many all decisions agree."""
    total = {what: [sum(row[arm][what] for row in rows) for arm in ARMS] for what in ("images", "measuring", "seconds")}
    return {
        **{what: {"plain": plain, "raced": raced, "ratio": plain / raced} for what, (plain, raced) in total.items()},
        "supernets": len(rows),
        "decided_alike": sum(row["same"] == row["decisions"] for row in rows),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(__doc__)
    parser.add_argument("--searcher", default="darts")
    parser.add_argument("--task", default="digits")
    parser.add_argument("--seeds", default="0:4", help="FIRST:AFTER_LAST (default 0:4)")
    parser.add_argument("--epochs", type=at_least(1), default=5, help="of each search (default 5)")
    parser.add_argument("--race", type=float, default=0.05, help="error a decision (default 0.05)")
    parser.add_argument("--interval", type=at_least(0), help="tuning epochs between decisions (default: the preset's)")
    parser.add_argument("--supernet", default="{}", help="options of the supernet, as JSON")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = []
    for seed in seed_range(options.seeds):
        with TemporaryDirectory() as folder:
            rows.append(compared(options, seed, Path(folder)))
        row = rows[-1]
        print(f"seed {seed}: {row['same']} of {row['decisions']} decisions alike, images ", end="")
        print(f"{row['plain']['images']:,} and {row['raced']['images']:,}", flush=True)
    found = summary(rows)
    for what in ("images", "measuring", "seconds"):
        one = found[what]
        print(f"{what:10} plain {one['plain']:12,.1f}  raced {one['raced']:12,.1f}  ratio {one['ratio']:.2f}")
    print(f"decided alike on {found['decided_alike']} of {found['supernets']} supernets")
    if options.out:
        shown = {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()}
        result = {"options": shown, **machine.made_with(torch.device("cpu")), **found, "rows": rows}
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(ended(main))
