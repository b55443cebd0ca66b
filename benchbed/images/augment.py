"""The training augmentation of CIFAR and ImageNet16, for a whole batch at once on its device.

As in DARTS and NAS-Bench-201: a random crop of the image inside a black border, a horizontal flip with probability one
half, and optionally cutout (DeVries and Taylor, Improved Regularization of CNNs with Cutout, 2017). The border is black
as the camera sees it, for the reference code crops before it normalises; the cutout is zero after normalisation.
"""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Augment:
    """Maps a batch of normalised images to one of the same shape.

    `border`: pixels of black around an image before it is cropped to its size again; `black`: the normalised value of
    black in each channel; `cutout`: the side of the square that is blanked, even, 0 for none. Its centre is uniform
    over the pixels and what lies outside the image is lost, so that at least a quarter of the square is blanked.
    """

    border: int
    black: tuple[float, ...]
    cutout: int = 0

    def __call__(self, images: Float[Tensor, "n c h w"], generator: torch.Generator) -> Float[Tensor, "n c h w"]:
        """The augmented batch. Draws from the CPU `generator` alone, so every device gives the same images."""
        n, c, h, w = images.shape
        device = images.device
        draws = [torch.randint(high, (n,), generator=generator) for high in self._ranges(h, w)]
        top, left, flip, *centre = torch.stack(draws)[:, :, None].to(device, non_blocking=True)  # each (n, 1)

        y = torch.arange(h, device=device) + top - self.border  # (n, h): the source row of each row
        x = torch.arange(w, device=device)
        x = torch.where(flip == 1, w - 1 - x, x) + left - self.border  # (n, w)
        inside = _outer((y >= 0) & (y < h), (x >= 0) & (x < w))
        source = (y.clamp(0, h - 1)[:, :, None] * w + x.clamp(0, w - 1)[:, None, :]).view(n, 1, h * w)
        cropped = images.reshape(n, c, h * w).gather(2, source.expand(n, c, h * w)).view(n, c, h, w)
        cropped = torch.where(inside, cropped, constant(self.black, device, images.dtype)[:, None, None])
        if not centre:
            return cropped
        return cropped.masked_fill_(_square(centre[0], centre[1], self.cutout, h, w), 0.0)

    def _ranges(self, h: int, w: int) -> list[int]:
        """How many values each draw has: top, left, flip, and the centre of the cutout."""
        return [2 * self.border + 1, 2 * self.border + 1, 2, *((h, w) if self.cutout else ())]


@dataclass(frozen=True)
class Cutout:
    """`Augment`'s cutout by itself, for images that another augmentation has made: a training's own (`Recipe.cutout`).

    `side`: of the square, even, in pixels. An image that is smaller than half of it may be blanked whole.
    """

    side: int

    def __call__(self, images: Float[Tensor, "n c h w"], generator: torch.Generator) -> Float[Tensor, "n c h w"]:
        """The images, a square of each set to zero. Draws from the CPU `generator` alone."""
        n, _, h, w = images.shape
        centre = torch.stack([torch.randint(high, (n,), generator=generator) for high in (h, w)])
        y, x = centre[:, :, None].to(images.device, non_blocking=True)
        return images.masked_fill(_square(y, x, self.side, h, w), 0.0)


@cache
def constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """The values (n,) on the device, copied there once for all batches. Not to be written to."""
    return torch.tensor(values, dtype=dtype).to(device)


def _square(y: Tensor, x: Tensor, side: int, h: int, w: int) -> Tensor:
    """Which pixels, (n, 1, h, w), lie under the square about the centres (n, 1), clipped at the border."""
    return _outer(_covered(y, side, h), _covered(x, side, w))


def _covered(centre: Tensor, side: int, size: int) -> Tensor:
    pixel, half = torch.arange(size, device=centre.device), side // 2
    return (pixel >= centre - half) & (pixel < centre + half)


def _outer(rows: Tensor, columns: Tensor) -> Tensor:
    """(n, h) and (n, w) to (n, 1, h, w)."""
    return (rows[:, :, None] & columns[:, None, :])[:, None]
