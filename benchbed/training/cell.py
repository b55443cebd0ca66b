"""An architecture's own training: its network, seeded, on a task. A run's score and the builder of tables share it."""

import torch

from ..errors import BenchbedError
from ..objectives.supernet import import_class
from ..parallel import ALONE, Group
from ..space import Architecture, Space
from ..spaces.nb201 import NB201
from ..streams import Streams, derive, seeded
from ..task import Split, Task
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
        network = import_class(space.network)(
            architecture.choices,
            **space.sizes(channels, cells),
            classes=task.classes,
            in_channels=task.shape[0],
        )
    data, noise = streams.generator("data"), streams.generator("noise")
    return Training(network, task.train, recipe, data, task.augment, device, group, noise)


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
