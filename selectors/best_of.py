"""Best-of: n architectures drawn from the searcher, ranked by the shared weights; the most accurate is kept.

RSPS' rule (Li and Talwalkar, UAI 2019), with 100 draws in NAS-Bench-201. Each draw is measured on its own path, on
all of the validation split.
"""

from typing import Any, ClassVar

import torch
from pydantic import BaseModel, Field

from benchbed.objective import Tree
from benchbed.searcher import Options as PluginOptions
from benchbed.selector import Context, Selection, Selector
from benchbed.space import Space


class Options(PluginOptions):
    """How many draws."""

    samples: int = Field(100, ge=1, description="architectures drawn (NAS-Bench-201: 100)")


class BestOf(Selector):
    """The draw of greatest validation accuracy by shared weights."""

    Options: ClassVar[type[BaseModel]] = Options
    chunk = 10  # draws per step: what a kill may cost

    def __init__(self, options: Any):
        super().__init__(options)
        self.gates: list[torch.Tensor] = []
        self.accuracies: list[float] = []

    def steps(self, space: Space) -> int:
        return -(-self.options.samples // self.chunk)

    def step(self, context: Context) -> Selection | None:
        n = min(self.chunk, self.options.samples - len(self.accuracies))
        drawn = context.searcher.sample(n, context.streams.generator("selection"))
        self.gates.append(drawn)
        self.accuracies += context.objective.measure(drawn).accuracy.tolist()
        context.log({"draws": len(self.accuracies), "best_accuracy": max(self.accuracies)})
        if len(self.accuracies) < self.options.samples:
            return None
        everything = torch.cat(self.gates)
        values = torch.tensor(self.accuracies)
        best = everything[int(values.argmax())]
        taken = everything.sum(0)
        # the mean accuracy of the draws that held an operation; NaN where none did
        scores = torch.where(taken > 0, (everything * values[:, None, None]).sum(0) / taken, torch.nan)
        notes = {"samples": len(values), "supernet_accuracy_of_best": float(values.max())}
        return Selection(context.space.architecture(best.numpy()), scores.double().numpy(), notes)

    def state(self) -> Tree:
        return {"gates": self.gates, "accuracies": self.accuracies}

    def load_state(self, tree: Tree) -> None:
        self.gates, self.accuracies = list(tree["gates"]), list(tree["accuracies"])
