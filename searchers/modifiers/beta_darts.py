"""Beta-DARTS: alpha's gradient draws every row towards equal alphas, the more the later in the search.

Ye et al., "beta-DARTS: Beta-Decay Regularization for Differentiable Architecture Search", CVPR 2022, section 3.2. To
the loss that alpha descends it adds, over the E rows of alpha,

    lambda * mean over rows of log sum_k exp(alpha_k),     whose gradient in alpha is lambda p / E,   p = softmax(alpha)

with lambda = `weight` * epoch / epochs, 0 in the first epoch and rising to nearly 50. The term's pull on a row does not
depend on the loss, and weighs p as weight decay weighs alpha. Adam's own weight decay stays.

In the authors' code lambda is 50 * epoch / 100 whatever the number of epochs is (optimizers/darts/architect.py), so
that 50 epochs end at 25: `literal_100=true`. Its second-order step leaves the term out, without a word; here `order=2`
has it. Rows with one operation left are not decided by alpha, and neither have the term nor count in E.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor

from benchbed.modifier import Modifier
from benchbed.searcher import AlphaSearcher, Clock, masked_softmax
from benchbed.searcher import Options as PluginOptions


class Options(PluginOptions):
    """How strongly it pulls. Defaults: the paper's."""

    weight: float = Field(50.0, ge=0, description="lambda after the last epoch, rising linearly from 0 (paper: 50)")
    literal_100: bool = Field(
        False, description="the authors' bug: lambda is weight * epoch / 100, whatever the number of epochs"
    )


class BetaDecay(Modifier[Options]):
    """Adds lambda p / E to alpha's gradient."""

    role = "regularisation of alpha"
    suite_options: ClassVar[Mapping[str, Any]] = {"weight": 0.05}  # of the toys' losses 50 would leave nothing

    def strength(self, clock: Clock) -> float:
        """lambda of this epoch."""
        return self.options.weight * clock.epoch / (100 if self.options.literal_100 else clock.epochs)

    def alpha_gradient(self, gradient: Tensor, clock: Clock) -> Tensor:
        assert isinstance(self.searcher, AlphaSearcher)
        mask = self.searcher.mask
        open_rows = (mask.sum(1) > 1)[:, None]
        if (strength := self.strength(clock)) == 0 or not bool(open_rows.any()):
            return gradient
        p = masked_softmax(self.searcher.alpha.detach(), mask)
        return gradient + strength * p * open_rows / int(open_rows.sum())
