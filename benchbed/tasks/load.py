"""A task by name."""

import inspect
from typing import Any

from ..errors import BenchbedError, unknown
from ..task import Task


def load_task(name: str, **options: Any) -> Task:
    """The task `digits`, or `npz:FILE`. `options` are the keyword arguments of the task's own function.

    Raises BenchbedError on an unknown name or option, and on whatever the task refuses.
    """
    kind, colon, path = name.partition(":")
    if kind == "npz":
        if not path:
            raise BenchbedError("task 'npz' names no file: write npz:FILE")
        if options:
            raise BenchbedError(f"task 'npz' takes no options, got {', '.join(sorted(options))}")
        from .npz import npz_task

        return npz_task(path)
    if kind == "digits" and not colon:
        from .digits import digits

        known = inspect.signature(digits).parameters
        for option in options:
            if option not in known:
                raise unknown("digits option", option, known)
        return digits(**options)
    raise unknown("task", name, ["digits", "npz:FILE"])
