"""A task by name: a registered plug-in of kind task, called with its options."""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import registry
from ..errors import BenchbedError, unknown
from ..task import Task

PUBLISHED = ("cifar10", "cifar100", "imagenet", "imagenet16", "svhn")


def small(name: str) -> bool:
    """Whether a run on the task starts from the small settings: the embedded task, and a user's own images."""
    return name.partition(":")[0] not in PUBLISHED


def maker(name: str) -> Callable[..., Task]:
    """The function that makes the task, imported now. Raises BenchbedError on an unknown name: the nearest one."""
    make: Callable[..., Task] = registry.load("task", name)
    return make


def options_of(make: Callable[..., Task]) -> dict[str, inspect.Parameter]:
    """A task's options: its function's arguments by name, but for the place that its name takes after a colon."""
    return {p.name: p for p in inspect.signature(make).parameters.values() if p.kind is not p.POSITIONAL_ONLY}


def place_of(make: Callable[..., Task]) -> str | None:
    """What a task's name takes after a colon, such as 'file' of `npz:FILE`; None where it takes nothing."""
    taken = [p.name for p in inspect.signature(make).parameters.values() if p.kind is p.POSITIONAL_ONLY]
    return taken[0] if taken else None


def load_task(name: str, data: str | Path | None = None, **options: object) -> Task:
    """The task NAME, or NAME:PLACE such as `npz:FILE`.

    `data` is the folder of a published data set. `options` are the keyword arguments of the task's own function; one
    that is None is left at its default. The fingerprint of a task that does not come with benchbed also covers the file
    that makes it. Raises BenchbedError on an unknown name, on a place or an option that the task does not have or
    needs, and on whatever the task refuses.
    """
    given = {option: value for option, value in {"data": data, **options}.items() if value is not None}
    kind, colon, place = name.partition(":")
    make = maker(kind)
    if (wanted := place_of(make)) is None and colon:
        raise BenchbedError(f"task '{name}': '{kind}' takes nothing after its name, write {kind}")
    if wanted is not None and not place:
        raise BenchbedError(f"task '{kind}' names no {wanted.lower()}: write {kind}:{wanted.upper()}")
    _check_options(kind, make, given)
    task = make(*([place] if wanted else []), **given)
    if registry.is_ours(registry.find("task", kind)):
        return task
    return _users(kind, task)


def _check_options(kind: str, make: Callable[..., Task], given: Mapping[str, Any]) -> None:
    known = options_of(make)
    if any(p.kind is p.VAR_KEYWORD for p in known.values()):
        return
    for option in given:
        if option not in known:
            if not known:
                raise BenchbedError(f"task '{kind}' takes no options, got {', '.join(sorted(given))}")
            raise unknown(f"{kind} option", option, known)
    for option, parameter in known.items():
        if parameter.default is parameter.empty and option not in given:
            raise BenchbedError(f"task '{kind}' needs its option '{option}': give task_options.{option}")


def _users(kind: str, task: object) -> Task:
    """What a user's function gave, checked, its fingerprint joined with the hash of its file."""
    if not isinstance(task, Task):
        raise BenchbedError(f"task '{kind}': its function gave a {type(task).__name__} where a Task is expected")
    file = registry.source("task", kind)
    code = "" if file is None else hashlib.sha256(file.read_bytes()).hexdigest()
    return replace(task, fingerprint=hashlib.sha256(f"{task.fingerprint} {code}".encode()).hexdigest())
