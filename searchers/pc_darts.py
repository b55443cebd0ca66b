"""PC-DARTS: DARTS on a part of the channels, with a weight on every edge.

Xu et al., "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search", ICLR 2020. Two changes to
DARTS. Partial channels (section 3.2) are the supernet's: `supernet.partial=4` sends a quarter of the channels of every
position through its operations (`benchbed/layers/partial.py`); protocols set it for this searcher. Which operations win
then depends on which channels were sampled, so edges get weights of their own (section 3.3), learned with alpha by the
same Adam: with beta (P,), p = softmax(alpha) by row and b the softmax of beta over the edges into one node,

    weight and architecture steps at gates b_e p_eo;      nodes keep the inputs of greatest b_e p_eo

b is the searcher's `strength`. alpha and beta learn after `warmup` of the epochs (15 of 50). Where a space has no nodes
that keep some of their inputs (NAS-Bench-201), no edge is weighed: b is 1. `edges=none` leaves it out everywhere; with
that and supernet.partial=1 it is DARTS bit for bit. Defaults: the authors' (PC-DARTS b74702f). A cost is that of p. On
a table whose space has such nodes rows would not sum to 1: refused.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from benchbed.cost import Problem
from benchbed.errors import BenchbedError
from benchbed.objective import Batch, Objective, Tree
from benchbed.searcher import AlphaOptions, Clock, GradientSearcher, arch_gradient, masked_softmax
from benchbed.space import Space
from benchbed.streams import Streams


class Options(AlphaOptions):
    """When alpha begins to learn, whether edges have weights, and Adam on both. Defaults: the authors'."""

    alpha_lr: float = Field(6e-4, gt=0, description="Adam's learning rate of alpha and beta (official: 6e-4)")
    warmup: float = Field(0.3, ge=0, lt=1, description="share of the epochs of weight steps alone (official: 15/50)")
    edges: Literal["softmax", "none"] = Field("softmax", description="weights of a node's edges; none: every edge is 1")


class PCDARTS(GradientSearcher[Options]):
    """Mixes operations by softmax(alpha) and a node's edges by softmax(beta)."""

    evaluation = "mixture"  # not measured: what weights train at
    simplex = False  # a node's rows together sum to 1

    def __init__(self, space: Space, options: Options, streams: Streams):
        super().__init__(space, options, streams)
        self.nodes = [list(node.incoming) for node in space.nodes if options.edges == "softmax"]
        start = torch.randn(len(self.mask), generator=streams.generator("edges")) if self.nodes else torch.zeros(0)
        self.beta = (start * options.alpha_init).requires_grad_()
        if self.nodes:
            self.optimiser.add_param_group({"params": [self.beta]})

    @classmethod
    def check(cls, options: Options, space: Space, objective: Objective | None) -> None:
        weighed = options.edges == "softmax" and space.nodes
        if weighed and objective is not None and "weights" not in objective.provides:
            raise BenchbedError(
                "searcher 'pc-darts' weighs edges, so that rows of gates do not sum to 1, and a table knows the loss "
                "of rows that do alone: set searcher.edges=none"
            )

    def arch_steps_due(self, clock: Clock) -> int:
        return int(clock.epoch >= round(self.options.warmup * clock.epochs))

    def edges(self) -> Tensor:
        """b (P,), differentiable in beta: over each node's edges that still flow the softmax; 1 elsewhere."""
        found, flowing = torch.ones(len(self.mask)), self.mask.any(1)
        for incoming in self.nodes:
            left = [i for i in incoming if flowing[i]]
            if left:
                found = found.index_put((torch.tensor(left),), self.beta[left].softmax(0))
        return found

    def arch_gates(self) -> tuple[Tensor, Tensor, Tensor]:
        gates = self.edges()[:, None] * masked_softmax(self.alpha, self.mask)
        return gates.detach(), self.mask, gates

    def weight_gates(self, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        decided = self.mask.sum(1, keepdim=True) <= 1
        return torch.where(decided, self.mask.float(), self.arch_gates()[0])

    def arch_step(self, problem: Problem, batch: Batch | None, clock: Clock) -> dict[str, float]:
        valid = problem.objective.batch("valid")
        gates, need, _ = self.arch_gates()
        loss, gradient = problem.objective.gate_gradient(gates, valid, need)
        for learned in (self.alpha, self.beta) if self.nodes else (self.alpha,):
            flowing, paid = self.arch_gates()[2], masked_softmax(self.alpha, self.mask)
            learned.grad = arch_gradient(problem, learned, loss, gradient, flowing, paid)
        self.optimiser.step()
        return {"loss": float(loss)}

    def strength(self) -> Tensor:
        """What `weight_gates` trains at: an operation that is left alone flows whole."""
        return torch.where(self.mask.sum(1) <= 1, 1.0, self.edges().detach())

    def state(self) -> Tree:
        return {**super().state(), "beta": self.beta.detach().clone()}

    def load_state(self, tree: Tree) -> None:
        super().load_state(tree)
        with torch.no_grad():
            self.beta.copy_(tree["beta"])
