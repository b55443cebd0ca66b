"""An architecture's own training: its network, seeded, on a task. A run's score and the builder of tables share it."""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import BenchbedError
from ..objectives.options import import_class
from ..runtime.parallel import ALONE, Group
from ..space import Architecture, Space
from ..spaces.nb201.space import NB201
from ..streams import Streams, derive, seeded
from ..task import Split, StoredSplit, Task
from .recorded import check_graph
from .train import Recipe, Training


def training_of(
    space: Space,
    task: Task,
    recipe: Recipe,
    architecture: Architecture,
    *,
    channels: int,
    cells: int,
    seed: int,
    device: torch.device | str = "cpu",
    group: Group = ALONE,
) -> Training:
    """The training of `architecture` from scratch, before its first step.

    Initial weights and the order of the images depend on `seed` alone: two architectures of a seed see the same
    batches. `channels` and `cells` size the network (NAS-Bench-201: C and N).
    """
    streams = Streams(derive(seed, "scoring"))
    with seeded(streams.generator("initialisation")):
        sizes = {"classes": task.classes, "in_channels": task.shape[0], **space.sizes(channels, cells)}
        network = network_of(space, architecture, recipe, sizes)
    check_cutout(task, recipe)
    data, noise, mixing = (streams.generator(name) for name in ("data", "noise", "mixing"))
    return Training(network, task.train, recipe, data, task.augment, device, group, noise, mixing)


def network_of(space: Space, architecture: Architecture, recipe: Recipe, sizes: Mapping[str, Any]) -> nn.Module:
    """The architecture's network of these sizes, with what the recipe asks for, by torch's current generator.

    An auxiliary head is asked for by the constructor's flag `auxiliary`; a network that drops paths has the attribute
    `drop_path`. Raises BenchbedError where the space's networks have none.
    """
    made_by = import_class(space.network)
    if recipe.auxiliary:
        if "auxiliary" not in inspect.signature(made_by).parameters:
            raise _lacks(made_by, f"scoring.auxiliary = {recipe.auxiliary:g}", "no auxiliary head")
        sizes = {**sizes, "auxiliary": True}
    network: nn.Module = made_by(architecture.choices, **sizes)
    if recipe.drop_path and not hasattr(network, "drop_path"):
        raise _lacks(made_by, f"scoring.drop_path = {recipe.drop_path:g}", "no paths to drop")
    if recipe.graph:
        check_graph(network)
    return network


def _lacks(network: type, option: str, what: str) -> BenchbedError:
    return BenchbedError(f"{option}: the networks of this space ({network.__name__}) have {what}; set it to 0")


def check_recipe(space: Space, recipe: Recipe, channels: int, cells: int) -> None:
    """Raises BenchbedError, before anything is trained, where the space's networks lack what the recipe asks for."""
    if recipe.auxiliary or recipe.drop_path or recipe.graph:
        sizes = {"classes": 10, "in_channels": 3, **space.sizes(channels, cells)}
        with seeded(torch.Generator()):
            network_of(space, space.random(np.random.default_rng(0)), recipe, sizes)


def check_cutout(task: Task, recipe: Recipe) -> None:
    """Raises BenchbedError where the recipe cuts out of images that the task cuts out of, or decodes as they come."""
    if recipe.cutout and isinstance(task.train, StoredSplit):
        raise BenchbedError(
            f"scoring.cutout = {recipe.cutout}: task '{task.name}' augments where it decodes; set it to 0"
        )
    if recipe.cutout and getattr(task.augment, "cutout", 0):
        raise BenchbedError(f"scoring.cutout = {recipe.cutout}: task '{task.name}' has a cutout of its own, "
                            f"task_options.cutout; set one of them to 0")  # fmt: skip


def check_learnable(task: Task, space: Space) -> None:
    """Raises BenchbedError, before anything is trained, for a task that the networks of the space cannot learn."""
    if task.classes < 2:
        raise BenchbedError(f"task '{task.name}' has {task.classes} class: at least two are needed")
    smallest = min(task.shape[1:])
    if isinstance(space, NB201) and smallest < 4:
        raise BenchbedError(f"task '{task.name}' has images of {task.shape[1]}x{task.shape[2]}: at least 4x4 is "
                            "needed, for the network halves the size twice")  # fmt: skip
    for name, split in (("training", task.train), ("validation", task.valid)):
        if len(split) < 2:
            raise BenchbedError(f"task '{task.name}' has {len(split)} {name} images: at least 2 are needed")
        if isinstance(split, Split) and not bool(split.images.isfinite().all()):
            raise BenchbedError(f"task '{task.name}' has {name} images with NaN or infinite pixels")
        low, high = int(split.labels.min()), int(split.labels.max())
        if low < 0 or high >= task.classes:
            wrong = low if low < 0 else high
            raise BenchbedError(f"task '{task.name}' has {name} label {wrong}: expected 0 to {task.classes - 1}")
