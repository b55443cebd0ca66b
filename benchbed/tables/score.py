"""A chosen cell against its table: its accuracy, how far from the best, and how much of that the seeds can tell."""

from typing import NamedTuple

import numpy as np

from ..errors import BenchbedError
from ..space import Architecture
from .figures import Figure, in_epochs
from .table import Table

NOISE = 2.0  # standard errors within which two cells' means are not told apart


class Score(NamedTuple):
    """One cell in a table, after the table's full training (NAS-Bench-201: 200 epochs).

    Accuracies in percent, means over the table's seeds.

    best_test_accuracy: the table's highest; regret: how many points the cell is below it.
    rank: 1 + the number of cells of strictly higher test accuracy, so ties share the lowest rank.
    percentile: 100 (n - rank + 1) / n of the n cells that the table has, the share that is not better than this cell
    (itself counted): 100 for the best, 100 / n for the worst.
    n_seeds: how many runs the cell's test accuracy is the mean of; None where the table does not say.
    test_spread: sample standard deviation, points, of the test accuracies of those runs; None where the table has no
    two of them one by one.
    noise_floor: see `noise_floor`.
    predicted: None where every figure of the table was trained; of a surrogate whether this cell's are predictions. Its
    best and its ranks are then among figures of which most are predicted, too.
    """

    valid_accuracy: float
    test_accuracy: float
    best_test_accuracy: float
    regret: float
    rank: int
    percentile: float
    cells: int
    n_seeds: int | None
    test_spread: float | None
    noise_floor: int | None
    predicted: bool | None = None


def score(table: Table, dataset: str, cell: Architecture) -> Score:
    """The cell's figures. Raises BenchbedError, naming the cell, where a partial table lacks it."""
    figure = Figure(dataset, "test", table.full_epochs)
    test, valid = table.query(cell, *figure), table.query(cell, dataset, "valid", table.full_epochs)
    rank, n, best = table.standing(cell, figure)
    answer = table.answer(cell, *figure)
    return Score(
        valid_accuracy=valid,
        test_accuracy=test,
        best_test_accuracy=best,
        regret=best - test,
        rank=rank,
        percentile=100 * (n - rank + 1) / n,
        cells=n,
        n_seeds=answer.n_seeds,
        test_spread=answer.spread,
        noise_floor=noise_floor(table, dataset),
        predicted=any(table.is_predicted(cell, one) for one in (figure, figure._replace(split="valid")))
        if table.predicts
        else None,
    )


def on_every_dataset(table: Table, cell: Architecture) -> dict[str, dict[str, float]] | None:
    """By data set that has both, the cell's {"valid", "test"} accuracy in percent after the full training, as the
    papers on NAS-Bench-201 print them; None for a table of one data set. What a partial table lacks is left out.
    """
    found: dict[str, dict[str, float]] = {}
    for dataset in table.datasets if len(table.datasets) > 1 else ():
        figures = [Figure(dataset, split, table.full_epochs) for split in ("valid", "test")]
        if all(figure in table.figures for figure in figures):
            values = {f.split: float(table.values(*f).reshape(-1)[table.place(cell)]) for f in figures}
            if np.isfinite(list(values.values())).all():
                found[dataset] = values
    return found if len(found) > 1 else None


def network_in(table: Table, dataset: str, cell: Architecture) -> dict[str, int] | None:
    """`params` and `flops` of the network that the table's accuracies on this data set are of; None without them."""
    kinds = [kind for kind in ("params", "flops") if f"{kind}/{dataset}" in table.arrays]
    if table.predicts and table.places.of(cell) < 0:  # a surrogate scores cells that nobody counted
        return None
    return {kind: int(table.cost(kind, dataset).reshape(-1)[table.place(cell)]) for kind in kinds} or None


def noise_floor(table: Table, dataset: str) -> int | None:
    """How many cells cannot be told from the best one at their seeds' spread, the best one itself included.

    A cell of mean m, sample standard deviation s and k runs is not told from the best (M, S, K) where
    M - m <= 2 p sqrt(1/K + 1/k), with p the pooled standard deviation, p^2 = ((K-1) S^2 + (k-1) s^2) / (K + k - 2).
    Means are the table's, deviations those of its per-seed values. None where it has no per-seed values of the data
    set's test accuracy, or not two of the best cell.
    """
    figure = (dataset, "test", table.full_epochs)
    means = table.values(*figure).reshape(-1)
    try:
        seeds = table.seeds(*figure).reshape(means.size, -1)
    except BenchbedError:  # the source has means alone
        return None
    there = np.isfinite(seeds)
    runs = there.sum(1)
    known = np.isfinite(means) & (runs > 0)
    top = int(np.nanargmax(means))
    if runs[top] < 2:
        return None
    own = np.where(there, seeds, 0.0).sum(1) / np.maximum(runs, 1)
    squares = np.where(there, (seeds - own[:, None]) ** 2, 0.0).sum(1)  # (k-1) s^2
    pooled = np.sqrt((squares[top] + squares) / np.maximum(runs[top] + runs - 2, 1))
    error = pooled * np.sqrt(1 / runs[top] + 1 / np.maximum(runs, 1))
    close = known & (means[top] - means <= NOISE * error)
    close[top] = True
    return int(close.sum())


class Ceiling(NamedTuple):
    """What a perfect searcher ends at that evaluates by `epochs` epochs: the cell of greatest validation accuracy then.

    accuracy: that one; valid, test: of the full training; regret: in points of test accuracy. What is below it is the
    searcher's doing, what is above it the fidelity's.
    """

    epochs: int
    architecture: str
    accuracy: float
    valid: float
    test: float
    regret: float

    @property
    def name(self) -> str:
        return f"ceiling of {in_epochs(self.epochs)}"


def ceiling(table: Table, dataset: str, epochs: int) -> Ceiling:
    """Of equal cells the one with the lowest index. Raises BenchbedError for what the table does not have."""
    best, full = table.best(dataset, "valid", epochs), table.full_epochs
    valid, test = (float(table.query(best.architecture, dataset, split, full)) for split in ("valid", "test"))
    regret = table.best(dataset, "test", full).value - test
    return Ceiling(epochs, best.architecture.text, best.value, valid, test, regret)
