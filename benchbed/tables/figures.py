"""The words of a query: which data set, which split, after how many epochs; and what they mean on NAS-Bench-201.

The benchmark's own files speak of `cifar10-valid`, `x-valid`, `ori-test`, `x-test` and `valtest`, and most mistakes
made with it come from these names. Here a figure is named by three words, by the reporting convention of its papers
(Dong and Yang, NAS-Bench-201, ICLR 2020; Dong et al., NATS-Bench, TPAMI 2021), and nothing else is accepted:

| data set | split | trained on | scored on | in the official files |
|---|---|---|---|---|
| cifar10 | valid | 25,000 of the 50,000 training images | the other 25,000 | `cifar10-valid`, `x-valid` |
| cifar10 | test | all 50,000 training images | the 10,000 test images | `cifar10`, `ori-test` |
| cifar100 | valid, test | all 50,000 training images | one half of the test images, the other | `x-valid`, `x-test` |
| cifar100 | valid+test | the same run | all 10,000 test images | `ori-test` |
| imagenet16-120 | valid, test | all 151,700 training images | one half of 6,000 test images, the other | the same |
| imagenet16-120 | valid+test | the same run | all 6,000 | `ori-test` |

So CIFAR-10's validation and test accuracy are of two different networks, and the others' of one.
"""

import re
from collections.abc import Sequence
from numbers import Integral
from typing import NamedTuple

from ..errors import BenchbedError, unknown

DATASETS = ("cifar10", "cifar100", "imagenet16-120")
SPLITS = ("valid", "test", "valid+test")
CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet16-120": 120}
IMAGE_SIZE = {"cifar10": 32, "cifar100": 32, "imagenet16-120": 16}

# Names of the benchmark's own files and of other tools, and what they are called here
_DATASETS_ELSEWHERE = {
    "cifar10-valid": "data set cifar10 with split valid",
    "imagenet16": "data set imagenet16-120",
    "imagenet": "data set imagenet16-120",
}
_SPLITS_ELSEWHERE = {
    "x-valid": "split valid",
    "x-test": "split test",
    "ori-test": "split test on cifar10, split valid+test on the others",
    "valtest": "split valid+test",
    "val": "split valid",
    "validation": "split valid",
}
DATASET = r"[a-z0-9][a-z0-9.-]*"  # in a column's name
_NAME = re.compile(rf"({DATASET})_(valid|test|valid\+test)_([1-9][0-9]*)")


def in_epochs(count: int) -> str:
    """'1 epoch', '200 epochs'."""
    return f"{count} epoch{'s' * (count != 1)}"


class Figure(NamedTuple):
    """What an accuracy is of. Prints as a column's name: `cifar10_test_200`."""

    dataset: str
    split: str
    epochs: int

    def __str__(self) -> str:
        return f"{self.dataset}_{self.split}_{self.epochs}"

    @property
    def words(self) -> str:
        return f"{self.dataset} {self.split} accuracy after {in_epochs(self.epochs)}"


def figure_named(name: str) -> Figure | None:
    """The figure of a column's name, `imagenet16` being short for `imagenet16-120`; None if it names none."""
    found = _NAME.fullmatch(name)
    return Figure(dataset_named(found[1]), found[2], int(found[3])) if found else None


def dataset_named(name: str) -> str:
    """The data set of a column's prefix."""
    return "imagenet16-120" if name == "imagenet16" else name


def lone_dataset(table: str, known: Sequence[str]) -> str:
    """The table's only data set. Raises BenchbedError where it has several."""
    if len(known) != 1:
        raise BenchbedError(f"table '{table}' needs a data set: add --dataset {'|'.join(known)}")
    return known[0]


def refusal(table: str, wanted: Figure, known: list[Figure], space: str) -> BenchbedError:
    """Why `wanted` is not among the `known` figures of a table of `space`: the wrong word, the nearest one."""
    dataset, split, epochs = wanted
    if dataset not in {f.dataset for f in known}:
        return _word("data set", dataset, _DATASETS_ELSEWHERE, table, [f.dataset for f in known])
    known = [f for f in known if f.dataset == dataset]
    if split not in {f.split for f in known}:
        return _word("split", split, _SPLITS_ELSEWHERE, f"{table} on {dataset}", [f.split for f in known])
    there = sorted(f.epochs for f in known if f.split == split)
    nearest = min(there, key=lambda e: abs(e - epochs))
    hint = how_to_get(str(wanted), space)
    has = f"{', '.join(map(str, there))} epoch{'s' * (there != [1])}"
    return BenchbedError(
        f"table {table} has no {wanted.words}: nearest {nearest}; it has {has}" + (f" ({hint})" if hint else "")
    )


def check_words(dataset: object, split: object, epochs: object) -> None:
    """Raises BenchbedError for what cannot name a figure, whatever the table has."""
    for word, value, kind, expected in (
        ("data set", dataset, str, "a name"),
        ("split", split, str, "a name"),
        ("epochs", epochs, Integral, "a whole number"),
    ):
        if not isinstance(value, kind) or isinstance(value, bool):
            raise BenchbedError(f"{word} {value!r}: expected {expected}")


def how_to_get(column: str, space: str) -> str:
    """Where a missing column of NAS-Bench-201 comes from; empty for what has one source alone."""
    if space != "nb201" or not column.startswith(DATASETS):
        return ""
    return f"'table import' of NAS-Bench-201's .pth, of NATS-Bench or of a CSV file with the column {column} brings it"


def _word(kind: str, value: str, elsewhere: dict[str, str], table: str, known: list[str]) -> BenchbedError:
    there = sorted(set(known))
    if (here := elsewhere.get(value.lower())) is not None:
        asked = f"{kind} '{value}' is not a name here: ask for {here}"
        return BenchbedError(f"{asked}; table {table} has {', '.join(there)}")
    return unknown(f"{kind} of table {table}", value, there)
