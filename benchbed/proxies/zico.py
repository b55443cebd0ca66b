"""zico: how large and how steady the gradients are over batches, by layer.

Li et al., "ZiCo: zero-shot NAS via inverse coefficient of variation on gradients", ICLR 2023. Each batch's gradients
are its own, as in the paper: the published function adds each batch's to those before it (compute_zico.py has no
zero_grad). Over two batches a standard deviation is noisy: give the number of batches beside a figure.
"""

import math

import torch
from pydantic import Field

from ..proxy import BatchOptions, Case, Proxy
from ._layers import gradients, loss, weights


class Options(BatchOptions):
    """The authors' batches."""

    batch: int = Field(128, ge=2, description="images of a batch")
    batches: int = Field(2, ge=2, description="over how many the mean and the deviation are taken")

    @property
    def images(self) -> int:
        return self.batch * self.batches


class Zico(Proxy[Options]):
    """Sum over layers of log(sum over weights of mean |g| / std(g)); without weights of std 0."""

    def score(self, case: Case) -> float:
        network = case.network()
        of = weights(network)
        by_batch = [
            gradients(loss(network, case.batch(self.options.batch, number)), of)
            for number in range(self.options.batches)
        ]
        total = 0.0
        for of_layer in zip(*by_batch, strict=True):
            g = torch.stack(of_layer).double()
            if not torch.isfinite(g).all():
                return math.nan
            deviation = g.std(0, correction=0)
            ratio = (g.abs().mean(0) / deviation)[deviation > 0].sum()
            total += math.log(ratio) if ratio > 0 else 0.0
        return total
