"""DARTS S4: noise or separable 3x3 convolution on every edge; noise ignores its input.

Zela et al., "Understanding and Robustifying Differentiable Architecture Search", ICLR 2020, section 3. Noise is
drawn from N(0, 1) in the shape of the edge's output: a search that selects it has learned nothing.
"""

from .space import EDGES, Darts, positions_of

OPERATIONS = ("noise", "sep_conv_3x3")


class DartsS4(Darts):
    """Two operations an edge, one of them harmful."""

    positions = positions_of((OPERATIONS,) * len(EDGES), (OPERATIONS,) * len(EDGES))
