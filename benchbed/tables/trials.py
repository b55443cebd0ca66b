"""What the official files hold of every single training: epoch by epoch, exactly, and readable one cell at a time.

A source holds, by hyperparameters ('12', '200'), a record a cell, and in it a state a trial: accuracy and loss of every
epoch, seconds, latency (darts-pt.md 2.4). Nearly all trials have the same form and differ in their numbers alone. So
a table keeps two things apart:

- `trials/layouts`, JSON: each form once. A trial's form says which epochs of which evaluation set there are, what is
  missing, each number's type; a cell's form says which trials there are, in which order.
- `trials/values`, float64: the numbers, cell after cell. Seconds that are the same after every epoch stand once.
- `trials/index`, int64 (cells, 4) by place: the number of the cell's form (-1: nothing), where its numbers begin, how
  many they are, and their CRC-32, since a cell is read without the rest of the file.

All 15,625 cells have about 10^8 numbers, 1 GB: an import collects them in a file of its own as they come.
"""

import json
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import BenchbedError
from ..runtime.files import one_line
from . import store

TRAIN = ("train_acc1es", "train_acc5es", "train_losses", "train_times")  # by epoch, or None
EVAL = ("eval_acc1es", "eval_losses", "eval_times")  # by '<evaluation set>@<epoch>'
_TIMES = ("train_times", "eval_times")
_WIDTHS = "channels"  # in a configuration of the size space: the architecture's string once more
_KNOWN = {*TRAIN, *EVAL, "name", "net_state_dict", "arch_config", "params", "flop", "seed", "epochs", "latency",
          "eval_names"}  # fmt: skip
_IN_MEMORY = 64 << 20  # bytes of numbers up to which an import needs no file
_BLOCK = 1 << 20
# How a number of the source is written in a layout. A float and numpy's float64 compare equal, but a sum of the first
# kind is rounded otherwise by Python 3.12 and later, so that they are told apart.
_CODES = {float: "f", np.float64: "d", np.float32: "s", int: "i", np.int64: "q", np.int32: "k"}
_MAKE: dict[str, Any] = {"f": float, "d": np.float64, "s": np.float32, "i": int, "q": np.int64, "k": np.int32}


class Packer:
    """Takes the cells of one source, one at a time; `arrays` gives what the table's file holds of them."""

    def __init__(self, cells: int) -> None:
        self.index = np.full((cells, 4), -1, dtype=np.int64)
        self.dropped: set[str] = set()  # what trials hold and a table does not
        self._layouts: dict[str, int] = {}
        self._cells: dict[str, int] = {}
        self._count = 0
        self._folder = _existing(store.home())
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(self._folder))  # noqa: SIM115  closed by `close`

    def add(self, place: int, index: int, text: str, records: Mapping[str, Mapping[str, Any]]) -> None:
        """The records of the cell `text` of official index `index`, by '12' and '200'.

        Raises what a record of unexpected form raises; BenchbedError where the numbers cannot be kept.
        """
        form, values = [], list[float]()
        for hp, record in records.items():
            trials = []
            for (dataset, seed), state in record["all_results"].items():
                layout, numbers = _pack(state, text)
                number = self._layouts.setdefault(json.dumps(layout, default=_plain), len(self._layouts))
                trials.append([dataset, int(seed), number])
                values += numbers
                self._note_dropped(state)
            seeds = [[dataset, [int(seed) for seed in found]] for dataset, found in record["dataset_seed"].items()]
            named = None if record["arch_index"] == index else int(record["arch_index"])
            form.append([hp, named, bool(record["clear_net_done"]), seeds, trials])
        content = np.array(values, dtype="<f8").tobytes()
        number = self._cells.setdefault(json.dumps(form), len(self._cells))
        self.index[place] = number, self._count, len(values), zlib.crc32(content)
        with one_line(self._folder, "keep an import's numbers in"):
            self._file.write(content)
        self._count += len(values)

    def _note_dropped(self, state: Mapping[str, Any]) -> None:
        self.dropped |= state.keys() - _KNOWN
        if state.get("net_state_dict") is not None:
            self.dropped.add("net_state_dict")

    def arrays(self) -> dict[str, np.ndarray | store.Streamed]:
        layouts = json.dumps({"trials": [json.loads(t) for t in self._layouts],
                              "cells": [json.loads(c) for c in self._cells]})  # fmt: skip
        return {
            "trials/layouts": np.frombuffer(layouts.encode(), dtype=np.uint8),
            "trials/index": self.index,
            "trials/values": store.Streamed("<f8", (self._count,), self._blocks),
        }

    def _blocks(self) -> Iterator[bytes]:
        with one_line(self._folder, "read an import's numbers in"):
            self._file.seek(0)
            while block := self._file.read(_BLOCK):
                yield block

    def close(self) -> None:
        self._file.close()


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there: on the disk that will hold the table."""
    return next((p for p in (folder, *folder.parents) if p.is_dir()), Path(tempfile.gettempdir()))


# -- a trial, taken apart and put together -----------------------------------------------------------------------------


class Series(NamedTuple):
    """Numbers by epoch: `start` is where they stand among a trial's numbers; `one`: a single number for all epochs."""

    types: str  # one letter for all, else a letter an epoch
    epochs: Sequence[int]
    one: bool
    start: int

    def position(self, epoch: int) -> int:
        """Raises KeyError if there is nothing for the epoch."""
        if epoch not in self.epochs:
            raise KeyError(epoch)
        return self.start if self.one else self.start + self.epochs.index(epoch)

    def type(self, epoch: int) -> str:
        return self.types if len(self.types) == 1 else self.types[self.epochs.index(epoch)]

    @property
    def size(self) -> int:
        return 1 if self.one else len(self.epochs)


class Layout:
    """The form of a trial, read from its JSON: where each number stands."""

    def __init__(self, form: dict[str, Any]) -> None:
        self.name, self.seed, self.epochs = form["name"], form["seed"], form["epochs"]
        self.config, self.eval_names = form["config"], form["eval_names"]
        self.params, self.flop, self.latency = form["params"], form["flop"], form["latency"]  # types
        self.size = 2 + len(self.latency or "")
        self.train = {field: self._series(form["train"][field]) for field in TRAIN}
        self.eval = {field: {s: self._series(f) for s, f in form["eval"][field]} for field in EVAL}

    def _series(self, form: list[Any] | None) -> Series | None:
        if form is None:
            return None
        types, epochs, one = form
        series = Series(types, range(epochs) if isinstance(epochs, int) else tuple(epochs), bool(one), self.size)
        self.size += series.size
        return series


def _pack(state: Mapping[str, Any], text: str) -> tuple[dict[str, Any], list[float]]:
    """A trial's form and its numbers, in the order in which `Layout` counts them."""
    values: list[float] = [float(state["params"]), float(state["flop"])]
    latency = state["latency"]
    values += [float(v) for v in latency or ()]
    # the architecture's own string is not part of the form, or there would be a form an architecture
    config = {key: value for key, value in state["arch_config"].items() if (key, value) != ("arch_str", text)}
    if config.get(_WIDTHS) == text:
        config[_WIDTHS] = None
    form = {
        "name": state["name"],
        "seed": state["seed"],
        "epochs": state["epochs"],
        "config": config,
        "eval_names": list(state["eval_names"]),
        "params": _types([state["params"]]),
        "flop": _types([state["flop"]]),
        "latency": None if latency is None else "".join(_types([v]) for v in latency),
        "train": {field: _by_epoch(field, state[field], values) for field in TRAIN},
        "eval": {field: _by_set(field, state[field], values) for field in EVAL},
    }
    return form, values


def _by_epoch(field: str, content: Mapping[int, float] | None, values: list[float]) -> list[Any] | None:
    return None if content is None else _series_form(field, tuple(content), list(content.values()), values)


def _by_set(field: str, content: Mapping[str, float], values: list[float]) -> list[Any]:
    numbers = list(content.values())
    return [
        [name, _series_form(field, epochs, numbers[at] if isinstance(at, slice) else [numbers[i] for i in at], values)]
        for name, epochs, at in _sets(tuple(content))
    ]


@lru_cache(maxsize=64)
def _sets(keys: tuple[str, ...]) -> list[tuple[str, tuple[int, ...], slice | list[int]]]:
    """(evaluation set, its epochs, where they stand) of keys such as 'x-valid@11'. All trials share few such tuples."""
    found: dict[str, tuple[list[int], list[int]]] = {}
    for i, key in enumerate(keys):
        name, _, epoch = key.rpartition("@")
        epochs, at = found.setdefault(name, ([], []))
        epochs.append(_epoch(epoch))
        at.append(i)
    return [
        (name, tuple(epochs), slice(at[0], at[-1] + 1) if at[-1] - at[0] == len(at) - 1 else at)
        for name, (epochs, at) in found.items()
    ]


def _epoch(text: str) -> int:
    if str(number := int(text)) != text:
        raise ValueError(f"epoch '{text}'")
    return number


def _series_form(field: str, epochs: tuple[int, ...], numbers: list[float], values: list[float]) -> list[Any]:
    """Adds the numbers to `values`; gives what `Layout` needs to find them."""
    if not all(type(epoch) is int for epoch in epochs):
        raise TypeError(f"{field} has an epoch that is not a whole number")
    first = numbers[0] if numbers else 0.0
    one = field in _TIMES and len(numbers) > 1 and bool(first) and numbers.count(first) == len(numbers)
    types = _types(numbers)
    values += [float(first)] if one else map(float, numbers)
    return [types, len(epochs) if epochs == tuple(range(len(epochs))) else list(epochs), int(one)]


def _plain(value: object) -> object:
    """One of numpy's numbers among a record's words, as JSON has it."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} where words and whole numbers stand")


def _types(numbers: list[Any]) -> str:
    """A letter for all, else one for each. TypeError at what is not a number, or none that float64 holds exactly."""
    kinds = set(map(type, numbers))
    if foreign := kinds - _CODES.keys():
        raise TypeError(f"a number of type {min(kind.__name__ for kind in foreign)}")
    if any(issubclass(k, int | np.integer) for k in kinds) and any(
        abs(int(n)) > 1 << 53 for n in numbers if isinstance(n, int | np.integer)
    ):
        raise TypeError("a whole number beyond 2^53")
    letters = "".join(_CODES[type(n)] for n in numbers) if len(kinds) > 1 else ""
    return letters or _CODES[next(iter(kinds), float)]


# -- reading -----------------------------------------------------------------------------------------------------------


class Trial(NamedTuple):
    """One training, where it stands in its cell's numbers. Nothing is copied before it is asked for."""

    layout: Layout
    values: np.ndarray  # float64, of the whole cell
    start: int
    text: str

    def number(self, field: str, evaluated: str | None, epoch: int) -> Any:
        """The value of a field after an epoch, of an evaluation set or (None) of training. KeyError if missing."""
        layout = self.layout
        series = layout.train[field] if evaluated is None else layout.eval[field][evaluated]
        if series is None:
            raise KeyError(epoch)
        value = self.values.item(self.start + series.position(epoch))
        return value if series.types == "f" else _MAKE[series.type(epoch)](value)

    def pair(self, one: str, other: str, evaluated: str | None, epoch: int) -> tuple[Any, Any]:
        """`number` of two fields, faster where, as in the real files, both have plain floats of the same epochs."""
        form = self.layout.train if evaluated is None else None
        a = form[one] if form is not None else self.layout.eval[one][evaluated or ""]
        b = form[other] if form is not None else self.layout.eval[other][evaluated or ""]
        if a is None or b is None or a.types != "f" or b.types != "f" or a.one or b.one or a.epochs != b.epochs:
            return self.number(one, evaluated, epoch), self.number(other, evaluated, epoch)
        if epoch not in a.epochs:
            raise KeyError(epoch)
        at, item = self.start + a.epochs.index(epoch), self.values.item
        return item(at + a.start), item(at + b.start)

    def numbers(self, field: str, evaluated: str | None, count: int) -> list[Any]:
        """The values of a field after the first `count` epochs. KeyError if one is missing."""
        layout = self.layout
        series = layout.train[field] if evaluated is None else layout.eval[field][evaluated]
        if series is None or series.types != "f" or not isinstance(series.epochs, range) or count > len(series.epochs):
            return [self.number(field, evaluated, epoch) for epoch in range(count)]
        at = self.start + series.start
        return [self.values.item(at)] * count if series.one else self.values[at : at + count].tolist()

    def scalar(self, field: str) -> Any:
        """params or flop, in millions."""
        value = self.values.item(self.start + (field == "flop"))
        return _MAKE[getattr(self.layout, field)](value)

    def latency(self) -> list[Any] | None:
        """Seconds a batch of 256."""
        types = self.layout.latency
        if types is None:
            return None
        return [_MAKE[t](self.values.item(self.start + 2 + i)) for i, t in enumerate(types)]

    def config(self) -> dict[str, Any]:
        found = {"arch_str": self.text, **self.layout.config}
        return {**found, _WIDTHS: self.text} if found.get(_WIDTHS, "") is None else found

    def by_epoch(self, field: str) -> dict[int, Any] | None:
        """`train_...` as the official record has it."""
        series = self.layout.train[field]
        return None if series is None else dict(zip(series.epochs, self._all(series), strict=True))

    def by_set(self, field: str) -> dict[str, Any]:
        """`eval_...` as the official record has it."""
        found: dict[str, Any] = {}
        for name, series in self.layout.eval[field].items():
            if series is not None:
                keys = (f"{name}@{epoch}" for epoch in series.epochs)
                found.update(zip(keys, self._all(series), strict=True))
        return found

    def _all(self, series: Series) -> list[Any]:
        at = self.start + series.start
        numbers: list[float] = self.values[at : at + series.size].tolist() * (len(series.epochs) if series.one else 1)
        if series.types == "f":
            return numbers
        types = series.types * (len(numbers) if len(series.types) == 1 else 1)
        return [_MAKE[t](n) for t, n in zip(types, numbers, strict=True)]


class Record(NamedTuple):
    """The trainings of a cell under one set of hyperparameters."""

    arch_index: int
    text: str
    cleared: bool
    seeds: dict[str, list[int]]  # by data set, in the official names
    trials: dict[tuple[str, int], Trial]  # by data set and seed


class Trials:
    """The single trainings of a table. Cells are read one by one; the file's other bytes are not touched."""

    def __init__(self, arrays: store.Arrays | Mapping[str, np.ndarray]) -> None:
        self._arrays = arrays
        self.index: np.ndarray = arrays["trials/index"]
        layouts = "trials/layouts"
        forms = arrays.text(layouts) if isinstance(arrays, store.Arrays) else json.loads(arrays[layouts].tobytes())
        self._layouts = [Layout(form) for form in forms["trials"]]
        self._cells = forms["cells"]

    @property
    def places(self) -> np.ndarray:
        """The places of the cells that there are."""
        return np.flatnonzero(self.index[:, 0] >= 0)

    def cell(self, place: int, index: int, text: str) -> dict[str, Record]:
        """The records of the cell at a place, by '12' and '200'; empty if the source has none.

        Raises BenchbedError where its bytes are damaged.
        """
        number, first, count, crc = self.index[place].tolist()
        if number < 0:
            return {}
        values = self._part(first, count, crc)
        found, start = {}, 0
        for hp, named, cleared, seeds, listed in self._cells[number]:
            trials = {}
            for dataset, seed, layout in listed:
                trials[dataset, seed] = Trial(self._layouts[layout], values, start, text)
                start += self._layouts[layout].size
            own_seeds = {dataset: list(each) for dataset, each in seeds}
            found[hp] = Record(index if named is None else named, text, cleared, own_seeds, trials)
        return found

    def _part(self, first: int, count: int, crc: int) -> np.ndarray:
        if isinstance(self._arrays, store.Arrays):
            values = self._arrays.part("trials/values", first, count)
        else:
            values = self._arrays["trials/values"][first : first + count]
        if len(values) != count or zlib.crc32(values.data) != crc:
            where = self._arrays.path if isinstance(self._arrays, store.Arrays) else "in memory"
            raise BenchbedError(f"table {where} is cut off or damaged (a cell's checksum does not match): "
                                "import its source again")  # fmt: skip
        return values
