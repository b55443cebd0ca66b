"""The multilinear extension of a whole-network table: its expectation under independent choices, exactly.

A table gives every architecture a a value V(a). For rows of gates that sum to 1,

    V(g) = sum over all architectures a of V(a) prod_i g[i, a_i]

so at one-hot rows it is the table's own value, and its gradient in g is exact. Accuracy (`objectives/table.py`) and
latency (`latency/costs.py`) are both contracted here.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ..space import Space


class Multilinear:
    """values: float64, one axis a position of `space`, in the order of its operations."""

    def __init__(self, space: Space, values: Tensor):
        self.values = values.double()
        nones = [p.operations.index("none") if "none" in p.operations else 0 for p in space.positions]
        self.none = one_hot(torch.tensor(nones), space.mask.shape[1]).double()  # (P, O)

    def __call__(self, gates: Tensor) -> Tensor:
        """float64 (K,) of gates (K, P, O); differentiable.

        A row is normalised first, so that a masked mixture is a distribution over what is left; a row of zeros is
        `none`, and has no gradient.
        """
        rows = gates.double()
        mass = rows.sum(-1, keepdim=True)
        rows = torch.where(mass > 0, rows / torch.where(mass > 0, mass, 1.0), self.none)
        value = self.values.expand(len(rows), *self.values.shape)
        for i, size in enumerate(self.values.shape):  # one position after the other is summed out
            row = rows[:, i, None, :size]
            value = (row @ value.reshape(len(rows), size, -1)).squeeze(1)
        return value.reshape(len(rows))
