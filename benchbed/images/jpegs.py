"""Images of a folder, decoded when they are read, by a pool of threads: Pillow lets go of Python's lock meanwhile."""

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import BenchbedError
from ..runtime.cores import usable_cores
from ..task import Reading, StoredSplit
from .opening import image_in, why_unread
from .photographs import augmented, central, normalised, pixels
from .pinned import Ring

Decoded = np.ndarray | str  # uint8 (side, side, 3), or why there is none


@cache
def _pool() -> ThreadPoolExecutor:
    """One for all splits of this process: its share of the machine's processors."""
    return ThreadPoolExecutor(max(1, usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))), "decode")


class JpegSplit(StoredSplit):
    """Images `root / names[i]` with `labels[i]`, as squares of `side` pixels.

    `augment` says whether they may be augmented when they are read; each then has a generator of its own, seeded by
    its seed. Any format that Pillow reads is decoded, and made RGB: ImageNet's files are JPEGs but for one PNG, some in
    grey or CMYK. For a CUDA device images are decoded into pinned memory, which is copied on a stream of its own.
    """

    ring: Ring | None = None  # what images are decoded into on their way to a CUDA device

    def __init__(
        self,
        root: Path,
        names: Sequence[str],
        labels: Tensor,
        side: int,
        augment: bool,
        device: torch.device | str = "cpu",
        broken: dict[str, str] | None = None,
    ):
        self.root, self.names, self.labels, self.side, self.augment = root, names, labels, side, augment
        self.device = torch.device(device)
        self.broken = {} if broken is None else broken
        self.rings: dict[torch.device, Ring] = {}  # of all splits that were made of this one

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of what is decoded."""
        return self.side, self.side, 3

    def to(self, device: torch.device | str) -> "JpegSplit":
        made = copy(self)
        made.device = torch.device(device)
        if made.device.type == "cuda" and made.device not in self.rings:
            self.rings[made.device] = Ring(made.device, self.shape)
        made.ring = self.rings.get(made.device)
        return made

    def first(self, count: int) -> "JpegSplit":
        """`count` images spread evenly over the split: its own order is by class."""
        kept = torch.linspace(0, len(self) - 1, min(count, len(self))).round().long()
        made = copy(self)
        made.names, made.labels, made.broken = [self.names[i] for i in kept.tolist()], self.labels[kept], {}
        return made

    def seeds(self, count: int, generator: torch.Generator) -> Tensor | None:
        return torch.randint(2**62, (count,), generator=generator) if self.augment else None

    def path(self, name: str) -> str:
        return str(self.root / name)

    def start(self, chosen: Tensor, seeds: Tensor | None) -> Reading:
        draws = [None] * len(chosen) if seeds is None else seeds.tolist()
        slot = None if self.ring is None else self.ring.take(len(chosen))
        rows = [None] * len(chosen) if slot is None else slot.rows
        images: list[Future[Decoded]] = [
            _pool().submit(self._decode, self.names[i], seed, row)
            for i, seed, row in zip(chosen.tolist(), draws, rows, strict=False)  # a slot may have more rows
        ]
        return Reading(chosen, seeds, images, slot)

    def _decode(self, name: str, seed: int | None, row: np.ndarray | None = None) -> Decoded:
        """The image, in `row` where there is one."""
        try:
            with image_in(self.root / name) as file:
                shown = self.view(file, seed)
        except Exception as error:  # a damaged file can fail in any way that its decoder can
            return why_unread(error, self.root / name)
        if row is None:
            return shown
        row[...] = shown
        return row

    def view(self, file: Image.Image, seed: int | None) -> np.ndarray:
        """What is shown of an opened file, uint8 (side, side, 3): its centre, or with a seed an augmented view."""
        image = file.convert("RGB")
        if seed is None:
            return pixels(central(image, self.side))
        return pixels(augmented(image, self.side, torch.Generator().manual_seed(seed)))

    def normalise(self, stacked: Tensor) -> Tensor:
        """Views, stacked, as float32 (n, c, h, w)."""
        return normalised(stacked)

    def finish(self, reading: Reading) -> tuple[Tensor, Tensor]:
        found = [future.result() for future in reading.images]
        bad = {
            self.names[i]: why for i, why in zip(reading.chosen.tolist(), found, strict=True) if isinstance(why, str)
        }
        if bad:
            self.note_broken(bad)
        arrays = [array for array in found if not isinstance(array, str)]
        if not arrays:
            raise BenchbedError(
                f"none of the {len(found)} images of a batch can be read: '{self.path(next(iter(bad)))}' and others"
            )
        kept = [k for k, array in enumerate(found) if not isinstance(array, str)]
        labels = self.labels[reading.chosen[kept]]
        if reading.slot is not None:
            assert self.ring is not None
            stacked, labels = self.ring.send(reading.slot, kept, labels)
        else:
            stacked, labels = torch.from_numpy(np.stack(arrays)).to(self.device), labels.to(self.device)
        return self.normalise(stacked), labels


def scan(folder: Path, suffixes: Sequence[str]) -> dict[str, list[str]]:
    """The image files of each class folder, both sorted by name. Raises BenchbedError that names an empty one."""
    found: dict[str, list[str]] = {}
    for place in _entries(folder):
        if place.is_dir() and not place.name.startswith("."):
            names = [entry.name for entry in _entries(place) if entry.name.lower().endswith(tuple(suffixes))]
            if not names:
                raise BenchbedError(
                    f"class folder '{place.path}' has no image: files that end in {', '.join(suffixes)}"
                )
            found[place.name] = names
    return found


def _entries(folder: os.PathLike[str]) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise BenchbedError(f"cannot read folder '{os.fspath(folder)}': {error.strerror}") from None
