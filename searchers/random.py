"""One-path sampling with shared weights: nothing is preferred, each batch trains paths that are drawn.

Uniform: Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform Sampling", ECCV 2020 (SPOS), and Li
and Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019 (RSPS): a batch trains one
path, every position drawn uniformly. Fair: Chu et al., "FairNAS: Rethinking Evaluation Fairness of Weight Sharing
Neural Architecture Search", ICCV 2021, algorithm 1. With K operations a position, a batch trains K paths,

    path k holds operation pi_i(k) at position i,   pi_i a random permutation of the K,

and the weights move once, by the sum of the K gradients: every operation is in exactly one of them (strict fairness).
A fair step therefore costs K passes. A selector such as best-of then ranks architectures by the shared weights.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import TypeVar

from benchbed.cost import Problem
from benchbed.errors import BenchbedError
from benchbed.objective import Batch, Objective, Tree
from benchbed.searcher import Clock, Searcher
from benchbed.searcher import Options as PluginOptions
from benchbed.space import Space


class Options(PluginOptions):
    """How paths are drawn."""

    sampling: Literal["uniform", "fair"] = Field(
        "uniform", description="uniform: one path a step (SPOS, RSPS); fair: as many as operations (FairNAS)"
    )


OptionsT = TypeVar("OptionsT", bound=Options, default=Options)


class RandomSampling(Searcher[OptionsT]):
    """Trains drawn paths; its probabilities stay uniform."""

    evaluation = "mixture"  # measured: results/evaluation-gates.md

    @classmethod
    def check(cls, options: OptionsT, space: Space, objective: Objective | None) -> None:
        counts = {position.name: len(position.operations) for position in space.positions}
        least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        if options.sampling == "fair" and counts[least] != counts[most]:
            raise BenchbedError(
                f"searcher.sampling=fair takes as many operations at every position, and '{least}' has "
                f"{counts[least]} where '{most}' has {counts[most]}: use uniform"
            )

    def arch_steps_due(self, clock: Clock) -> int:
        return 0

    def weight_gates(self, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        return self.sample(1)[0] if self.options.sampling == "uniform" else self.fair()

    def fair(self) -> Tensor:
        """K one-hot paths (K, P, O), in which every operation of every position flows once."""
        positions, operations = self.mask.shape
        order = torch.rand(positions, operations, generator=self.streams.generator("gates")).argsort(1)  # pi (P, K)
        return torch.nn.functional.one_hot(order.T, operations).float()

    def arch_step(self, problem: Problem, batch: Batch | None, clock: Clock) -> dict[str, float]:
        return {}

    def probabilities(self) -> Tensor:
        return self.mask / self.mask.sum(1, keepdim=True)

    def state(self) -> Tree:
        return {}

    def load_state(self, tree: Tree) -> None:
        """Nothing is learned, so there is nothing to restore."""
