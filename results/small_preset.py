"""How the `small` preset was fixed: by supernet accuracy on the digits task alone, no selector looked at.

    python results/small_preset.py results/small_preset.jsonl [--workers 2]

Each setting searches on two seeds that no other experiment uses (900, 901) at one thread. The figure is the finished
supernet's validation accuracy in the searcher's own mode. Settings that are in the file are skipped; at the end the
table of results/small-preset.md is printed.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SEEDS = (900, 901)
RATES = (0.025, 0.05, 0.1, 0.2)
GRID = (
    [("darts", {"supernet": {"lr": lr}}) for lr in RATES]
    + [("darts", {"searcher": {"alpha_lr": a}}) for a in (3e-4, 1e-2)]
    + [(name, {"supernet": {"lr": lr}}) for lr in RATES for name in ("proxyless", "random")]
    + [("reinforce", {"supernet": {"lr": lr}}) for lr in (0.05, 0.1, 0.2)]
)


def measure(job: tuple[str, dict[str, dict[str, float]], int]) -> dict[str, object]:
    import torch

    from benchbed.pipeline.build import build_parts
    from benchbed.pipeline.resolve import resolve
    from benchbed.pipeline.search import run_search
    from benchbed.runtime.folder import Folder
    from benchbed.runtime.progress import Reporter
    from benchbed.tasks.load import load_task

    torch.set_num_threads(1)
    searcher, settings, seed = job
    config = resolve(settings, searcher, "magnitude", seed)
    parts = build_parts(config, load_task("digits"), torch.device("cpu"))
    with TemporaryDirectory() as folder, Folder(Path(folder)) as place:
        record = run_search(parts, place, Reporter(quiet=True))
    kept = {k: round(record[k], 3) for k in record if k.startswith("supernet_")}
    return {
        "searcher": searcher,
        "settings": settings,
        "epochs": config.epochs,
        "seed": seed,
        **kept,
        "seconds": record["seconds"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    lines = arguments.out.read_text().splitlines() if arguments.out.exists() else []
    done = [(r["searcher"], r["settings"], r["seed"]) for r in map(json.loads, lines)]
    jobs = [(s, o, seed) for seed in SEEDS for s, o in GRID if (s, o, seed) not in done]
    with ProcessPoolExecutor(arguments.workers) as pool, open(arguments.out, "a") as file:
        for line in pool.map(measure, jobs):
            file.write(json.dumps(line) + "\n")
            file.flush()
    table([json.loads(line) for line in arguments.out.read_text().splitlines()])


def table(lines: list[dict[str, Any]]) -> None:
    print("| searcher | setting | epochs | supernet accuracy of each seed, % | mean | seconds a search |")
    print("|---|---|---|---|---|---|")
    for searcher, settings in GRID:
        group = [r for r in lines if r["searcher"] == searcher and r["settings"] == settings]
        values = [r["supernet_accuracy"] for r in group]
        setting = ", ".join(f"{section}.{k}={v:g}" for section, o in settings.items() for k, v in o.items())
        each, mean = ", ".join(f"{v:.1f}" for v in values), sum(values) / len(values)
        seconds = sum(r["seconds"] for r in group) / len(group)
        print(f"| {searcher} | {setting} | {group[0]['epochs']} | {each} | {mean:.1f} | {seconds:.0f} |")


if __name__ == "__main__":
    main()
