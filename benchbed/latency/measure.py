"""Measures a look-up table on this machine: every operation of every position, once for each geometry it has.

A time is the median over repeats of the forward pass in evaluation mode, without gradients, in float32, and its spread
the first and third quartile. On CUDA the device is synchronised before and after each repeat: launches return at once,
and the authors' own code timed those alone. On the CPU the number of threads is pinned and part of the table.

The file is written anew after each key, so that a kill costs one of them and the same command goes on.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..errors import BenchbedError
from ..runtime.files import write_atomic
from ..runtime.machine import machine, now, threads, versions
from ..space import Space
from .files import FORMAT, UNIT, read_ours
from .layout import layout_of
from .modules import inputs_of, sample_of

LEAST_SECONDS = 5e-4  # of a repeat: a shorter operation is run several times in it, and the clock's grain is divided


class Recipe(NamedTuple):
    """How a table is measured. device: of torch; repeats: timed, after `warmup` that are not."""

    device: torch.device
    batch: int
    threads: int
    repeats: int = 50
    warmup: int = 10


def measure(
    space: Space,
    name: str,
    space_options: dict[str, Any],
    recipe: Recipe,
    out: Path,
    force: bool = False,
    progress: Callable[[int, int, str], None] = lambda done, total, key: None,
) -> dict[str, Any]:
    """The table, also in the file `out`. Raises BenchbedError for a file that another recipe or machine made."""
    header = _header(name, space_options, recipe)
    tree = _begun(header, out) if out.exists() and not force else {**header, "entries": {}}
    keys = layout_of(space, name).distinct_keys()
    with threads(recipe.threads):
        for number, key in enumerate(keys):
            if key not in tree["entries"]:
                tree["entries"][key] = time_key(key, recipe)
                write_atomic(out, (json.dumps(tree, indent=1) + "\n").encode())
            progress(number + 1, len(keys), key)
    return tree


def _header(name: str, space_options: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    with threads(recipe.threads):
        made_on = machine(recipe.device)
    device = made_on["device"] if recipe.device.type == "cuda" else made_on["processor"]
    return {
        "format": FORMAT,
        "space": name,
        "space_options": space_options,
        "unit": UNIT,
        "device": recipe.device.type,
        "device_name": device,
        "batch": recipe.batch,
        "threads": recipe.threads,
        "recipe": {"repeats": recipe.repeats, "warmup": recipe.warmup},
        "versions": versions(),
        "machine": made_on,
    }


def _begun(header: dict[str, Any], out: Path) -> dict[str, Any]:
    """The table that is there, to go on with. Raises BenchbedError where it was begun otherwise."""
    tree = read_ours(out)
    for key, value in header.items():
        if key == "machine":  # the system's name may change; the processor or accelerator is `device_name`
            continue
        there, here = tree.get(key), value
        if key == "versions":  # of what runs the operations alone
            key, there, here = "torch", (there or {}).get("torch"), value["torch"]
        if there != here:
            raise BenchbedError(
                f"{out} was measured with {key} = {there!r}, not {here!r}: give another --out, or --force to replace it"
            )
    return tree


def time_key(key: str, recipe: Recipe) -> dict[str, Any]:
    """median, q1 and q3 in ms of one run of a key's module, over `repeats`, each the mean of `runs` runs."""
    module, shape = sample_of(key)
    module = module.eval().to(recipe.device)
    images = inputs_of(shape, recipe.batch, recipe.device)
    with torch.inference_mode():
        for _ in range(recipe.warmup):
            module(images)
        once = min(_seconds(module, images, 1) for _ in range(3))
        runs = max(1, int(np.ceil(LEAST_SECONDS / max(once, 1e-7))))
        found = [1000 * _seconds(module, images, runs) / runs for _ in range(recipe.repeats)]
    low, middle, high = (float(x) for x in np.quantile(found, [0.25, 0.5, 0.75]))
    return {"median": middle, "q1": low, "q3": high, "repeats": recipe.repeats, "runs": runs}


def _seconds(module: torch.nn.Module, images: torch.Tensor, runs: int) -> float:
    began = now(images.device)
    for _ in range(runs):
        module(images)
    return now(images.device) - began
