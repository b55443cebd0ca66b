"""Compares recipes for a benchmark on digits, on a sample of classes, and prints the table of results/digits-recipe.md.

    python results/digits_recipe.py WORK --table nb201 [--sample 100] [--workers 2] [--only NAME,...] [--out FILE.jsonl]

Each recipe is a `table build` with `--sample` in the folder WORK, so that it goes on where it stopped, and a larger
sample adds to a smaller one. `nb201` is NAS-Bench-201, imported with `table import`.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from benchbed.builder.build import build
from benchbed.builder.classes import classes
from benchbed.builder.quality import quality
from benchbed.builder.settings import spec_of
from benchbed.builder.spec import Spec
from benchbed.builder.worker import on_device, train
from benchbed.runtime.progress import Reporter
from benchbed.tables import Table

ALL_3X3 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
RECIPES = {  # name -> settings over those of `digits`: 16,000 images, noise 0.1, 2 epochs of batch 64 at 0.1, C=8, N=1
    "16k-x2": {},
    "32k-x1": {"task_options.train": 32000, "scoring.epochs": 1},
    "16k-x2-noise.05": {"task_options.noise": 0.05},
    "32k-x1-noise.05": {"task_options.train": 32000, "task_options.noise": 0.05, "scoring.epochs": 1},
    "16k-x1-C16": {"scoring.channels": 16, "scoring.epochs": 1},
    "16k-x2-C16": {"scoring.channels": 16},
    "16k-x2-batch128": {"scoring.batch": 128},
    "16k-x3": {"scoring.epochs": 3},
    "16k-x1": {"scoring.epochs": 1},
    "32k-x1-batch128": {"task_options.train": 32000, "scoring.epochs": 1, "scoring.batch": 128},
    "32k-x1-lr.2": {"task_options.train": 32000, "scoring.epochs": 1, "scoring.lr": 0.2},
    "32k-x1-C16": {"task_options.train": 32000, "scoring.epochs": 1, "scoring.channels": 16},
    "48k-x1": {"task_options.train": 48000, "scoring.epochs": 1},
    "64k-x1": {"task_options.train": 64000, "scoring.epochs": 1},
    "16k-x1-batch32": {"scoring.epochs": 1, "scoring.batch": 32, "scoring.lr": 0.05},
    "32k-x1-batch32": {
        "task_options.train": 32000,
        "scoring.epochs": 1,
        "scoring.batch": 32,
        "scoring.lr": 0.05,
    },
}
SEEDS = "0:2"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--table", default="nb201")
    parser.add_argument("--sample", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", default=",".join(RECIPES))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    for name in given.only.split(","):
        line = compare(name, given.work, Table.open(given.table), given.sample, given.workers)
        print(json.dumps(line), flush=True)
        if given.out is not None:
            with open(given.out, "a") as file:
                file.write(json.dumps(line) + "\n")


def compare(name: str, work: Path, real: Table, sample: int, workers: int) -> dict[str, object]:
    """Builds the sample by a recipe and measures it."""
    spec = spec_of(
        {"space": "nb201", "task": "digits", "seeds": SEEDS, "sample": sample, "device": "cpu"},
        [f"{key}={value}" for key, value in RECIPES[name].items()],
        [],
    )
    out = work / f"{name}.npz"
    with Reporter(quiet=True) as reporter:
        build(spec, out, workers, reporter, force=True)
    found = quality(Table.open(out), real)
    groups = classes(spec.load_space())[:sample]
    seconds = Table.open(out).train_seconds("digits", "test", spec.scoring.epochs).reshape(-1)
    own = Table.open(out).values("digits", "test", spec.scoring.epochs).reshape(-1)
    control = all_3x3(spec, work / f"{name}.all3x3.json")
    return {
        "recipe": name,
        "sample": sample,
        "all_3x3": control,
        "all_3x3_beats": float(np.mean([own[g.places[0]] < control for g in groups])),
        "seconds": float(np.mean([seconds[g.places[0]] for g in groups])),
        "quality": found._asdict(),
    }


def all_3x3(spec: Spec, file: Path) -> float:
    """The control's mean test accuracy over the seeds, trained once."""
    if not file.exists():
        space, task = spec.load_space(), spec.load_task()
        test = task.seal.open("a control")
        cell = space.parse(ALL_3X3)
        results = [train(spec, space, on_device(task, "cpu"), test, cell, seed)["test"] for seed in spec.seeds]
        file.write_text(json.dumps(float(np.mean(results))))
    return float(json.loads(file.read_text()))


if __name__ == "__main__":
    main()
