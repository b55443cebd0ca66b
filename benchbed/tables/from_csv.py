"""A CSV file with a row an architecture, its string in a column `arch`, and accuracies in percent.

A column such as `cifar10_test_200` is a figure: data set, split, epochs. The column of architectures may also be called
`arch_str`, `net_str` or `net`, and cells of NAS-Bench-201 may be written as `notations` says. What else is understood:

- `index`: the official index.
- FIGURE`_seconds`, FIGURE`_runs`, FIGURE`_seed_`NAME: of one figure, as `table export` writes them. A data set's
  `_train_seconds_`EPOCHS is of all its figures of so many epochs; on NAS-Bench-201's cifar10, as in the public exports,
  of the run on half of the images.
- a data set's `_gpu_latency_s`, and `_params` and `_flops`, counts, or `_params_M` and `_flops_M`, millions. Of
  NAS-Bench-201 millions are compared with the formula, whose values the table holds.
- `n_seeds`, for all figures of 200 epochs, or `n_seeds_v11` and `n_seeds_nats`. The last two stand in a merged export
  whose validation accuracies are of NAS-Bench-201 v1.1 and whose test accuracies are of NATS-Bench v1.0: accuracy times
  seeds times images is a whole number in every row if the count is the right one, and not if it is the other.

Any other column of numbers is a further figure under its own name, such as a latency or a robust accuracy; it may have
gaps, and a file of further figures alone joins those that hold accuracies.
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import BenchbedError
from ..space import counted
from .arrays import check_percent
from .csv_reader import Sheet
from .figures import DATASET, Figure, dataset_named, figure_named
from .notations import KEYS
from .table import FURTHER
from .table_builder import Draft

_COUNTS: dict[str, Callable[[Figure], bool]] = {
    "n_seeds": lambda f: f.epochs == 200,
    "n_seeds_v11": lambda f: f.epochs == 200 and f.split == "valid",
    "n_seeds_nats": lambda f: f.epochs == 200 and f.split == "test",
}
MOST_RUNS = 127  # behind one mean: what the table's counts hold
_SECONDS = re.compile(rf"({DATASET})_train_seconds_([1-9][0-9]*)")
_COST = re.compile(rf"({DATASET})_(params|flops|params_M|flops_M|gpu_latency_s)")
_OF_FIGURE = re.compile(r"(.+?)_(seconds|runs|seed_(.+))")


def read_csv(path: Path, draft: Draft, partial: bool) -> None:
    """Adds the file to the draft. Raises BenchbedError, one line that names line and column, for a bad one.

    A file with accuracies that lacks architectures, or values of some, is refused unless `partial`.
    """
    sheet, source = Sheet(path), path.name
    places = _places(sheet, draft)
    figures = [figure for name in sheet.header if (figure := figure_named(name))]
    if len(set(figures)) < len(figures):
        raise BenchbedError(f"{path} has two columns of the same figure, under a short and a long name")
    if figures and not partial:
        _refuse_gaps(path, places, draft)
    if "index" in sheet.header and len(places) == len(draft) and draft.grid is not None:
        draft.set_order(_in_index_order(sheet, places), source)
    ignored = []
    for name in sheet.header:
        if name in (*KEYS, "index"):
            continue
        if (figure := figure_named(name)) is not None:
            draft.add(f"accuracy/{figure}", places, _accuracies(sheet, name, partial), source)
        elif not _other(sheet, name, places, draft, figures, partial):
            if sheet.is_numeric(name) and name.strip() and "/" not in name and name.isprintable() and len(name) < 200:
                draft.add(f"{FURTHER}{name}", places, sheet.numbers(name, gaps=True), source)
            else:
                ignored.append(name)
    if ignored:
        names = ", ".join(map(repr, ignored))
        why = "a field is not a number, or the name is empty, too long or has a '/'"
        draft.notes.append(f"{source}: columns that are not imported ({why}): {names}")


def _refuse_gaps(path: Path, places: np.ndarray, draft: Draft) -> None:
    """Raises BenchbedError where the file has not every architecture of the space."""
    whole = draft.space.size() if draft.grid is None else len(draft.grid)
    if len(places) == whole:
        return
    kind = "cells" if draft.name == "nb201" else "architectures"
    lost = ""
    if draft.grid is not None:
        missing = int(np.setdiff1d(np.arange(whole), places)[0])
        lost = f", {draft.string(missing)} is not among them"
    held = f"{len(places):,} of the {counted(whole)} {kind}{lost}"
    raise BenchbedError(f"{path} has {held}: --partial imports what there is")


def _places(sheet: Sheet, draft: Draft) -> np.ndarray:
    """The places of the rows' architectures; one that is there twice with the same fields is taken once.

    Raises BenchbedError at a foreign one, and at one that is there twice with different figures.
    """
    key = next((name for name in KEYS if name in sheet.header), KEYS[0])  # the last is refused: no such column
    texts = sheet.text(key)
    places = draft.places(texts, sheet.where)
    for other in (name for name in KEYS if name in sheet.header and name != key):
        apart = np.flatnonzero(draft.places(sheet.text(other), sheet.where) != places)
        if apart.size:
            raise BenchbedError(f"{sheet.where(int(apart[0]))}: columns {key} and {other} name different architectures")
    columns = {name: sheet.text(name) for name in sheet.header if name not in KEYS}
    at: dict[int, int] = {}
    for i, place in enumerate(places.tolist()):
        earlier = at.setdefault(place, i)
        for name, fields in columns.items() if earlier != i else ():
            if not _alike(fields[i], fields[earlier]):
                same = "is" if texts[i] == texts[earlier] else "computes what the one does that is"
                raise BenchbedError(
                    f"{sheet.where(i)}: {texts[i][:200]} {same} on line {sheet.lines[earlier]} already, with other "
                    f"figures ({name}: {fields[earlier][:30]} and {fields[i][:30]})"
                )
    if len(at) < len(places):
        draft.notes.append(f"{sheet.path.name}: {len(places) - len(at):,} rows repeat another one and count once")
        sheet.keep(list(at.values()))
    return np.array(list(at), dtype=np.intp)


def _alike(a: str, b: str) -> bool:
    """Whether two fields say the same: the same text, or the same number."""
    try:
        return a == b or float(a) == float(b)
    except ValueError:
        return False


def _in_index_order(sheet: Sheet, places: np.ndarray) -> np.ndarray:
    index = sheet.whole("index")
    if not np.array_equal(np.sort(index), np.arange(len(places))):
        raise BenchbedError(f"{sheet.path}: column index does not hold each of 0 to {len(places) - 1} once")
    return places[np.argsort(index)]


def _accuracies(sheet: Sheet, name: str, partial: bool) -> np.ndarray:
    values = sheet.numbers(name, gaps=partial)
    if np.isnan(values).all():
        raise BenchbedError(f"{sheet.path}: {name} holds no number")
    if (wrong := np.flatnonzero((values < 0) | (values > 100))).size:
        i = int(wrong[0])
        raise BenchbedError(
            f"{sheet.where(i)}: {name} holds {values[i]:g}, which is not a percentage: expected a number from 0 to 100"
        )
    if 0 < np.nanmax(values) <= 1:
        raise BenchbedError(f"{sheet.path}: {name} goes up to {np.nanmax(values):g}: accuracies are read in percent")
    return values


def _positive(sheet: Sheet, name: str, gaps: bool) -> np.ndarray:
    """A column of seconds or sizes."""
    values = sheet.numbers(name, gaps=gaps)
    if (wrong := np.flatnonzero(values < 0)).size:
        i = int(wrong[0])
        raise BenchbedError(f"{sheet.where(i)}: {name} holds {values[i]:g}, expected a number from 0 up")
    return values


def _counts(sheet: Sheet, name: str, gaps: bool = False) -> np.ndarray:
    """Numbers of runs; NaN where there is none."""
    runs = sheet.numbers(name, gaps) if gaps else sheet.whole(name).astype(np.float64)
    wrong = np.isfinite(runs) & ((runs < 1) | (runs > MOST_RUNS) | (runs != np.rint(runs)))
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise BenchbedError(f"{sheet.where(i)}: {name} holds {runs[i]:g}, expected 1 to {MOST_RUNS} seeds")
    return runs


def _other(sheet: Sheet, name: str, places: np.ndarray, draft: Draft, figures: list[Figure], partial: bool) -> bool:
    """Adds a column that is no accuracy; False if it is none of benchbed's words."""
    source = sheet.path.name
    if name in _COUNTS:
        _add_counts(draft, [f for f in figures if _COUNTS[name](f)], places, _counts(sheet, name), source)
    elif found := _SECONDS.fullmatch(name):
        run, used = (dataset_named(found[1]), int(found[2])), False
        for figure in figures:
            # the run on all images, which has no column
            longer = draft.name == "nb201" and figure.dataset == "cifar10" and figure.split != "valid"
            if (figure.dataset, figure.epochs) == run and not longer:
                draft.add(f"seconds/{figure}", places, _positive(sheet, name, partial), source)
                used = True
        if not used:
            half = " of the run on half of the images" if draft.name == "nb201" and run[0] == "cifar10" else ""
            draft.notes.append(f"{source}: {name} is not imported: the file has no figure{half} that it is the time of")
    elif found := _COST.fullmatch(name):
        _add_cost(sheet, name, dataset_named(found[1]), found[2], places, draft, partial)
    elif (found := _OF_FIGURE.fullmatch(name)) and (of := figure_named(found[1])) in figures:
        assert of is not None
        if found[2] == "seconds":
            draft.add(f"seconds/{of}", places, _positive(sheet, name, gaps=True), source)
        elif found[2] == "runs":
            _add_counts(draft, [of], places, _counts(sheet, name, gaps=True), source)
        else:
            values = sheet.numbers(name, gaps=True)
            check_percent(values, str(sheet.path), name)
            draft.add_seed(of, found[3], places, values, source)
    else:
        return False
    return True


def _add_counts(draft: Draft, figures: list[Figure], places: np.ndarray, runs: np.ndarray, source: str) -> None:
    for figure in figures:
        draft.add(f"count/{figure}", places, runs, source)


def _add_cost(
    sheet: Sheet, name: str, dataset: str, kind: str, places: np.ndarray, draft: Draft, partial: bool
) -> None:
    values, source = _positive(sheet, name, partial), sheet.path.name
    what, _, unit = kind.partition("_")
    if what == "gpu":
        draft.add(f"latency/{dataset}", places, values, source)
    elif draft.has_formula(dataset) and unit == "M":
        draft.compare_costs(what, dataset, places, values, source)
    else:
        draft.add(f"{what}/{dataset}", places, np.rint(values * 1e6) if unit else values, source)
