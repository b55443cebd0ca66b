"""A user's own images and labels: their splits, their classes, their normalisation. `where` names them in refusals."""

from collections.abc import Mapping

import numpy as np
import torch

from ..errors import BenchbedError
from ..task import Split

SMALLEST = 4  # pixels: NAS-Bench-201's network halves the size twice
SHARE = 0.2  # of each class, for a split that is not given


def check_whole(task: str, name: str, value: object, least: int, none: bool = False) -> None:
    """Raises BenchbedError for an option that is not a whole number of at least `least`, or None where that may be."""
    if value is None and none:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise BenchbedError(f"{task} option {name}={value}: a whole number of at least {least} is needed")


def share(task: str, name: str, value: object) -> float:
    """The option as a share, `SHARE` where it is None. Raises BenchbedError for what does not lie between 0 and 1."""
    value = SHARE if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise BenchbedError(f"{task} option {name}={value}: a share between 0 and 1 is needed")
    return float(value)


def stratified(where: str, labels: np.ndarray, shares: Mapping[str, float], seed: int = 0) -> dict[str, np.ndarray]:
    """Sorted indices of 'train' and of each split in `shares`: its share of each class, by one permutation.

    Raises BenchbedError where a split would be empty.
    """
    if (total := sum(shares.values())) >= 1:
        raise BenchbedError(f"{where}: {' and '.join(shares)} take {total:g} of each class: no training image is left")
    order = np.random.default_rng(seed).permutation(len(labels))
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("train", *shares)}
    for label in np.unique(labels):
        members = order[labels[order] == label]
        for name, share in shares.items():
            count = round(share * len(labels[labels == label]))
            parts[name].append(members[:count])
            members = members[count:]
        parts["train"].append(members)
    merged = {name: np.sort(np.concatenate(pieces)) for name, pieces in parts.items()}
    for name, indices in merged.items():
        if len(indices) == 0:
            raise BenchbedError(f"{where} has {len(labels)} images: too few to cut a {name} split from them")
    return merged


def classes_of(where: str, labels: np.ndarray) -> int:
    """How many classes the training labels name. Raises BenchbedError where they are not 0 to K-1, K at least 2."""
    present = np.unique(labels)
    if len(present) < 2:
        raise BenchbedError(f"{where} labels name one class ({present[0]}): at least two are needed")
    if present[-1] != len(present) - 1:
        absent = np.setdiff1d(np.arange(len(present)), present)[0]
        raise BenchbedError(f"{where} labels go up to {present[-1]} without {absent}: 0 to K-1 are needed, each used")
    return len(present)


def statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, float64 (c,), of images (n, c, h, w); 1 for a constant channel, which stays so."""
    std = images.std((0, 2, 3), dtype=np.float64)
    return images.mean((0, 2, 3), dtype=np.float64), np.where(std > 0, std, 1.0)


def normal_split(
    name: str, images: np.ndarray, labels: np.ndarray, where: str, mean: np.ndarray, std: np.ndarray, classes: int
) -> Split:
    """The split of images, float32 (n, c, h, w), normalised. Raises BenchbedError for a label past the classes."""
    if labels.max() >= classes:
        which = "" if name == "train" else f"{name}_"
        raise BenchbedError(f"{where} {which}labels contain {labels.max()}: the training labels go up to {classes - 1}")
    mean, std = mean.astype(np.float32), std.astype(np.float32)
    normal = (images - mean[:, None, None]) / std[:, None, None]
    return Split(torch.from_numpy(normal), torch.from_numpy(labels))
