"""The objective of a surrogate whose space is too large for an array: it is asked architecture by architecture.

Searchers that evaluate whole architectures need nothing else. There is no multilinear extension, so no gradient; gates
that are no architecture count as the one of their greatest entries, as a search's current leaning is shown.
"""

import numpy as np
import torch
from torch import Tensor

from ..errors import BenchbedError
from ..objective import Batch, Evaluation, Keep, Measure, Weightless
from ..space import Architecture
from ..tables.clock import training_seconds
from ..tables.figures import Figure
from ..tables.surrogate import Surrogate
from .table import STEPS


class AskedObjective(Weightless):
    """Loss and accuracy by a surrogate's validation accuracy; no data, no weights, no test accuracy."""

    provides = frozenset({"fidelity"})

    def __init__(self, table: Surrogate, dataset: str, steps: int | None = None, epochs: int | None = None):
        """Raises BenchbedError where the table lacks the figure."""
        self.table, self.dataset = table, dataset
        self.figure = Figure(dataset, "valid", epochs or table.full_epochs)
        table.values(*self.figure)
        self.space, self.device, self.steps_per_epoch = table.space, torch.device("cpu"), steps or STEPS
        self._seconds: dict[int, float] = {}

    def value(self, gates: Tensor) -> float:
        """The accuracy in percent of gates (P, O)."""
        allowed = np.where(self.space.selectable, gates.detach().numpy(), -1.0)
        choices = self.space.keep_strongest(allowed.argmax(1).tolist(), allowed.max(1).tolist())
        return float(self.table.query(self.space.architecture_of(choices), *self.figure))

    def measure(self, gates: Tensor, batch: Batch | None = None) -> Measure:
        flat = gates.reshape(-1, *gates.shape[-2:])
        values = torch.tensor([self.value(one) for one in flat]).reshape(gates.shape[:-2])
        return Measure(1 - values / 100, values, 0)

    def evaluate(self, architecture: Architecture, fidelity: int) -> Evaluation:
        """A prediction takes the mean seconds of the trainings."""
        accuracy = float(self.table.query(architecture, self.dataset, "valid", fidelity))
        if fidelity not in self._seconds:
            seconds = training_seconds(self.table, self.dataset, fidelity).values
            if not float(np.mean(seconds)) > 0:
                raise BenchbedError(f"table {self.table.name}: its training seconds are not above 0")
            self._seconds[fidelity] = float(np.mean(seconds))
        place = self.table.places.of(architecture)
        known = self.table.train_seconds(self.dataset, "valid", fidelity) if place >= 0 else None
        return Evaluation(accuracy, self._seconds[fidelity] if known is None else float(known[place]))

    def loss(self, gates: Tensor, batch: Batch | None, weights: dict[str, Tensor] | None = None) -> Tensor:
        return torch.tensor(1 - self.value(gates) / 100)

    def gate_gradient(
        self, gates: Tensor, batch: Batch | None, need: Tensor | None = None, keep: Keep = "outputs"
    ) -> tuple[Tensor, Tensor]:
        """Raises BenchbedError: there is none."""
        raise BenchbedError(f"table {self.table.name} is asked architecture by architecture: it has no gradient")

    def weight_step(self, gates: Tensor, batch: Batch | None) -> Tensor:
        """The loss; there is nothing to step. The search loop never asks."""
        return self.loss(gates, batch)
