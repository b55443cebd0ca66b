"""An architecture's own training: its network, seeded, on a task. A run's score and the builder of tables share it."""

import torch

from ..objectives.supernet import import_class
from ..parallel import ALONE, Group
from ..space import Architecture, Space
from ..streams import Streams, derive, seeded
from ..task import Task
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
