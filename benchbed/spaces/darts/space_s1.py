"""DARTS S1: two operations an edge, not the same ones on every edge.

Zela et al., "Understanding and Robustifying Differentiable Architecture Search", ICLR 2020, section 3; the pairs are
those of the authors' code. An operation has its place: elsewhere it is refused by name.
"""

from .space import Darts, positions_of

MAX, AVG, SKIP, SEP3 = "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3"
DIL3, DIL5 = "dil_conv_3x3", "dil_conv_5x5"
NORMAL = (
    (SKIP, DIL3), (SKIP, DIL5),
    (SKIP, DIL5), (SKIP, SEP3), (SKIP, DIL3),
    (MAX, SKIP), (SKIP, SEP3), (SKIP, SEP3), (SKIP, DIL3),
    (SKIP, SEP3), (MAX, SKIP), (SKIP, DIL3), (DIL3, DIL5), (DIL3, DIL5),
)  # fmt: skip
REDUCE = (
    (MAX, AVG), (MAX, DIL3),
    (MAX, AVG), (MAX, AVG), (SKIP, DIL5),
    (MAX, AVG), (MAX, SEP3), (SKIP, DIL3), (SKIP, DIL5),
    (MAX, AVG), (MAX, AVG), (SKIP, DIL5), (SKIP, DIL5), (SKIP, DIL5),
)  # fmt: skip


class DartsS1(Darts):
    """14 edges a cell with a pair of operations each."""

    positions = positions_of(NORMAL, REDUCE)
