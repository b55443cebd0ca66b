"""A table in the making: importers add to it what their source holds, and it becomes the file's arrays and metadata."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np

from .. import __version__
from ..errors import BenchbedError
from ..space import Architecture
from ..spaces.nb201.space import CONV1, CONV3, EDGES, NB201, OPERATIONS, all_strings, flops, parameters
from . import store
from .figures import CLASSES, DATASETS, IMAGE_SIZE, SPLITS, Figure, figure_named
from .trials import Packer

SHAPE = (len(OPERATIONS),) * len(EDGES)
SIZE = len(OPERATIONS) ** len(EDGES)
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
    """NAS-Bench-201 figures from one or several sources. `place` is a cell's position in a flattened array."""

    def __init__(self) -> None:
        self.space = NB201()
        self.arrays: dict[str, np.ndarray] = {}
        self.seed_names: dict[str, list[str]] = {}
        self.notes: list[str] = []  # what a user should know, in one line each
        self.sources: list[dict[str, Any]] = []
        self.trials: Packer | None = None  # single trainings, where a source holds them
        self._from: dict[str, str] = {}  # array -> the source that it came from
        self._places = {text: place for place, text in enumerate(all_strings())}

    def places(self, texts: Sequence[str], where: Callable[[int], str]) -> np.ndarray:
        """The places of architecture strings. Raises BenchbedError at a foreign one; `where(i)` names the i-th."""
        found = [self._places.get(text, -1) for text in texts]
        if -1 in found:
            i = found.index(-1)
            try:
                self.space.parse(texts[i])
            except BenchbedError as error:
                raise BenchbedError(f"{where(i)}: {error}") from None
        return np.array(found, dtype=np.intp)

    def add(self, name: str, places: np.ndarray, values: np.ndarray, source: str) -> None:
        """Fills the array `name` at the places, trailing axes as in `values`, which decides the type; floats only.

        Raises BenchbedError if another source has filled the same array: two do not mix.
        """
        if self._from.setdefault(name, source) != source:
            raise BenchbedError(f"both {self._from[name]} and {source} hold {name}: give one of them")
        if name not in self.arrays:
            self.arrays[name] = np.full((SIZE, *values.shape[1:]), np.nan)
        self.arrays[name][places] = values

    def set_order(self, places: Sequence[int] | np.ndarray, source: str) -> None:
        """The official index: `places[i]` is the place of cell i. Raises BenchbedError if two sources disagree."""
        order = np.asarray(places, dtype=np.int32)
        if len(order) != SIZE or (np.bincount(order, minlength=SIZE) != 1).any():
            raise BenchbedError(f"{source}: its index does not hold each of the {SIZE:,} cells once")
        if not np.array_equal(self.arrays.setdefault("order", order), order):
            raise BenchbedError(f"{source} has its cells in another order than {self._from['order']}")
        self._from.setdefault("order", source)

    def add_trials(self, source: str) -> Packer:
        """What takes a source's single trainings. Raises BenchbedError if another source has given some."""
        if self._from.setdefault("trials", source) != source or self.trials is not None:
            raise BenchbedError(f"both {self._from['trials']} and {source} hold single trainings: give one of them")
        self.trials = Packer(SIZE)
        return self.trials

    def close(self) -> None:
        """Lets go of the file in which single trainings wait to be written."""
        if self.trials is not None:
            self.trials.close()

    @property
    def order(self) -> np.ndarray | None:
        return self.arrays.get("order")

    def compare_costs(self, kind: str, dataset: str, places: np.ndarray, millions: np.ndarray, source: str) -> None:
        """Notes how many of a source's costs differ from the formula, which the table holds."""
        own = costs(kind, dataset)[places]
        wrong = int((~np.isclose(millions * 1e6, own, rtol=1e-6, atol=0.5)).sum())  # exports round to 1e-5 millions
        if wrong:
            self.notes.append(f"{kind} on {dataset}: {wrong} of {len(places):,} rows of {source} differ from "
                              "the formula; the table holds the formula's")  # fmt: skip

    def finish(self) -> tuple[dict[str, Any], dict[str, store.Content]]:
        """The metadata and the arrays of the table. Raises BenchbedError if no source held an accuracy."""
        figures = sorted({f for f in map(_figure, self.arrays) if f}, key=_in_order)
        if not figures:
            raise BenchbedError("the sources hold no accuracy: nothing to import")
        for figure in figures:
            self._compare_seeds(figure)
        for dataset in dict.fromkeys(f.dataset for f in figures):
            for kind in ("params", "flops"):
                self.arrays[f"{kind}/{dataset}"] = costs(kind, dataset)
        arrays: dict[str, store.Content] = {
            name: a if name == "order" else a.reshape(*SHAPE, *a.shape[1:]) for name, a in self.arrays.items()
        }
        if self.trials is not None:
            arrays.update(self.trials.arrays())
            if self.trials.dropped:
                self.notes.append(f"not kept of single trainings: {', '.join(sorted(self.trials.dropped))}")
        meta = {
            "format": store.FORMAT,
            "space": "nb201",
            "fingerprint": store.fingerprint("nb201", arrays),
            "figures": [list(f) for f in figures],
            "seeds": self.seed_names,
            "units": UNITS,
            "sources": self.sources,
            "notes": self.notes,
            "made": f"imported by benchbed {__version__}",
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        return meta, arrays

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


def mean_over_seeds(seeds: np.ndarray) -> np.ndarray:
    """The mean over the last axis of what is there; NaN where nothing is."""
    there = np.isfinite(seeds)
    count = there.sum(-1)
    total = np.where(there, seeds, 0.0).sum(-1)
    mean: np.ndarray = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return mean


@cache
def costs(kind: str, dataset: str) -> np.ndarray:
    """int64 (15,625,): parameters or FLOPs of every cell. They depend on the numbers of convolutions alone."""
    numbers = np.indices(SHAPE).reshape(len(SHAPE), SIZE)
    ones, threes = (numbers == CONV1).sum(0), (numbers == CONV3).sum(0)
    found = np.zeros(SIZE, dtype=np.int64)
    for n1, n3 in ((a, b) for a in range(len(EDGES) + 1) for b in range(len(EDGES) + 1 - a)):
        cell = Architecture("", (CONV1,) * n1 + (CONV3,) * n3)
        if kind == "params":
            value = parameters(cell, classes=CLASSES[dataset])
        else:
            value = flops(cell, classes=CLASSES[dataset], size=IMAGE_SIZE[dataset])
        found[(ones == n1) & (threes == n3)] = value
    found.flags.writeable = False  # it is shared
    return found


def check_percent(values: np.ndarray, source: str, what: str) -> None:
    """Raises BenchbedError that names the source if a value, NaN apart, is no percentage."""
    wrong = (values < 0) | (values > 100) | np.isinf(values)
    if wrong.any():
        raise BenchbedError(f"{source}: {what} holds {values[wrong][0]:g}, which is no percentage")


def _figure(array: str) -> Figure | None:
    """The figure of 'accuracy/...' or 'seeds/...'."""
    kind, _, name = array.partition("/")
    return figure_named(name) if kind in ("accuracy", "seeds") else None


def _in_order(figure: Figure) -> tuple[int, int, int]:
    return DATASETS.index(figure.dataset), -figure.epochs, SPLITS.index(figure.split)
