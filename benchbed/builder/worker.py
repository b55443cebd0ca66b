"""One training of a build, as a job of the pool."""

import time
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch

from ..errors import BenchbedError
from ..runtime.machine import made_with, pick_device
from ..runtime.progress import Reporter
from ..runtime.stage import Stage
from ..runtime.worker import Place
from ..space import Architecture, Space
from ..spaces.classes import sampled
from ..task import AnySplit, Task
from ..training.cell import training_of
from ..training.train import evaluate, train_on
from .job_store import Job
from .spec import Spec

EVERY = "every architecture is trained and scored: nothing is selected by it"  # why a build opens the test images


def jobs_of(spec: Spec, space: Space) -> list[Job]:
    """Every job of the build, in the order in which they are made: seed by seed."""
    cells = [c.trained.text for c in sampled(space, spec.sample)]
    return [Job(seed, cell) for seed in spec.seeds for cell in cells]


def train(spec: Spec, space: Space, task: Task, test: AnySplit, cell: Architecture, seed: int) -> dict[str, Any]:
    """One job's result: validation and test accuracy in percent, and the seconds of the training; where every epoch is
    kept, the same three after each in `epochs`.

    On a CPU they are the process's own: other work on the machine does not count. The code is that of a run's score,
    so that a run with the same seed and recipe scores its cell alike. Raises BenchbedError where the training diverges.
    """
    recipe = spec.scoring.recipe()
    size: dict[str, Any] = {"channels": spec.scoring.channels, "cells": spec.scoring.cells}
    clock = time.process_time if spec.device == "cpu" else time.perf_counter
    stage = Stage(None, clock)
    training = stage.timed(lambda: training_of(space, task, recipe, cell, **size, seed=seed, device=spec.device))
    measured: list[dict[str, float]] = []

    def measure(after: int) -> None:
        if after in spec.kept:
            pair = {name: evaluate(training.measured, split) for name, split in (("valid", task.valid), ("test", test))}
            measured.append({**pair, "seconds": round(stage.seconds, 3)})

    train_on(training, stage, Reporter(quiet=True), "training", after=measure)
    return {**measured[-1], **({"epochs": measured} if spec.every_epoch else {})}


def on_device(task: Task, device: torch.device) -> Task:
    """The task with its images on the device, where they are copied once."""
    return replace(task, train=task.train.to(device), valid=task.valid.to(device))


@lru_cache(maxsize=1)
def ready(text: str) -> tuple[Spec, Space, Task, AnySplit]:
    """What all jobs of a build share, once a process; of the specification as JSON."""
    spec = Spec.model_validate_json(text)
    device, task = pick_device(spec.device), spec.load_task()
    return spec, spec.load_space(), on_device(task, device), task.seal.open(EVERY).to(device)


def make(payload: dict[str, Any], place: Place) -> dict[str, Any]:
    """The job of {"spec", "seed", "cell"}: {"result", "header"}, the header being what it was made with."""
    torch.set_num_threads(1)
    spec, space, task, test = ready(payload["spec"])
    try:
        result = train(spec, space, task, test, space.parse(payload["cell"]), payload["seed"])
    except BenchbedError as error:
        raise BenchbedError(f"cell {payload['cell']}, seed {payload['seed']}: {error}") from None
    finished = round(time.time(), 2)  # seconds since 1970
    return {"result": {**result, "finished": finished}, "header": made_with(pick_device(spec.device))}
