"""Training images mixed in pairs, labels too: mixup (Zhang et al., ICLR 2018) and CutMix (Yun et al., ICCV 2019)."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor


class Examples(NamedTuple):
    """A batch as a network is trained on it; `others`: the labels of what was mixed in, None where nothing was.

    share: the weight of the loss on `labels`; that on `others` has 1 - share.
    """

    images: Float[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"]
    others: Int64[Tensor, " n"] | None = None
    share: float = 1.0

    def part(self, which: slice) -> "Examples":
        """Some of the examples, such as one process's."""
        others = None if self.others is None else self.others[which]
        return Examples(self.images[which], self.labels[which], others, self.share)


@dataclass(frozen=True)
class Mix:
    """Mixes each image of a batch with another of it, drawn as a permutation; one lambda ~ Beta(a, a) a batch.

    `mixup` and `cutmix`: the a of each, None for none, not both. With both, a batch is pasted into or blended with
    probability one half each.
    """

    mixup: float | None
    cutmix: float | None

    def __call__(
        self, images: Float[Tensor, "n c h w"], labels: Int64[Tensor, " n"], generator: torch.Generator
    ) -> Examples:
        """The mixed batch. Takes one draw of the CPU `generator`, whatever the size of the batch."""
        draws = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        paste = self.mixup is None or (self.cutmix is not None and draws.random() < 0.5)
        a = self.cutmix if paste else self.mixup
        assert a is not None
        share = float(draws.beta(a, a))
        partner = torch.from_numpy(draws.permutation(len(labels))).to(images.device, non_blocking=True)
        if not paste:
            return Examples(blended(images, partner, share), labels, labels[partner], share)
        h, w = images.shape[2:]
        rows, columns = box(share, h, w, int(draws.integers(h)), int(draws.integers(w)))
        area = (rows.stop - rows.start) * (columns.stop - columns.start)
        return Examples(pasted(images, partner, rows, columns), labels, labels[partner], 1 - area / (h * w))


def blended(
    images: Float[Tensor, "n c h w"], partner: Int64[Tensor, " n"], share: float
) -> Float[Tensor, "n c h w"]:
    """Mixup's images: `share` of each and 1 - share of its partner."""
    return share * images + (1 - share) * images[partner]


def pasted(
    images: Float[Tensor, "n c h w"], partner: Int64[Tensor, " n"], rows: slice, columns: slice
) -> Float[Tensor, "n c h w"]:
    """CutMix's images: each with its partner's pixels in the box."""
    images = images.clone()
    images[:, :, rows, columns] = images[partner, :, rows, columns]
    return images


def box(share: float, h: int, w: int, y: int, x: int) -> tuple[slice, slice]:
    """CutMix's box: its rows and columns.

    It is floor(h sqrt(1 - share)) by floor(w sqrt(1 - share)) pixels about the pixel (y, x); the authors' code makes an
    odd side a pixel shorter. What lies outside the image is lost, so that labels are mixed by what is left of it and
    not by `share`.
    """
    side = math.sqrt(1 - share)
    return _span(int(h * side), y, h), _span(int(w * side), x, w)


def _span(length: int, centre: int, size: int) -> slice:
    start = centre - length // 2
    return slice(max(start, 0), min(start + length, size))
