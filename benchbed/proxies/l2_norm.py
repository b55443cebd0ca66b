"""l2-norm: the sum over layers of the norm of the initial weights. A control: it sees no image and no architecture.

NAS-Bench-Suite-Zero (Krishnakumar et al., NeurIPS 2022). It grows with the number and width of layers, so it ranks much
as the parameter count does.
"""

from ..proxy import Case, Proxy
from ._layers import weights


class L2Norm(Proxy):
    """Sum over convolutions and linear layers of |w|_2."""

    of_function = False

    def score(self, case: Case) -> float:
        return sum(float(weight.detach().norm()) for weight in weights(case.network()))
