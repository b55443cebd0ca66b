"""The best choice of one item a row under a budget: a multiple-choice knapsack, solved exactly.

Rows are merged one after the other. Of the partial choices only those survive that no other beats in score at no
greater cost, and that the cheapest items of the rows to come can still complete within the budget. With real figures
the survivors stay few (about 10^4 on 21 rows of seven items); the worst case is exponential, as it must be.
"""

from collections.abc import Sequence

import numpy as np


def best_choices(costs: Sequence[np.ndarray], scores: Sequence[np.ndarray], budget: float) -> list[int] | None:
    """The index in each row that maximises the sum of scores at a sum of costs of at most `budget`; None if none is.

    costs[i], scores[i]: (items of row i,). Of equal scores the cheaper wins, then the lower indices.
    """
    rest = np.append(np.cumsum([row.min() for row in costs][::-1])[::-1], 0.0)
    # the sum is taken in another order than the caller's: a choice at the very budget must not fall to rounding
    slack = budget + 1e-9 * max(abs(budget), 1.0)
    spent, won = np.zeros(1), np.zeros(1)
    trail: list[tuple[np.ndarray, np.ndarray]] = []  # of each row: the survivor it came from, and the item taken
    for i, (cost, score) in enumerate(zip(costs, scores, strict=True)):
        total, gain = (spent[:, None] + cost).ravel(), (won[:, None] + score).ravel()
        kept = np.flatnonzero(total + rest[i + 1] <= slack)
        if not len(kept):
            return None
        kept = kept[np.lexsort((kept, -gain[kept], total[kept]))]
        best_before = np.concatenate([[-np.inf], np.maximum.accumulate(gain[kept])[:-1]])
        kept = kept[gain[kept] > best_before]
        trail.append((kept // len(cost), kept % len(cost)))
        spent, won = total[kept], gain[kept]
    place, choices = len(spent) - 1, []  # survivors rise in cost and in score: the last is the best
    for origin, item in reversed(trail):
        choices.append(int(item[place]))
        place = int(origin[place])
    return choices[::-1]
