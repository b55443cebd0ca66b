"""Every task that needs no published files keeps the contract, and the suite notices when one does not."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from benchbed.images.augment import Augment
from benchbed.task import Seal, Split, Task
from benchbed.tasks import images as images_module
from benchbed.tasks.load import load_task
from benchbed.testing.task_suite import CHECKS


@pytest.fixture
def folder(tmp_path):
    """Images in three classes, 20 each."""
    rng = np.random.default_rng(0)
    for name in "abc":
        (tmp_path / name).mkdir()
        for i in range(20):
            Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(tmp_path / name / f"{i}.png")
    return tmp_path


@pytest.fixture
def makers(folder, tiny_file, monkeypatch):
    return {
        "digits": partial(load_task, "digits", train=300, valid=100, test=100),
        "photo-digits": partial(load_task, "photo-digits", train=300, valid=100, test=100),
        "npz": partial(load_task, f"npz:{tiny_file}"),
        "images": partial(images_module.images, str(folder)),
    }


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", ["digits", "photo-digits", "npz", "images", "stored"])
def test_the_task_keeps_the_contract(name, check, makers, monkeypatch):
    if name == "stored":
        name = "images"
        monkeypatch.setattr(images_module, "MEMORY", 0)
    check(makers[name])


# -- the suite finds what is broken ------------------------------------------------------------------------------------


def noise(seed: int = 0, count: int = 60) -> Task:
    """What keeps the contract; each function below breaks it in one way."""
    generator = torch.Generator().manual_seed(seed)
    images, labels = torch.randn(3 * count, 1, 8, 8, generator=generator), torch.arange(3 * count) % 3
    train, valid, test = (Split(images[i : i + count], labels[i : i + count]) for i in range(0, 3 * count, count))
    augment = Augment(1, (0.0,))
    return Task("noise", 3, (1, 8, 8), train, valid, Seal(lambda: test), f"{seed} {count}", augment=augment)


def test_the_sound_one_passes():
    for check in CHECKS:
        check(noise)


def doubled(seed=0, count=60):
    task = noise(seed, count)
    return replace(task, train=Split(task.train.images.double(), task.train.labels))


def off_by_one(seed=0, count=60):
    task = noise(seed, count)
    return replace(task, valid=Split(task.valid.images, task.valid.labels + 1))


def raw(seed=0, count=60):
    task = noise(seed, count)
    return replace(task, train=Split(task.train.images * 50 + 128, task.train.labels))


def leaking(seed=0, count=60):
    task = noise(seed, count)
    return replace(task, seal=Seal(lambda: task.train))


class Open(Seal):
    def open(self, selection):
        return self._load()


def unsealed(seed=0, count=60):
    task = noise(seed, count)
    return replace(task, seal=Open(lambda: task.seal.open("x")))


def drawn(seed=0, count=60):
    task = noise(seed, count)
    return replace(task, train=Split(torch.randn(task.train.images.shape), task.train.labels))


def named(seed=0, count=60):
    return replace(noise(seed, count), fingerprint="mine")


def global_augment(seed=0, count=60):
    return replace(noise(seed, count), augment=lambda batch, generator: batch + torch.randn(batch.shape))


def in_place(seed=0, count=60):
    return replace(noise(seed, count), augment=lambda b, g: b.add_(torch.randn(b.shape, generator=g)))


@pytest.mark.parametrize(
    ("make", "check", "said"),
    [
        (doubled, "check_shapes_and_types", "train images are torch.float64, not float32"),
        (off_by_one, "check_shapes_and_types", "valid labels go from 1 to 3 for 3 classes"),
        (raw, "check_images_are_normalised", "normalise them"),
        (leaking, "check_splits_are_disjoint", "60 of the first test images are also in train"),
        (unsealed, "check_test_split_is_sealed", "the seal opens without a selection"),
        (drawn, "check_same_task_each_time", "two calls give two train splits"),
        (named, "check_fingerprint_follows_the_content", "seed=1 gives other images under the same fingerprint"),
        (global_augment, "check_augmentation_repeats", "two equal generators give two augmentations"),
        (in_place, "check_augmentation_repeats", "augment changes the batch"),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_what_is_broken_is_found(make, check, said, unchecked):
    (found,) = [c for c in CHECKS if c.__name__ == check]
    with pytest.raises(AssertionError, match=said):
        found(make)
