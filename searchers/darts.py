"""DARTS: every operation flows by the softmax of alpha; first or second order.

Liu, Simonyan and Yang, "DARTS: Differentiable Architecture Search", ICLR 2019. alpha (P, O), p = softmax(alpha).
First order (xi = 0): dL_valid(w, p)/dalpha at the current weights. Second order, section 2.3, equations 7 and 8:

    w'     = w - xi (mu buf + dL_train(w, p)/dw + lambda w)
    dalpha = dL_valid(w', p)/dalpha - xi [dL_train(w+, p)/dalpha - dL_train(w-, p)/dalpha] / (2 eps)
    w+-    = w +- eps v,   v = dL_valid(w', p)/dw',   eps = 0.01 / ||v||

The weights themselves are never written: w', w+ and w- are arguments of the loss. The paper's step, 0.01 / ||v||, is
meant for its networks: on a very small one it crosses the kinks of many ReLUs, and an `epsilon` of 1e-4 comes nearer
the exact product (tests/searchers/test_darts.py).
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from benchbed.cost import Problem
from benchbed.errors import BenchbedError
from benchbed.objective import Batch, Objective, Weights
from benchbed.searcher import AlphaOptions, Clock, GradientSearcher, arch_gradient, masked_softmax


class Options(AlphaOptions):
    """DARTS' architecture step. Defaults: the paper's, section 3.1."""

    order: Literal[1, 2] = Field(1, description="1: first order; 2: unrolled by one weight step (needs weights)")
    epsilon: float = Field(0.01, gt=0, description="numerator of the finite difference's step (paper: 0.01)")


class DARTS(GradientSearcher[Options]):
    """Mixes all operations by softmax(alpha) and descends the validation loss."""

    evaluation = "mixture"  # measured: results/evaluation-gates.md

    @classmethod
    def needed(cls, options: Options) -> frozenset[str]:
        return frozenset({"weights"}) if options.order == 2 else frozenset()

    def arch_gates(self) -> tuple[Tensor, Tensor, Tensor]:
        p = masked_softmax(self.alpha, self.mask)
        return p.detach(), self.mask, p

    def weight_gates(self, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        return self.probabilities()

    def arch_step(self, problem: Problem, batch: Batch | None, clock: Clock) -> dict[str, float]:
        if self.options.order == 1:
            return super().arch_step(problem, batch, clock)
        objective = problem.objective
        if not objective.weights():
            raise BenchbedError("searcher.order=2 unrolls a weight step and this objective has no weights: use 1")
        valid = objective.batch("valid")
        p = masked_softmax(self.alpha, self.mask)
        gates = p.detach().requires_grad_()
        ahead, rate = objective.lookahead(gates, batch)
        loss = objective.loss(gates, valid, ahead)
        by_gates, *v = torch.autograd.grad(loss, [gates, *ahead.values()], allow_unused=True, materialize_grads=True)
        gradient = by_gates - rate * self._mixed_derivative(objective, gates, batch, dict(zip(ahead, v, strict=True)))
        loss = loss.detach().cpu()
        self.alpha.grad = arch_gradient(problem, self.alpha, loss, gradient, p)
        self.optimiser.step()
        return {"loss": float(loss)}

    def _mixed_derivative(self, objective: Objective, gates: Tensor, batch: Batch | None, v: Weights) -> Tensor:
        """d2 L_train / dgates dw times v, by a central finite difference at the current weights that v names."""
        weights = objective.weights()
        norm = float(torch.stack([x.square().sum() for x in v.values()]).sum().sqrt()) if v else 0.0
        if norm == 0:
            return torch.zeros_like(gates)
        eps = self.options.epsilon / norm  # a number: the weights may be on a device where the gates are not
        sides = []
        for sign in (1.0, -1.0):
            moved = {name: weights[name].detach() + sign * eps * x for name, x in v.items()}
            (side,) = torch.autograd.grad(objective.loss(gates, batch, moved), gates)
            sides.append(side)
        implicit: Tensor = (sides[0] - sides[1]) / (2 * eps)
        return implicit
