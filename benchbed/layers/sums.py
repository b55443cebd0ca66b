"""A sum whose terms come one by one, added in place as soon as its memory is its own."""

import torch
from torch import Tensor


class Sum:
    """`value`: the sum so far, None before the first term. A term that others hold is never written to.

    In place saves fresh memory, which cost the CPU more than the additions (page faults). Under autograd, nothing that
    is summed may be saved for a backward pass: batch norm saves its input, addcmul its factors.
    """

    def __init__(self, value: Tensor | None = None, own: bool = False) -> None:
        self.value, self._own = value, own

    def add(self, term: Tensor, own: bool) -> None:
        """`own`: nobody else holds `term`."""
        if self.value is None:
            self.value, self._own = term, own
        elif self._own:
            self.value.add_(term)
        else:
            self.value, self._own = term.add_(self.value) if own else self.value + term, True

    def add_gated(self, term: Tensor, gate: Tensor) -> None:
        """+= term * gate, a scalar tensor."""
        if self.value is None:
            self.value = term * gate
        elif self._own:
            self.value.addcmul_(term, gate)
        else:
            self.value = torch.addcmul(self.value, term, gate)
        self._own = True
