"""epe-nas: how the Jacobians of a class's images correlate, class by class.

Lopes et al., "EPE-NAS: efficient performance estimation without training", ICANN 2021. With over 100 classes the
authors take another formula than with 100 or fewer, so that scores of such data sets are another proxy's.
"""

import torch
from jaxtyping import Float64
from torch import Tensor

from ..proxy import BatchOptions, Case, Proxy
from ._layers import image_gradients

K = 1e-5  # the authors'
MANY = 100  # classes, above which the formula is another


class EpeNas(Proxy[BatchOptions]):
    """s_c = sum of log(|C| + k), C the correlations of the Jacobians of class c's images: sum over c of |s_c|.

    Of more than 100 classes: s_c over the number of images, sum over ordered pairs of |s_c - s_d|, over the classes
    that the batch holds two images of.
    """

    of_gates = True

    def score(self, case: Case) -> float:
        batch = case.batch(self.options.batch)
        rows = image_gradients(case.network(), batch).double().cpu()
        labels = batch.labels.cpu()
        classes = [rows[labels == c] for c in labels.unique()]
        if case.classes <= MANY:
            return sum(abs(logarithms(one)) for one in classes)
        means = torch.tensor([logarithms(one) / len(one) for one in classes if len(one) > 1], dtype=torch.float64)
        return float((means[:, None] - means).abs().sum() / len(means)) if len(means) else float("nan")


def logarithms(rows: Float64[Tensor, "n pixels"]) -> float:
    """The sum of log(|C| + k) over the correlations of the rows; of one row the correlation is 1."""
    correlations = torch.corrcoef(rows) if len(rows) > 1 else torch.ones(1, 1)
    return float((correlations.abs() + K).log().sum())
