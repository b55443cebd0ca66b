"""Parameters: how many there are. The baseline that a proxy has to be held against, and no look at the network at all.

Mellor et al. and NAS-Bench-Suite-Zero (Krishnakumar et al., NeurIPS 2022) report it beside every proxy. Counted as the
space's published table counts them, operations included that reach no output.
"""

from ..proxy import Case, Proxy
from ._counts import count


class Params(Proxy):
    """The number of trainable values."""

    of_function = False

    def score(self, case: Case) -> float:
        return count(case, "params")
