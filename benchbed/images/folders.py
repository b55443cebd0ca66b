"""Images of a user's own folder: what their headers say, and a split that decodes them, all to one size."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import BenchbedError
from .augment import constant
from .jpegs import JpegSplit
from .opening import image_in, why_unread

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
GREY, DEEP = {"1", "L", "LA", "La"}, {"I", "F", "I;16", "I;16B", "I;16L", "I;16N"}
READ = 256  # images that are decoded at once where all are read


def header(file: Path) -> tuple[int, int, bool]:
    """(height, width, whether it is in colour) by the file's header; no pixel is decoded.

    Raises BenchbedError for a file that is not an image, and for one of more than 8 bits a channel.
    """
    try:
        with image_in(file) as image:
            width, height, mode = image.width, image.height, image.mode
    except Exception as error:  # a damaged file can fail in any way that its decoder can
        raise BenchbedError(f"image '{file}' cannot be read: {why_unread(error, file)}") from None
    if mode in DEEP:
        raise BenchbedError(f"image '{file}' has more than 8 bits a channel (mode {mode}): 8-bit images are needed")
    return height, width, mode not in GREY


class FolderSplit(JpegSplit):
    """Images `root / names[i]` in 1 or 3 channels, each resized whole to `size` = (height, width), never augmented.

    `mean`, `std`: float32 (c,) on a scale of 0 (black) to 1, which normalise.
    """

    def __init__(self, root: Path, names: Sequence[str], labels: Tensor, size: tuple[int, int], colour: bool):
        super().__init__(root, names, labels, size[0], augment=False)
        self.size, self.colour = size, colour
        self.mean, self.std = torch.zeros(3 if colour else 1), torch.ones(3 if colour else 1)

    @property
    def shape(self) -> tuple[int, int, int]:
        return *self.size, 3 if self.colour else 1

    def view(self, file: Image.Image, seed: int | None) -> np.ndarray:
        """uint8 (h, w, c)."""
        image, wanted = file.convert("RGB" if self.colour else "L"), self.size[::-1]
        image = image if image.size == wanted else image.resize(wanted, Image.Resampling.BILINEAR)
        return np.array(image, dtype=np.uint8).reshape(*self.size, -1)

    def normalise(self, stacked: Tensor) -> Tensor:
        mean, std = (constant(tuple(v.tolist()), stacked.device)[:, None, None] for v in (self.mean, self.std))
        return stacked.permute(0, 3, 1, 2).float().div_(255).sub_(mean).div_(std).contiguous()

    def measure(self) -> None:
        """Takes mean and standard deviation of its own images, from sums of whole numbers: exact in any order.

        Raises BenchbedError for the first image that cannot be decoded.
        """
        sums, squares = (np.zeros(len(self.mean), dtype=np.int64) for _ in range(2))
        for part in torch.arange(len(self)).split(READ):
            for i, decoding in zip(part.tolist(), self.start(part, None).images, strict=True):
                if isinstance(decoded := decoding.result(), str):
                    raise BenchbedError(f"image '{self.root / self.names[i]}' cannot be read: {decoded}")
                sums += decoded.sum((0, 1), dtype=np.int64)
                squares += np.square(decoded, dtype=np.int64).sum((0, 1))
        count = len(self) * self.size[0] * self.size[1]
        mean = sums / count
        std = np.sqrt(np.maximum(squares / count - mean**2, 0))
        self.mean = torch.from_numpy(mean / 255).float()
        self.std = torch.from_numpy(np.where(std > 1e-6, std / 255, 1.0)).float()  # a constant channel stays constant
