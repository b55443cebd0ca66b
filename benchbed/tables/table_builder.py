"""A table in the making: importers add to it what their source holds, and it becomes the file's arrays and metadata."""

from collections.abc import Callable, Hashable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from .. import __version__
from ..errors import BenchbedError
from ..registry import find, is_ours, load
from ..space import Architecture, Space
from ..spaces.nb201.space import all_strings
from . import store
from .benchmarks import BENCHMARKS, TOPOLOGY
from .figures import CLASSES, DATASETS, SPLITS, Figure, figure_named
from .notations import native
from .places import ROWS, Grid, is_grid, operations_of
from .trials import Packer

SIZE = TOPOLOGY.size  # of the sources that hold NAS-Bench-201 alone
COUNTED = ("params", "flops")
UNITS = {
    "accuracy": "percent, mean over the seeds that were run; NaN: missing",
    "seeds": "percent, one a seed; NaN: not run",
    "count": "runs behind the mean",
    "params": "trainable parameters of the published network, by formula",
    "flops": "multiply-accumulates of one image plus classifier biases, by formula",
    "latency": "seconds a batch of 256 on the authors' GPU",
    "seconds": "of the training whose network the figure scores",
    "trials": "single trainings, as the official files hold them: percent, seconds, millions",
}


class Draft:
    """Figures of a space's architectures from one or several sources. `place`: the position in a flattened array.

    Of a space too large for a grid, places are given as architectures come, and sorted by string at the end.
    """

    def __init__(self, space: str = "nb201") -> None:
        """Raises BenchbedError for an unknown space."""
        self.name, self.space = space, _space(space)
        self.grid = Grid(self.space) if is_grid(self.space) else None
        self.arrays: dict[str, np.ndarray] = {}
        self.seed_names: dict[str, list[str]] = {}
        self.notes: list[str] = []  # what a user should know, in one line each
        self.sources: list[dict[str, Any]] = []
        self.trials: Packer | None = None  # single trainings, where a source holds them
        self._from: dict[str, str] = {}  # array -> the source that it came from
        self._places: dict[str, int] = {}  # by string, as far as it is known
        self._rows: dict[Hashable, int] = {}  # of a list: canonical form -> place
        self._strings: list[str] = []  # of a list, by place
        if self.grid is not None and space == "nb201":
            self._places.update({text: place for place, text in enumerate(all_strings())})

    def __len__(self) -> int:
        """How many architectures have a place."""
        return len(self._strings) if self.grid is None else len(self.grid)

    def places(self, texts: Sequence[str], where: Callable[[int], str]) -> np.ndarray:
        """The places of architecture strings. Raises BenchbedError at a foreign one; `where(i)` names the i-th."""
        for i, text in enumerate(texts):
            if text not in self._places:
                try:
                    own = native(text, self.space)
                    known = self._places.get(own)
                    self._places[text] = self._place(self.space.parse(own)) if known is None else known
                except BenchbedError as error:
                    raise BenchbedError(f"{where(i)}: {error}") from None
        return np.array([self._places[text] for text in texts], dtype=np.intp)

    def _place(self, architecture: Architecture) -> int:
        if self.grid is not None:
            return self.grid.of(architecture)
        place = self._rows.setdefault(self.space.canonical(architecture), len(self._strings))
        if place == len(self._strings):
            self._strings.append(architecture.text)
        return place

    def string(self, place: int) -> str:
        return self._strings[place] if self.grid is None else self.grid.architecture(place).text

    def add(self, name: str, places: np.ndarray, values: np.ndarray, source: str) -> None:
        """Fills the array `name` at the places, trailing axes as in `values`, which decides the type; floats only.

        Raises BenchbedError if another source has filled the same array: two do not mix.
        """
        if self._from.setdefault(name, source) != source:
            raise BenchbedError(f"both {self._from[name]} and {source} hold {name}: give one of them")
        if name not in self.arrays:
            self.arrays[name] = np.full((len(self), *values.shape[1:]), np.nan)
        self.arrays[name][places] = values

    def add_seed(self, figure: Figure, seed: str, places: np.ndarray, values: np.ndarray, source: str) -> None:
        """One seed's accuracies of a figure, beside those of its other seeds. Raises as `add` does."""
        names, array = self.seed_names.setdefault(str(figure), []), f"seeds/{figure}"
        if self._from.setdefault(array, source) != source:
            raise BenchbedError(f"both {self._from[array]} and {source} hold {array}: give one of them")
        own = np.full((len(self), 1), np.nan)
        own[places, 0] = values
        names.append(seed)
        self.arrays[array] = np.concatenate([self.arrays[array], own], axis=1) if array in self.arrays else own

    def set_order(self, places: Sequence[int] | np.ndarray, source: str) -> None:
        """The official index: `places[i]` is the place of cell i. Raises BenchbedError if two sources disagree."""
        order = np.asarray(places, dtype=np.int32)
        if len(order) != len(self) or (np.bincount(order, minlength=len(self)) != 1).any():
            raise BenchbedError(f"{source}: its index does not hold each of the {len(self):,} cells once")
        if not np.array_equal(self.arrays.setdefault("order", order), order):
            raise BenchbedError(f"{source} has its cells in another order than {self._from['order']}")
        self._from.setdefault("order", source)

    def add_trials(self, source: str) -> Packer:
        """What takes a source's single trainings. Raises BenchbedError if another source has given some."""
        if self._from.setdefault("trials", source) != source or self.trials is not None:
            raise BenchbedError(f"both {self._from['trials']} and {source} hold single trainings: give one of them")
        self.trials = Packer(len(self))
        return self.trials

    def close(self) -> None:
        """Lets go of the file in which single trainings wait to be written."""
        if self.trials is not None:
            self.trials.close()

    def has_formula(self, dataset: str) -> bool:
        """Whether parameters and FLOPs are the published networks', which are counted."""
        return self.name in BENCHMARKS and dataset in CLASSES

    @property
    def order(self) -> np.ndarray | None:
        return self.arrays.get("order")

    def compare_costs(self, kind: str, dataset: str, places: np.ndarray, millions: np.ndarray, source: str) -> None:
        """Notes how many of a source's costs differ from the formula, which the table holds."""
        own = BENCHMARKS[self.name].costs(kind, dataset)[places]
        wrong = int((~np.isclose(millions * 1e6, own, rtol=1e-6, atol=0.5)).sum())  # exports round to 1e-5 millions
        if wrong:
            self.notes.append(f"{kind} on {dataset}: {wrong} of {len(places):,} rows of {source} differ from "
                              "the formula; the table holds the formula's")  # fmt: skip

    def finish(self) -> tuple[dict[str, Any], dict[str, store.Content]]:
        """The metadata and the arrays of the table. Raises BenchbedError if no source held an accuracy."""
        figures = sorted({f for f in map(_figure, self.arrays) if f}, key=_in_order)
        if not figures:
            raise BenchbedError("the sources hold no accuracy column: expected names such as cifar10_test_200")
        for figure in figures:
            self._compare_seeds(figure)
        for dataset, kind in ((f.dataset, kind) for f in figures if self.has_formula(f.dataset) for kind in COUNTED):
            self.arrays.setdefault(f"{kind}/{dataset}", BENCHMARKS[self.name].costs(kind, dataset))
        if self.name in BENCHMARKS and BENCHMARKS[self.name].ordered:
            self.set_order(np.arange(len(self)), f"space {self.name}")
        for name, array in self.arrays.items():
            self.arrays[name] = _typed(name, array)
        arrays = self._shaped()
        if self.trials is not None:
            arrays.update(self.trials.arrays())
            if self.trials.dropped:
                self.notes.append(f"not kept of single trainings: {', '.join(sorted(self.trials.dropped))}")
        meta = {
            "format": store.FORMAT,
            "space": self.name,
            "fingerprint": store.fingerprint(self.name, arrays),
            "figures": [list(f) for f in figures],
            "seeds": self.seed_names,
            "units": UNITS,
            "sources": self.sources,
            "notes": self.notes,
            "made": f"imported by benchbed {__version__}",
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        if self.name != "nb201" or not set(DATASETS) & {f.dataset for f in figures}:
            meta["full_epochs"] = max(f.epochs for f in figures)
        if not is_ours(find("space", self.name)):
            meta["operations"] = operations_of(self.space)
        return meta, arrays

    def _shaped(self) -> dict[str, store.Content]:
        """The arrays as the file has them: by position, or a list's in the order of its strings, with them."""
        if self.grid is not None:
            shape = self.grid.shape
            return {name: a if name == "order" else a.reshape(*shape, *a.shape[1:]) for name, a in self.arrays.items()}
        by_string = sorted(range(len(self)), key=self._strings.__getitem__)
        rows = np.array([self._strings[place].encode() for place in by_string])
        found: dict[str, store.Content] = {ROWS: rows}
        for name, array in self.arrays.items():
            gap = np.full((len(self) - len(array), *array.shape[1:]), np.nan)  # what later sources have brought
            found[name] = np.concatenate([array, gap])[by_string]
        return found

    def _compare_seeds(self, figure: Figure) -> None:
        """The mean where only seeds are given; a note where the mean that is given is not theirs."""
        if (seeds := self.arrays.get(f"seeds/{figure}")) is None:
            return
        own = mean_over_seeds(seeds)
        given = self.arrays.setdefault(f"accuracy/{figure}", own)
        apart = np.abs(given - own)
        if (wrong := int((apart > 1e-4).sum())) > 0:
            self.notes.append(
                f"{figure}: {self._from[f'seeds/{figure}']} has other runs than {self._from[f'accuracy/{figure}']}; "
                f"the means differ in {wrong:,} cells, by at most {np.nanmax(apart):.2f} points"
            )


def _typed(name: str, array: np.ndarray) -> np.ndarray:
    """Counts as whole numbers; of what has gaps a number of runs is 0 there, and a size stays a float."""
    kind = name.partition("/")[0]
    if kind == "count":
        runs: np.ndarray = np.nan_to_num(array).astype(np.int8)
        return runs
    return array.astype(np.int64) if kind in COUNTED and np.isfinite(array).all() else array


def mean_over_seeds(seeds: np.ndarray) -> np.ndarray:
    """The mean over the last axis of what is there; NaN where nothing is."""
    there = np.isfinite(seeds)
    count = there.sum(-1)
    total = np.where(there, seeds, 0.0).sum(-1)
    mean: np.ndarray = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return mean


def _figure(array: str) -> Figure | None:
    """The figure of 'accuracy/...' or 'seeds/...'."""
    kind, _, name = array.partition("/")
    return figure_named(name) if kind in ("accuracy", "seeds") else None


def _in_order(figure: Figure) -> tuple[int, str, int, int]:
    known = DATASETS.index(figure.dataset) if figure.dataset in DATASETS else len(DATASETS)
    return known, figure.dataset, -figure.epochs, SPLITS.index(figure.split)


def _space(name: str) -> Space:
    found: Space = load("space", name)()
    return found
