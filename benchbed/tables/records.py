"""Trials of the official files, gathered into arrays: one figure a (data set, evaluation set, epochs), by seed."""

import math
from typing import NamedTuple

import numpy as np

from ..errors import BenchbedError
from .arrays import check_percent
from .figures import Figure
from .table_builder import Draft, mean_over_seeds

# (data set, evaluation set) in the official files -> (data set, split) here
OFFICIAL = {
    ("cifar10-valid", "x-valid"): ("cifar10", "valid"),
    ("cifar10", "ori-test"): ("cifar10", "test"),
    **{
        (theirs, evaluated): (theirs.lower(), split)
        for theirs in ("cifar100", "ImageNet16-120")
        for evaluated, split in (("x-valid", "valid"), ("x-test", "test"), ("ori-test", "valid+test"))
    },
}


class Trial(NamedTuple):
    """One training of one cell, after its last epoch. Names are the official files'; None is missing."""

    dataset: str
    seed: int
    epochs: int
    accuracy: dict[str, float]  # percent, by evaluation set
    seconds: float | None  # of the whole training
    latency: float | None  # seconds a batch
    params: float  # millions
    flops: float  # millions


class Records:
    """Collects trials cell by cell, of `size` cells in all; `into` writes them to a draft."""

    def __init__(self, source: str, size: int) -> None:
        self.source, self.size, self.cells = source, size, 0
        self._seeds: dict[Figure, dict[int, np.ndarray]] = {}
        self._seconds: dict[Figure, dict[int, np.ndarray]] = {}
        self._costs: dict[tuple[str, str], np.ndarray] = {}

    def add(self, place: int, trials: list[Trial]) -> None:
        """The trials of one cell. Raises BenchbedError for a data set that the benchmark does not have.

        And ValueError at an accuracy that is NaN: a record has a figure or lacks it.
        """
        self.cells += 1
        for trial in trials:
            for evaluated, accuracy in trial.accuracy.items():
                if math.isnan(accuracy):
                    raise ValueError(f"NaN accuracy of {trial.dataset}, {evaluated}, seed {trial.seed}")
            known = [sets for sets in OFFICIAL if sets[0] == trial.dataset]
            if not known:
                raise BenchbedError(f"{self.source}: data set '{trial.dataset}' is not the benchmark's")
            for sets in known:
                if sets[1] in trial.accuracy:
                    figure = Figure(*OFFICIAL[sets], trial.epochs)
                    self._slot(self._seeds, figure, trial.seed)[place] = trial.accuracy[sets[1]]
                    if trial.seconds is not None:
                        self._slot(self._seconds, figure, trial.seed)[place] = trial.seconds
            dataset = OFFICIAL[known[0]][0]
            for kind, value in (("params", trial.params), ("flops", trial.flops), ("latency", trial.latency)):
                if value is not None:
                    self._costs.setdefault((kind, dataset), np.full(self.size, np.nan))[place] = value

    def into(self, draft: Draft) -> None:
        """Adds what was collected. Raises BenchbedError if an accuracy is not a percentage."""
        everywhere = np.arange(self.size)
        for figure, by_seed in self._seeds.items():
            values = np.stack([by_seed[seed] for seed in sorted(by_seed)], axis=-1)
            check_percent(values, self.source, str(figure))
            draft.add(f"seeds/{figure}", everywhere, values, self.source)
            draft.add(f"accuracy/{figure}", everywhere, mean_over_seeds(values), self.source)
            draft.seed_names[str(figure)] = [str(seed) for seed in sorted(by_seed)]
        for figure, by_seed in self._seconds.items():
            seconds = mean_over_seeds(np.stack([by_seed[seed] for seed in sorted(by_seed)], axis=-1))
            draft.add(f"seconds/{figure}", everywhere, seconds, self.source)
        for (kind, dataset), values in self._costs.items():
            if kind == "latency":
                draft.add(f"latency/{dataset}", everywhere, values, self.source)
            else:
                there = np.flatnonzero(np.isfinite(values))
                draft.compare_costs(kind, dataset, there, values[there], self.source)

    def _slot(self, store: dict[Figure, dict[int, np.ndarray]], figure: Figure, seed: int) -> np.ndarray:
        return store.setdefault(figure, {}).setdefault(seed, np.full(self.size, np.nan))
