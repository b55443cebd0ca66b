"""What the tests of the published data sets share: CIFAR-10 itself, and small stand-ins for the other two."""

import hashlib
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from benchbed.images.published import Options, Published, published_task


@pytest.fixture(scope="session")
def cifar10_folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the published `cifar-10-batches-py`, restored byte for byte."""
    folder = tmp_path_factory.mktemp("cifar10")
    script = shared_data.parent / "bin" / "unpack-cifar10"
    subprocess.run([sys.executable, str(script), str(folder)], check=True, capture_output=True, timeout=120)
    return folder


@dataclass(frozen=True)
class StandIn:
    """A small data set in the published form. Pixel 0 of image i holds i, as three base-256 digits over the channels;
    the test images count on from the last training image."""

    of: Published
    data: Path

    def task(self, **options):
        given = {"splits": None, "split": None, "images": None, "cutout": 0, "verify": False, **options}
        return published_task(self.of, self.data, Options(**given))

    def numbers(self, split) -> list[int]:
        """The images of a split by their number, from their normalised pixels."""
        corner = split.images[:, :, 0, 0].double().numpy() * self.of.std + self.of.mean
        return (corner.round() @ [1, 256, 65536]).astype(int).tolist()


@pytest.fixture
def stand_in(tmp_path: Path) -> Callable[..., StandIn]:
    """`stand_in(CIFAR100, train=400, test=200)`: that many images of the task's classes, in turn, files as published.

    Where the files hold more classes than the task's, each batch also has one image of the class after the last.
    """

    def make(of: Published, train: int, test: int, protocol: int = 4) -> StandIn:
        folder = tmp_path / of.folder
        folder.mkdir()
        rng, start, md5 = np.random.default_rng(0), 0, {}
        for files, count in ((of.train, train), (of.test, test)):
            for name, numbers in zip(files, np.array_split(np.arange(start, start + count), len(files)), strict=True):
                images = rng.integers(0, 256, size=(len(numbers), 3, of.layout.side**2), dtype=np.uint8)
                images[:, :, 0] = numbers[:, None] // [1, 256, 65536] % 256
                labels = ((numbers - start) % of.classes + of.layout.first).tolist()
                if of.classes + of.layout.first <= of.layout.last:
                    images = np.concatenate([images[:1], images])
                    labels = [of.classes + of.layout.first, *labels]
                batch = {"data": images.reshape(len(images), -1), of.layout.labels: labels, "mean": images.mean(0)}
                written = pickle.dumps(batch, protocol=protocol)
                (folder / name).write_bytes(written)
                md5[name] = hashlib.md5(written).hexdigest()
            start += count
        files = {which: {name: md5[name] for name in getattr(of, which)} for which in ("train", "test")}
        return StandIn(replace(of, **files, train_images=train, test_images=test), tmp_path)

    return make


@pytest.fixture
def split_file(tmp_path: Path) -> Callable[..., Path]:
    """`split_file(CIFAR100, one, two)`: a folder with that data set's split file, as NAS-Bench-201 writes it."""

    def write(of: Published, one, two) -> Path:
        lists = {key: ["int", [str(i) for i in x]] for key, x in zip(of.split_file.keys, (one, two), strict=True)}
        (tmp_path / of.split_file.name).write_text(json.dumps(lists))
        return tmp_path

    return write
