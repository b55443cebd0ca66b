"""A loss that is the mean over all processes' images, by plain autograd, as often differentiable as each part is.

Every process computes its part from replicas of the same gates and weights. Seen from outside, all of them hold one
function: the sum of each part times its share of the images. Its derivatives of any order are then sums over the
processes: an identity on each replica whose backward sums gives that. What comes back to a sum is the same in every
process, and passes it as it is.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..runtime.parallel import Group


class _Replica(torch.autograd.Function):
    """x to x; backward: the sum over the processes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        apply: Callable[..., Tensor] = _Sum.apply
        return apply(gradients[0], ctx.group), None


class _Sum(torch.autograd.Function):
    """dx to its sum over the processes; backward: v to v."""

    @staticmethod
    def forward(ctx: object, dx: Tensor, group: Group) -> Tensor:
        return group.sum(dx.contiguous())

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


class Averaging(NamedTuple):
    """`share`: of all processes' images, those of this one."""

    share: float
    group: Group

    def replica(self, x: Tensor) -> Tensor:
        """This process's replica of a value that all processes hold."""
        apply: Callable[..., Tensor] = _Replica.apply
        return apply(x, self.group)

    def value(self, loss: Tensor) -> Tensor:
        """The mean loss of all processes, with this one's graph."""
        mine = self.share * loss
        return mine + (self.group.sum(mine.detach()) - mine.detach())


def averaging(group: Group, images: int, device: torch.device) -> Averaging:
    """For one loss on `images` images of this process. Collective."""
    total = group.sum(torch.tensor(float(images), dtype=torch.float64, device=device))
    return Averaging(images / float(total), group)
