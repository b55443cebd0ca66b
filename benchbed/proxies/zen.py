"""zen: how much the features before pooling move with the image, at Gaussian weights; batch norm's scales are put back.

Lin et al., "Zen-NAS: a zero-shot NAS for high-performance image recognition", ICCV 2021. No images and no labels.
"""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..proxy import Case, Proxy
from ..searcher import Options as PluginOptions
from ._layers import LastMap, gaussian


class Options(PluginOptions):
    """Random images, how far they are moved, and draws."""

    batch: int = Field(64, ge=2, description="random images")
    move: float = Field(0.01, gt=0, description="size of the second random image that is added to the first")
    draws: int = Field(1, ge=1, description="draws of weights and images that are averaged")


class Zen(Proxy[Options]):
    """log mean |f(x) - f(x + move e)|_1 + sum over batch norms of log sqrt(mean running variance).

    f: what is pooled. Weights, x and e are N(0, 1); the running variances are those after the two passes.
    """

    def score(self, case: Case) -> float:
        return sum(self._drawn(case, draw) for draw in range(self.options.draws)) / self.options.draws

    def _drawn(self, case: Case, draw: int) -> float:
        network = gaussian(case, "zen", draw)
        x, e = (case.noise(f"zen {name} {draw}", self.options.batch) for name in ("images", "move"))
        with torch.no_grad():
            maps = [last_map(network, images) for images in (x, x + self.options.move * e)]
        moved = (maps[0] - maps[1]).double().abs().flatten(1).sum(1).mean().log()
        norms = [m.running_var.double().mean() for m in network.modules()
                 if isinstance(m, _BatchNorm) and m.running_var is not None]  # fmt: skip
        return float(moved) + sum(float(variance.sqrt().log()) for variance in norms)


def last_map(network: nn.Module, images: Tensor) -> Tensor:
    """What the network pools."""
    with LastMap() as look:
        network(images)
    assert look.found is not None
    found: Tensor = look.found.detach().clone()
    return found
