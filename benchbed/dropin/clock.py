"""`simulate_train_eval` over a table that has means alone: accuracies as they are, seconds derived, both said once."""

from typing import NamedTuple

import numpy as np

from ..errors import BenchbedError
from ..tables.clock import training_seconds
from ..tables.figures import Figure, in_epochs
from ..tables.table import Table
from .means import MeanResults, ours
from .refusals import DropinError, say_once


class Simulated(NamedTuple):
    """Validation accuracy in percent; seconds a batch of 256, None where the table has none; seconds of training."""

    accuracy: float
    latency: float | None
    seconds: float


class MeanClock:
    """The clock of one table: that of `study tabular`, training alone, by the table's own seconds or their share.

    A training that is asked for before its last epoch is answered with the accuracy after the last, the only one that
    such a table has, at the seconds of the epochs asked for. What is derived or missing is said on stderr, once.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self._seconds: dict[tuple[str, int], np.ndarray] = {}

    def simulate(self, results: MeanResults, dataset: str, iepoch: int | None) -> Simulated:
        """Of one architecture. Raises DropinError for an epoch that there is not, and where a figure is missing."""
        whole, name = results.epochs, ours(dataset)
        if iepoch is not None and not 0 <= iepoch < whole:
            raise DropinError(f"invalid iepoch={iepoch}: epochs are 0 to {whole - 1}")
        epochs = whole if iepoch is None else iepoch + 1
        try:
            accuracy = float(self.table.query(results.arch_str, *Figure(name, "valid", whole)))
            seconds = float(self._column(name, epochs, whole)[results.place])
        except BenchbedError as error:
            raise DropinError(str(error)) from None
        if seconds != seconds:
            raise DropinError(f"table {self.table.name} has no training seconds on {dataset} of {results.arch_str}")
        if epochs < whole:
            self._say_early(dataset, whole)
        return Simulated(accuracy, results.get_compute_costs(dataset).get("latency"), seconds)

    def _column(self, name: str, epochs: int, whole: int) -> np.ndarray:
        """float64 (n,): the seconds of so many epochs of a `whole`, by place; what they are is said on first use."""
        key = (name, epochs)
        if key not in self._seconds:
            figure = training_seconds(self.table, name, whole).figure
            of = "" if figure.epochs == whole else f"{whole}/{figure.epochs} of "
            latency = "" if f"latency/{name}" in self.table.arrays else "; it has no latency, which is None"
            said = (
                f"table {self.table.name} holds means over seeds, and simulate_train_eval on {name} answers with them; "
                f"its seconds are {of}those of training for {in_epochs(figure.epochs)}, without validation{latency}"
            )
            say_once(f"clock {self.table.fingerprint} {name}", said)
            self._seconds[key] = training_seconds(self.table, name, epochs).values.reshape(-1)
        return self._seconds[key]

    def _say_early(self, dataset: str, whole: int) -> None:
        said = (
            f"table {self.table.name} has no accuracy on {dataset} before the last of {whole} epochs: the one after "
            f"{in_epochs(whole)} stands for it, at the seconds of the epochs asked for"
        )
        say_once(f"early {self.table.fingerprint} {dataset}", said)
