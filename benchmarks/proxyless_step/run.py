"""How long an architecture step of each ProxylessNAS mode takes, over a weight step of one path in the same process.

    python benchmarks/proxyless_step/run.py [--space nb201 --channels 16 --cells 1 --batch 64 --rounds 30]

Each round runs, on the same batch: a weight step of one path (forward, backward, clipping, SGD), and the whole
architecture step of `two`, `full`, `echo` and of DARTS (gate gradient, alpha, Adam), as the searchers make it. Each
draws its own paths from uniform probabilities: some are dear, some cheap, so a ratio is one of means over all rounds.
Every round begins with another step. The interval is a 95 % bootstrap over rounds.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchbed import registry
from benchbed.cost import without_cost
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.runtime import machine
from benchbed.runtime.script import Parser, ended
from benchbed.searcher import Clock
from benchbed.spaces.load import load_space
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task

WARM_UP = 3  # rounds before the first that counts
RESAMPLES = 10_000
STEPS = ("two", "full", "echo", "darts")


def images(shape: tuple[int, int, int], count: int) -> Task:
    """A task of random images: what they show does not matter to the time."""
    draw = torch.Generator().manual_seed(0)
    split = Split(torch.randn(count, *shape, generator=draw), torch.randint(10, (count,), generator=draw))
    return Task("random", 10, shape, split, split, Seal(lambda: split), "random", {})


def arms(space_name: str, options: argparse.Namespace, device: torch.device) -> dict[str, Callable[[], object]]:
    """Name -> one step. All share one objective and batch; alpha stays uniform: its learning rate is nearly 0."""
    space, streams = load_space(space_name), Streams(0)
    size = {"channels": options.channels, "cells": options.cells}
    supernet = SupernetOptions(**size, batch=options.batch, valid_batch=options.batch)
    task = images((3, options.image, options.image), 2 * options.batch)
    objective = SupernetObjective(space, task, supernet, streams, 1, device)
    problem, batch, clock = without_cost(objective), objective.batch("train"), Clock(0, 0, 1, 1)
    found: dict[str, Callable[[], object]] = {}
    for name in STEPS:
        searcher_class = registry.load("searcher", "darts" if name == "darts" else "proxyless")
        given = {} if name == "darts" else {"mode": name}
        searcher = searcher_class(space, searcher_class.Options(**given, alpha_lr=1e-9), Streams(1))
        found[name] = partial(searcher.arch_step, problem, batch, clock)
    paths = registry.load("searcher", "random")
    drawn = paths(space, paths.Options(), Streams(2))
    found["one path"] = lambda: objective.weight_step(drawn.sample(1)[0], batch)
    return found


def timed(steps: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Seconds of every step in every round; round r begins with step r."""
    names, seconds = list(steps), {name: [] for name in steps}  # type: dict[str, list[float]]
    for r in range(-WARM_UP, rounds):
        for k in range(len(names)):
            name = names[(r + k) % len(names)]
            before = clock()
            steps[name]()
            if r >= 0:
                seconds[name].append(clock() - before)
    return seconds


def ratios(seconds: dict[str, list[float]]) -> dict[str, dict[str, Any]]:
    """Each step's mean over the mean weight step of one path, with a 95 % percentile bootstrap over rounds."""
    rng, base = np.random.default_rng(0), np.array(seconds["one path"])
    chosen = rng.integers(len(base), size=(RESAMPLES, len(base)))
    found = {}
    for name in STEPS:
        own = np.array(seconds[name])
        low, high = np.quantile(own[chosen].mean(1) / base[chosen].mean(1), [0.025, 0.975])
        found[name] = {
            "ratio": float(own.mean() / base.mean()),
            "interval": [float(low), float(high)],
            "seconds": float(own.mean()),
        }
    return found


def clock_of(device: torch.device) -> Callable[[], float]:
    """The process's own CPU time on a CPU, where other work may hold a core; wall time on a device, awaited."""
    if device.type == "cpu":
        return time.process_time

    def synchronised() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return synchronised


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(__doc__)
    parser.add_argument("--space", default="nb201")
    parser.counts(channels=16, cells=1, batch=64, image=32, rounds=30, threads=1)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default auto)")
    options = parser.parse_args(arguments)
    if options.rounds < 2:
        parser.error(f"--rounds {options.rounds}: a spread needs at least 2")
    torch.set_num_threads(options.threads)
    device = machine.pick_device(options.device)
    seconds = timed(arms(options.space, options, device), options.rounds, clock_of(device))
    found = ratios(seconds)
    print(f"one path: a weight step takes {1000 * statistics.mean(seconds['one path']):.1f} ms (mean)")
    for name, row in found.items():
        low, high = row["interval"]
        print(f"{name:6} {1000 * row['seconds']:8.1f} ms   ratio {row['ratio']:.2f} ({low:.2f} to {high:.2f})")
    if options.out:
        result = {
            "options": {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()},
            **machine.made_with(device),
            "ratios": found,
        }
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(ended(main))
