"""The history of a search: what it wrote down after each epoch."""

from pathlib import Path
from typing import NamedTuple

from ..errors import BenchbedError
from ..runtime.folder import load_checkpoint
from ..runtime.reading import LIMITS, parse_line, read_text
from .record import amount


class Epoch(NamedTuple):
    """One line of a search's history. seconds: since the search began; accuracy: validation, in percent."""

    seconds: float
    accuracy: float
    probabilities: tuple[tuple[float, ...], ...]  # (P, O), padding 0
    number: int = 0  # from 1
    architecture: str | None = None  # the most probable one; None where the file does not tell


def history(path: Path) -> list[Epoch]:
    """The epochs of a search; from its checkpoint, which holds the same text, where the file is damaged or missing.

    Raises BenchbedError, naming the file's line, where neither can be read.
    """
    try:
        return _epochs(path, read_text(path, LIMITS.lines_bytes))
    except BenchbedError:
        try:
            kept = load_checkpoint(path.with_name("checkpoint.pt"))["history"]
        except BenchbedError:
            kept = None
        if not isinstance(kept, str):
            raise
    return _epochs(path, kept)


def _epochs(path: Path, text: str) -> list[Epoch]:
    epochs: list[Epoch] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            raw = parse_line(line)
            if "epoch" in raw:  # whatever else a search may note between its epochs
                rows = tuple(tuple(amount(x, 1 + 1e-3) for x in row) for row in raw["probabilities"])
                seconds, accuracy = amount(raw["seconds"]), amount(raw["accuracy"], 100)
                architecture = None if "architecture" not in raw else str(raw["architecture"])
                epochs.append(Epoch(seconds, accuracy, rows, int(raw["epoch"]), architecture))
                _check_order(epochs)
        except (ValueError, KeyError, TypeError):
            raise BenchbedError(f"{path} is damaged in line {number}: remove the search and make it again") from None
    if not epochs:
        raise BenchbedError(f"{path} holds no epoch: remove the search and make it again")
    return epochs


def _check_order(epochs: list[Epoch]) -> None:
    """Raises ValueError where the last is no later than the one before, or of another shape than the first."""
    last = epochs[-1]
    if not last.probabilities or list(map(len, last.probabilities)) != list(map(len, epochs[0].probabilities)):
        raise ValueError
    if len(epochs) > 1 and (last.number <= epochs[-2].number or last.seconds < epochs[-2].seconds):
        raise ValueError
