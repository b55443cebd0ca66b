"""The last stage of a run, in a folder of its own and resumable: the chosen architecture trained from scratch."""

import time
from typing import Any

import torch

from ..runtime.folder import Folder
from ..runtime.machine import peak_memory
from ..runtime.options import RunOptions
from ..runtime.progress import Reporter
from ..runtime.stage import Stage, Where, segment
from ..selector import Selection
from ..space import Architecture, Space
from ..tables.figures import Figure
from ..tables.score import Score, network_in, on_every_dataset
from ..tables.score import score as score_in
from ..tables.surrogate import Surrogate
from ..tables.table import Table
from ..task import Task
from ..training.cell import training_of
from ..training.counted import trained_network
from ..training.train import evaluate, train_on
from .config import RunConfig, identity

# What a finished score's record holds at least: a record without it is damaged.
SCORE_KEYS = ("valid_accuracy", "test_accuracy", "seconds", "peak_memory_bytes")


def score(
    config: RunConfig,
    space: Space,
    task: Task,
    selection: Selection,
    folder: Folder,
    options: RunOptions,
) -> dict[str, Any]:
    """Trains the chosen architecture from scratch, seeded by the run's seed; validation and test accuracy in percent.

    Opens the test seal, after training. The same architecture, recipe and seed is trained once per output folder.
    Raises BenchbedError where it was begun under what may give other bits (`benchbed.runtime.stage`), and not
    `options.mixed`.
    """
    if folder.record is not None:
        return folder.record
    assert config.scoring is not None
    recipe = config.scoring.recipe()
    size: dict[str, Any] = {"channels": config.scoring.channels, "cells": config.scoring.cells}
    seed, chosen, device, group = config.seed, selection.architecture, options.device, options.group
    training = training_of(space, task, recipe, chosen, **size, seed=seed, device=device, group=group)
    stage = Stage(folder, where=Where("scoring", "epochs", device, options.mixed, group))
    train_on(training, stage, options.reporter, "score by training")
    test = task.seal.open(selection)
    record = {
        "architecture": str(selection.architecture),
        "valid_accuracy": evaluate(training.measured, task.valid.to(device), group=group),
        "test_accuracy": evaluate(training.measured, test.to(device), group=group),
        "seconds": stage.seconds,
        "peak_memory_bytes": peak_memory(device),
        "segments": stage.segments,
        "network": trained_network(training.network, space, chosen, task, **size),
    }
    folder.finish(record)
    options.reporter.line(f"trained the cell in {stage.seconds:.0f} s: test accuracy {record['test_accuracy']:.2f} %")
    return record


# What a table says beyond what a training does, and the network whose test accuracy it is, which both say.
TABLE_KEYS = (*(name for name in Score._fields if name not in SCORE_KEYS), "table", "datasets", "network")


def trained(
    config: RunConfig, space: Space, task: Task, selection: Selection, options: RunOptions
) -> dict[str, Any]:
    """The chosen architecture's figures, trained from scratch as the run's are, or found trained before."""
    chosen, seed = str(selection.architecture), config.seed
    key = [config.space_key(), task.name, task.fingerprint, chosen, config.scoring_key(), seed]
    path = options.out / "scores" / identity(f"{config.space}-{task.name}-s{seed}", key)
    with options.group.folder(path, SCORE_KEYS, wait=True) as folder:
        if folder.to_clear(options.force):
            folder.clear(options.force)
        return score(config, space, task, selection, folder, options)


def score_by_table(config: RunConfig, selection: Selection, reporter: Reporter) -> dict[str, Any]:
    """The chosen architecture's own figures in the configured table, and where they stand in it; no training.

    Only here is a table's test accuracy read. Raises BenchbedError, naming the cell, where a partial table lacks it.
    """
    assert config.table is not None
    table = config.table.open()
    found = scored_in(table, config.table.dataset, selection.architecture)
    how = "predicted test accuracy" if found["predicted"] else "test accuracy"
    reporter.line(f"table {table.name}: {how} {found['test_accuracy']:.2f} % on {config.table.dataset}")
    return found


def scored_in(table: Table, dataset: str, architecture: Architecture) -> dict[str, Any]:
    """What a run's record holds of an architecture in a table. Raises BenchbedError where a partial table lacks it."""
    began = time.perf_counter()
    found = score_in(table, dataset, architecture)
    where: dict[str, Any] = {
        "name": table.name,
        "fingerprint": table.fingerprint,
        "dataset": dataset,
        "epochs": table.full_epochs,
    }
    if "splits" in table.meta:  # a source without validation accuracy: which of its trials serve which split
        where["splits"] = table.meta["splits"]
    if isinstance(table, Surrogate):
        where["surrogate"] = table.facts(architecture, Figure(dataset, "test", table.full_epochs))
    seconds = time.perf_counter() - began
    looked_up = {**segment("scoring", "lookups", 0, torch.device("cpu")), "stop": 1}
    every = {"datasets": on_every_dataset(table, architecture), "table": where}
    every["network"] = network_in(table, dataset, architecture)
    return {**found._asdict(), **every, "seconds": seconds, "peak_memory_bytes": 0, "segments": [looked_up]}
