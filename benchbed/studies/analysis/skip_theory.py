"""Why skip connections win alpha: the optimal mixture of a skip connection and a convolution, in closed form.

Wang et al., "Rethinking Architecture Selection in Differentiable NAS", ICLR 2021 (DARTS-PT), section 3.2. All edges
of a cell estimate one feature map m*. An edge mixes its input x (the skip connection) and its convolution o(x):
theta_conv o + theta_skip x. With a = o - m*, b = x - m*, Va = var a, Vb = var b, c = cov(a, b), the variance of
the mixture's error,

    theta^2 Va + (1 - theta)^2 Vb + 2 theta (1 - theta) c,        theta = theta_conv,

is convex (its second derivative is 2 var(o - x)) and least at theta_conv = (Vb - c) / (Va + Vb - 2c). The paper's
"proportional to var(x - m*)" is this with the common c left out; the sign of the logits' difference is that of Va - Vb
whatever c is. So an input that is nearer to m* than the convolution's output, as inputs of a good supernet are, gives
the skip connection the greater alpha, and says nothing about which operation is the better one.
"""

import math
from typing import NamedTuple

from ...errors import BenchbedError


class Errors(NamedTuple):
    """conv: Va, of the convolution's error o - m*; skip: Vb, of x - m*; shared: their covariance c."""

    conv: float
    skip: float
    shared: float

    def checked(self) -> "Errors":
        """Itself. Raises BenchbedError where no two errors have such variances and covariance."""
        bound = math.sqrt(max(self.conv, 0.0) * max(self.skip, 0.0))
        if not all(map(math.isfinite, self)) or min(self.conv, self.skip) < 0 or abs(self.shared) > bound * (1 + 1e-9):
            raise BenchbedError(f"variances {self.conv:g} and {self.skip:g} with covariance {self.shared:g}: finite, "
                                "none below 0, the covariance within the root of their product")  # fmt: skip
        return self


def logit_gap(errors: Errors) -> float:
    """alpha_skip - alpha_conv at the optimum, log (Va - c) / (Vb - c); infinite on the boundary, 0 where Va = Vb."""
    a, b, c = errors.checked()
    if a == b:
        return 0.0
    if c >= min(a, b):
        return math.inf if a > b else -math.inf
    return math.log((a - c) / (b - c))
