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


def undominated(values: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " m"]:
    """The places of the points that no other equals or exceeds in every column, upwards. Of equal ones the first."""
    order = np.lexsort(-values.T[::-1])  # who dominates a point comes before it
    kept, found = np.empty_like(values), list[int]()
    for place in order:
        if not (kept[: len(found)] >= values[place]).all(1).any():
            kept[len(found)] = values[place]
            found.append(int(place))
    return np.sort(np.array(found, dtype=np.intp))


def dominated(values: Float[np.ndarray, "n d"]) -> float:
    """The volume between the origin and points of which every column is to be great; negative columns add none.

    Exact, by slices along the last column (While et al., "A Faster Algorithm for Calculating Hypervolume", IEEE TEC
    2006): n^(d-1) of them at most.
    """
    points = values[undominated(values)].clip(min=0)
    if points.shape[1] == 1:
        return float(points.max())
    points = points[np.argsort(-points[:, -1], kind="stable")]
    if points.shape[1] == 2:
        best = np.maximum.accumulate(points[:, 0])
        return float((best * (points[:, 1] - np.append(points[1:, 1], 0.0))).sum())
    ends = np.append(points[1:, -1], 0.0)
    slices = [(i + 1, height - end) for i, (height, end) in enumerate(zip(points[:, -1], ends, strict=True))]
    return float(sum(thick * dominated(points[:i, :-1]) for i, thick in slices if thick > 0))
