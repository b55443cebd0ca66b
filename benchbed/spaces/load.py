"""A search space by name, with its options."""

import inspect
from typing import Any

from .. import registry
from ..errors import BenchbedError, unknown
from ..space import Space


def load_space(name: str, options: dict[str, Any] | None = None) -> Space:
    """The space `name`; `options` are the keyword arguments of its class.

    Raises BenchbedError on an unknown name, on an option that the space does not have, and on a value it refuses.
    """
    options = options or {}
    make = registry.load("space", name)
    known = [p for p in inspect.signature(make).parameters if p not in ("args", "kwargs")]
    for option in options:
        if option not in known:
            if not known:
                raise BenchbedError(f"space option '{option}': space '{name}' has none")
            raise unknown(f"option of space '{name}'", option, known)
    space: Space = make(**options)
    return space
