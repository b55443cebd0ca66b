"""Cluttered digits: 12x12 images with one of scikit-learn's 8x8 digits among pieces of others; needs no download.

After cluttered MNIST (Mnih et al., Recurrent Models of Visual Attention, 2014, section 4.2). An image is the largest
value, pixel by pixel, of a digit at a random place and of 4x4 patches cropped from other digits, plus Gaussian noise.
The three splits are made from disjoint source digits. The images depend on the options alone, never on a run's seed.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from ..errors import BenchbedError
from ..task import Seal, Split, Task

CANVAS, DIGIT, PATCH = 12, 8, 4  # side lengths in pixels
SOURCES = {"train": 1000, "valid": 300, "test": 497}  # of the 1,797 digits
MEAN, STD = 0.264, 0.392  # of the default training images, on a scale of 0 (paper) to 1 (ink)
_CONSTANT = 2014  # with the option `seed`, seeds every draw


@dataclass(frozen=True)
class Options:
    """Images a split, standard deviation of the noise (ink = 1), patches an image, and which draw of the task."""

    train: int
    valid: int
    test: int
    noise: float
    clutter: int
    seed: int

    def check(self) -> None:
        """Raises BenchbedError on a value out of range."""
        for name, least in (("train", 2), ("valid", 1), ("test", 1), ("clutter", 0), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise BenchbedError(f"digits option {name}={value}: a whole number of at least {least} is needed")
        if not 0 <= self.noise < float("inf"):
            raise BenchbedError(f"digits option noise={self.noise}: a standard deviation of at least 0 is needed")


def digits(
    train: int = 16000, valid: int = 4000, test: int = 10000, noise: float = 0.1, clutter: int = 4, seed: int = 0
) -> Task:
    """The task: images (n, 1, 12, 12), 10 classes.

    `train`, `valid`, `test`: images in a split; `noise`: standard deviation, where ink is 1; `clutter`: patches in an
    image; `seed`: another draw of the same task. Test images are made when the seal is opened. Raises BenchbedError
    on a value out of range.
    """
    if not isinstance(noise, (int, float)):
        raise BenchbedError(f"digits option noise={noise!r}: a standard deviation of at least 0 is needed")
    options = Options(train, valid, test, float(noise), clutter, seed)
    options.check()
    splits = {name: make_split(name, options) for name in ("train", "valid")}
    facts = {
        "images": {"train": train, "valid": valid, "test": test},
        "sources": dict(SOURCES),
        "noise": noise,
        "clutter": clutter,
        "seed": seed,
        "split": "disjoint source digits by a fixed permutation",
    }
    return Task(
        name="digits",
        classes=10,
        shape=(1, CANVAS, CANVAS),
        train=splits["train"],
        valid=splits["valid"],
        seal=Seal(lambda: make_split("test", options)),
        fingerprint=fingerprint(splits, options, MEAN, STD),
        facts=facts,
    )


def source_indices() -> dict[str, np.ndarray]:
    """Which of the 1,797 digits each split is made from: a fixed permutation, cut in three."""
    order = np.random.default_rng(_CONSTANT).permutation(sum(SOURCES.values()))
    parts = np.split(order, np.cumsum(list(SOURCES.values()))[:-1])
    return dict(zip(SOURCES, parts, strict=True))


def package_folder(package: str) -> Path:
    """Where an installed package lies, which is not imported; its name where there is none."""
    found = find_spec(package)
    return Path(str(found.origin)).parent if found is not None else Path(package)


@cache
def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits, images (1797, 8, 8) of 0 to 16 and labels (1797,), from the file in its package.

    Not by its own function of that name: importing it takes one to two seconds. Raises BenchbedError where the file
    cannot be read.
    """
    try:
        rows = np.loadtxt(package_folder("sklearn") / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    except OSError as error:
        raise BenchbedError(f"digits needs datasets/data/digits.csv.gz of the package sklearn: {error}") from None
    rows.setflags(write=False)  # every caller has the same
    return rows[:, :-1].reshape(-1, DIGIT, DIGIT), rows[:, -1]


def make_split(name: str, options: Options) -> Split:
    """The images and labels of the split `name`, normalised, from that split's source digits alone."""
    handwritten, labelled = load_digits()
    sources = source_indices()[name]
    rng = np.random.default_rng([_CONSTANT, options.seed, list(SOURCES).index(name)])
    ink = (handwritten[sources] / 16).astype(np.float32)
    images, chosen = draw(ink, getattr(options, name), options.noise, options.clutter, rng)
    images = (images - np.float32(MEAN)) / np.float32(STD)
    labels = labelled[sources][chosen].astype(np.int64)
    return Split(torch.from_numpy(images[:, None]), torch.from_numpy(labels))


def draw(
    ink: np.ndarray, count: int, noise: float, clutter: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """`count` images, float32 (count, 12, 12), and which of the digits `ink` (m, 8, 8) each one shows, int (count,)."""
    each = np.arange(count)[:, None, None]
    chosen = rng.integers(len(ink), size=count)
    images = np.zeros((count, CANVAS, CANVAS), dtype=np.float32)
    images[each, *_window(rng, count, CANVAS, DIGIT)] = ink[chosen]
    for _ in range(clutter):
        others = (chosen + rng.integers(1, len(ink), size=count)) % len(ink)  # never the digit itself
        patch = ink[others][each, *_window(rng, count, DIGIT, PATCH)]
        place = (each, *_window(rng, count, CANVAS, PATCH))
        images[place] = np.maximum(images[place], patch)
    images += np.float32(noise) * rng.standard_normal(images.shape, dtype=np.float32)
    # Steps of 1/256: the last bits of a logarithm in the noise differ between platforms, the fingerprint must not.
    return np.round(images * 256) / np.float32(256), chosen


def _window(rng: np.random.Generator, count: int, outer: int, inner: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows of `inner` in `outer` pixels a side, as indices: rows (count, inner, 1), columns (count, 1, inner)."""
    y, x = rng.integers(outer - inner + 1, size=(2, count))
    steps = np.arange(inner)
    return y[:, None, None] + steps[:, None], x[:, None, None] + steps


def fingerprint(splits: dict[str, Split], options: object, mean: float, std: float) -> str:
    """SHA-256 of the options, as they print, and of the training and validation content."""
    digest = hashlib.sha256(f"{options} {mean} {std}".encode())
    for split in splits.values():
        digest.update(split.images.numpy().tobytes())
        digest.update(split.labels.numpy().tobytes())
    return digest.hexdigest()
