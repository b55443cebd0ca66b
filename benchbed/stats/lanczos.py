"""The largest eigenvalue of a symmetric map of which only products are known."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Vector = Float[Tensor, " n"]
TOLERANCE = 1e-4  # of the greatest eigenvalue's size: what the residual may be


def largest_eigenvalue(product: Callable[[Vector], Vector], start: Vector, iterations: int) -> float:
    """Of the symmetric map `product`, by Lanczos' method with every basis vector kept orthogonal to all before.

    The greatest with its sign, as after `iterations` products, or once the residual bounds its error by `TOLERANCE`.
    `start`: float64, any vector that is no eigenvector. Exact to rounding after n products.
    """
    basis, diagonal, beside = [start / start.norm()], list[Tensor](), list[Tensor]()
    while True:
        w = product(basis[-1])
        diagonal.append(w @ basis[-1])
        kept = torch.stack(basis)
        for _ in range(2):  # once leaves rounding behind
            w = w - kept.T @ (kept @ w)
        size = w.norm()
        matrix = torch.stack(diagonal).diag()
        if beside:
            matrix += torch.stack(beside).diag(1) + torch.stack(beside).diag(-1)
        values, vectors = torch.linalg.eigh(matrix)
        done = len(basis) == min(iterations, len(start))
        if done or float(size * vectors[-1, -1].abs()) <= TOLERANCE * float(values.abs().max()):
            return float(values[-1])
        beside.append(size)
        basis.append(w / size)
