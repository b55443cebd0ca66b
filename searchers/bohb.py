"""BOHB: Hyperband whose new architectures come from a density of the good ones over one of the others. On a table.

Falkner, Klein and Hutter, "BOHB: Robust and Efficient Hyperparameter Optimization at Scale", ICML 2018, section 3.2 and
algorithm 2. Of the n trials on the highest rung that has enough of them, the best `top_percent`, at least d + 1 for d
positions, are the good ones and the rest the others; both get a kernel density over the positions,

    density(x) = mean over its trials y of prod_i k_i(x_i, y_i),    k_i = 1 - b_i where they agree, else b_i / (O_i - 1)

(Aitchison and Aitken's kernel). Of `samples` candidates that with the greatest good over other density is proposed. A
candidate is one of the good trials, each of whose operations is kept with probability 1 - b_i and drawn uniformly
otherwise. One proposal in 1 / `random_fraction` is a uniform draw, as all are until there is a model.

The bandwidth b_i is Scott's rule, as in the authors' code (HpBandSter 0ec0ce2), 1.06 n^(-1 / (4 + d)) times the
deviation of the operations' numbers, at least `least_bandwidth`. That says little of categories: with five operations
it can be above 1, where the kernel is negative; here it ends at (O_i - 1) / O_i, where it is flat. Brackets are
Hyperband's; the authors' code begins brackets with floor((S + 1) / (s + 1)) eta^s. Where nodes drop inputs, being
dropped counts as an operation, and candidates with too many or too few inputs are passed over.
"""

from contextlib import suppress
from functools import cached_property

import numpy as np
from pydantic import Field

from benchbed.errors import BenchbedError
from benchbed.space import Architecture

from .hyperband import Hyperband
from .hyperband import Options as HyperbandOptions

TINY = 1e-32  # of a density


class BOHBOptions(HyperbandOptions):
    """The model. Defaults: the authors'. NATS-Bench's script: samples 4, random_fraction 0, least_bandwidth 0.3."""

    top_percent: float = Field(15.0, gt=0, lt=100, description="of the trials, how many count as good (official: 15)")
    samples: int = Field(64, ge=1, description="candidates of a proposal (official: 64)")
    random_fraction: float = Field(1 / 3, ge=0, le=1, description="share of proposals that are uniform (official: 1/3)")
    least_bandwidth: float = Field(1e-3, gt=0, lt=1, description="below which no bandwidth goes (official: 1e-3)")


class Density:
    """Of rows of operations' numbers (n, d), with `sizes` operations a position."""

    def __init__(self, rows: np.ndarray, sizes: np.ndarray, least: float):
        n, d = rows.shape
        self.rows, self.sizes = rows, sizes
        rule = 1.06 * rows.std(0) * n ** (-1 / (4 + d))
        self.bandwidth = np.minimum(np.maximum(rule, least), (sizes - 1) / sizes)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(m, d) to (m,)."""
        apart = self.bandwidth / np.maximum(self.sizes - 1, 1)
        found: np.ndarray = np.where(points[:, None] == self.rows, 1 - self.bandwidth, apart).prod(2).mean(1)
        return found


class BOHB(Hyperband):
    """Hyperband with a model of where good architectures are."""

    Options = BOHBOptions
    options: BOHBOptions

    @cached_property
    def categories(self) -> list[list[int]]:
        """Of each position the columns that may be chosen, and -1 where it may be dropped."""
        rows = zip(self.space.positions, self.space.selectable, strict=True)
        return [[int(k) for k in np.flatnonzero(row)] + [-1] * position.droppable for position, row in rows]

    def model(self) -> tuple[Density, Density] | None:
        """The densities of the good and of the other trials; None while no rung has enough."""
        sizes, d = np.array([len(columns) for columns in self.categories]), len(self.categories)
        for epochs in reversed(self.options.rungs):
            trials = sorted((t for t in self.trials if t.fidelity == epochs), key=lambda t: t.reward, reverse=True)
            good = max(d + 1, int(self.options.top_percent * len(trials) / 100))
            if len(trials) - good < d + 1:
                continue
            rows = np.array([self._numbers(trial.architecture) for trial in trials])
            least = self.options.least_bandwidth
            return Density(rows[:good], sizes, least), Density(rows[good:], sizes, least)
        return None

    def _numbers(self, architecture: Architecture) -> list[int]:
        return [columns.index(k) for columns, k in zip(self.categories, architecture.choices, strict=True)]

    def draw(self) -> Architecture:
        rng, model = self.draws(), self.model()
        if model is None or rng.random() < self.options.random_fraction:
            return self.drawn(rng)
        good, other = model
        points = good.rows[rng.integers(len(good.rows), size=self.options.samples)]
        moved = rng.random(points.shape) < good.bandwidth
        points = np.where(moved, rng.integers(good.sizes, size=points.shape), points)
        for k in np.argsort(-np.maximum(good(points), TINY) / np.maximum(other(points), TINY), kind="stable"):
            choices = tuple(columns[i] for columns, i in zip(self.categories, points[k], strict=True))
            with suppress(BenchbedError):  # a node would keep too many inputs, or too few
                return self.space.architecture_of(choices)
        return self.drawn(rng)
