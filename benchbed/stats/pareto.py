"""Fronts of cost and accuracy: what no other point beats in both, and how much they dominate."""

import numpy as np
from jaxtyping import Float, Int


def front(cost: Float[np.ndarray, " n"], accuracy: Float[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
    """The places of the points that no other beats: cheaper at no less accuracy, or more accurate at no more cost.

    By rising cost. Of equal points the first is kept.
    """
    order = np.lexsort((-accuracy, cost))
    best_before = np.maximum.accumulate(np.concatenate([[-np.inf], accuracy[order][:-1]]))
    return order[accuracy[order] > best_before]


def hypervolume(
    cost: Float[np.ndarray, " n"], accuracy: Float[np.ndarray, " n"], most_cost: float, least_accuracy: float
) -> float:
    """The area that the points dominate within the reference point (most_cost, least_accuracy).

    Points outside add none. Zitzler and Thiele, "Multiobjective Optimization Using Evolutionary Algorithms", PPSN 1998.
    """
    inside = (accuracy > least_accuracy) & (cost < most_cost)
    cost, accuracy = cost[inside], accuracy[inside]
    places = front(cost, accuracy)
    edges = np.append(cost[places], most_cost)
    return float(((edges[1:] - edges[:-1]) * (accuracy[places] - least_accuracy)).sum())
