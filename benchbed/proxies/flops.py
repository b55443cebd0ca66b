"""FLOPs: multiply-accumulates of one image. With the parameters the baseline that a proxy has to be held against.

NAS-Bench-Suite-Zero (Krishnakumar et al., NeurIPS 2022) reports it beside every proxy. Counted as the space's published
table counts them.
"""

from ..proxy import Case, Proxy
from ._counts import count


class Flops(Proxy):
    """Multiply-accumulates of one image."""

    of_function = False

    def score(self, case: Case) -> float:
        return count(case, "flops")
