"""az-nas: four ranks in one: how rich, growing and trainable the blocks' features are, and the FLOPs.

Lee and Ham, "AZ-NAS: assembling zero-cost proxies for network architecture search", CVPR 2024. A score is a rank among
the networks that are compared: sum over the four parts of log(rank / m). N(0, 1) images, weights from Kaiming's normal
by fan-in, biases zero. The features are the stem's and each block's.
"""

import math
from functools import partial
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float64
from pydantic import Field
from scipy.stats import rankdata
from torch import Tensor, nn

from ..errors import BenchbedError
from ..proxy import Case, Proxy
from ..searcher import Options as PluginOptions
from ..training.counted import counted
from ._layers import drawn, gradients


class Options(PluginOptions):
    """How many random images."""

    batch: int = Field(64, ge=2, description="random images")


class AzNas(Proxy[Options]):
    """Sum over the four parts of log(rank / m); a part that is not a number ranks lowest, as the authors have it."""

    parts = ("expressivity", "progressivity", "trainability", "complexity")

    def score(self, case: Case) -> tuple[float, ...]:
        network = drawn(case, "az-nas weights", partial(nn.init.kaiming_normal_, nonlinearity="relu"))
        maps = block_maps(network, case.noise("az-nas", self.options.batch))
        entropies = [entropy(one.detach()) for one in maps]
        generator = case.generator("az-nas probe")
        steady = [steadiness(before, after, generator) for before, after in reversed(list(pairwise(maps)))]
        flops = counted(network, case.shape, case.classes)["flops"]
        least = min((b - a for a, b in pairwise(entropies)), default=math.nan)
        return sum(entropies), least, sum(steady) / max(1, len(steady)), float(flops)

    def combine(self, measured: Float64[np.ndarray, "n parts"]) -> Float64[np.ndarray, " n"]:
        ranks = rankdata(np.where(np.isnan(measured), -np.inf, measured), axis=0)
        total: Float64[np.ndarray, " n"] = np.log(ranks / len(measured)).sum(1)
        return total


def block_maps(network: nn.Module, images: Tensor) -> list[Tensor]:
    """What goes into the first block, and what comes out of each. Raises BenchbedError where there are no blocks."""
    blocks = getattr(network, "blocks", None) or getattr(network, "cells", None)
    if not isinstance(blocks, nn.Sequential | nn.ModuleList):
        raise BenchbedError(f"proxy 'az-nas': {type(network).__name__} has no list of modules `blocks` or `cells`")
    maps = list[Tensor]()

    def first(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        maps.append(next(x for x in reversed(given) if isinstance(x, Tensor)))

    def each(module: nn.Module, given: object, out: Tensor) -> None:
        maps.append(out)

    blocks[0].register_forward_pre_hook(first)
    for block in blocks:
        block.register_forward_hook(each)
    network(images)
    return maps


def entropy(x: Tensor) -> float:
    """Of the normalised eigenvalues of the channels' covariance."""
    rows = x.permute(0, 2, 3, 1).flatten(0, 2).double()
    rows = rows - rows.mean(0)
    values = torch.linalg.eigvalsh(rows.T @ rows / len(rows))
    shares = values / values.sum()
    return -float((shares * (shares + 1e-8).log()).sum())


def steadiness(before: Tensor, after: Tensor, generator: torch.Generator) -> float:
    """2 - s - 1/s: s the greatest singular value of how a random sign in `after` and its gradient in `before` agree.

    -inf where the gradient is the signs themselves: nothing but skip connections.
    """
    signs = torch.randint(0, 2, after.shape, generator=generator).to(after) * 2 - 1
    (back,) = gradients((after * signs).sum(), [before])
    if back.shape == signs.shape and bool((back == signs).all()):
        return -math.inf
    if back.shape[2:] != signs.shape[2:]:
        factor = back.shape[2] // signs.shape[2]
        height, width = (side * factor for side in signs.shape[2:])
        back = F.pixel_unshuffle(F.interpolate(back, (height, width)) if back.shape[2:] != (height, width) else back,
                                 factor)  # fmt: skip
    rows, columns = (x.permute(0, 2, 3, 1).flatten(0, 2).double() for x in (back, signs))
    s = float(torch.linalg.matrix_norm(rows.T @ columns / len(columns), 2))
    return 2 - s - 1 / (s + 1e-6)
