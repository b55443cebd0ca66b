"""What a training descends: cross-entropy of the labels, of what was mixed in, and of an auxiliary head."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Shares = Sequence[float] | Tensor


@dataclass(frozen=True)
class Loss:
    """`smoothing`: of the labels. `auxiliary`: the weight of the auxiliary head's loss; 0: there is no such head."""

    smoothing: float = 0.0
    auxiliary: float = 0.0

    def __call__(
        self,
        logits: Tensor | tuple[Tensor, Tensor],
        labels: Tensor,
        others: Tensor | None = None,
        shares: Shares = (1.0, 0.0),
    ) -> Tensor:
        """The mean over the images of `logits` (n, classes), or of (logits, auxiliary logits).

        others: the labels (n,) of what was mixed in; shares: the weights of the two labels' losses. Sums are float32,
        or the logits' own where those are float64.
        """
        if isinstance(logits, Tensor):
            return self._mixed(logits, labels, others, shares)
        own, auxiliary = (self._mixed(one, labels, others, shares) for one in logits)
        return own + self.auxiliary * auxiliary

    def _mixed(
        self, logits: Tensor, labels: Tensor, others: Tensor | None, shares: Shares
    ) -> Tensor:
        if others is None:
            return self._of(logits, labels)
        return shares[0] * self._of(logits, labels) + shares[1] * self._of(logits, others)

    def _of(self, logits: Tensor, labels: Tensor) -> Tensor:
        logits = logits if logits.dtype == torch.float64 else logits.float()
        return F.cross_entropy(logits, labels, label_smoothing=self.smoothing)
