"""What the drop-in refuses, and what it warns of."""

import sys
import warnings
from pathlib import Path

from ..errors import BenchbedError

_HERE = str(Path(__file__).parent)
_warned: set[str] = set()


class DropinError(BenchbedError, KeyError, AssertionError):
    """A refusal, one line. The originals raise a ValueError, KeyError or AssertionError: this is each of them."""

    __str__ = ValueError.__str__  # not KeyError's, which quotes


class DropinWarning(UserWarning):
    """A default of the original interface that misleads."""


class _Default12(str):
    """'12', told apart from a '12' that the caller gave."""


HP: str = _Default12("12")  # the originals' default
RANDOM: object = type("_DefaultTrue", (), {"__repr__": lambda self: "True", "__bool__": lambda self: True})()


def given_hp(hp: object) -> str:
    """`hp` as text, warning once where the caller has left it to the default."""
    if hp is HP:
        _once(
            "hp", "hp is not given: the answer is after 12 epochs, as in the original interface. Give hp='200' for "
            "the full training (hp='90' in the size space), or hp='12' to say that 12 epochs are meant"
        )  # fmt: skip
    return str(hp)


def given_seed(is_random: object) -> object:
    """`is_random`, warning once where the caller has left it to the default."""
    if is_random is not RANDOM:
        return is_random
    _once(
        "is_random", "is_random is not given: the answer is one seed's, drawn anew at every call, as in the original "
        "interface. Give is_random=False for the mean over seeds, a seed such as 777, or True to say that it is meant"
    )  # fmt: skip
    return True


def only_means(table: str) -> None:
    """Warns once that a table without single trainings cannot draw a seed."""
    _once("means", f"table {table} has no single trainings: the answer is the mean over seeds, not one seed's. "
                   "Give is_random=False to say that it is meant")  # fmt: skip


def say_once(kind: str, text: str) -> None:
    """One line on stderr, the first time in this process that it is said of `kind`."""
    if kind not in _warned:
        _warned.add(kind)
        print(f"benchbed: {text}", file=sys.stderr)


def _once(kind: str, text: str) -> None:
    if kind in _warned:
        return
    _warned.add(kind)
    frame, level = sys._getframe(), 1  # the warning points at the first line outside this folder
    while frame.f_back is not None and frame.f_code.co_filename.startswith((_HERE, "<@beartype")):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, DropinWarning, stacklevel=level)
