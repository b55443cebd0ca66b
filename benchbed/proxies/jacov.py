"""jacov: how unlike the images' Jacobians are, by the eigenvalues of their correlations.

Mellor et al., "Neural architecture search without training", first version of 2020; as a proxy by Abdelfattah et al.,
ICLR 2021. The matrix is symmetric, so the eigenvalues are real: the authors' general solver may return complex ones.
"""

import torch

from ..proxy import BatchOptions, Case, Proxy
from ._layers import image_gradients

K = 1e-5  # the authors'


class Jacov(Proxy[BatchOptions]):
    """-sum of log(v + k) + 1 / (v + k): v the eigenvalues of the correlations of d(sum of logits)/dx between images."""

    of_gates = True

    def score(self, case: Case) -> float:
        rows = image_gradients(case.network(), case.batch(self.options.batch)).double().cpu()
        correlations = torch.corrcoef(rows)
        if not bool(correlations.isfinite().all()):  # an image whose gradient is zero
            return float("nan")
        v = torch.linalg.eigvalsh(correlations) + K
        return -float((v.log() + 1 / v).sum())
