"""meco: how independent a layer's channels are on one random image, by the least eigenvalue of their correlations.

Jiang et al., "MeCo: zero-shot NAS with one data and single forward pass via minimum eigenvalue of correlation", NeurIPS
2023. The authors' hooks sit on every module, containers too, so that a map counts as often as modules pass it on; here
a layer is a module without modules of its own, such as a convolution or a batch norm.
"""

import torch
from torch import Tensor, nn

from ..proxy import Case, Proxy


class Meco(Proxy):
    """Sum over layers of the least eigenvalue of the correlations between the channels of their map."""

    def score(self, case: Case) -> float:
        network, found = case.network(), list[float]()

        def look(module: nn.Module, given: object, out: Tensor) -> None:
            if isinstance(out, Tensor) and out.ndim == 4:
                found.append(least(out[0].flatten(1)))

        for module in network.modules():
            if not list(module.children()):
                module.register_forward_hook(look)
        with torch.no_grad():
            network(case.noise("meco", 1))
        return sum(found)


def least(rows: Tensor) -> float:
    """The least eigenvalue of the rows' correlations; a row that does not vary correlates with nothing, as there."""
    if rows.shape[1] < 2:
        return 0.0
    correlations = torch.corrcoef(rows.double().cpu()).reshape(len(rows), len(rows))
    return float(torch.linalg.eigvalsh(torch.nan_to_num(correlations, 0.0, 0.0, 0.0))[0])
