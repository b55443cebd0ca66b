import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchbed.errors import BenchbedError
from benchbed.images.splits import SplitFile, balanced, halves, official, whole

ON_TRAIN = SplitFile("split.txt", ("train", "valid"), "train")
ON_TEST = SplitFile("split.txt", ("xvalid", "xtest"), "test")
GOOD = {"train": ["int", ["5", "0", "3"]], "valid": ["int", ["1", "2", "4"]]}


def _written(folder, content):
    (folder / "split.txt").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def test_a_file_that_divides_the_training_images(tmp_path):
    parts = official(ON_TRAIN, _written(tmp_path, GOOD), train=6, test=4)
    assert [parts.train.tolist(), parts.valid.tolist(), parts.test.tolist()] == [[0, 3, 5], [1, 2, 4], [0, 1, 2, 3]]
    assert (parts.valid_from, parts.source) == ("train", "official: split.txt of NAS-Bench-201")


def test_a_file_that_divides_the_test_images(tmp_path):
    file = {"xvalid": ["int", ["1", "3"]], "xtest": ["int", ["0", "2"]]}
    parts = official(ON_TEST, _written(tmp_path, file), train=6, test=4)
    assert [parts.train.tolist(), parts.valid.tolist(), parts.test.tolist()] == [[0, 1, 2, 3, 4, 5], [1, 3], [0, 2]]
    assert parts.valid_from == "test"


def test_the_whole_trains_and_says_that_validation_is_seen():
    parts = whole(50_000, 10_000)
    assert np.array_equal(parts.train, np.arange(50_000))
    assert np.array_equal(parts.valid, np.arange(45_000, 50_000))
    assert np.array_equal(parts.test, np.arange(10_000))
    assert (parts.valid_from, "seen in training" in parts.source) == ("train", True)


def test_halves_are_contiguous():
    parts = halves(50_000, 10_000)
    assert parts.train.tolist() == list(range(25_000))
    assert parts.valid.tolist() == list(range(25_000, 50_000))
    assert parts.test.tolist() == list(range(10_000))
    assert parts.valid_from == "train"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no JSON", "is not a split file: JSON of the form"),
        ("[" * 100_000, "is not a split file: JSON of the form"),
        ([1], "is not a split file of this data set"),
        ({"train": GOOD["train"]}, "is not a split file of this data set"),
        (GOOD | {"extra": GOOD["train"]}, "is not a split file of this data set"),
        ({"xvalid": GOOD["train"], "xtest": GOOD["valid"]}, "is not a split file of this data set"),
        (GOOD | {"valid": ["1", "2", "4"]}, """valid is no ["int", [...]] list"""),
        (GOOD | {"valid": ["float", ["1", "2", "4"]]}, """valid is no ["int", [...]] list"""),
        (GOOD | {"valid": ["int", ["1", "2", "x"]]}, "valid lists 'x': a whole number is needed"),
        (GOOD | {"valid": ["int", ["1", "2", "-4"]]}, "valid lists '-4': a whole number is needed"),
        (GOOD | {"valid": ["int", ["1", "2", "\u0664"]]}, "a whole number is needed"),
        (GOOD | {"valid": ["int", ["1", "2", "9" * 5000]]}, "a whole number is needed"),
        (GOOD | {"valid": ["int", ["1", "2", None]]}, "a whole number is needed"),
        (GOOD | {"valid": ["int", ["1", "2", "6"]]}, "valid lists image 6: 0 to 5 are there"),
        (GOOD | {"valid": ["int", ["1", "2"]]}, "valid lists 2 images: 3 are needed"),
        (GOOD | {"train": ["int", ["5", "0", "3", "1"]]}, "train lists 4 images: 3 are needed"),
        (GOOD | {"valid": ["int", ["1", "2", "1"]]}, "valid lists image 1 twice"),
        (GOOD | {"valid": ["int", ["1", "2", "3"]]}, "lists image 3 under both 'train' and 'valid'"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path, content, message):
    with pytest.raises(BenchbedError) as caught:
        official(ON_TRAIN, _written(tmp_path, content), train=6, test=4)
    text = str(caught.value)
    assert message in text
    assert str(tmp_path / "split.txt") in text
    assert "\n" not in text
    assert len(text) < 300 + len(str(tmp_path))


def test_an_absent_file_names_the_way_without_it(tmp_path):
    with pytest.raises(BenchbedError, match=r"cannot read the split file .*split\.txt: .*split=halves needs none"):
        official(ON_TRAIN, tmp_path, train=6, test=4)


LABELS = st.lists(st.integers(0, 6), min_size=1, max_size=80).map(np.array)


@given(LABELS, st.integers(1, 100))
def test_balanced_takes_the_earliest_of_each_class_as_evenly_as_they_allow(labels, count):
    chosen = balanced(labels, count)
    assert len(chosen) == min(count, len(labels))
    assert (np.diff(chosen) > 0).all(), "sorted, none twice"
    taken, there = np.bincount(labels[chosen], minlength=7), np.bincount(labels, minlength=7)
    for k in range(7):
        members = np.flatnonzero(labels == k)
        assert set(members[: taken[k]]) <= set(chosen), "its earliest members"
    short = taken < there  # a class that could give more is never more than one behind another
    assert not short.any() or taken.max() - taken[short].min() <= 1


@given(LABELS, st.integers(1, 40), st.integers(1, 40))
def test_a_smaller_balanced_part_lies_within_a_larger_one(labels, one, two):
    assert set(balanced(labels, min(one, two))) <= set(balanced(labels, max(one, two)))
