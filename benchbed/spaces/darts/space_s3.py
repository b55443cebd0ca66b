"""DARTS S3: none, skip connection or separable 3x3 convolution on every edge.

Zela et al., "Understanding and Robustifying Differentiable Architecture Search", ICLR 2020, section 3. `none`
may not be selected.
"""

from .space import EDGES, Darts, positions_of

OPERATIONS = ("none", "skip_connect", "sep_conv_3x3")


class DartsS3(Darts):
    """Three operations an edge, two of them selectable."""

    positions = positions_of((OPERATIONS,) * len(EDGES), (OPERATIONS,) * len(EDGES))
