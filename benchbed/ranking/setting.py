"""What proxies score on: a space at a size, a task, a seed; and the case of each architecture."""

import inspect
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field

from ..errors import BenchbedError
from ..objectives.options import import_class
from ..proxy import Case
from ..runtime.machine import pick_device
from ..space import Architecture, Space
from ..spaces.load import load_space
from ..task import Task
from ..tasks.load import load_task

PUBLISHED = {"channels": 16, "cells": 5}  # NAS-Bench-201's, for networks that name no size of their own


class Setting(BaseModel):
    """All that scores depend on beside the architecture and the proxy, as JSON holds it.

    channels, cells: C and N of the networks; None: the defaults of the space's network, which are the published ones.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    space: str = "nb201"
    space_options: dict[str, Any] = {}
    task: str = "digits"
    task_options: dict[str, Any] = {}
    data: str | None = None
    splits: str | None = None
    channels: int | None = Field(default=None, ge=1)
    cells: int | None = Field(default=None, ge=1)
    seed: int = 0

    def load_task(self) -> Task:
        """Raises BenchbedError on whatever the task refuses."""
        return load_task(self.task, data=self.data, splits=self.splits, **self.task_options)

    def load_space(self, task: Task) -> Space:
        """The space as it is on the task's images. Raises BenchbedError where it has no discrete network for them."""
        space = load_space(self.space, dict(self.space_options)).for_images(task.shape, task.classes)
        self.network_class(space)
        return space

    def network_class(self, space: Space) -> Any:
        """Raises BenchbedError, one line, where the space has no discrete network."""
        try:
            return import_class(space.network)
        except (AttributeError, ImportError):
            named = getattr(type(space), "network", None)
            raise BenchbedError(
                f"space '{self.space}' has no discrete network"
                + (f" (its `network` is '{named}')" if named else "")
                + ": a proxy scores networks; take another space, or scores of a file"
            ) from None

    def size(self, space: Space) -> dict[str, int]:
        """C and N: as given, else as the space's network has them by default."""
        known = inspect.signature(self.network_class(space)).parameters
        found = {}
        for name, published in PUBLISHED.items():
            given, default = getattr(self, name), known[name].default if name in known else published
            found[name] = int(given) if given is not None else int(default)
        return found

    def case(self, space: Space, task: Task, architecture: Architecture, device: torch.device) -> Case:
        """The architecture's case."""
        size = self.size(space)
        given: Mapping[str, Any] = {"classes": task.classes, "in_channels": task.shape[0], **space.sizes(**size)}
        build = partial(self.network_class(space), architecture.choices, **given)
        return Case(
            space,
            architecture,
            task.shape,
            task.classes,
            size["channels"],
            size["cells"],
            self.seed,
            task.train,
            build,
            device,
        )


@lru_cache(maxsize=1)  # the task stays loaded from one job of a process to the next
def loaded(text: str, device: str) -> tuple[Setting, Space, Task, torch.device]:
    """Of a setting as JSON. Raises BenchbedError on whatever its parts refuse."""
    setting = Setting.model_validate_json(text)
    task = setting.load_task()
    return setting, setting.load_space(task), task, pick_device(device)
