"""ImageNet's views against torchvision's.

Where torchvision imports, every pixel is compared. It has to fit the torch beside it, so for this test alone:

    python3 -m venv /tmp/tv && /tmp/tv/bin/pip install torch==2.14.1 torchvision==0.29.1 -e '.[test]'

Elsewhere its figures, noted down from torchvision 0.29.1 (torch 2.14.1, Pillow 13), stand for it.
"""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image

from benchbed.images.photographs import AREA, MEAN, STD, augmented, central, crop_box, normalised, pixels

SIZES = [(500, 375), (375, 500), (80, 60), (1000, 40), (30, 700), (256, 256), (224, 300)]


def picture(width, height):
    """A smooth photograph of whole numbers alone: the same on every machine."""
    y, x = np.mgrid[:height, :width]
    channels = [x * 255 // width, y * 255 // height, (3 * x + 5 * y) % 256]
    return Image.fromarray(np.stack(channels, -1).astype(np.uint8))


def digest(image):
    return hashlib.sha256(pixels(image).tobytes()).hexdigest()[:16]


def generator(seed):
    return torch.Generator().manual_seed(seed)


# (width, height), seed -> torchvision's RandomResizedCrop.get_params as left, top, width, height
BOXES = {
    ((500, 375), 0): (80, 17, 343, 294),
    ((500, 375), 1): (153, 71, 311, 272),
    ((375, 500), 0): (3, 119, 343, 294),
    ((375, 500), 1): (14, 12, 358, 407),
    ((80, 60), 0): (16, 7, 55, 47),
    ((80, 60), 1): (13, 7, 50, 43),
    ((1000, 40), 0): (473, 0, 53, 40),
    ((1000, 40), 1): (473, 0, 53, 40),
    ((30, 700), 0): (0, 330, 30, 40),
    ((30, 700), 1): (0, 330, 30, 40),
    ((256, 256), 0): (24, 54, 203, 174),
    ((256, 256), 1): (23, 15, 212, 240),
    ((224, 300), 0): (0, 58, 205, 176),
    ((224, 300), 1): (0, 12, 214, 243),
}
# (width, height), seed -> SHA-256 of the 224 x 224 pixels; seed None: the view that is measured
PIXELS = {
    ((500, 375), None): "89a67bd0322c3b1b",
    ((500, 375), 0): "9e304257bfa5e54b",
    ((500, 375), 1): "6ae6def932847805",
    ((375, 500), None): "cd93d1a7e48f1e88",
    ((375, 500), 0): "e79b90b277b37fe6",
    ((375, 500), 1): "36c66876c0ff82a0",
    ((80, 60), None): "58f694244092175a",
    ((80, 60), 0): "329fa73c2e155db4",
    ((80, 60), 1): "eaa62848b6a857da",
    ((1000, 40), None): "2208efde6cbeb1a0",
    ((1000, 40), 0): "84b2bdb7bf15f7c5",
    ((1000, 40), 1): "bb466346184b4e7c",
    ((30, 700), None): "6196d46d73615ba9",
    ((30, 700), 0): "762d49326acdbb78",
    ((30, 700), 1): "bb2af8054fcca41d",
    ((256, 256), None): "3d5a221a389f513a",
    ((256, 256), 0): "e7f15b4fda2c18b2",
    ((256, 256), 1): "6bfe6c7e5433bcca",
    ((224, 300), None): "1ef65f1cca136a99",
    ((224, 300), 0): "05939befd40fd7d5",
    ((224, 300), 1): "e5a6d660f76f5087",
}


@pytest.mark.parametrize(("size", "seed"), BOXES)
def test_crops_are_those_of_torchvision(size, seed):
    assert crop_box(*size, generator(seed)) == BOXES[size, seed]


@pytest.mark.parametrize(("size", "seed"), PIXELS)
def test_pixels_are_those_of_torchvision(size, seed):
    image = picture(*size)
    view = central(image, 224) if seed is None else augmented(image, 224, generator(seed))
    assert view.size == (224, 224)
    assert digest(view) == PIXELS[size, seed]


@pytest.mark.parametrize("size", SIZES)
def test_every_pixel_against_torchvision_itself(size):
    try:
        from torchvision.transforms import v2
    except (ImportError, RuntimeError) as error:  # RuntimeError: it is there and does not fit this torch
        pytest.skip(f"torchvision cannot be imported: {error}")
    jitter = v2.ColorJitter(brightness=32 / 255, saturation=0.5)
    training = v2.Compose([v2.RandomResizedCrop(224, scale=(0.08, 1)), v2.RandomHorizontalFlip(), jitter])
    measured, image = v2.Compose([v2.Resize(256), v2.CenterCrop(224)]), picture(*size)
    assert np.array_equal(pixels(measured(image)), pixels(central(image, 224)))
    for seed in range(5):
        torch.manual_seed(seed)
        assert np.array_equal(pixels(training(image)), pixels(augmented(image, 224, generator(seed)))), seed


def test_crops_have_the_area_and_aspect_that_they_should():
    boxes = [crop_box(500, 375, g) for g in [generator(1)] for _ in range(400)]
    for left, top, width, height in boxes:
        assert 0 <= left <= left + width <= 500
        assert 0 <= top <= top + height <= 375
    areas = np.array([w * h for _, _, w, h in boxes]) / (500 * 375)
    assert AREA[0] - 0.002 < areas.min() < 0.12
    assert areas.max() > 0.8
    aspects = np.array([w / h for _, _, w, h in boxes])
    assert 0.73 < aspects.min() < 0.80 < 1.25 < aspects.max() < 1.36


def test_half_of_the_views_are_flipped():
    image = Image.fromarray(np.tile(np.arange(64, dtype=np.uint8)[None, :, None] * 3, (64, 1, 3)))
    views = [pixels(augmented(image, 16, g)).astype(int) for g in [generator(2)] for _ in range(200)]
    flipped = sum(bool(v[:, 0].mean() > v[:, -1].mean()) for v in views)
    assert 70 < flipped < 130  # 4 sigma


def test_normalisation():
    stacked = torch.tensor([0, 255, 51], dtype=torch.uint8).expand(1, 2, 2, 3).contiguous()
    out = normalised(stacked)
    assert out.shape == (1, 3, 2, 2)
    assert out.is_contiguous(memory_format=torch.channels_last)
    for channel, value in enumerate((0.0, 1.0, 0.2)):
        assert float(out[0, channel, 1, 1]) == pytest.approx((value - MEAN[channel]) / STD[channel], abs=1e-6)
