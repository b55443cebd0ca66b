"""Partial channels: the operations of a position see 1/K of the channels, the others pass it by.

Xu et al., "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search", ICLR 2020, section 3.2. The
first C/K channels are mixed and the rest is passed on as it is, at stride 2 through a 2x2 max pooling; then channels
are shuffled in K groups, so that the next node mixes others. A position's rest is weighted by the sum of its gates: by
1 in a row of probabilities, by the edge's weight where that multiplies the row. All of it is linear in the gates, so
the rests of a node's inputs are added before they are joined.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BenchbedError
from .plan import Run


def check_partial(partial: int, channels: int) -> None:
    """Raises BenchbedError where K does not divide the channels of a cell."""
    if channels % partial:
        raise BenchbedError(
            f"supernet.partial = {partial} does not divide the {channels} channels of a cell: give a divisor of it"
        )


def split(x: Float[Tensor, "n c h w"], partial: int) -> tuple[Float[Tensor, "n a h w"], Float[Tensor, "n b h w"]]:
    """(the first C/K channels, the others)."""
    own = x.shape[1] // partial
    return x[:, :own], x[:, own:]


def joined(mixed: Float[Tensor, "n a h w"], rest: Float[Tensor, "n b h w"], partial: int) -> Float[Tensor, "n c h w"]:
    """Both parts as one, its channels shuffled by K groups."""
    return shuffled(torch.cat([mixed, rest], 1), partial)


def shuffled(x: Float[Tensor, "n c h w"], groups: int) -> Float[Tensor, "n c h w"]:
    """Channel g * C/K + c goes to c * K + g. Shuffling by C/K groups then puts it back."""
    n, channels, height, width = x.shape
    apart = x.reshape(n, groups, channels // groups, height, width).transpose(1, 2)
    return apart.reshape(n, channels, height, width).contiguous(memory_format=torch.channels_last)


def flow(gates: Sequence[Tensor], row: Sequence[tuple[int, Run]]) -> Tensor | None:
    """The sum of a row's gates, a scalar; None where nothing runs."""
    running = [gates[column] for column, _ in row]
    return torch.stack(running).sum() if running else None
