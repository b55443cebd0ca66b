import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.tasks.npz import npz_task

RNG = np.random.default_rng(0)


def _images(n, *shape):
    return RNG.integers(0, 256, size=(n, *shape), dtype=np.uint8)


def _save(path, **arrays):
    np.savez(path / "mine.npz", **arrays)
    return path / "mine.npz"


def _numbered(n, classes=3):
    """Images that carry their own index (all pixels but one alike) and labels 0..K-1 in turn."""
    images = np.broadcast_to(np.arange(n, dtype=np.float32)[:, None, None], (n, 4, 4)).copy()
    return images, np.arange(n) % classes


def _index_of(split, task):
    return sorted((split.images[:, 0, 0, 0].double() * task.facts["std"][0] + task.facts["mean"][0]).round().tolist())


def test_a_lone_pair_is_cut_60_20_20_class_by_class(tmp_path):
    images, labels = _numbered(60)
    task = npz_task(_save(tmp_path, images=images, labels=labels))
    test = task.seal.open("a selection")
    splits = [task.train, task.valid, test]
    for split, each in zip(splits, (12, 4, 4), strict=True):
        assert split.labels.bincount().tolist() == [each] * 3
    assert sorted(i for s in splits for i in _index_of(s, task)) == list(range(60)), "disjoint, and nothing is lost"
    assert task.facts["images"] == {"train": 36, "valid": 12, "test": 12}
    assert task.facts["split"] == dict.fromkeys(("valid", "test"), "cut from images, class by class")


@pytest.mark.parametrize("given", ["valid", "test"])
def test_a_given_pair_is_kept_and_the_other_cut_80_20(tmp_path, given):
    images, labels = _numbered(30)
    pair = {f"{given}_images": images[:5] + 1000, f"{given}_labels": labels[:5]}
    task = npz_task(_save(tmp_path, images=images, labels=labels, **pair))
    splits = {"valid": task.valid, "test": task.seal.open("a selection")}
    assert len(task.train) == 24
    cut = splits.pop("test" if given == "valid" else "valid")
    assert sorted(_index_of(task.train, task) + _index_of(cut, task)) == list(range(30))
    assert _index_of(splits[given], task) == [1000, 1001, 1002, 1003, 1004]


def test_with_both_pairs_every_image_trains(tmp_path):
    images, labels = _numbered(9)
    pairs = {f"{s}_{k}": v for s in ("valid", "test") for k, v in (("images", images), ("labels", labels))}
    task = npz_task(_save(tmp_path, images=images, labels=labels, **pairs))
    assert _index_of(task.train, task) == list(range(9))
    assert task.facts["split"] == {"valid": "given", "test": "given"}


def test_the_split_is_the_same_twice_and_the_fingerprint_is_the_files(tmp_path):
    images, labels = _numbered(60)
    path = _save(tmp_path, images=images, labels=labels)
    one, two = npz_task(path), npz_task(str(path))
    assert torch.equal(one.train.images, two.train.images)
    assert torch.equal(one.valid.labels, two.valid.labels)
    assert one.fingerprint == two.fingerprint == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 7), (1, 5, 7)),
        ((5, 7, 3), (3, 5, 7)),
        ((3, 5, 7), (3, 5, 7)),
        ((5, 7, 1), (1, 5, 7)),
        ((1, 5, 7), (1, 5, 7)),
    ],
)
def test_layouts(tmp_path, shape, expected):
    images, labels = _images(20, *shape), np.arange(20) % 2
    task = npz_task(_save(tmp_path, images=images, labels=labels, valid_images=images, valid_labels=labels))
    assert task.shape == expected
    assert task.valid.images.shape == (20, *expected)
    back = task.valid.images.double() * torch.tensor(task.facts["std"])[:, None, None]
    back = (back + torch.tensor(task.facts["mean"])[:, None, None]).round().to(torch.uint8).numpy()
    back = back.transpose(0, 2, 3, 1) if shape[-1] in (1, 3) else back
    assert np.array_equal(back.reshape(images.shape), images)


def test_each_channel_is_normalised_by_the_training_split(tmp_path):
    images = RNG.normal([1.0, -5.0, 100.0], [2.0, 0.1, 30.0], size=(50, 6, 6, 3))
    task = npz_task(_save(tmp_path, images=images, labels=np.arange(50) % 5))
    assert torch.allclose(task.train.images.mean((0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(task.train.images.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-4)
    assert task.train.images.dtype == torch.float32
    assert task.train.labels.dtype == torch.int64


def test_a_constant_channel_becomes_zero_not_nan(tmp_path):
    task = npz_task(_save(tmp_path, images=np.full((20, 4, 4), 7, np.uint8), labels=np.arange(20) % 2))
    assert (task.train.images == 0).all()


def test_test_arrays_are_read_only_when_the_seal_is_opened(tmp_path):
    images, labels = _numbered(30)
    spoiled = np.full_like(images, np.nan)
    task = npz_task(_save(tmp_path, images=images, labels=labels, test_images=spoiled, test_labels=labels))
    with pytest.raises(BenchbedError, match="test_images contain NaN"):
        task.seal.open("a selection")


GOOD = {"images": _images(20, 6, 6), "labels": np.arange(20) % 2}
NAN = np.where(np.arange(36).reshape(6, 6) == 3, np.nan, 1.0) * np.ones((20, 1, 1))
BAD = [
    ({"images": None}, "has no array 'images'"),
    ({"labels": None}, "has no array 'labels'"),
    ({"valid_images": GOOD["images"]}, "has no array 'valid_labels'"),
    ({"test_labels": GOOD["labels"]}, "has no array 'test_images'"),
    ({"images": _images(20, 6)}, r"shape \(20, 6\)"),
    ({"images": _images(20, 3, 6, 3)}, "either the second or the last"),
    ({"images": _images(20, 6, 6, 2)}, "neither the second nor the last"),
    ({"images": _images(0, 6, 6)}, "at least one image"),
    ({"images": _images(20, 3, 6)}, "3x6: at least 4x4"),
    ({"images": _images(20, 6, 6).astype(np.int64)}, "images are int64"),
    ({"images": NAN}, "contain NaN"),
    ({"images": np.full((20, 6, 6), 1e300)}, "NaN or infinity"),
    ({"images": np.array([[None]])}, "pickled"),
    ({"labels": np.array([None] * 20)}, "pickled"),
    ({"labels": np.arange(19) % 2}, "19 for 20 images"),
    ({"labels": (np.arange(20) % 2).astype(float)}, "labels are float64"),
    ({"labels": np.eye(20, 2, dtype=int)}, r"shape \(20, 2\)"),
    ({"labels": np.arange(20) % 2 - 1}, "contain -1"),
    ({"labels": np.arange(20) % 2 * 2}, "go up to 2 without 1"),
    ({"labels": np.arange(20) % 2 + 1}, "go up to 2 without 0"),
    ({"labels": np.zeros(20, int)}, "one class"),
    ({"valid_images": _images(4, 6, 6), "valid_labels": np.array([0, 1, 2, 0])}, "valid_labels contain 2"),
    ({"valid_images": _images(4, 5, 5), "valid_labels": np.array([0, 1, 1, 0])}, r"\(1, 5, 5\)"),
    ({"images": _images(2, 6, 6), "labels": np.arange(2)}, "too few to cut a valid split"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_content_is_one_clear_line(tmp_path, change, message):
    arrays = {key: value for key, value in (GOOD | change).items() if value is not None}
    with pytest.raises(BenchbedError, match=message) as caught:
        npz_task(_save(tmp_path, **arrays))
    assert "\n" not in str(caught.value)
    assert "mine.npz" in str(caught.value)


def test_a_missing_file_and_a_file_that_is_no_npz(tmp_path):
    with pytest.raises(BenchbedError, match=r"none\.npz' does not exist"):
        npz_task(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(BenchbedError, match=r"is not an \.npz file"):
        npz_task(tmp_path / "text.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(BenchbedError, match=r"is not an \.npz file"):
        npz_task(tmp_path / "one.npy")


def test_a_damaged_file(tmp_path):
    path = _save(tmp_path, **GOOD)
    content = bytearray(path.read_bytes())
    content[200] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(BenchbedError, match="images cannot be read"):
        npz_task(path)


def test_a_sealed_split_of_the_wrong_shape_is_refused_by_its_header(tmp_path: Path) -> None:
    """Before a search begins, and without a look at its pixels: here they are NaN, which only opening would refuse."""
    images, labels = np.zeros((60, 8, 8), np.float32), np.arange(60) % 3
    poison = np.full((10, 6, 8), np.nan, np.float32)
    for test_images, test_labels, said in (
        (poison, np.zeros(10, int), "(1, 6, 8)"),
        (np.full((10, 8, 8), np.nan), np.zeros(9, int), "(9,) for 10"),
        (np.array([None]), np.zeros(1, int), "pickled"),
    ):
        file = tmp_path / "wrong.npz"
        np.savez(file, images=images, labels=labels, test_images=test_images, test_labels=test_labels)
        with pytest.raises(BenchbedError, match=re.escape(said)):
            npz_task(file)
    np.savez(file, images=images, labels=labels, test_images=np.full((10, 8, 8), np.nan), test_labels=np.zeros(10, int))
    task = npz_task(file)
    with pytest.raises(BenchbedError, match="NaN"):
        task.seal.open("selection")
