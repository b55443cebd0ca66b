"""Digits over photographs: where each pixel comes from, which splits share nothing, and what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from benchbed.errors import BenchbedError
from benchbed.tasks import photo_digits as room
from benchbed.tasks.digits import source_indices
from benchbed.tasks.photo_digits import photo_digits

SMALL = {"train": 40, "valid": 12, "test": 9}


def pixels(images: torch.Tensor) -> np.ndarray:
    """Normalised images (n, 3, h, w) as they were drawn, uint8 (n, h, w, 3)."""
    return ((images * room.STD + room.MEAN) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def test_shapes_labels_and_levels_of_grey():
    task = photo_digits(**SMALL, size=20)
    assert (task.name, task.classes, task.shape) == ("photo-digits", 10, (3, 20, 20))
    for split, n in ((task.train, 40), (task.valid, 12), (task.seal.open("a selection"), 9)):
        assert split.images.shape == (n, 3, 20, 20)
        assert split.images.dtype == torch.float32
        assert set(split.labels.tolist()) <= set(range(10))
        steps = (split.images.double() * room.STD + room.MEAN) * 255
        assert float((steps - steps.round()).abs().max()) < 1e-3  # whole numbers, whatever the platform


def test_the_photographs_are_scikit_learns_own():
    for (package, file), wanted in zip(room.PHOTOGRAPHS, load_sample_images().images, strict=False):
        assert np.array_equal(room.read_photograph(package, file), wanted)


def test_a_crop_is_a_window_of_its_splits_columns_shrunk_as_pillow_does():
    """Photographs whose pixels are their own coordinates: every crop tells where it was cut, and by which factor."""
    rows, columns = np.indices((60, 200))
    photograph = np.stack([rows * 4, columns, np.zeros_like(rows)], -1).astype(np.uint8)
    seen = set()
    for split, (first, last) in room.COLUMNS.items():
        found = room.backgrounds(300, 9, split, [photograph], np.random.default_rng(0)).astype(int)
        factors = found[:, 1, 0, 0] - found[:, 0, 0, 0]  # rows go up by four a pixel
        assert set(factors) == {4, 8, 12}
        for crop, factor in zip(found, factors // 4, strict=True):
            x = crop[0, 0, 1] - (factor - 1) // 2
            y = (crop[0, 0, 0] - 2 * (factor - 1)) // 4
            window = photograph[y : y + 9 * factor, x : x + 9 * factor]
            small = Image.fromarray(window).resize((9, 9), Image.Resampling.BOX)
            assert np.abs(np.asarray(small).astype(int) - crop).max() <= 1  # Pillow rounds, we cut off
            assert int(200 * first) <= x
            assert x + 9 * factor <= int(200 * last)
            seen.add((split, factor))
    assert len(seen) == 9


def test_a_digit_inverts_what_is_behind_it_within_its_window():
    behind = np.random.default_rng(1).integers(0, 256, (200, 16, 16, 3)).astype(np.uint8)
    ink = np.stack([np.full((12, 12), 60 * (i + 1), np.uint8) for i in range(4)])
    images, chosen = room.draw(behind, ink, 0, np.random.default_rng(2))
    corners = set()
    for image, back, which in zip(images.astype(int), behind.astype(int), chosen, strict=True):
        changed = (image != back).any(-1)
        ys, xs = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        y, x = min(ys[0], 4), min(xs[0], 4)
        corners.add((y, x))
        inside = np.zeros((16, 16), bool)
        inside[y : y + 12, x : x + 12] = True
        assert not changed[~inside].any()
        stroke = np.abs(back - image)[inside]  # |b - s| is b - s where b >= s: there the difference is the stroke
        above = (image <= back)[inside] & (back[inside] >= ink[which].max())
        for channel in range(3):
            strokes = stroke[above[:, channel], channel]
            assert len(set(strokes)) <= 1  # one colour
            assert all(60 * (which + 1) * 127 // 255 <= s <= 60 * (which + 1) for s in strokes)
    assert corners == {(y, x) for y in range(5) for x in range(5)}


def test_clutter_lies_under_the_digit_and_is_of_others():
    """Without ink of its own, the chosen digit leaves a crop as it is: whatever changes is clutter."""
    behind = np.zeros((300, 16, 16, 3), np.uint8)
    ink = np.stack([np.zeros((12, 12), np.uint8), np.full((12, 12), 255, np.uint8)])
    images, chosen = room.draw(behind, ink, 1, np.random.default_rng(3))
    changed = (images > 0).any(-1).sum((1, 2))
    assert set(changed[chosen == 0]) == {36}  # a piece of 6x6 of the other digit
    assert set(changed[chosen == 1]) == {144}  # the digit alone: its clutter is of the digit without ink


def test_a_split_has_its_own_digits_and_columns(monkeypatch):
    seen, original = {}, room.enlarged

    def spy(digits, side):
        seen[len(digits)] = digits
        return original(digits, side)

    monkeypatch.setattr(room, "enlarged", spy)
    photo_digits(**SMALL).seal.open("a selection")
    data, sources = load_digits(), source_indices()
    assert {n: digits.shape for n, digits in seen.items()} == {n: (n, 8, 8) for n in (1000, 300, 497)}
    for split in ("train", "valid", "test"):
        assert np.array_equal(seen[len(sources[split])], data.images[sources[split]])
    ends = sorted(room.COLUMNS.values())
    assert [low for low, _ in ends[1:]] == [high for _, high in ends[:-1]]


def test_the_task_is_the_same_twice_and_every_option_changes_it():
    one, two = photo_digits(**SMALL), photo_digits(**SMALL)
    assert one.fingerprint == two.fingerprint
    assert torch.equal(one.seal.open(1).images, two.seal.open(1).images)
    changes = ({"train": 41}, {"test": 10}, {"size": 20}, {"clutter": 2}, {"photographs": 3}, {"seed": 1})
    prints = {photo_digits(**SMALL | change).fingerprint for change in changes} | {one.fingerprint}
    assert len(prints) == len(changes) + 1


def test_the_constants_normalise_the_training_images():
    images = photo_digits(train=4000, valid=1).train.images
    assert abs(float(images.mean())) < 0.03
    assert abs(float(images.std()) - 1) < 0.03


@pytest.mark.parametrize(
    "bad", [{"train": 1}, {"valid": 0}, {"size": 11}, {"size": 26}, {"clutter": -1}, {"photographs": 4}, {"seed": -1}]
)
def test_options_out_of_range_are_named(bad):
    ((name, value),) = bad.items()
    with pytest.raises(BenchbedError, match=f"photo-digits option {name}={value}: a whole number of"):
        photo_digits(**bad)


def test_a_photograph_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(room, "PHOTOGRAPHS", (("sklearn", "datasets/images/nowhere.jpg"),))
    with pytest.raises(BenchbedError, match=r"photo-digits needs datasets/images/nowhere\.jpg of the package sklearn"):
        photo_digits(**SMALL, photographs=1)
