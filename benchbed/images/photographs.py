"""Photographs as a network sees them: ImageNet's training augmentation and its view for measuring.

The augmentation is that of ProxylessNAS' ImageNet search (the published code's transforms): a crop of 8 to 100 % of
the area at an aspect of 3/4 to 4/3, resized to the side; a flip with probability one half; colour jitter of brightness
by 32/255 and saturation by 0.5, in random order. Measured is the centre of the image, resized to 8/7 of the side
(224 in 256).

The steps, their arithmetic and their draws are those of torchvision.transforms on PIL images (RandomResizedCrop,
RandomHorizontalFlip, ColorJitter, Resize, CenterCrop), which calls Pillow for every one of them: from the same seed the
same pixels. tests/images/test_photographs.py compares them where torchvision can be imported.
"""

import math

import numpy as np
import torch
from PIL import Image, ImageEnhance

from .augment import constant

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, on a scale of 0 to 1
AREA, ASPECT, ATTEMPTS = (0.08, 1.0), (3 / 4, 4 / 3), 10
BRIGHTNESS, SATURATION = 32 / 255, 0.5
SHOWN = 7 / 8  # of the resized image's shorter side, when measured


def augmented(image: Image.Image, side: int, generator: torch.Generator) -> Image.Image:
    """A random view of the image, `side` pixels square."""
    left, top, width, height = crop_box(image.width, image.height, generator)
    image = image.crop((left, top, left + width, top + height)).resize((side, side), Image.Resampling.BILINEAR)
    if float(torch.rand(1, generator=generator)) < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return jittered(image, generator)


def crop_box(width: int, height: int, generator: torch.Generator) -> tuple[int, int, int, int]:
    """Left, top, width and height of a random crop; after ten draws that do not fit, the largest central one."""
    bounds = torch.log(torch.tensor(ASPECT))
    for _ in range(ATTEMPTS):
        area = width * height * _uniform(*AREA, generator)
        aspect = float(torch.exp(torch.empty(1).uniform_(float(bounds[0]), float(bounds[1]), generator=generator)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            top = int(torch.randint(0, height - h + 1, (1,), generator=generator))
            left = int(torch.randint(0, width - w + 1, (1,), generator=generator))
            return left, top, w, h
    if width / height < min(ASPECT):
        w, h = width, round(width / min(ASPECT))
    elif width / height > max(ASPECT):
        w, h = round(height * max(ASPECT)), height
    else:
        w, h = width, height
    return (width - w) // 2, (height - h) // 2, w, h


def jittered(image: Image.Image, generator: torch.Generator) -> Image.Image:
    """Brightness and saturation scaled by uniform factors. Contrast and hue, which stay, have their turn too."""
    order = torch.randperm(4, generator=generator).tolist()
    brightness = _uniform(1 - BRIGHTNESS, 1 + BRIGHTNESS, generator)
    saturation = _uniform(1 - SATURATION, 1 + SATURATION, generator)
    for step in order:
        if step == 0:
            image = ImageEnhance.Brightness(image).enhance(brightness)
        elif step == 2:
            image = ImageEnhance.Color(image).enhance(saturation)
    return image


def central(image: Image.Image, side: int) -> Image.Image:
    """The centre of the image, `side` pixels square, after its shorter side is 8/7 of that."""
    short = round(side / SHOWN)
    if image.width <= image.height:
        size = (short, int(short * image.height / image.width))
    else:
        size = (int(short * image.width / image.height), short)
    image = image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)
    top, left = round((image.height - side) / 2), round((image.width - side) / 2)
    return image.crop((left, top, left + side, top + side))


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return float(torch.empty(1).uniform_(low, high, generator=generator))


def pixels(image: Image.Image) -> np.ndarray:
    """uint8 (side, side, 3)."""
    return np.array(image, dtype=np.uint8)


def normalised(stacked: torch.Tensor) -> torch.Tensor:
    """uint8 (n, h, w, 3) to float32 (n, 3, h, w), channels last in memory."""
    mean, std = (constant(v, stacked.device)[:, None, None] for v in (MEAN, STD))
    return stacked.permute(0, 3, 1, 2).float().div_(255).sub_(mean).div_(std)
