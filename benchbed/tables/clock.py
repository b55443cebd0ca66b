"""A table's simulated clock: the seconds that a training of some epochs takes. Numpy only.

One arithmetic for all that spends a budget on a table: searchers that train one architecture after the other (`study
tabular`, `run`), and the drop-in's `simulate_train_eval` where the table has no single trainings.
"""

from typing import NamedTuple

import numpy as np

from .figures import Figure
from .table import Table


class Seconds(NamedTuple):
    """values: float64, the table's shape, NaN: missing; they are `share` of the training seconds of `figure`."""

    values: np.ndarray
    figure: Figure
    share: float


def training_seconds(table: Table, dataset: str, epochs: int) -> Seconds:
    """The seconds of training for so many epochs the network that is scored on the validation split.

    Where the table has the seconds of its full training alone, the shorter one takes its share of them: an epoch takes
    as long in either (in NATS-Bench's own files to the last digit). Validation is not in the seconds. Raises
    BenchbedError where the table has no seconds of the data set.
    """
    figure, share = Figure(dataset, "valid", epochs), 1.0
    if f"seconds/{figure}" not in table.arrays and epochs < table.full_epochs:
        figure, share = figure._replace(epochs=table.full_epochs), epochs / table.full_epochs
    return Seconds(share * table.train_seconds(*figure).astype(np.float64), figure, share)
