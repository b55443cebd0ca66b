import pickle

import pytest

from benchbed.errors import BenchbedError
from benchbed.images.splits import official
from benchbed.tasks.imagenet16 import IMAGENET16


@pytest.mark.parametrize("protocol", [2, 3])  # the published files are Python 3's own
def test_the_first_120_classes_of_ten_files(stand_in, protocol):
    small = stand_in(IMAGENET16, train=480, test=240, protocol=protocol)
    held = [pickle.loads((small.data / "ImageNet16" / f"train_data_batch_{i}").read_bytes()) for i in (1, 10)]
    assert all(121 in batch["labels"] for batch in held), "there is something to leave out"
    task = small.task()
    assert (task.name, task.classes, task.shape) == ("imagenet16", 120, (3, 16, 16))
    assert task.facts["data"] == "ImageNet16-120"
    test = task.seal.open("a selection")
    assert small.numbers(task.train) == list(range(240)), "in the order of the files, the tenth last"
    assert small.numbers(task.valid) == list(range(240, 480))
    assert small.numbers(test) == list(range(480, 720))
    assert task.train.labels.tolist() == [i % 120 for i in range(240)], "counted from 0"
    assert task.valid.labels.unique().tolist() == list(range(120))


def test_official_validates_and_tests_on_halves_of_the_test_images(stand_in, split_file):
    small = stand_in(IMAGENET16, train=480, test=240)
    one, two = [*range(0, 120, 2), *range(121, 240, 2)], [*range(1, 120, 2), *range(120, 240, 2)]
    task = small.task(splits=split_file(IMAGENET16, one, two))
    assert small.numbers(task.train) == list(range(480))
    assert small.numbers(task.valid) == [480 + i for i in one]
    assert small.numbers(task.seal.open("a selection")) == [480 + i for i in two]
    assert task.facts["images"] == {"train": 480, "valid": 120, "test": 120}
    assert task.facts["valid_from"] == "the published test images"


def test_the_crop_has_a_border_of_two(stand_in):
    task = stand_in(IMAGENET16, train=480, test=240).task()
    assert task.augment.border == 2
    assert task.augment.cutout == 0


def test_a_label_beyond_the_thousand_is_refused(stand_in):
    small = stand_in(IMAGENET16, train=480, test=240)
    file = small.data / "ImageNet16" / "train_data_batch_7"
    batch = pickle.loads(file.read_bytes())
    file.write_bytes(pickle.dumps({**batch, "labels": [1001, *batch["labels"][1:]]}))
    with pytest.raises(BenchbedError, match="train_data_batch_7' labels contain 1001: 1 to 1000 are expected"):
        small.task()


def test_the_benchmarks_own_lists(shared_data):
    parts = official(IMAGENET16.split_file, shared_data / "splits", 151_700, 6_000)
    assert len(parts.train) == 151_700
    assert parts.valid[:10].tolist() == [1, 2, 3, 6, 7, 8, 9, 12, 16, 18]
    assert parts.test[:4].tolist() == [0, 4, 5, 10]
    assert [len(parts.valid), len(parts.test)] == [3000, 3000]
    assert sorted([*parts.valid, *parts.test]) == list(range(6_000))
