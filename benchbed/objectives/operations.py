"""Which weights belong to which operation of a supernet, and which of them are held still."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..objective import Mask, OperationGradients
from ..supernet import Supernet


class OperationWeights:
    """The parameters of each operation by (position, column), those of operations without any left out.

    `frozen` (P, O): the operations whose weights no step moves any more. A network that does not say what belongs to
    whom has nothing here.
    """

    def __init__(self, network: nn.Module, mask: Mask):
        pairs = mask.nonzero().tolist() if isinstance(network, Supernet) else []
        found = {(i, k): list(network.candidate_weights(i, k)) for i, k in pairs}  # type: ignore[operator]
        self.of: dict[tuple[int, int], list[Tensor]] = {pair: weights for pair, weights in found.items() if weights}
        self.frozen = torch.zeros_like(mask)
        self._still: set[int] = set()

    def freeze(self, mask: Mask) -> None:
        self.frozen = self.frozen | mask
        self._still = {id(w) for (i, k), weights in self.of.items() if self.frozen[i, k] for w in weights}

    def still(self, weight: Tensor) -> bool:
        """Whether the weight belongs to an operation that is frozen."""
        return id(weight) in self._still

    def gradients(self, weights: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> OperationGradients:
        """Of all `weights`, those of operations by operation; an operation that took no part is left out.

        In a network of several cells one may be cut off while another flows: its weights have zeros, so that an
        operation's list is as long in every step.
        """
        by_id = {id(w): g for w, g in zip(weights, gradients, strict=True) if g is not None}
        flowing = {pair: own for pair, own in self.of.items() if any(id(w) in by_id for w in own)}
        return {
            pair: [by_id[id(w)].clone() if id(w) in by_id else torch.zeros_like(w) for w in own]
            for pair, own in flowing.items()
        }
