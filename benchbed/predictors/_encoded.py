"""Architectures as rows of numbers, and the base of predictors that learn from them.

one-hot: an entry an operation of a position, 1 where it is chosen. Any space; what is dropped has no 1.
path: an entry a sequence of operations from the cell's input to its output, 1 where the cell has such a path (White et
    al., "BANANAS", AAAI 2021, section 4): on NAS-Bench-201 5 of one operation, 25 of two, 125 of three. A path with
    `none` carries nothing and has no entry, which leaves 4 + 16 + 64.
graph: for every set of the operations but `none`, the length of the shortest and of the longest path that has no
    others (4 and 0 where there is none), and how many edges of such operations leave the input and enter the output;
    and how often each operation stands (after Kadlecova et al., "GRAF", ICML 2024). NAS-Bench-201.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import Float
from pydantic import Field

from ..errors import BenchbedError
from ..objective import Objective
from ..predictor import Numbers, Prediction, Predictor
from ..searcher import Options as PluginOptions
from ..space import Architecture, Space
from ..spaces.nb201.space import EDGES, NB201, OPERATIONS

Encoding = Literal["one-hot", "path", "graph"]
Matrix = Float[np.ndarray, "n d"]
BEST = 100.5  # percent, above any accuracy


class EncodedOptions(PluginOptions):
    """What is learned from, and what is learned."""

    encoding: Encoding = Field("one-hot", description="one-hot (any space), path or graph (NAS-Bench-201)")
    target: Literal["accuracy", "log-error"] = Field(
        "log-error", description="accuracy, or -log(100.5 - accuracy), in which good ones are further apart"
    )


def choices_of(architectures: Sequence[Architecture]) -> np.ndarray:
    """int (n, P); -1: dropped."""
    return np.array([a.choices for a in architectures], dtype=np.intp)


def one_hot(space: Space, choices: np.ndarray) -> Matrix:
    """See the file's docstring."""
    rows = [choices[:, i, None] == np.arange(len(p.operations)) for i, p in enumerate(space.positions)]
    return np.concatenate(rows, 1).astype(np.float64)


def paths(node: int = 3) -> list[tuple[int, ...]]:
    """The paths from node 0 to a node, each a tuple of edges, shorter ones first."""
    if node == 0:
        return [()]
    found = [(*path, edge) for edge, (source, target) in enumerate(EDGES) if target == node for path in paths(source)]
    return sorted(found, key=len)


NONE = OPERATIONS.index("none")
CARRY = [k for k in range(len(OPERATIONS)) if k != NONE]


def path(space: Space, choices: np.ndarray) -> Matrix:
    """See the file's docstring."""
    columns = []
    for length in (1, 2, 3):
        alike = [edges for edges in paths() if len(edges) == length]
        for operations in np.ndindex(*(len(CARRY),) * length):
            wanted = np.array([CARRY[k] for k in operations])
            columns.append(np.any([(choices[:, list(edges)] == wanted).all(1) for edges in alike], axis=0))
    return np.stack(columns, 1).astype(np.float64)


def graph(space: Space, choices: np.ndarray) -> Matrix:
    """See the file's docstring."""
    out, into = ([i for i, edge in enumerate(EDGES) if edge[side] == node] for side, node in ((0, 0), (1, 3)))
    columns = [(choices == k).sum(1) for k in range(len(OPERATIONS))]
    for size in range(1, len(CARRY) + 1):
        for allowed in combinations(CARRY, size):
            inside = np.isin(choices, allowed)
            there = np.stack([inside[:, list(edges)].all(1) for edges in paths()], 1)
            lengths = np.array([len(edges) for edges in paths()])
            columns += [np.where(there, lengths, 4).min(1), np.where(there, lengths, 0).max(1)]
            columns += [inside[:, out].sum(1), inside[:, into].sum(1)]
    return np.stack(columns, 1).astype(np.float64)


ENCODINGS: dict[str, Callable[[Space, np.ndarray], Matrix]] = {"one-hot": one_hot, "path": path, "graph": graph}


EncodedT = TypeVar("EncodedT", bound=EncodedOptions)


class EncodedPredictor(Predictor[EncodedT]):
    """A predictor of rows of numbers: a subclass gives `learn` and `expect`, both of the target."""

    @classmethod
    def check(cls, options: EncodedT, space: Space, objective: Objective | None = None) -> None:
        encoding = options.encoding
        if encoding != "one-hot" and not isinstance(space, NB201):
            raise BenchbedError(f"encoding '{encoding}' is of NAS-Bench-201's cells: take one-hot on this space")

    @property
    def _log(self) -> bool:
        return self.options.target == "log-error"

    def _rows(self, architectures: Sequence[Architecture]) -> Matrix:
        return ENCODINGS[self.options.encoding](self.space, choices_of(architectures))

    def fit(self, architectures: Sequence[Architecture], accuracy: Numbers) -> None:
        self.learn(self._rows(architectures), -np.log(BEST - accuracy) if self._log else accuracy)

    def predict(self, architectures: Sequence[Architecture]) -> Prediction:
        mean, deviation = self.expect(self._rows(architectures))
        if not self._log:
            return Prediction(mean, deviation)
        return Prediction(BEST - np.exp(-mean), np.exp(-mean) * deviation)  # to first order

    @abstractmethod
    def learn(self, rows: Matrix, target: Numbers) -> None:
        """Learns the target of each row."""

    @abstractmethod
    def expect(self, rows: Matrix) -> tuple[Numbers, Numbers]:
        """The target's mean and deviation of each row."""
