"""SNAS: operations flow by relaxed one-hot draws, whose temperature falls; ReinMax as an option.

Xie et al., "SNAS: Stochastic Neural Architecture Search", ICLR 2019, section 2.2, equation 4: with Gumbel noise n and a
temperature tau,

    Z = softmax((alpha + n) / tau),     dL/dalpha = dL/dZ dZ/dalpha

Weights and alpha both see Z, a draw each; every operation flows. Z is a draw of the concrete distribution, which tends
to one-hot draws of p = softmax(alpha) as tau falls. What is descended is E L(Z), another function of alpha than E L of
one-hot draws while tau is above zero. The paper moves alpha and weights on the same training batch; here, as in the
code of DrNAS and of confopt that its published rows on NAS-Bench-201 stand beside, alpha moves on validation batches.
Its temperature falls linearly: 10 to 1 in DrNAS' code, 1 to 0.33 in confopt, 1 to 0.03 in the authors' search.

`reinmax=true`: Liu et al., "Bridging Discrete and Backpropagation: Straight-Through and Beyond", NeurIPS 2023, section
4, algorithm 2. One path D runs, drawn from p, and with G = dL/dg at g = D of all operations

    dL/dalpha = 2 J(pi)^T G - J(p)^T G / 2,    pi = (softmax(alpha / tau) + D) / 2,    J(q) = diag(q) - q q^T

At tau = 1 its mean over D is Heun's rule for the difference of the loss between operations, exact where a position's
loss is at most quadratic along the line between two of them; straight-through, J(p)^T G, is Euler's. A tau below 1 is
refused, as by the authors' code.
"""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import one_hot

from benchbed.cost import Problem
from benchbed.errors import BenchbedError
from benchbed.objective import Batch, Objective
from benchbed.searcher import AlphaOptions, Clock, GradientSearcher, masked_softmax
from benchbed.space import Space
from benchbed.streams import Streams


class Options(AlphaOptions):
    """SNAS' temperature. Defaults: DrNAS' script on NAS-Bench-201; Adam on alpha is as DARTS'."""

    tau_start: float = Field(10.0, gt=0, description="temperature in the first epoch (official: 10)")
    tau_end: float = Field(1.0, gt=0, description="temperature in the last epoch, falling linearly (official: 1)")
    reinmax: bool = Field(False, description="run one-hot draws; alpha moves by ReinMax' second-order estimate")


class SNAS(GradientSearcher[Options]):
    """Mixes all operations by draws of the concrete distribution; with ReinMax it runs one path."""

    evaluation = "mixture"  # not measured: as GDAS

    def __init__(self, space: Space, options: Options, streams: Streams):
        super().__init__(space, options, streams)
        self.tau = float(options.tau_start)

    @classmethod
    def check(cls, options: Options, space: Space, objective: Objective | None) -> None:
        least = min(options.tau_start, options.tau_end)
        if options.reinmax and least < 1:
            raise BenchbedError(f"searcher.reinmax=true takes temperatures of 1 or more, and one is {least:g}")

    def temperature(self, clock: Clock) -> float:
        """tau of this epoch: `tau_start` in the first, `tau_end` in the last."""
        return clock.linear(self.options.tau_start, self.options.tau_end)

    def arch_step(self, problem: Problem, batch: Batch | None, clock: Clock) -> dict[str, float]:
        self.tau = self.temperature(clock)
        return super().arch_step(problem, batch, clock)

    def relaxed(self) -> Tensor:
        """Z (P, O), differentiable in alpha; its argmax is a draw of p at any temperature."""
        # an exponential number that rounded to 0 has an infinite logarithm
        noise = -torch.empty_like(self.alpha).exponential_(generator=self.streams.generator("gates")).log()
        return masked_softmax((self.alpha + noise.clamp_max(88)) / self.tau, self.mask)

    def paid_gates(self, p: Tensor) -> Tensor:
        return self.distribution()

    def path(self) -> Tensor:
        """A one-hot draw of p (P, O): the argmax of a relaxed one, whatever its temperature."""
        with torch.no_grad():
            return one_hot(self.relaxed().argmax(1), self.mask.shape[1]).float() * self.mask

    def weight_gates(self, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        self.tau = self.temperature(clock)  # also where weights are tuned and alpha rests
        if self.options.reinmax:
            return self.path()
        with torch.no_grad():
            return self.relaxed()

    def arch_gates(self) -> tuple[Tensor, Tensor, Tensor]:
        if self.options.reinmax:
            path = self.path()
            return path, self.mask, self.reinmax(path)
        z = self.relaxed()
        return z.detach(), self.mask, z

    def reinmax(self, path: Tensor) -> Tensor:
        """2 pi - p / 2, whose derivative in alpha is 2 J(pi) - J(p) / 2."""
        pi = (masked_softmax(self.alpha.detach() / self.tau, self.mask) + path) / 2
        # softmax(log pi + alpha - sg(alpha)) is pi, with the derivative of a softmax there
        tiny = torch.finfo(pi.dtype).tiny  # a dropped position has a row of zeros
        moved = masked_softmax(pi.clamp_min(tiny).log() + self.alpha - self.alpha.detach(), self.mask)
        return 2 * moved - self.distribution() / 2
