"""On CIFAR-10 itself, restored from the lossless mosaics beside the project."""

import json

import numpy as np
import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.images.splits import official
from benchbed.tasks.cifar10 import CIFAR10, cifar10
from benchbed.tasks.load import load_task


@pytest.fixture(scope="module")
def halves(cifar10_folder):
    return load_task("cifar10", data=cifar10_folder)


@pytest.fixture(scope="module")
def test_split(halves):
    return halves.seal.open("a selection")


def _pixels(split):
    """Back to 0 to 255."""
    mean, std = (torch.tensor(x)[:, None, None] for x in (CIFAR10.mean, CIFAR10.std))
    return (split.images * std + mean).round().to(torch.uint8)


def _counts(split):
    return split.labels.bincount(minlength=10)


def test_halves_and_the_test_set(halves, test_split):
    assert (halves.name, halves.classes, halves.shape) == ("cifar10", 10, (3, 32, 32))
    assert halves.facts["images"] == {"train": 25_000, "valid": 25_000, "test": 10_000}
    assert halves.facts["split"].startswith("halves")
    assert [len(halves.train), len(halves.valid), len(test_split)] == [25_000, 25_000, 10_000]
    assert (_counts(halves.train) + _counts(halves.valid)).tolist() == [5000] * 10
    assert _counts(test_split).tolist() == [1000] * 10
    assert halves.train.labels[:5].tolist() == [6, 9, 9, 4, 1], "frog, truck, truck, deer, automobile"
    assert test_split.labels[:5].tolist() == [3, 8, 8, 0, 6], "cat, ship, ship, airplane, frog"


def test_the_images_are_those_of_the_mosaics(halves, shared_data):
    """The mosaics hold 100 x 100 images a file, row by row: a reader of its own, by way of Pillow."""
    from PIL import Image

    pixels = [_pixels(split) for split in (halves.train, halves.valid)]
    for file, split, start in ((1, 0, 0), (5, 1, 15_000)):
        with Image.open(shared_data / "cifar10" / f"data_batch_{file}.webp") as opened:
            mosaic = np.array(opened.convert("RGB"))
        for i in (0, 1, 99, 100, 4567, 9999):
            row, column = 32 * (i // 100), 32 * (i % 100)
            tile = torch.from_numpy(mosaic[row : row + 32, column : column + 32].copy()).permute(2, 0, 1)
            assert torch.equal(pixels[split][start + i], tile)


def test_they_are_normalised(halves, test_split):
    for split in (halves.train, halves.valid, test_split):
        assert split.images.dtype == torch.float32
        assert split.images.mean((0, 2, 3)).abs().max() < 0.02
        assert (split.images.std((0, 2, 3)) - 1).abs().max() < 0.02


def test_the_memory_that_the_documentation_names(halves):
    assert halves.train.images.nbytes + halves.valid.images.nbytes == 614_400_000


def test_the_official_split_is_the_benchmarks_own(halves, cifar10_folder, shared_data):
    task = load_task("cifar10", data=cifar10_folder / "cifar-10-batches-py", splits=shared_data / "splits")
    assert task.facts["split"] == "official: cifar-split.txt of NAS-Bench-201"
    assert task.facts["images"] == {"train": 25_000, "valid": 25_000, "test": 10_000}
    parts = official(CIFAR10.split_file, shared_data / "splits", 50_000, 10_000)
    assert parts.train[:10].tolist() == [0, 5, 7, 11, 13, 15, 16, 17, 20, 24]
    assert parts.valid[:10].tolist() == [1, 2, 3, 4, 6, 8, 9, 10, 12, 14]
    assert sorted([*parts.train, *parts.valid]) == list(range(50_000))
    every = torch.cat([halves.train.labels, halves.valid.labels])
    assert torch.equal(task.train.labels, every[parts.train])
    assert torch.equal(task.valid.labels, every[parts.valid])
    assert torch.equal(task.valid.images[0], halves.train.images[1])
    assert torch.equal(task.train.images[-1], halves.valid.images[parts.train[-1] - 25_000])
    assert task.fingerprint != halves.fingerprint


def test_ten_thousand_of_each_for_a_small_search(halves, cifar10_folder):
    task = load_task("cifar10", data=cifar10_folder, images=10_000)
    for split, whole in ((task.train, halves.train), (task.valid, halves.valid)):
        assert _counts(split).tolist() == [1000] * 10
        earliest = [np.flatnonzero(whole.labels.numpy() == k)[:1000] for k in range(10)]
        assert torch.equal(split.images, whole.images[np.sort(np.concatenate(earliest))])
    assert task.facts["images"]["test"] == 10_000
    assert task.fingerprint != halves.fingerprint


def test_an_augmented_batch_has_black_borders(halves):
    images = halves.train.images[:500]
    got = halves.augment(images, torch.Generator().manual_seed(0))
    black = (-torch.tensor(CIFAR10.mean) / torch.tensor(CIFAR10.std))[:, None]
    corners = torch.stack([got[:, :, y, x] for y in (0, -1) for x in (0, -1)])
    at_border = ((corners - black[:, 0]).abs() < 1e-6).all(2)
    # a corner is bordered unless both offsets leave it inside: 1 - (5/9)^2
    assert abs(float(at_border.double().mean()) - (1 - 25 / 81)) < 0.06


def test_the_md5s_are_the_published_ones(shared_data):
    published = json.loads((shared_data / "cifar10" / "md5.json").read_text())
    assert {**CIFAR10.train, **CIFAR10.test} == {k: v for k, v in published.items() if k != "batches.meta"}


def test_a_changed_file_is_refused_and_a_changed_test_file_only_when_opened(cifar10_folder, tmp_path):
    source = cifar10_folder / "cifar-10-batches-py"
    for name in (*CIFAR10.train, *CIFAR10.test):
        (tmp_path / name).symlink_to(source / name)
    for name in ("test_batch", "data_batch_1"):
        content = bytearray((source / name).read_bytes())
        content[1_000_000] ^= 1
        (tmp_path / name).unlink()
        (tmp_path / name).write_bytes(content)
        if name == "test_batch":
            task = cifar10(data=tmp_path, images=10)
            with pytest.raises(BenchbedError, match="test_batch' is not the published file: its MD5 is"):
                task.seal.open("a selection")
    with pytest.raises(BenchbedError, match="data_batch_1' is not the published file: its MD5 is"):
        cifar10(data=tmp_path)
