"""Compares recipes for an embedded benchmark, on a sample of classes: one line of JSON each.

    python results/recipes.py WORK RECIPES.toml --table nb201 [--sample 70] [--skip 0] [--workers 2] [--only NAME,...]
        [--out FILE.jsonl]

Each recipe is a `table build` with `--sample` in the folder WORK, so that it goes on where it stopped, and a larger
sample adds to a smaller one; with --skip the first classes, on which recipes were chosen, are trained but not judged
by. `nb201` is NAS-Bench-201, imported with `table import`.
"""

import argparse
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchbed.builder.build import build
from benchbed.builder.quality import by_class, quality
from benchbed.builder.spec import Spec, spec_of
from benchbed.builder.worker import on_device, train
from benchbed.runtime.progress import Reporter
from benchbed.runtime.workers import Pool
from benchbed.spaces.classes import classes
from benchbed.stats.agreement import estimate, spearman
from benchbed.tables import Table
from benchbed.tables.figures import Figure

ALL_3X3 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
SEEDS = "0:2"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("recipes", type=Path)
    parser.add_argument("--table", default="nb201")
    parser.add_argument("--sample", type=int, default=70)
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    recipes = tomllib.loads(given.recipes.read_text())
    for name in given.only.split(",") if given.only else recipes["recipes"]:
        line = compare(name, spec_for(recipes, name, given.sample), Table.open(given.table), given)
        print(json.dumps(line), flush=True)
        if given.out is not None:
            with open(given.out, "a") as file:
                file.write(json.dumps(line) + "\n")


def spec_for(recipes: dict[str, Any], name: str, sample: int) -> Spec:
    """The build of the recipe `name` of a file of recipes."""
    own = recipes["recipes"][name]
    settings = {f"scoring.{k}": v for k, v in {**recipes["all"], **own.get("scoring", {})}.items()}
    settings |= {f"task_options.{k}": v for k, v in own.get("task_options", {}).items()}
    given = {"space": "nb201", "task": recipes["task"], "seeds": SEEDS, "sample": sample, "device": "cpu"}
    given["every_epoch"] = recipes.get("every_epoch", False)
    return spec_of(given, [f"{key}={value}" for key, value in settings.items()], [])


def compare(name: str, spec: Spec, real: Table, given: argparse.Namespace) -> dict[str, object]:
    """Builds the sample by a recipe and measures it, and the real benchmark's own short trainings beside it."""
    out = given.work / f"{name}.npz"
    with Reporter() as reporter:
        build(spec, out, Pool(given.workers), reporter, force=True)
    table = Table.open(out)
    found = quality(table, real, skip=given.skip)
    groups = classes(spec.load_space())[given.skip : given.sample]
    seconds = table.train_seconds(table.datasets[0], "test", spec.scoring.epochs).reshape(-1)
    own = by_class(table, groups, Figure(table.datasets[0], "test", spec.scoring.epochs))
    control = all_3x3(spec, given.work / f"{name}.all3x3.json")
    return {
        "recipe": name,
        "sample": given.sample,
        "skip": given.skip,
        "all_3x3": control,
        "all_3x3_beats": float(np.mean(own < control)),
        "seconds": float(np.mean([seconds[g.places[0]] for g in groups])),
        "quality": found._asdict(),
        "short": short(real, spec, given),
        "made_with": table.meta["made_with"],
    }


def short(real: Table, spec: Spec, given: argparse.Namespace) -> dict[str, object]:
    """By data set, Spearman of the benchmark's own 12-epoch test accuracies with its full ones, on the same classes."""
    groups = classes(spec.load_space())[given.skip : given.sample]
    found: dict[str, object] = {}
    for dataset in real.datasets:
        pair = [by_class(real, groups, Figure(dataset, "test", epochs)) for epochs in (12, real.full_epochs)]
        if Figure(dataset, "test", 12) in real.figures:
            found[dataset] = estimate(spearman, *pair)
    return found


def all_3x3(spec: Spec, file: Path) -> float:
    """The control's mean test accuracy over the seeds, trained once."""
    if not file.exists():
        space, task = spec.load_space(), spec.load_task()
        test = task.seal.open("a control")
        cell = space.parse(ALL_3X3)
        task = on_device(task, torch.device("cpu"))
        results = [train(spec, space, task, test, cell, seed)["test"] for seed in spec.seeds]
        file.write_text(json.dumps(float(np.mean(results))))
    return float(json.loads(file.read_text()))


if __name__ == "__main__":
    main()
