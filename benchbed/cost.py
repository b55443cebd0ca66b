"""The contract of a cost, and the problem that joins it to an objective.

A cost maps probabilities or gates (*K, P, O) to milliseconds, FLOPs or parameters, differentiably. Searchers never
see one: they are given a `Problem` and call `penalise` on a loss or `reward` on an accuracy.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from .objective import Objective


class Problem(NamedTuple):
    """What a searcher is given.

    penalise(loss, p): scalar total loss, differentiable in the scalar loss and in p (P, O).
    reward(accuracy, gates): (K,) rewards from accuracies in percent (K,) and gates (K, P, O).
    """

    objective: Objective
    penalise: Callable[[Tensor, Tensor], Tensor]
    reward: Callable[[Tensor, Tensor], Tensor]


def without_cost(objective: Objective) -> Problem:
    """The problem of the objective alone: the loss as it is, and accuracy as a fraction for a reward."""
    return Problem(objective, lambda loss, p: loss, lambda accuracy, gates: accuracy / 100)
