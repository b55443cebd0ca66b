"""Random sampling with parameter sharing: uniform one-path training, no preference learned.

Li and Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019 (RSPS): each batch
trains a path drawn uniformly; a selector such as best-of then ranks architectures by the shared weights.
"""

from torch import Tensor

from benchbed.cost import Problem
from benchbed.objective import Batch, Objective, Tree
from benchbed.searcher import Clock, Searcher


class RandomSampling(Searcher):
    """Trains uniformly drawn paths; its probabilities stay uniform."""

    evaluation = "mixture"  # measured: results/evaluation-gates.md

    def arch_steps_due(self, clock: Clock) -> int:
        return 0

    def weight_gates(self, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        return self.sample(1)[0]

    def arch_step(self, problem: Problem, batch: Batch | None, clock: Clock) -> dict[str, float]:
        return {}

    def probabilities(self) -> Tensor:
        return self.mask / self.mask.sum(1, keepdim=True)

    def state(self) -> Tree:
        return {}

    def load_state(self, tree: Tree) -> None:
        """Nothing is learned, so there is nothing to restore."""
