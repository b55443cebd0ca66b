import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.tasks import digits as room
from benchbed.tasks.digits import digits
from benchbed.tasks.load import load_task

SMALL = {"train": 40, "valid": 12, "test": 9}


def test_shapes_and_labels():
    task = digits(**SMALL)
    assert (task.name, task.classes, task.shape) == ("digits", 10, (1, 12, 12))
    for split, n in ((task.train, 40), (task.valid, 12), (task.seal.open("a selection"), 9)):
        assert split.images.shape == (n, 1, 12, 12)
        assert split.images.dtype == torch.float32
        assert split.labels.shape == (n,)
        assert split.labels.dtype == torch.int64
        assert set(split.labels.tolist()) <= set(range(10))


def test_sources_of_the_splits_are_disjoint_and_use_every_digit():
    sources = room.source_indices()
    assert [len(sources[name]) for name in ("train", "valid", "test")] == [1000, 300, 497]
    assert sorted(np.concatenate(list(sources.values()))) == list(range(1797))


def test_a_split_is_drawn_from_its_own_sources_alone(monkeypatch):
    seen = {}

    def spy(ink, count, noise, clutter, rng):
        seen[count] = ink
        return np.zeros((count, 12, 12), np.float32), np.zeros(count, np.int64)

    from sklearn.datasets import load_digits

    monkeypatch.setattr(room, "draw", spy)
    digits(**SMALL).seal.open("a selection")
    sources = room.source_indices()
    for name, count in SMALL.items():
        assert np.array_equal(seen[count] * 16, load_digits().images[sources[name]])


def test_the_digits_are_scikit_learn_s():
    from sklearn.datasets import load_digits

    images, labels = room.load_digits()
    assert np.array_equal(images, load_digits().images)
    assert np.array_equal(labels, load_digits().target)


def test_no_digit_is_imported_from_scikit_learn(child_env):
    code = "import sys\nfrom benchbed.tasks.digits import digits\ndigits()\nprint('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=child_env, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_a_package_without_the_file_is_named(monkeypatch):
    monkeypatch.setattr(room, "find_spec", lambda name: None)
    room.load_digits.cache_clear()
    with pytest.raises(BenchbedError, match=r"^digits needs datasets/data/digits\.csv\.gz of the package sklearn: "):
        digits(**SMALL)


def test_the_task_is_the_same_twice():
    one, two = digits(**SMALL), digits(**SMALL)
    assert one.fingerprint == two.fingerprint
    for a, b in ((one.train, two.train), (one.valid, two.valid), (one.seal.open(1), two.seal.open(1))):
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.labels, b.labels)


def test_the_global_random_states_are_neither_used_nor_moved():
    np_before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()
    digits(**SMALL)
    assert np.array_equal(np.random.get_state()[1], np_before)
    assert torch.equal(torch.get_rng_state(), torch_before)


@pytest.mark.parametrize("change", [{"train": 41}, {"test": 10}, {"noise": 0.2}, {"clutter": 3}, {"seed": 1}])
def test_every_option_changes_the_fingerprint(change):
    assert digits(**SMALL | change).fingerprint != digits(**SMALL).fingerprint


def test_test_images_are_made_only_when_the_seal_is_opened(monkeypatch):
    made, original = [], room.make_split
    monkeypatch.setattr(room, "make_split", lambda name, options: made.append(name) or original(name, options))
    task = digits(**SMALL)
    assert made == ["train", "valid"]
    with pytest.raises(RuntimeError, match="sealed"):
        task.seal.open(None)
    assert made == ["train", "valid"]
    task.seal.open("a selection")
    assert made == ["train", "valid", "test"]


def test_without_clutter_and_noise_an_image_is_one_whole_digit():
    ink = np.random.default_rng(1).integers(1, 17, size=(20, 8, 8)).astype(np.float32) / 16
    images, chosen = room.draw(ink, 200, 0.0, 0, np.random.default_rng(2))
    corners = set()
    for image, which in zip(images, chosen, strict=True):
        y, x = (int(np.flatnonzero(image.any(axis))[0]) for axis in (1, 0))
        corners.add((y, x))
        assert np.array_equal(image[y : y + 8, x : x + 8], ink[which])
        assert np.isclose(image.sum(), ink[which].sum())
    assert corners == {(y, x) for y in range(5) for x in range(5)}


def test_clutter_only_adds_crops_of_other_digits():
    """With digit i of the constant ink (i + 1) / 16, every pixel tells which digit it is from."""
    ink = (np.arange(1, 6, dtype=np.float32) / 16)[:, None, None] * np.ones((1, 8, 8), np.float32)
    images, chosen = room.draw(ink, 300, 0.0, 4, np.random.default_rng(2))
    values = images * 16
    assert np.array_equal(np.unique(values), np.arange(6))
    for value, which in zip(values, chosen, strict=True):
        own = which + 1
        # A patch weaker than the digit never dims it, and a patch of the digit's own ink would make more than 8x8.
        assert (value >= own).sum() >= 64
        assert (value == own).sum() <= 64
        assert (value > 0).sum() <= 64 + 4 * 16
    assert (values[chosen == 0] > 1).any(), "patches lie over a weaker digit"


def test_noise_has_the_stated_deviation():
    images, _ = room.draw(np.zeros((2, 8, 8), np.float32), 500, 0.1, 4, np.random.default_rng(3))
    assert abs(images.std() - 0.1) < 0.002
    assert abs(images.mean()) < 0.002


def test_the_constants_normalise_the_training_images():
    images = digits(train=4000, valid=1).train.images
    assert abs(images.mean()) < 0.01
    assert abs(images.std() - 1) < 0.01


@pytest.mark.parametrize(
    "bad", [{"train": 1}, {"valid": 0}, {"test": -1}, {"clutter": -1}, {"noise": -0.1}, {"noise": float("nan")}]
)
def test_options_out_of_range_are_named(bad):
    (name, value), *_ = bad.items()
    with pytest.raises(BenchbedError, match=f"{name}={value}"):
        digits(**bad)


def test_load_by_name():
    task = load_task("digits", **SMALL)
    assert dataclasses.asdict(task.train).keys() == {"images", "labels"}
    assert len(task.valid) == 12


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("digit", {}, "unknown task 'digit': did you mean 'digits'"),
        ("digits:4", {}, "task 'digits:4': 'digits' takes nothing after its name"),
        ("digits", {"noize": 1}, "unknown digits option 'noize': did you mean 'noise'"),
        ("npz", {}, "write npz:FILE"),
        ("npz:x.npz", {"noise": 1}, "takes no options, got noise"),
        ("npz:nowhere.npz", {}, "'nowhere.npz' does not exist"),
    ],
)
def test_unknown_names_are_one_clear_line(name, options, message):
    with pytest.raises(BenchbedError, match=message) as caught:
        load_task(name, **options)
    assert "\n" not in str(caught.value)
