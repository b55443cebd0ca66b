"""DARTS S2: skip connection or separable 3x3 convolution on every edge.

Zela et al., "Understanding and Robustifying Differentiable Architecture Search", ICLR 2020, section 3.
"""

from .space import EDGES, Darts, positions_of

OPERATIONS = ("skip_connect", "sep_conv_3x3")


class DartsS2(Darts):
    """Two operations an edge."""

    positions = positions_of((OPERATIONS,) * len(EDGES), (OPERATIONS,) * len(EDGES))
