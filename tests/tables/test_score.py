"""The ceiling of a short training, against what the benchmark's own table was found to hold by hand."""

import pytest

from benchbed.tables import Table
from benchbed.tables.score import ceiling


@pytest.mark.parametrize(
    ("dataset", "number", "test", "best"),
    [
        ("cifar10", 13714, 94.37, 94.37),
        ("cifar100", 10165, 72.28, 73.51),
        ("imagenet16-120", 2581, 46.48, 47.31),
    ],  # methods.md, section 1
)
def test_the_ceilings_of_twelve_epochs(full: Table, dataset: str, number: int, test: float, best: float) -> None:
    found = ceiling(full, dataset, 12)
    assert found.name == "ceiling of 12 epochs"
    assert full.index(found.architecture) == number
    assert round(found.test, 2) == test
    assert round(found.test + found.regret, 2) == best
    assert found.accuracy == full.values(dataset, "valid", 12).max()


def test_at_the_full_training_it_is_the_best_by_validation(full: Table) -> None:
    found = ceiling(full, "cifar10", 200)
    assert (found.accuracy, full.index(found.architecture)) == (found.valid, 6111)
