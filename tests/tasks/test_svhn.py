"""On files of SVHN's form, made here: the published ones are not beside the project."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from scipy.io import savemat

from benchbed.errors import BenchbedError
from benchbed.tasks import svhn as module
from benchbed.tasks.load import load_task
from benchbed.tasks.svhn import SVHN


def write(path, count, seed, **changed):
    """X (32, 32, 3, n); y (n, 1), 1 to 9 and 10 for zero, in turn. Gives images (n, 3, 32, 32) and digits."""
    rng = np.random.default_rng(seed)
    images, digits = rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8), np.arange(count) % 10
    held = {
        "X": images.transpose(2, 3, 1, 0),
        "y": np.where(digits == 0, 10, digits)[:, None].astype(np.uint8),
        **changed,
    }
    savemat(path, {key: value for key, value in held.items() if value is not None}, do_compression=True)
    return images, digits


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """200 training, 20 test and 40 extra images in tmp_path/svhn, with their own MD5s in place of the published."""
    place = tmp_path / "svhn"
    place.mkdir()
    made = {name: write(place / f"{name}_32x32.mat", n, i) for i, (name, n) in enumerate(SIZES.items())}
    md5 = {f.name: hashlib.md5(f.read_bytes()).hexdigest() for f in place.iterdir()}
    own = replace(SVHN, train_images=200, test_images=20, train={"train_32x32.mat": md5["train_32x32.mat"]},
                  test={"test_32x32.mat": md5["test_32x32.mat"]})  # fmt: skip
    monkeypatch.setattr(module, "SVHN", own)
    monkeypatch.setattr(module, "EXTRA", {"extra_32x32.mat": md5["extra_32x32.mat"]})
    monkeypatch.setattr(module, "EXTRA_IMAGES", 40)
    return tmp_path, made


SIZES = {"train": 200, "test": 20, "extra": 40}


def pixels(split):
    mean, std = (np.array(x, dtype=np.float64)[:, None, None] for x in (SVHN.mean, SVHN.std))
    return (split.images.double().numpy() * std + mean).round().astype(np.uint8)


def test_images_stand_upright_and_label_ten_is_the_digit_zero(folder):
    data, made = folder
    task = load_task("svhn", data=data)
    assert (task.name, task.classes, task.shape) == ("svhn", 10, (3, 32, 32))
    for split, (images, digits) in ((task.train, made["train"]), (task.seal.open("a selection"), made["test"])):
        count = len(split)
        assert np.array_equal(pixels(split), images[:count])
        assert np.array_equal(split.labels.numpy(), digits[:count])
    assert [len(task.train), len(task.valid)] == [100, 100]
    assert np.array_equal(pixels(task.valid), made["train"][0][100:])
    assert task.facts["augmentation"] == {"crop_border": 4, "flip": 0.5, "cutout": 0}


def test_the_whole_trains_and_its_last_tenth_stands_in_for_validation(folder):
    data, made = folder
    whole, halves = load_task("svhn", data=data, split="whole"), load_task("svhn", data=data)
    assert np.array_equal(pixels(whole.train), made["train"][0])
    assert np.array_equal(pixels(whole.valid), made["train"][0][180:])
    assert len(whole.seal.open("a selection")) == 20
    assert whole.facts["split"].startswith("whole")
    assert whole.fingerprint != halves.fingerprint


def test_the_extra_images_train_too(folder):
    data, made = folder
    task = load_task("svhn", data=data, extra=True)
    assert [len(task.train), len(task.valid)] == [120, 120]
    every = np.concatenate([made["train"][0], made["extra"][0]])
    assert np.array_equal(np.concatenate([pixels(task.train), pixels(task.valid)]), every)


def test_the_published_files():
    assert SVHN.train == {"train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373"}
    assert SVHN.test == {"test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3"}
    assert (SVHN.train_images, SVHN.test_images) == (73_257, 26_032)
    assert np.allclose(np.array(SVHN.mean) / 255, [0.4377, 0.4438, 0.4728])
    assert np.allclose(np.array(SVHN.std) / 255, [0.1980, 0.2010, 0.1970])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.unlink(), "has no file train_32x32.mat: task 'svhn' needs svhn/ with train_32x32.mat"),
        (lambda f: f.write_bytes(b"no matlab file at all" * 20), "is not a readable MATLAB file"),
        (lambda f: f.write_bytes(f.read_bytes()[:2000]), "is not a readable MATLAB file"),
        (lambda f: f.write_bytes(b""), "is not a readable MATLAB file"),
        (lambda f: write(f, 60, 0, X=None), "has no array 'X': SVHN's files hold X and y"),
        (lambda f: write(f, 60, 0, X=np.zeros((60, 3, 32, 32), np.uint8)), "X is uint8 .60, 3, 32, 32.: uint8"),
        (lambda f: write(f, 60, 0, y=np.zeros((60, 1), np.uint8)), "y contain 0: 1 to 10 are expected"),
        (lambda f: write(f, 60, 0, y=np.full((60, 1), 11, np.uint8)), "y contain 11: 1 to 10 are expected"),
        (lambda f: write(f, 60, 0, y=np.ones((59, 1), np.uint8)), "y is uint8 .59, 1.: a whole number for each of 60"),
        (lambda f: write(f, 59, 0), "hold 59 images: SVHN has 200 training images"),
    ],
)
def test_wrong_files_are_refused_in_one_line(folder, change, words):
    data, _ = folder
    change(data / "svhn" / "train_32x32.mat")
    with pytest.raises(BenchbedError, match=words) as refused:
        load_task("svhn", data=data, verify=False)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": "official"}, "unknown svhn split 'official'.*known: halves, whole"),
        ({"extra": 1}, "svhn option extra=1: true or false is needed"),
        ({"splits": "somewhere"}, "unknown svhn option 'splits'"),
        ({"cutout": 5}, "svhn option cutout=5: an even number"),
    ],
)
def test_options_out_of_range(folder, unchecked, options, words):
    with pytest.raises(BenchbedError, match=words):
        load_task("svhn", data=folder[0], **options)


def test_a_changed_file_is_not_the_published_one(folder):
    data, _ = folder
    write(data / "svhn" / "train_32x32.mat", 60, 9)
    with pytest.raises(BenchbedError, match=r"train_32x32.mat' is not the published file: its MD5 is"):
        load_task("svhn", data=data)
    with pytest.raises(BenchbedError, match="needs its images, data=DIR"):
        load_task("svhn")
