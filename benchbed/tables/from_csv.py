"""A CSV file with a column `arch` (or `arch_str`): a row a cell, accuracies in percent, such as `cifar10_test_200`.

Further columns that are understood: `index` (the official index), `<data set>_train_seconds_<epochs>` (on cifar10 of
the run on half of the images, as in the public exports), `<data set>_gpu_latency_s`, `<data set>_params_M` and
`<data set>_flops_M` (compared with the formula, whose values the table holds), and the numbers of seeds: `n_seeds`
for all figures of 200 epochs, or `n_seeds_v11` and `n_seeds_nats`. The last two stand in a merged export whose
validation accuracies are of NAS-Bench-201 v1.1 and whose test accuracies are of NATS-Bench v1.0: accuracy times seeds
times images is a whole number in every row if the count is the right one, and not if it is the other.
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import BenchbedError
from .csv_reader import Sheet
from .figures import Figure, dataset_named, figure_named
from .table_builder import SIZE, Draft, check_percent

_COUNTS: dict[str, Callable[[Figure], bool]] = {
    "n_seeds": lambda f: f.epochs == 200,
    "n_seeds_v11": lambda f: f.epochs == 200 and f.split == "valid",
    "n_seeds_nats": lambda f: f.epochs == 200 and f.split == "test",
}
MOST_RUNS = 127  # behind one mean: what the table's counts hold
_DATASET = "(cifar10|cifar100|imagenet16|imagenet16-120)"
_SECONDS = re.compile(rf"{_DATASET}_train_seconds_([1-9][0-9]*)")
_COST = re.compile(rf"{_DATASET}_(params_M|flops_M|gpu_latency_s)")


def read_csv(path: Path, draft: Draft, partial: bool) -> None:
    """Adds the file to the draft. Raises BenchbedError, one line that names line and column, for a bad one.

    A file that lacks cells, or values of some, is refused unless `partial`.
    """
    sheet, source = Sheet(path, {"arch_str": "arch"}), path.name
    places = _places(sheet, draft)
    if len(places) < SIZE and not partial:
        missing = np.setdiff1d(np.arange(SIZE), places)[0]
        cell = draft.space.architecture_of(tuple(int(k) for k in np.unravel_index(missing, (5,) * 6)))
        raise BenchbedError(f"{path} has {len(places):,} of the {SIZE:,} cells, {cell} is not among them: "
                            "--partial imports what there is")  # fmt: skip
    figures = [figure for name in sheet.header if (figure := figure_named(name))]
    if len(set(figures)) < len(figures):
        raise BenchbedError(f"{path} has two columns of the same figure, under a short and a long name")
    if not figures:
        raise BenchbedError(f"{path} has no accuracy column: expected names such as cifar10_test_200")
    if "index" in sheet.header and len(places) == SIZE:
        draft.set_order(_in_index_order(sheet, places), source)
    ignored = []
    for name in sheet.header:
        if (figure := figure_named(name)) is not None:
            draft.add(f"accuracy/{figure}", places, _accuracies(sheet, name, partial), source)
        elif not _other(sheet, name, places, draft, figures, partial) and name not in ("arch", "index"):
            ignored.append(name)
    if ignored:
        draft.notes.append(f"{source}: columns not understood and not imported: {', '.join(ignored)}")


def _places(sheet: Sheet, draft: Draft) -> np.ndarray:
    """The places of the rows' cells. Raises BenchbedError at a foreign or repeated one."""
    texts = sheet.text("arch")
    places = draft.places(texts, sheet.where)
    at: dict[int, int] = {}
    for i, place in enumerate(places.tolist()):
        if (earlier := at.setdefault(place, i)) != i:
            raise BenchbedError(f"{sheet.where(i)}: cell {texts[i]} stands on line {sheet.lines[earlier]} already")
    return places


def _in_index_order(sheet: Sheet, places: np.ndarray) -> np.ndarray:
    index = sheet.whole("index")
    if not np.array_equal(np.sort(index), np.arange(SIZE)):
        raise BenchbedError(f"{sheet.path}: column index does not hold each of 0 to {SIZE - 1} once")
    return places[np.argsort(index)]


def _accuracies(sheet: Sheet, name: str, partial: bool) -> np.ndarray:
    values = sheet.numbers(name, gaps=partial)
    check_percent(values, str(sheet.path), name)
    if not partial and values.max() <= 1:
        raise BenchbedError(f"{sheet.path}: {name} goes up to {values.max():g}: accuracies are read in percent")
    return values


def _positive(sheet: Sheet, name: str, partial: bool) -> np.ndarray:
    """A column of seconds or sizes."""
    values = sheet.numbers(name, gaps=partial)
    if (wrong := np.flatnonzero(values < 0)).size:
        i = int(wrong[0])
        raise BenchbedError(f"{sheet.where(i)}: {name} holds {values[i]:g}, expected a number from 0 up")
    return values


def _other(sheet: Sheet, name: str, places: np.ndarray, draft: Draft, figures: list[Figure], partial: bool) -> bool:
    """Adds a column that is no accuracy; False if it is not understood."""
    source = sheet.path.name
    if name in _COUNTS:
        counts = np.zeros(SIZE, dtype=np.int8)
        runs = sheet.whole(name)
        if (wrong := np.flatnonzero((runs < 1) | (runs > MOST_RUNS))).size:
            i = int(wrong[0])
            raise BenchbedError(f"{sheet.where(i)}: {name} holds {runs[i]}, expected 1 to {MOST_RUNS} seeds")
        counts[places] = runs
        draft.arrays.update({f"count/{f}": counts for f in figures if _COUNTS[name](f)})
    elif found := _SECONDS.fullmatch(name):
        run = (dataset_named(found[1]), int(found[2]))
        for figure in figures:
            longer = (
                figure.dataset == "cifar10" and figure.split != "valid"
            )  # the run on all images, which has no column
            if (figure.dataset, figure.epochs) == run and not longer:
                draft.add(f"seconds/{figure}", places, _positive(sheet, name, partial), source)
    elif found := _COST.fullmatch(name):
        dataset, kind = dataset_named(found[1]), found[2].split("_")[0]
        values = _positive(sheet, name, partial)
        if kind == "gpu":
            draft.add(f"latency/{dataset}", places, values, source)
        else:
            draft.compare_costs(kind, dataset, places, values, source)
    else:
        return False
    return True
