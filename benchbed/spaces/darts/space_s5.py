"""DARTS without `none`: the seven operations of DARTS-PT and of RobustDARTS' S5.

Wang et al., "Rethinking Architecture Selection in Differentiable NAS", ICLR 2021, search this space where they say
DARTS' (their released code). The supernet has the same parameters: `none` has none.
"""

from .space import EDGES, OPERATIONS, Darts, positions_of

SEVEN = OPERATIONS[1:]


class DartsS5(Darts):
    """Seven operations an edge, all selectable."""

    positions = positions_of((SEVEN,) * len(EDGES), (SEVEN,) * len(EDGES))
