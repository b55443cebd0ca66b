"""What a user did wrong, in one line: the thing, its value, and what would be accepted."""

from collections.abc import Iterable
from difflib import get_close_matches


class BenchbedError(ValueError):
    """Bad input or a failed run. The command line prints its text as one line and exits with `status`."""

    status = 2


def unknown(kind: str, value: object, known: Iterable[str]) -> BenchbedError:
    """The error for a name that is not in `known`: names the nearest one, then all of them."""
    names = sorted(known)
    alike = [name for name in names if name.casefold() == str(value).casefold()]
    near = alike or get_close_matches(str(value), names, n=1, cutoff=0.4)
    hint = f"did you mean '{near[0]}'? " if near else ""
    shown = str(value) if str(value).isprintable() else repr(str(value))[1:-1]
    return BenchbedError(f"unknown {kind} '{shown}': {hint}known: {', '.join(names) or 'none'}")
