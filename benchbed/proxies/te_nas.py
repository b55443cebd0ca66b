"""te-nas: two ranks in one: how well conditioned the neural tangent kernel is, and how many linear regions there are.

Chen, Gong and Wang, "Neural Architecture Search on ImageNet in Four GPU Hours: A Theoretically Inspired Perspective",
ICLR 2021. Over `draws` draws of the weights,

    trainability    minus the mean of kappa = lambda_max / lambda_min of G G', G the gradients of each image's summed
                    logits in the weights, a row an image, with the batch's own statistics; Kaiming's normal by fan-out
    expressivity    the mean number of patterns that the ReLUs show over `crops` crops of 3 x 3 pixels in one channel;
                    Kaiming's normal by fan-in

and a score is the sum of both ranks among the networks that are compared, equal ones sharing a rank. Both look at small
networks, as the authors do, where the space can be sized: C = 3 and N = 1, and C = 1 and N = 1. Theirs of NAS-Bench-201
for the regions are one cell without a stem; here it is the whole network of that size. They prune a supernet by the
changes of both; here single networks are ranked. Where kappa is infinite or the network computes nothing it ranks
lowest.
"""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float64
from pydantic import Field
from scipy.stats import rankdata
from torch import Tensor, nn

from ..objectives.options import import_class
from ..proxy import BatchOptions, Case, Proxy
from ._layers import Activations, drawn, gradients

SIDE = 3  # pixels of a crop


class Options(BatchOptions):
    """The authors' on NAS-Bench-201."""

    batch: int = Field(72, ge=2, description="images of the kernel")
    crops: int = Field(3000, ge=2, description="crops of 3 x 3 pixels that the regions are counted over")
    draws: int = Field(3, ge=1, description="draws of the weights that both are averaged over")


class TeNas(Proxy[Options]):
    """Rank of -kappa plus rank of the number of linear regions."""

    parts = ("trainability", "expressivity")

    def score(self, case: Case) -> tuple[float, float]:
        draws, images = range(self.options.draws), case.batch(self.options.batch).images
        fan_out = partial(nn.init.kaiming_normal_, mode="fan_out", nonlinearity="relu")
        fan_in = partial(nn.init.kaiming_normal_, nonlinearity="relu")
        kernel, thin = sized(case, case.shape, 3), sized(case, (1, SIDE, SIDE), 1)
        kappas = [condition(drawn(kernel, "te-nas kernel", fan_out, draw), images) for draw in draws]
        crops = self._crops(case)
        counts = [regions(drawn(thin, "te-nas regions", fan_in, draw), crops) for draw in draws]
        return -sum(kappas) / len(kappas), sum(counts) / len(counts)

    def combine(self, measured: Float64[np.ndarray, "n parts"]) -> Float64[np.ndarray, " n"]:
        ranks = rankdata(np.where(np.isnan(measured), -np.inf, measured), method="dense", axis=0)
        total: Float64[np.ndarray, " n"] = ranks.sum(1).astype(np.float64)
        return total

    def _crops(self, case: Case) -> Tensor:
        """(crops, 1, 3, 3): of the training images in turn, places and channels drawn."""
        images, count = case.batch(min(self.options.crops, len(case.train))).images, self.options.crops
        generator, (channels, height, width) = case.generator("te-nas crops"), images.shape[1:]
        sides = (channels, height - SIDE + 1, width - SIDE + 1)
        c, y, x = (torch.randint(n, (count, 1, 1), generator=generator).to(images.device) for n in sides)
        of, step = torch.arange(count, device=images.device)[:, None, None], torch.arange(SIDE, device=images.device)
        return images[of % len(images), c, y + step[:, None], x + step][:, None]


def sized(case: Case, shape: tuple[int, int, int], channels: int) -> Case:
    """The case with a network of C = `channels` and N = 1 on such images; of a space that has one size that one."""
    assert case.architecture is not None
    sizes = case.space.sizes(channels=channels, cells=1)
    network = import_class(case.space.network)
    build = partial(network, case.architecture.choices, classes=case.classes, in_channels=shape[0], **sizes)
    return replace(case, build=build, shape=shape, channels=channels, cells=1)


def condition(network: nn.Module, images: Tensor) -> float:
    """lambda_max / lambda_min of the images' tangent kernel; infinite where it is singular, NaN of nothing at all."""
    weights: list[Tensor] = [w for name, w in network.named_parameters() if name.endswith("weight")]
    rows = [torch.cat([g.flatten() for g in gradients(one, weights, again=True)]) for one in network(images).sum(1)]
    g = torch.stack(rows).double()
    values = torch.linalg.eigvalsh(g @ g.T)
    least, most = float(values[0]), float(values[-1])
    return math.nan if most <= 0 else most / least if least > 0 else math.inf


def regions(network: nn.Module, images: Tensor) -> int:
    """The number of distinct patterns of active ReLUs; 0 of a network without any."""
    with torch.no_grad(), Activations(lambda x: (x > 0).flatten(1)) as activations:
        network(images)
    units = [one.seen for one in activations]
    return len(torch.cat(units, 1).unique(dim=0)) if units else 0
