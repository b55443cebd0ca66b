"""A task by name."""

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import BenchbedError, unknown
from ..task import Task

NAMES = (
    "digits",
    "cifar10",
    "cifar100",
    "imagenet",
    "imagenet16",
    "svhn",
)  # each a module here, and a function of the same name in it


def maker(name: str) -> Callable[..., Task] | None:
    """The function that makes the task, whose keyword arguments are its options; None for `npz`, and no task's name."""
    if name not in NAMES:
        return None
    make: Callable[..., Task] = getattr(import_module(f".{name}", __package__), name)
    return make


def load_task(name: str, data: str | Path | None = None, **options: Any) -> Task:
    """The task `digits`, `cifar10`, `cifar100`, `imagenet`, `imagenet16` or `svhn`, or `npz:FILE`.

    `data` is the folder of a published data set. `options` are the keyword arguments of the task's own function; one
    that is None is left at its default. Raises BenchbedError on an unknown name, on an option that the task does not
    have, and on whatever the task refuses.
    """
    given = {option: value for option, value in {"data": data, **options}.items() if value is not None}
    kind, colon, path = name.partition(":")
    if kind == "npz":
        if not path:
            raise BenchbedError("task 'npz' names no file: write npz:FILE")
        if given:
            raise BenchbedError(f"task 'npz' takes no options, got {', '.join(sorted(given))}")
        from .npz import npz_task

        return npz_task(path)
    make = None if colon else maker(kind)
    if make is None:
        raise unknown("task", name, [*NAMES, "npz:FILE"])
    known = inspect.signature(make).parameters
    for option in given:
        if option not in known:
            raise unknown(f"{kind} option", option, known)
    return make(**given)
