"""A loss that is the mean over all processes' images, by plain autograd, as often differentiable as each part is.

Every process computes its part from replicas of the same gates and weights. Seen from outside, all of them hold one
function: its value is the mean of the parts, and so are its derivatives of any order. An identity on each replica
whose backward averages over the processes gives that; the average's own backward is a process's share of it.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..parallel import Group


class _Leaf(torch.autograd.Function):
    """x to x; backward: the mean over the processes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, share: float, group: Group) -> Tensor:
        ctx.share, ctx.group = share, group
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _Mean.apply(gradients[0], ctx.share, ctx.group), None, None


class _Mean(torch.autograd.Function):
    """dx to the sum over the processes of share * dx; backward: share * v, for v is the same in all of them."""

    @staticmethod
    def forward(ctx: Any, dx: Tensor, share: float, group: Group) -> Tensor:
        ctx.share = share
        return group.sum(share * dx.contiguous())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.share * gradients[0], None, None


class Averaging(NamedTuple):
    """`share`: of all processes' images, those of this one."""

    share: float
    group: Group

    def leaf(self, x: Tensor) -> Tensor:
        """This process's replica of a value that all processes hold."""
        return _Leaf.apply(x, self.share, self.group)

    def value(self, loss: Tensor) -> Tensor:
        """The loss with the value of the mean, and this process's graph."""
        return loss + (self.group.sum(self.share * loss.detach()) - loss.detach())


def averaging(group: Group, images: int, device: torch.device) -> Averaging:
    """For one loss on `images` images of this process. Collective."""
    total = group.sum(torch.tensor(float(images), dtype=torch.float64, device=device))
    return Averaging(images / float(total), group)
