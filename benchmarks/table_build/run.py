"""`table build` against training one cell after the other, and against stepping many cells together.

    python benchmarks/table_build/run.py [--trainings 24 --rounds 3 --images 4000 --batch 64 --out FILE.json]

Three ways of training the same cells of the task digits, in turn, each round beginning with another one; the ratio is
taken within a round. See benchmarks/README.md.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent))
from grouped import Grouped

from benchbed.builder.build import build, folder_of
from benchbed.builder.job_store import JobStore
from benchbed.builder.spec import Spec, spec_of
from benchbed.builder.worker import on_device, train
from benchbed.runtime.machine import made_with
from benchbed.runtime.progress import Reporter
from benchbed.runtime.script import Parser, at_least, ended
from benchbed.runtime.workers import Pool
from benchbed.spaces.classes import classes
from benchbed.spaces.nb201.network import NB201Network


def main() -> None:
    parser = Parser(__doc__)
    parser.counts(trainings=24, rounds=3, images=4000, batch=64, channels=8, workers=2)
    parser.add_argument("--together", type=at_least(1), default=8, help="cells that are stepped together")
    given = parser.parse_args()
    spec = spec_of(
        {"space": "nb201", "task": "digits", "seeds": "0:1", "epochs": 1, "channels": given.channels,
         "sample": given.trainings, "device": "cpu"},
        [f"task_options.train={given.images}", "task_options.test=100", "task_options.valid=100",
         f"scoring.batch={given.batch}"], [],
    )  # fmt: skip
    ways: dict[str, Callable[[], float]] = {
        "one after the other, 2 threads": lambda: alone(spec, 2),
        "one after the other, 1 thread": lambda: alone(spec, 1),
        f"table build, {given.workers} workers": lambda: built(spec, given.workers),
        f"{given.together} together, 1 thread": lambda: together(spec, given.together),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(given.rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            rates[name].append(ways[name]())
            print(f"round {number + 1}  {name:<32} {rates[name][-1]:.3f} cells a second", flush=True)
    first = np.array(rates[names[0]])
    result: dict[str, Any] = {"settings": vars(given) | {"out": None}, "cells_a_second": rates, "ratio": {}}
    for name in names[1:]:
        low, middle, high = np.quantile(np.array(rates[name]) / first, [0.25, 0.5, 0.75])
        result["ratio"][name] = [middle, low, high]
        print(f"{name} / {names[0]}: {middle:.2f} ({low:.2f} to {high:.2f})")
    result |= made_with(torch.device("cpu"))
    if given.out is not None:
        given.out.write_text(json.dumps(result, indent=1) + "\n")


def alone(spec: Spec, threads: int) -> float:
    """Cells a second in this process, by the plain training path."""
    torch.set_num_threads(threads)
    space, task = spec.load_space(), on_device(spec.load_task(), torch.device("cpu"))
    test = task.seal.open("a benchmark")
    cells = [group.trained for group in classes(space)[: spec.sample]]
    train(spec, space, task, test, cells[0], 0)  # warm
    began = time.perf_counter()
    for cell in cells:
        train(spec, space, task, test, cell, 0)
    return len(cells) / (time.perf_counter() - began)


def built(spec: Spec, workers: int) -> float:
    """Cells a second of the real command, between the end of its first training and that of its last.

    So that the seconds in which the workers start, which a build of thousands of cells has once, do not count.
    """
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "own.npz"
        build(spec, out, Pool(workers), Reporter(quiet=True))
        times = sorted(file_times(folder_of(out)))
        return (len(times) - workers) / (times[-1] - times[workers - 1])


def file_times(folder: Path) -> list[float]:
    """When each training was finished, in seconds."""
    results, _ = JobStore(folder, json.loads((folder / "build.json").read_text())).everything()
    return [result["finished"] for result in results.values()]


def together(spec: Spec, count: int) -> float:
    """Cells a second when `count` are stepped together: the time of the steps, without evaluation."""
    torch.set_num_threads(1)
    task, recipe = spec.load_task(), spec.scoring
    choices = [group.trained.choices for group in classes(spec.load_space())[: spec.sample]]
    began = time.perf_counter()
    for first in range(0, len(choices), count):
        some = sorted(choices[first : first + count])
        networks = [NB201Network(c, recipe.channels, recipe.cells, task.classes, task.shape[0]) for c in some]
        net = Grouped(some, networks)
        nn.utils.convert_conv2d_weight_memory_format(net, torch.channels_last)
        sgd = torch.optim.SGD(net.parameters(), recipe.lr, recipe.momentum, nesterov=True, weight_decay=5e-4)
        for chosen in torch.randperm(len(task.train)).split(recipe.batch):
            images = task.train.images[chosen].contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(net(images).flatten(0, 1), task.train.labels[chosen].repeat(len(some))) * len(some)
            sgd.zero_grad(set_to_none=True)
            loss.backward()
            sgd.step()
    return len(choices) / (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(ended(main))
