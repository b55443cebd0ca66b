"""Gradients that are averaged over the processes of a group while the backward pass still runs.

Torch's DistributedDataParallel does as much, but it averages over processes where a part of a batch may have lost
images that cannot be read, and it lays its buckets anew after a first step: with more than two processes a training
that goes on would then add in another order than one that was never stopped.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from .parallel import Group

BUCKET = 25 * 2**20  # bytes that are reduced at once: DistributedDataParallel's default


class Overlap:
    """The mean gradient of a group over all its images, reduced bucket by bucket as a backward pass makes it.

    `weights`: the leaves whose gradients they are; the last ones, whose gradients come first, are in the first bucket.
    Buckets are sent in one order, so that all processes send the same; a weight that took part in one process took part
    in all. All calls are collective.
    """

    def __init__(self, group: Group, weights: Sequence[Tensor], bucket: int = BUCKET):
        self.group, self.buckets = group, buckets_of(weights, bucket)
        self.bucket_of = {id(w): number for number, bucket in enumerate(self.buckets) for w in bucket}
        self.images = 0  # of this process, in the pass that runs
        for weight in weights:
            weight.register_post_accumulate_grad_hook(self._made)

    def begin(self, images: int) -> None:
        """The next backward pass gives the mean over so many images of this process. Weights have no gradient yet."""
        self.images = images
        self.left = [len(bucket) for bucket in self.buckets]
        self.sent: list[tuple[Any, Tensor, list[Tensor]]] = []

    def finish(self, loss: Tensor) -> tuple[Tensor, Tensor]:
        """Waits for all gradients, which are then the mean over all images; the mean loss, and how many images."""
        while len(self.sent) < len(self.buckets):  # those with a weight that took no part
            self._send()
        last = torch.stack([loss.detach().double() * self.images, loss.new_full((), self.images, dtype=torch.float64)])
        dist.all_reduce(last)
        self.images = 0
        for work, flat, gradients in self.sent:
            work.wait()
            flat /= last[1]
            for gradient, piece in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
                gradient.copy_(piece.view(gradient.shape))
        self.sent.clear()
        return (last[0] / last[1]).to(loss.dtype), last[1]

    def _made(self, weight: Tensor) -> None:
        if not self.images:
            return
        self.left[self.bucket_of[id(weight)]] -= 1
        while len(self.sent) < len(self.buckets) and self.left[len(self.sent)] == 0:
            self._send()

    def _send(self) -> None:
        gradients = [w.grad for w in self.buckets[len(self.sent)] if w.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients] or [torch.empty(0)])
        flat *= self.images
        work = dist.all_reduce(flat, async_op=True) if gradients else _Done()
        self.sent.append((work, flat, gradients))


class _Done:
    def wait(self) -> None: ...


def buckets_of(weights: Sequence[Tensor], most: int) -> list[list[Tensor]]:
    """The weights, last first, in buckets of at most so many bytes, or of one that has more; of one type each."""
    buckets: list[list[Tensor]] = []
    held = 0
    for weight in reversed(weights):
        size = weight.numel() * weight.element_size()
        if not buckets or held + size > most or buckets[-1][0].dtype != weight.dtype:
            buckets.append([])
            held = 0
        buckets[-1].append(weight)
        held += size
    return buckets
