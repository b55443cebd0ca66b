from benchbed.images.splits import official
from benchbed.tasks.cifar100 import CIFAR100


def test_halves_are_of_the_training_images(stand_in):
    small = stand_in(CIFAR100, train=400, test=200)
    task = small.task()
    assert (task.name, task.classes, task.shape) == ("cifar100", 100, (3, 32, 32))
    test = task.seal.open("a selection")
    assert small.numbers(task.train) == list(range(200))
    assert small.numbers(task.valid) == list(range(200, 400))
    assert small.numbers(test) == list(range(400, 600))
    assert task.train.labels.tolist() == [i % 100 for i in range(200)], "the fine labels"
    assert task.facts["split"].startswith("halves")
    assert task.facts["valid_from"] == "the published training images"


def test_official_validates_and_tests_on_halves_of_the_test_images(stand_in, split_file):
    small = stand_in(CIFAR100, train=400, test=200)
    one, two = [*range(0, 100, 2), *range(101, 200, 2)], [*range(1, 100, 2), *range(100, 200, 2)]  # every class in each
    folder = split_file(CIFAR100, one, two)
    task = small.task(splits=folder)
    test = task.seal.open("a selection")
    assert small.numbers(task.train) == list(range(400))
    assert small.numbers(task.valid) == [400 + i for i in one]
    assert small.numbers(test) == [400 + i for i in two]
    assert test.labels.tolist() == [i % 100 for i in two]
    assert not set(small.numbers(task.valid)) & set(small.numbers(test))
    assert task.facts["split"] == "official: cifar100-test-split.txt of NAS-Bench-201"
    assert task.facts["valid_from"] == "the published test images"
    assert task.facts["images"] == {"train": 400, "valid": 100, "test": 100}


def test_the_benchmarks_own_lists(shared_data):
    parts = official(CIFAR100.split_file, shared_data / "splits", 50_000, 10_000)
    assert len(parts.train) == 50_000
    assert parts.valid[:10].tolist() == [1, 3, 4, 5, 8, 10, 13, 14, 15, 16]
    assert parts.test[:10].tolist() == [0, 2, 6, 7, 9, 11, 12, 17, 20, 24]
    assert [len(parts.valid), len(parts.test)] == [5000, 5000]
    assert sorted([*parts.valid, *parts.test]) == list(range(10_000))
