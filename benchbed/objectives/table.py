"""The table objective: the multilinear extension of a benchmark's validation accuracy, without noise.

A cell is a choice of one operation at each position, and a table gives its accuracy A(a). With rows of gates that sum
to 1, the loss is

    L(g) = 1 - sum over all cells a of A(a) / 100 prod_i g[i, a_i]

so at one-hot rows it is the table's own value, and at probabilities the expectation over independent draws. It is for
studying estimators of dL/dalpha: the gradient is exact, the same in every run, and takes milliseconds. It does not rank
searchers: every exact method climbs to the same one or two cells.
"""

from collections.abc import Callable
from functools import partial
from math import prod

import numpy as np
import torch
from torch import Tensor

from ..errors import BenchbedError
from ..objective import Batch, Evaluation, Keep, Measure, Weightless
from ..space import Architecture, Space, counted
from ..tables.clock import training_seconds
from ..tables.figures import Figure
from ..tables.table import Table
from ..task import Seal, Split, Task
from .multilinear import Multilinear

Trainings = Callable[[int], tuple[np.ndarray, np.ndarray]]  # epochs -> (accuracy in percent, seconds) of every cell
STEPS = 30  # steps in an epoch of the search: nothing but how often it reports


class TableObjective(Weightless):
    """Loss and accuracy of gates by a table's validation accuracy; no data, no weights, no test accuracy.

    A row is normalised before it is used, so that a masked mixture is a distribution over what is left; a row of zeros
    is `none`, and has no gradient. There are no weights, hence nothing to tune.
    """

    provides = frozenset({"fidelity"})

    def __init__(
        self,
        space: Space,
        accuracy: np.ndarray,
        name: str = "table",
        steps: int = STEPS,
        trainings: Trainings | None = None,
    ):
        """`accuracy`: percent, one axis a position of `space`; `steps`: of an epoch; `trainings`: what `evaluate`
        reads, None where single trainings are not known. Raises BenchbedError where a cell is missing."""
        self.steps_per_epoch, self.trainings = steps, trainings
        if trainings is None:
            self.provides = frozenset()
        self._trained: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        if accuracy.shape != tuple(len(p.operations) for p in space.positions):
            held = f"{len(accuracy):,} of the {counted(space.size())}"
            raise BenchbedError(f"objective 'table' needs every architecture: {name} holds {held}")
        if gaps := int(np.isnan(accuracy).sum()):
            raise BenchbedError(
                f"objective 'table' needs every cell: {name} lacks {gaps:,} of {prod(accuracy.shape):,}"
            )
        self.space, self.device = space, torch.device("cpu")
        self.accuracy = Multilinear(space, torch.tensor(accuracy, dtype=torch.float64))
        self.everything = torch.from_numpy(space.mask)

    @classmethod
    def of(cls, table: Table, dataset: str, steps: int | None = None, epochs: int | None = None) -> "TableObjective":
        """The objective of a data set, after `epochs` of training (None: the table's full training).

        Raises BenchbedError if the table lacks the figure or a cell of it.
        """
        figure = Figure(dataset, "valid", epochs or table.full_epochs)
        name, trainings = f"{figure.words} in table {table.name}", partial(trainings_of, table, dataset)
        return cls(table.space, table.values(*figure), name, steps or STEPS, trainings)

    @classmethod
    def of_further(cls, table: Table, name: str, steps: int | None = None) -> "TableObjective":
        """The objective of a further figure in percent, such as accuracies by one trained supernet.

        It has no trainings of fewer epochs. Raises BenchbedError if the table lacks it or a cell of it, or if it holds
        what is not a percentage.
        """
        values = table.further(name)
        if values.size and not (np.nanmin(values) >= 0 and np.nanmax(values) <= 100):
            least, most = np.nanmin(values), np.nanmax(values)
            raise BenchbedError(f"figure '{name}' of table {table.name} goes from {least:g} to {most:g}: objective "
                                "'table' climbs accuracies in percent, 0 to 100")  # fmt: skip
        return cls(table.space, values, f"figure '{name}' in table {table.name}", steps or STEPS)

    def value(self, gates: Tensor) -> Tensor:
        """The accuracy in percent, float64 (K,), of gates (K, P, O); differentiable."""
        return self.accuracy(gates)

    def loss(self, gates: Tensor, batch: Batch | None, weights: dict[str, Tensor] | None = None) -> Tensor:
        return (1 - self.value(gates[None])[0] / 100).float()

    def gate_gradient(
        self, gates: Tensor, batch: Batch | None, need: Tensor | None = None, keep: Keep = "outputs"
    ) -> tuple[Tensor, Tensor]:
        """In float64, given as float32."""
        point = gates.detach().double().requires_grad_()
        with torch.enable_grad():
            loss = 1 - self.value(point[None])[0] / 100
        (gradient,) = torch.autograd.grad(loss, point)
        return loss.detach().float(), gradient.float() * (self.everything if need is None else need)

    def measure(self, gates: Tensor, batch: Batch | None = None) -> Measure:
        with torch.no_grad():
            values = self.value(gates.reshape(-1, *gates.shape[-2:])).reshape(gates.shape[:-2])
        return Measure((1 - values / 100).float(), values.float(), 0)

    def evaluate(self, architecture: Architecture, fidelity: int) -> Evaluation:
        if fidelity not in self._trained:
            if self.trainings is None:
                return super().evaluate(architecture, fidelity)
            self._trained[fidelity] = self.trainings(fidelity)
        accuracy, seconds = self._trained[fidelity]
        return Evaluation(float(accuracy[architecture.choices]), float(seconds[architecture.choices]))

    def weight_step(self, gates: Tensor, batch: Batch | None) -> Tensor:
        """The loss; there is nothing to step. The search loop never asks."""
        return self.loss(gates.detach(), batch)


def trainings_of(table: Table, dataset: str, epochs: int) -> tuple[np.ndarray, np.ndarray]:
    """(validation accuracy in percent, seconds) of every cell trained for so many epochs, one axis a position.

    The seconds are those of the table's clock. Raises BenchbedError where the table lacks the accuracy, any seconds, or
    a cell.
    """
    measured = Figure(dataset, "valid", epochs)
    accuracy = table.values(*measured)
    seconds, figure, _ = training_seconds(table, dataset, epochs)
    for what, of, values in (("validation accuracies", measured, accuracy), ("training seconds", figure, seconds)):
        if gaps := int(np.isnan(values).sum()):
            raise BenchbedError(f"table {table.name} lacks {gaps:,} of {values.size:,} {what} of {of}")
    if not (seconds > 0).all():
        raise BenchbedError(f"table {table.name}: training seconds of {figure} are not all above 0")
    return accuracy, seconds


def imageless(name: str, table: str, dataset: str, fingerprint: str) -> Task:
    """What stands for the task where a table is the objective: its content by fingerprint, and no image."""
    none = Split(torch.zeros(0, 1, 1, 1), torch.zeros(0, dtype=torch.int64))
    return Task(name, 0, (1, 1, 1), none, none, Seal(lambda: none), fingerprint, {"table": table, "dataset": dataset})
