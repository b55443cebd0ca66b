"""What a build makes: the space, the task, the recipe; and how far it goes."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from .. import registry
from ..config import ScoringOptions
from ..errors import BenchbedError
from ..space import Space
from ..spaces.nb201 import NB201
from ..task import Split, Task
from ..tasks.load import load_task

FORMAT = 1  # of the folder


class Spec(BaseModel):
    """A build. All that a worker needs to take part in it.

    `seeds`: each class is trained once with each of them; `sample`: only the first so many classes, None for all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    space: str = "nb201"
    task: str = "digits"
    task_options: dict[str, Any] = {}
    data: str | None = None
    splits: str | None = None
    scoring: ScoringOptions
    seeds: tuple[int, ...] = Field(min_length=1)
    sample: int | None = Field(default=None, ge=1)
    device: str = "cpu"
    plugins: tuple[str, ...] = ()  # files to register

    def load_space(self) -> Space:
        space: Space = registry.load("space", self.space)()
        return space

    def load_task(self) -> Task:
        return load_task(self.task, data=self.data, splits=self.splits, **self.task_options)

    def identity(self, task: Task) -> dict[str, Any]:
        """What every result of a folder must share: two builds with the same identity fill the same table."""
        return {
            "format": FORMAT,
            "space": self.space,
            "task": {"name": task.name, "fingerprint": task.fingerprint, **task.facts},
            "scoring": self.scoring.model_dump(),
        }


def dataset_of(task: str) -> str:
    """What the table calls the task's data: its name, or the name of an .npz file."""
    return task.removeprefix("npz:").removesuffix(".npz")


def check(task: Task, space: Space) -> None:
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
