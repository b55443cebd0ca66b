"""From the results of a build to the table's file. Numpy only."""

from datetime import UTC, datetime
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..space import Space, counted
from ..spaces.classes import CellClass, classes, countable, sampled, shape_of
from ..spaces.nb201.space import NB201, flops, parameters
from ..tables import store
from ..tables.figures import Figure
from ..tables.places import ROWS
from ..tables.table_builder import mean_over_seeds
from ..task import Task
from .spec import Spec, dataset_of

UNITS = {
    "accuracy": "percent, mean over the seeds; NaN: not trained",
    "seeds": "percent, one a seed; NaN: not trained",
    "seconds": "of the training, mean over the seeds; on a CPU of one processor core, other work not counted",
    "params": "trainable parameters of the trained network, by formula",
    "flops": "multiply-accumulates of one image plus classifier biases, by formula",
}


def write_table(
    spec: Spec, space: Space, task: Task, results: list[dict[str, Any]], headers: list[dict[str, Any]], out: Path
) -> None:
    """Writes the table of the seeds and classes that `spec` names; further results in the folder are left out.

    Members of a class share accuracies and seconds, and have their own costs.
    """
    groups, is_grid = sampled(space, spec.sample), countable(space)
    shape = shape_of(space) if is_grid else (len(groups),)
    dataset = dataset_of(task.name)
    figures = [Figure(dataset, split, epochs) for epochs in reversed(spec.kept) for split in ("valid", "test")]
    arrays: dict[str, np.ndarray] = {}
    if not is_grid:
        arrays[ROWS] = np.array(sorted(group.trained.text.encode() for group in groups))
        arrays |= _counts(spec, space, task, dataset, groups)
    for figure in figures:
        then = [{**r, **r["epochs"][figure.epochs - 1]} if "epochs" in r else r for r in results]  # else its last alone
        seeds = _by_seed(groups, then, spec.seeds, figure.split, prod(shape))
        arrays[f"seeds/{figure}"] = seeds.reshape(*shape, len(spec.seeds)).astype(np.float32)
        arrays[f"accuracy/{figure}"] = mean_over_seeds(seeds).reshape(shape)
        seconds = mean_over_seeds(_by_seed(groups, then, spec.seeds, "seconds", prod(shape))).reshape(shape)
        arrays[f"seconds/{figure}"] = seconds.astype(np.float32)
    if isinstance(space, NB201):
        arrays |= _costs(spec, space, task, dataset)
    names = [str(seed) for seed in spec.seeds]
    meta = {
        "format": store.FORMAT,
        "space": spec.space,
        "fingerprint": store.fingerprint(spec.space, arrays),
        "figures": [list(figure) for figure in figures],
        "full_epochs": spec.scoring.epochs,
        "seeds": {str(figure): names for figure in figures},
        "units": UNITS,
        "sources": [{"kind": "trained by benchbed", "name": task.name, "sha256": task.fingerprint}],
        "notes": [_note(space, groups)],
        "task": {"name": task.name, "fingerprint": task.fingerprint, **task.facts},
        "classes": task.classes,
        "recipe": spec.scoring.model_dump(),
        "made_with": [entry for n, entry in enumerate(headers) if entry not in headers[:n]],
        "made": f"built by benchbed {__version__}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    store.write(out, meta, arrays, compressed=True)


def _note(space: Space, groups: list[CellClass]) -> str:
    trained = len(groups)
    if not countable(space):
        return f"{trained:,} of {counted(space.size())} architectures were trained, drawn uniformly at random"
    members = sum(len(group.places) for group in groups)
    return (
        f"{trained:,} of {len(classes(space)):,} functionally distinct architectures were trained; the {members:,} "
        "members share their class's accuracies and seconds, and have their own parameters and FLOPs"
    )


def _by_seed(
    groups: list[CellClass], results: list[dict[str, Any]], seeds: tuple[int, ...], key: str, size: int
) -> np.ndarray:
    """float64 (size, seeds): NaN where nothing was trained."""
    places = {group.trained.text: group.places for group in groups}
    column = {seed: i for i, seed in enumerate(seeds)}
    found = np.full((size, len(seeds)), np.nan)
    for result in results:
        if result["seed"] in column and result["cell"] in places:
            found[places[result["cell"]], column[result["seed"]]] = result[key]
    return found


def _costs(spec: Spec, space: NB201, task: Task, dataset: str) -> dict[str, np.ndarray]:
    """Parameters, and FLOPs where the network halves the image size evenly, by the numbers of convolutions."""
    shape = shape_of(space)
    numbers = np.indices(shape).reshape(len(shape), -1)
    pairs = {
        (int(a), int(b)) for a, b in zip((numbers == 2).sum(0).tolist(), (numbers == 3).sum(0).tolist(), strict=True)
    }
    size = {"channels": spec.scoring.channels, "cells": spec.scoring.cells, "classes": task.classes}
    size["in_channels"] = task.shape[0]
    _, height, width = task.shape
    even = height == width and height % 4 == 0
    arrays = {f"params/{dataset}": np.zeros(numbers.shape[1], np.int64)}
    if even:
        arrays[f"flops/{dataset}"] = np.zeros(numbers.shape[1], np.int64)
    for ones, threes in pairs:
        here = ((numbers == 2).sum(0) == ones) & ((numbers == 3).sum(0) == threes)
        cell = space.architecture_of((2,) * ones + (3,) * threes + (0,) * (len(shape) - ones - threes))
        arrays[f"params/{dataset}"][here] = parameters(cell, **size)
        if even:
            arrays[f"flops/{dataset}"][here] = flops(cell, **size, size=height)
    return {name: array.reshape(shape) for name, array in arrays.items()}


def _counts(spec: Spec, space: Space, task: Task, dataset: str, groups: list[CellClass]) -> dict[str, np.ndarray]:
    """int64 (n,): parameters and FLOPs of a list's architectures at the size that was trained, where they are known."""
    size = {"channels": spec.scoring.channels, "cells": spec.scoring.cells}
    by_place = sorted(groups, key=lambda group: int(group.places[0]))
    found = [space.counts(group.trained, task.shape, task.classes, **size) for group in by_place]
    kinds = [kind for kind in ("params", "flops") if all(kind in one for one in found)]
    return {f"{kind}/{dataset}": np.array([one[kind] for one in found], dtype=np.int64) for kind in kinds}
