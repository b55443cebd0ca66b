"""The contract of a cost, and the problem that joins it to an objective.

A cost maps probabilities or gates (*K, P, O) to milliseconds, multiply-accumulates or parameters, differentiably.
Searchers never see one: they are given a `Problem` and call `penalise` on a loss or `reward` on an accuracy.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from .objective import Objective
from .space import Architecture, Space


class Extreme(NamedTuple):
    """An architecture and what it costs."""

    architecture: Architecture
    value: float


class Cost(ABC):
    """What gates cost, in `unit`.

    name: what is counted or where it was measured, such as 'macs' or 'pixel3'. fingerprint: SHA-256 of the figures,
    which decides a search's identity in place of the file's name. fixed: the part that no choice changes, or None
    where the cost is of whole networks. Everything is deterministic, on the CPU and in float64.
    """

    space: Space
    name: str
    unit: str
    fingerprint: str
    fixed: float | None = None

    @abstractmethod
    def value(self, gates: Float[Tensor, "*K P O"]) -> Float64[Tensor, "*K"]:
        """The expected cost under independent choices with these probabilities; at one-hot rows the architecture's own.

        Differentiable by autograd in the gates: a penalty whose gradient is cut here would search as if it were free
        (the public search codes lost it twice; proxylessnas.md, section 8, bugs 19 and 20).
        """

    @abstractmethod
    def least(self) -> Extreme:
        """The cheapest architecture that may be selected; ties to the lowest operation numbers."""

    @abstractmethod
    def greatest(self) -> Extreme:
        """The dearest architecture that may be selected; ties to the lowest operation numbers."""

    @abstractmethod
    def best_within(self, scores: Float64[np.ndarray, "P O"], limit: float) -> Architecture:
        """The selectable architecture of the greatest sum of scores among those that cost at most `limit`.

        Exact. scores: finite where selectable. Of equal scores the cheaper wins, then the lower operation numbers.
        Raises BenchbedError where not even the cheapest is within the limit.
        """

    def of(self, architecture: Architecture) -> float:
        """What one architecture costs."""
        return float(self.value(torch.from_numpy(self.space.gates(architecture))))

    def uniform(self) -> float:
        """The expected cost where every operation of a position is equally likely."""
        mask = torch.from_numpy(self.space.mask).double()
        return float(self.value(mask / mask.sum(1, keepdim=True)))


class Problem(NamedTuple):
    """What a searcher is given: penalise(loss, p), differentiable in both; reward(accuracy in percent, gates)."""

    objective: Objective
    penalise: Callable[[Float[Tensor, ""], Float[Tensor, "P O"]], Float[Tensor, ""]]
    reward: Callable[[Float[Tensor, " K"], Float[Tensor, "K P O"]], Float[Tensor, " K"]]


def without_cost(objective: Objective) -> Problem:
    """The problem of the objective alone: the loss as it is, and accuracy as a fraction for a reward."""
    return Problem(objective, lambda loss, p: loss, lambda accuracy, gates: accuracy / 100)
