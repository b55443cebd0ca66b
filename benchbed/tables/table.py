"""A benchmark's table: one array a figure, indexed by the operation numbers of a cell. Numpy only.

A figure is (data set, split, epochs), in the words of `figures`. Its array has one axis a position of the space, for
NAS-Bench-201 (5, 5, 5, 5, 5, 5); entry [k0, ..., k5] is the accuracy in percent of the cell with operation k_i on
edge i, the mean over the seeds that were run, and NaN where the source has nothing: nothing is imputed.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..errors import BenchbedError, unknown
from ..space import Architecture, Space, counted
from . import store
from .answers import Answer, Best, Standing
from .arrays import check_array
from .figures import Figure, check_words, how_to_get, refusal
from .places import ROWS, Grid, Listed, Places, operations_of
from .trials import Trials

COSTS = {"params": "count", "flops": "multiply-accumulates of one image", "latency": "seconds a batch"}

RECIPE = "surrogate"  # the array that makes a table a surrogate (`surrogate.py`)
FURTHER = "further/"  # arrays of figures that are none of benchbed's own words
_MANY = 300  # so many strings are parsed no faster one by one than all strings of the space are made
Cells = str | Architecture | Sequence[Any] | np.ndarray  # what a query may name


class Table:
    """An opened table. Arrays are read on first use, are shared and read-only.

    Every method that takes data set, split and epochs raises BenchbedError, one line that names the nearest valid
    word and what the table has, for a figure that it does not have.
    """

    predicts: ClassVar[bool] = False  # whether what was not trained is predicted: `surrogate.Surrogate`

    def __init__(self, name: str, meta: dict[str, Any], arrays: dict[str, np.ndarray] | store.Arrays) -> None:
        self.name, self.meta, self._arrays = name, meta, arrays
        self.fingerprint: str = meta["fingerprint"]
        self.figures = tuple(Figure(*words) for words in meta["figures"])
        self._read: dict[str, np.ndarray] = {}
        self._columns: dict[tuple[str, str, int], np.ndarray] = {}  # the accuracies in use
        self._complete: dict[tuple[str, str, int], bool] = {}
        self._flat: dict[str, int] = {}  # architecture string -> place in a flattened array, as far as asked for

    @classmethod
    def open(cls, name_or_path: str | Path) -> "Table":
        """The table imported under a name, or the one in an .npz file.

        Raises BenchbedError if there is none, or if the file is damaged or foreign. Reads the metadata alone.
        """
        name, path = store.find(name_or_path)
        arrays = store.Arrays(path)
        if RECIPE in arrays:  # by name: that module is made of this one
            opened: Table = import_module("benchbed.tables.surrogate").Surrogate(name, arrays.meta(), arrays)
            return opened
        return cls(name, arrays.meta(), arrays)

    # -- what there is -------------------------------------------------------------------------------------------------

    @cached_property
    def space(self) -> Space:
        """The space whose architectures the table is of."""
        name = self.meta["space"]
        if name == "nb201":  # without the registry, whose imports cost more than a table
            from ..spaces.nb201.space import NB201

            return NB201()
        try:
            loaded: Space = import_module("benchbed.registry").load("space", name)()
        except BenchbedError:
            raise BenchbedError(
                f"table {self.name} is of space '{name}', a plug-in that is not known here: add --plugin FILE"
            ) from None
        return loaded

    @cached_property
    def places(self) -> Places:
        """Which architecture stands where: a grid, or for a space too large for one the architectures that there are.

        Raises BenchbedError where the space is a plug-in whose operations are not those that the table is of.
        """
        if (operations := self.meta.get("operations")) is not None and operations != operations_of(self.space):
            raise BenchbedError(f"table {self.name} is of space '{self.meta['space']}' with other operations than the "
                                "plug-in of that name has")  # fmt: skip
        if ROWS not in self.arrays:
            return Grid(self.space)
        try:
            return Listed(self.space, [text.decode() for text in self._arrays[ROWS].tolist()])
        except BenchbedError:
            raise
        except (AttributeError, TypeError, ValueError):  # numbers, or no UTF-8
            damage = f"{ROWS} holds no texts"
            raise BenchbedError(f"table {self.name} is damaged ({damage}): import its source again") from None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an array with one entry an architecture: the number of operations at each position, or (n,) of a list."""
        return self.places.shape

    @cached_property
    def arrays(self) -> frozenset[str]:
        """The names of what the file holds, such as 'accuracy/cifar10_test_200', 'latency/cifar10', 'order'."""
        return frozenset(self._arrays)

    @property
    def datasets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(f.dataset for f in self.figures))

    def splits(self, dataset: str) -> tuple[str, ...]:
        """The splits of a data set. Raises BenchbedError for a data set that the table does not have."""
        found = tuple(dict.fromkeys(f.split for f in self.figures if f.dataset == dataset))
        if not found:
            raise refusal(self.name, Figure(dataset, "test", 200), list(self.figures), self.meta["space"])
        return found

    def epochs(self, dataset: str, split: str) -> tuple[int, ...]:
        """The numbers of epochs of a data set's split, upwards."""
        found = sorted(f.epochs for f in self.figures if (f.dataset, f.split) == (dataset, split))
        if not found:
            raise refusal(self.name, Figure(dataset, split, 200), list(self.figures), self.meta["space"])
        return tuple(found)

    def is_whole(self) -> bool:
        """Whether the content has the fingerprint that the table was made with. Reads all of it, block by block."""
        content: dict[str, Any] = {}
        for name in self.arrays:
            if name == "trials/values" and isinstance(self._arrays, store.Arrays):
                content[name] = self._arrays.streamed(name)
            else:
                content[name] = self._arrays[name]
        return store.fingerprint(self.meta["space"], content) == self.fingerprint

    @property
    def full_epochs(self) -> int:
        """After how many epochs a network of the table counts as trained: 200 in NAS-Bench-201."""
        return int(self.meta.get("full_epochs", 200))

    @cached_property
    def order(self) -> np.ndarray | None:
        """int32 (n,): by official index, the place of a cell in a flattened array; None if the source has no order."""
        return self._array("order") if "order" in self.arrays else None

    @property
    def strings(self) -> list[str]:
        """The native string of every cell, by its place in a flattened array."""
        return self.places.strings

    def arch(self, index: int) -> Architecture:
        """The cell of an official index. Raises BenchbedError if it is out of range (negative ones too)."""
        order = self._order()
        if not 0 <= index < len(order):
            raise BenchbedError(f"index {index} of table {self.name}: expected 0 to {len(order) - 1}")
        return self.places.architecture(int(order[index]))

    def index(self, cell: str | Architecture) -> int:
        """The official index of a cell."""
        return int(self._index_at[self.place(cell)])

    # -- accuracies ----------------------------------------------------------------------------------------------------

    def values(self, dataset: str, split: str, epochs: int) -> np.ndarray:
        """float64, the space's shape: the mean accuracy in percent of every cell, NaN where it is missing."""
        key = (dataset, split, epochs)
        try:
            found = self._columns.get(key)
        except TypeError:  # a list, say
            found = None
        if found is None:
            check_words(dataset, split, epochs)
            figure = Figure(*key)
            if figure not in self.figures:
                raise refusal(self.name, figure, list(self.figures), self.meta["space"])
            found = self._columns[key] = self._array(f"accuracy/{figure}")
            self._complete[key] = not np.isnan(found).any()
        return found

    def query(self, cells: Cells, dataset: str, split: str, epochs: int) -> Any:
        """The accuracy in percent: a float for one cell, else a float64 array.

        `cells`: an architecture or its string, a sequence of them (n), or operation numbers as integers (..., P),
        whose leading axes the result has. Raises BenchbedError for a malformed architecture or an operation
        number that there is not, and, naming the cell, where the table has no value for it; `values` has the gaps.
        """
        column = self.values(dataset, split, epochs)
        places = self._places(cells)
        if isinstance(places, int):
            value = column.item(places)
            if math.isnan(value):
                raise self._lacks(places, Figure(dataset, split, epochs))
            return value
        found = column.reshape(-1)[places]
        if not self._complete[dataset, split, epochs] and (gaps := np.isnan(found)).any():
            raise self._lacks(int(places[gaps][0]), Figure(dataset, split, epochs))
        return float(found) if found.ndim == 0 else found

    def seeds(self, dataset: str, split: str, epochs: int) -> np.ndarray:
        """float64, the space's shape + (S,): the accuracy of each seed in percent, NaN where a seed was not run.

        Raises BenchbedError if the source has none. `meta["notes"]` says where they are of another file version than
        the means, so that theirs differ.
        """
        figure = self._figure(dataset, split, epochs)
        if figure not in self._per_seed:
            raise BenchbedError(f"table {self.name} has no per-seed values of {figure.words} (it has them for: "
                                f"{', '.join(map(str, self._per_seed)) or 'nothing'})")  # fmt: skip
        return self._array(f"seeds/{figure}")

    def seed_names(self, dataset: str, split: str, epochs: int) -> tuple[str, ...]:
        """What the last axis of `seeds` counts: the seeds, such as 777, or 'run 1' and so on where they are unnamed."""
        self.seeds(dataset, split, epochs)
        return tuple(self.meta["seeds"][str(Figure(dataset, split, epochs))])

    def n_seeds(self, dataset: str, split: str, epochs: int) -> np.ndarray | None:
        """int8, the space's shape: how many runs each mean is of; None where the source does not say."""
        figure = self._figure(dataset, split, epochs)
        if f"count/{figure}" in self.arrays:
            return self._array(f"count/{figure}")
        if figure in self._per_seed:
            found: np.ndarray = np.isfinite(self._array(f"seeds/{figure}")).sum(-1, dtype=np.int8)
            return found
        return None

    def answer(self, cell: str | Architecture, dataset: str, split: str, epochs: int) -> Answer:
        """One cell's mean, number of seeds, spread and seeds. Raises as `query` does."""
        mean, place = self.query(cell, dataset, split, epochs), self.place(cell)
        figure, counts = Figure(dataset, split, epochs), self.n_seeds(dataset, split, epochs)
        seeds: dict[str, float] = {}
        if figure in self._per_seed:
            row = self.seeds(*figure).reshape(-1, len(self.meta["seeds"][str(figure)]))[place]
            seeds = {n: float(v) for n, v in zip(self.seed_names(*figure), row, strict=True) if not math.isnan(v)}
        spread = float(np.std(list(seeds.values()), ddof=1)) if len(seeds) > 1 else None
        own = sum(seeds.values()) / len(seeds) if seeds else mean
        note = "" if abs(own - mean) < 1e-3 else f"the seeds are of other trainings; their mean is {own:.4f}"
        return Answer(mean, int(counts.reshape(-1)[place]) if counts is not None else None, spread, seeds, note)

    def best(self, dataset: str, split: str, epochs: int) -> Best:
        """The highest accuracy of a figure; of equal cells the one with the lowest official index (else place)."""
        flat = self.values(dataset, split, epochs).reshape(-1)
        order = np.arange(flat.size) if self.order is None else self.order
        place = int(order[np.nanargmax(flat[order])])
        return Best(self.places.architecture(place), float(flat[place]), int((flat == flat[place]).sum()))

    def ranks(self, dataset: str, split: str, epochs: int) -> np.ndarray:
        """float64, the space's shape: 1 + the number of cells that are strictly better; NaN where a cell is missing."""
        flat = self.values(dataset, split, epochs).reshape(-1)
        there = np.flatnonzero(~np.isnan(flat))
        ranks = np.full(flat.size, np.nan)
        ranks[there] = 1 + len(there) - np.searchsorted(np.sort(flat[there]), flat[there], side="right")
        return ranks.reshape(self.shape)

    def standing(self, cell: Architecture, figure: Figure) -> Standing:
        """Of a cell that has the figure."""
        ranks = self.ranks(*figure).reshape(-1)
        return Standing(int(ranks[self.place(cell)]), int(np.isfinite(ranks).sum()), self.best(*figure).value)

    @property
    def words(self) -> str:
        """By whom what was not trained is predicted; '' where nothing is."""
        return ""

    def is_predicted(self, cell: str | Architecture, figure: Figure) -> bool:
        """Whether the cell's figure is a surrogate's prediction."""
        return False

    # -- costs ---------------------------------------------------------------------------------------------------------

    def cost(self, kind: str, dataset: str) -> np.ndarray:
        """The space's shape: `params` (int64), `flops` (int64) or `latency` (float64, seconds a batch, NaN: missing).

        Parameters and FLOPs are those of the published network on that data set, from the space's formula. Raises
        BenchbedError that names what is missing.
        """
        if kind not in COSTS:
            raise unknown("cost", kind, COSTS)
        self.splits(dataset)
        if f"{kind}/{dataset}" not in self.arrays:
            have = [name.split("/")[1] for name in self.arrays if name.startswith(f"{kind}/")]
            hint = how_to_get(f"{dataset}_gpu_latency_s", self.meta["space"]) if kind == "latency" else ""
            raise BenchbedError(f"table {self.name} has no {kind} on {dataset} (it has it on: "
                                f"{', '.join(have) or 'none'}{hint and '; '}{hint})")  # fmt: skip
        return self._array(f"{kind}/{dataset}")

    def train_seconds(self, dataset: str, split: str, epochs: int) -> np.ndarray:
        """float64, the space's shape: seconds of the training whose network the figure scores; NaN: missing.

        On cifar10 `valid` is the shorter run, on half of the images. Raises BenchbedError where the source has none.
        """
        figure = self._figure(dataset, split, epochs)
        if f"seconds/{figure}" not in self.arrays:
            hint = how_to_get(f"{dataset}_train_seconds_{epochs}", self.meta["space"])
            raise BenchbedError(f"table {self.name} has no training seconds of {figure}{hint and ': '}{hint}")
        return self._array(f"seconds/{figure}")

    # -- further figures -----------------------------------------------------------------------------------------------

    @property
    def further_names(self) -> tuple[str, ...]:
        """What else the sources say of an architecture in a number, such as 'pixel3_latency'."""
        return tuple(sorted(name.removeprefix(FURTHER) for name in self.arrays if name.startswith(FURTHER)))

    def further(self, name: str) -> np.ndarray:
        """float64, the space's shape, in the source's unit; NaN: missing. Raises BenchbedError for an unknown name."""
        if name not in self.further_names:
            raise unknown(f"further figure of table {self.name}", name, self.further_names)
        return self._array(FURTHER + name)

    # -- single trainings ----------------------------------------------------------------------------------------------

    @cached_property
    def trials(self) -> Trials | None:
        """Single trainings, epoch by epoch, where the source has them, as the official files do; else None."""
        return Trials(self._arrays) if "trials/index" in self.arrays else None

    def stored(self, name: str) -> np.ndarray:
        """An array as the file has it, one of `arrays`."""
        return self._array(name) if name not in (ROWS, RECIPE) else self._arrays[name]

    # -- inside --------------------------------------------------------------------------------------------------------

    @cached_property
    def _per_seed(self) -> tuple[Figure, ...]:
        return tuple(f for f in self.figures if f"seeds/{f}" in self.arrays)

    @cached_property
    def _strides(self) -> np.ndarray:
        return np.cumprod((1, *reversed(self.shape[1:])))[::-1].astype(np.intp)

    @cached_property
    def _index_at(self) -> np.ndarray:
        """The official index by place; -1 where there is none."""
        found = np.full(len(self.places), -1, dtype=np.int32)
        found[self._order()] = np.arange(len(self._order()))
        return found

    def _array(self, name: str) -> np.ndarray:
        if name not in self._read:
            try:
                array = self._arrays[name]
            except KeyError:
                raise BenchbedError(
                    f"table {self.name} is damaged (it lacks {name}): import its source again"
                ) from None
            self._check(name, array)
            self._read[name] = array
        return self._read[name]

    def _check(self, name: str, array: np.ndarray) -> None:
        """Raises BenchbedError if an array cannot be what its name says."""
        kind, _, figure = name.partition("/")
        shape: tuple[int, ...] = (len(self.places),) if kind == "order" else self.shape
        if kind == "seeds":
            shape += (len(self.meta["seeds"].get(figure, ())),)
        check_array(self.name, name, array, shape)

    def _order(self) -> np.ndarray:
        if self.order is None:
            raise BenchbedError(f"table {self.name} has no official index: its source has none")
        return self.order

    def _figure(self, dataset: str, split: str, epochs: int) -> Figure:
        self.values(dataset, split, epochs)
        return Figure(dataset, split, epochs)

    def place(self, cell: str | Architecture) -> int:
        """Where a cell stands in a flattened array. Raises BenchbedError, naming it, where the table lacks it."""
        text = cell if isinstance(cell, str) else cell.text
        place = self._flat.get(text)
        if place is None:
            architecture = self.space.parse(text)
            place = self._flat[text] = self.places.of(architecture)
        if place < 0:
            raise BenchbedError(f"table {self.name} has no figure of {text}: its source {self._held(len(self.places))}")
        return place

    def _places(self, cells: Cells) -> int | np.ndarray:
        """An int for one cell, else an array of the places of the cells in a flattened array."""
        if isinstance(cells, (str, Architecture)):
            return self.place(cells)
        if isinstance(cells, np.ndarray) and cells.dtype.kind == "U":
            cells = cells.reshape(-1).tolist()
        if not isinstance(cells, (np.ndarray, Sequence)):
            raise BenchbedError(f"cells {cells!r}: expected an architecture, a sequence of them, or operation numbers")
        if isinstance(cells, np.ndarray) or (len(cells) and not isinstance(cells[0], (str, Architecture))):
            numbers = np.asarray(cells)
            if numbers.dtype.kind not in "iu":
                raise BenchbedError(f"cells of type {numbers.dtype}: expected architectures or whole operation numbers")
            places = self.places.of_choices(numbers)
            if self.places.missing and (lost := places < 0).any():
                self.place(self.space.architecture_of(tuple(map(int, numbers[lost][0]))))
            return places
        if len(cells) > _MANY and len(self._flat) < _MANY:
            self._flat.update({text: place for place, text in enumerate(self.strings)})
        return np.fromiter((self.place(str(cell)) for cell in cells), dtype=np.intp, count=len(cells))

    def _lacks(self, place: int, figure: Figure) -> BenchbedError:
        what = f"table {self.name} has no {figure.words} of {self.places.architecture(place)}"
        return BenchbedError(f"{what}: its source {self.gaps(*figure)}")

    def gaps(self, dataset: str, split: str, epochs: int) -> str | None:
        """In words, how many of the space's architectures have this figure; None where all have."""
        there = int(np.isfinite(self.values(dataset, split, epochs)).sum())
        return self._held(there) if self.places.missing or there < len(self.places) else None

    def _held(self, there: int) -> str:
        whole = len(self.places) + self.places.missing
        kind = "cells" if self.meta["space"] == "nb201" else "architectures"
        return f"holds {there:,} of the {counted(whole)} {kind}"
