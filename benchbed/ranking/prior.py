"""What is thought of architectures before any is trained: their parameters or FLOPs, or a file of proxies' scores."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from ..errors import BenchbedError
from ..runtime.reading import sha256_of
from ..space import Architecture, Space
from .scores import read

COUNTS = ("params", "flops")
FORMS = "params, flops or FILE.csv:COLUMN"
FILE = re.compile(r"(?P<file>.+\.csv):(?P<column>.+)")


def with_digest(values: Any) -> Any:
    """Options in which `by` names a file, with its SHA-256: what was found by other scores has another name.

    What is not there, or is no such file, is left to `Prior`, which names it.
    """
    found = FILE.fullmatch(str(values.get("by"))) if isinstance(values, dict) and not values.get("sha256") else None
    if found is None or not (path := Path(found["file"])).is_file():
        return values
    return {**values, "sha256": sha256_of(path)}


def available(text: str) -> bool:
    """Whether the file that is named is there; also where none is."""
    found = FILE.fullmatch(text)
    return found is None or Path(found["file"]).is_file()


class Prior:
    """Higher is thought better. Raises BenchbedError for another form, and for what the space or the file lacks.

    sha256: which content of the file is expected.
    """

    def __init__(self, text: str, space: Space, sha256: str | None = None):
        self.space = space
        self.known: dict[Architecture, float] | None = None  # None: every architecture has a count
        if text in COUNTS:
            self.fixed, self.of_each = space.unit_costs(text)
        elif (found := FILE.fullmatch(text)) is not None:
            if sha256 is not None and sha256_of(Path(found["file"])) != sha256:
                raise BenchbedError(f"{found['file']} has changed since then: its SHA-256 is no longer {sha256}")
            scores = read(Path(found["file"]), found["column"], space)
            pairs = zip(scores.cells, scores.columns[found["column"]].tolist(), strict=True)
            self.known = {cell: value for cell, value in pairs if np.isfinite(value)}
            if not self.known:
                raise BenchbedError(f"{found['file']}: column {found['column']} has no finite score")
        else:
            raise BenchbedError(f"'{text}' ranks no architectures: expected {FORMS}")

    def of(self, architectures: Sequence[Architecture]) -> Float64[np.ndarray, " n"]:
        """NaN of one that has no finite score in the file."""
        if self.known is not None:
            return np.array([self.known.get(one, np.nan) for one in architectures], dtype=np.float64)
        rows = np.arange(len(self.of_each))
        chosen = np.array([one.choices for one in architectures]).reshape(-1, len(rows))
        costs: np.ndarray = self.fixed + np.where(chosen >= 0, self.of_each[rows, chosen], 0.0).sum(1)
        return costs

    def best(self, pool: int, first: int, rng: np.random.Generator) -> list[Architecture]:
        """Of `pool` architectures the `first` best, none twice, the best first; of equal ones as they were drawn.

        The pool is uniform draws of the space, or of the file's architectures, each at most once.
        """
        if self.known is None:
            drawn = list(dict.fromkeys(self.space.random(rng) for _ in range(pool)))
        else:
            everything = list(self.known)
            drawn = [everything[i] for i in rng.permutation(len(everything))[:pool].tolist()]
        order = np.argsort(-self.of(drawn), kind="stable")[:first]
        return [drawn[i] for i in order.tolist()]
