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
from benchbed.builder.quality import agreement, between_seeds, by_class, seeds_by_class, spearman
from benchbed.builder.settings import spec_of
from benchbed.builder.spec import Spec
from benchbed.builder.worker import on_device, train
from benchbed.progress import Reporter
from benchbed.tables import Figure, Table

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
    table, groups = Table.open(out), classes(spec.load_space())[:sample]
    figure = Figure("digits", "test", spec.scoring.epochs)
    own, seeds = by_class(table, groups, figure), seeds_by_class(table, groups, figure)
    params = np.log([real.cost("params", "cifar10").reshape(-1)[g.places].min() for g in groups])
    c10 = by_class(real, groups, Figure("cifar10", "test", 200))
    control = all_3x3(spec, work / f"{name}.all3x3.json")
    line: dict[str, object] = {
        "recipe": name,
        "sample": sample,
        "between_seeds": between_seeds(seeds),
        "accuracy": [float(np.min(own)), float(np.median(own)), float(np.max(own))],
        "all_3x3": control,
        "all_3x3_beats": float((own < control).mean()),
        "seconds": float(np.mean([table.train_seconds(*figure).reshape(-1)[g.places[0]] for g in groups])),
        "counting_parameters": spearman(params, c10),
    }
    for dataset in ("cifar10", "imagenet16-120"):
        line[dataset] = agreement(own, by_class(real, groups, Figure(dataset, "test", 200)), params)
    return line


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
