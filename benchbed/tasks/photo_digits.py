"""Digits over photographs, in colour; needs no download.

After MNIST-M (Ganin et al., Domain-Adversarial Training of Neural Networks, JMLR 2016; from memory): a digit inverts
what is behind it, |background - digit|. Digits are scikit-learn's, enlarged and in a random colour; backgrounds are
crops of photographs that installed packages ship, shrunk by 1 to 3. Each split has its own digits and its own columns
of every photograph. Whole numbers throughout, so that the images are the same on every platform that decodes the
photographs alike; they depend on the options alone, never on a run's seed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ..errors import BenchbedError
from ..task import Seal, Split, Task
from .digits import fingerprint, load_digits, package_folder, source_indices

# Package, file in it. Two are CC BY 2.0 (sklearn/datasets/images/README.txt); of the third no licence is given.
PHOTOGRAPHS = (
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
)
COLUMNS = {"train": (0.0, 0.70), "valid": (0.70, 0.85), "test": (0.85, 1.0)}  # of a photograph's width
SCALES = (1, 2, 3)  # pixels of a photograph, a side, that become one of the background
MEAN, STD = 0.378, 0.290  # of the default training images, on a scale of 0 to 1
_CONSTANT = 2016  # with the option `seed`, seeds every draw


class Options(NamedTuple):
    """Images a split, their side in pixels, pieces of other digits an image, photographs, which draw of the task."""

    train: int
    valid: int
    test: int
    size: int
    clutter: int
    photographs: int
    seed: int

    def check(self) -> None:
        """Raises BenchbedError on a value out of range."""
        ranges = {"train": (2, None), "valid": (1, None), "test": (1, None), "size": (12, 25), "clutter": (0, 20)}
        ranges |= {"photographs": (1, len(PHOTOGRAPHS)), "seed": (0, None)}
        for name, (least, most) in ranges.items():
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not whole or value < least or (most is not None and value > most):
                wanted = f"at least {least}" if most is None else f"{least} to {most}"
                raise BenchbedError(f"photo-digits option {name}={value}: a whole number of {wanted} is needed")

    @property
    def digit(self) -> int:
        """The side of an enlarged digit, in pixels."""
        return 3 * self.size // 4


def photo_digits(
    train: int = 32000,
    valid: int = 2000,
    test: int = 4000,
    size: int = 16,
    clutter: int = 0,
    photographs: int = 2,
    seed: int = 0,
) -> Task:
    """The task: images (n, 3, size, size), 10 classes.

    `train`, `valid`, `test`: images in a split; `size`: their side in pixels; `clutter`: pieces of other digits in an
    image; `photographs`: the first so many of PHOTOGRAPHS are behind the digits; `seed`: another draw of the same task.
    Test images are made when the seal is opened. Raises BenchbedError on a value out of range or a photograph that is
    not installed.
    """
    options = Options(train, valid, test, size, clutter, photographs, seed)
    options.check()
    pictures = [read_photograph(*where) for where in PHOTOGRAPHS[:photographs]]
    splits = {name: make_split(name, options, pictures) for name in ("train", "valid")}
    facts = {
        "images": {"train": train, "valid": valid, "test": test},
        "size": size,
        "clutter": clutter,
        "photographs": [Path(file).name for _, file in PHOTOGRAPHS[:photographs]],
        "seed": seed,
        "split": "disjoint source digits by a fixed permutation, disjoint columns of each photograph",
    }
    return Task(
        name="photo-digits",
        classes=10,
        shape=(3, size, size),
        train=splits["train"],
        valid=splits["valid"],
        seal=Seal(lambda: make_split("test", options, pictures)),
        fingerprint=fingerprint(splits, options, MEAN, STD),
        facts=facts,
    )


def read_photograph(package: str, file: str) -> np.ndarray:
    """uint8 (height, width, 3). The package is not imported. Raises BenchbedError where it or its file is missing."""
    from PIL import Image

    try:
        with Image.open(package_folder(package) / file) as picture:
            return np.asarray(picture.convert("RGB"))
    except OSError as error:
        raise BenchbedError(f"photo-digits needs {file} of the package {package}: {error}") from None


def make_split(name: str, options: Options, photographs: Sequence[np.ndarray]) -> Split:
    """The images and labels of the split `name`, normalised, from that split's digits and columns alone."""
    handwritten, labelled = load_digits()
    sources = source_indices()[name]
    rng = np.random.default_rng([_CONSTANT, options.seed, list(COLUMNS).index(name)])
    ink = enlarged(handwritten[sources], options.digit)
    count = getattr(options, name)
    behind = backgrounds(count, options.size, name, photographs, rng)
    images, chosen = draw(behind, ink, options.clutter, rng)
    channels_first = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(labelled[sources][chosen].astype(np.int64))
    return Split((channels_first.float() / 255 - MEAN) / STD, labels)


def enlarged(digits: np.ndarray, side: int) -> np.ndarray:
    """Digits (m, 8, 8) of 0 to 16 as uint8 (m, side, side) of 0 (paper) to 255 (ink), bilinear."""
    from PIL import Image

    grey = (digits * 255 / 16).astype(np.uint8)
    return np.stack([np.asarray(Image.fromarray(d).resize((side, side), Image.Resampling.BILINEAR)) for d in grey])


def backgrounds(
    count: int, size: int, split: str, photographs: Sequence[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """`count` crops, uint8 (count, size, size, 3), each shrunk by the mean over squares of 1 to 3 pixels a side."""
    which = rng.integers(len(photographs), size=count)
    scale = rng.choice(SCALES, size=count)
    place = rng.random((2, count))  # of the free rows and columns
    found = np.empty((count, size, size, 3), np.uint8)
    steps = np.arange(size)
    for number, photograph in enumerate(photographs):
        width = photograph.shape[1]
        first, last = (int(width * share) for share in COLUMNS[split])
        for factor in SCALES:
            here = np.flatnonzero((which == number) & (scale == factor))
            means = _means(photograph[:, first:last], factor)
            free = np.array(means.shape[:2]) - factor * (size - 1)
            y, x = (place[:, here] * free[:, None]).astype(int)
            rows, columns = y[:, None] + factor * steps, x[:, None] + factor * steps
            found[here] = means[rows[:, :, None], columns[:, None, :]]
    return found


def _means(photograph: np.ndarray, factor: int) -> np.ndarray:
    """The mean over each square of `factor` pixels a side, uint8 (height - factor + 1, width - factor + 1, 3)."""
    windows = np.lib.stride_tricks.sliding_window_view(photograph, (factor, factor), axis=(0, 1))
    means: np.ndarray = windows.sum((-2, -1), dtype=np.int64) // factor**2
    return means.astype(np.uint8)


def draw(
    behind: np.ndarray, ink: np.ndarray, clutter: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The backgrounds (n, size, size, 3) with a digit of `ink` (m, d, d) and `clutter` pieces of others inverted on
    each; and which digit each one shows, int (n,)."""
    count, size, digit = len(behind), behind.shape[1], ink.shape[1]
    chosen = rng.integers(len(ink), size=count)
    images = behind.astype(np.int16)
    for _ in range(clutter):
        others = (chosen + rng.integers(1, len(ink), size=count)) % len(ink)  # never the digit itself
        piece = ink[others][_window(rng, count, digit, digit // 2)]
        _invert(images, piece, _window(rng, count, size, digit // 2), rng)
    _invert(images, ink[chosen], _window(rng, count, size, digit), rng)
    return images.astype(np.uint8), chosen


def _invert(images: np.ndarray, ink: np.ndarray, place: tuple[np.ndarray, ...], rng: np.random.Generator) -> None:
    """|image - ink * colour| at the place of each image; each channel of a colour is at least half of full."""
    colour = rng.integers(128, 256, size=(len(images), 1, 1, 3))
    stroke = ink[..., None].astype(np.int64) * colour // 255
    images[place] = np.abs(images[place] - stroke)


def _window(rng: np.random.Generator, count: int, outer: int, inner: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows of `inner` in `outer` pixels a side, as indices of images, rows and columns that broadcast."""
    y, x = rng.integers(outer - inner + 1, size=(2, count))
    steps = np.arange(inner)
    each = np.arange(count)[:, None, None]
    return each, y[:, None, None] + steps[:, None], x[:, None, None] + steps
