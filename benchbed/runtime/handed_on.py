"""What a worker process must be given to be as this one: plug-ins of the user, for one."""

from collections.abc import Callable
from typing import Any

_HANDED_ON: dict[str, Callable[[], Any]] = {}


def hand_on(call: str, value: Callable[[], Any]) -> None:
    """In each worker `call`, "module:function", is called with `value()` (JSON) and a folder that the worker removes.

    Whoever has such a state says so when it is imported: the pool is below it, and knows it by name alone.
    """
    _HANDED_ON[call] = value


def handed_on() -> dict[str, Any]:
    """call -> value, as they now are."""
    return {call: value() for call, value in _HANDED_ON.items()}
