"""ProxylessNAS by gradient: binarised paths; only one operation a position flows.

Cai, Zhu and Han, "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware", ICLR 2019. Gates g
are a one-hot draw from p = softmax(alpha), one draw a batch. Weight steps train the drawn path. Architecture steps
estimate dL/dalpha from G_j = dL/dg_j = <dL/dm, o_j(x)> at the drawn path (section 3.2.1, equation 4):

    full: dL/dalpha_i = p_i (G_i - sum_j p_j G_j), over all operations
    echo: `full` with the memory of one path: what does not flow is run in the backward pass, one after the other
    two:  the same on a pair {a, b} drawn from p without replacement, with q = p renormalised on the pair; after the
          Adam step both alphas are shifted so that exp(alpha_a) + exp(alpha_b) is what it was, which leaves every
          other probability unchanged

A cost in the loss is that of p in `full` and `echo`. In `two` the official code takes the cost of q, zero off the pair:
the two drawn operations' own, whose alpha gradient on the pair is q_a q_b (F_a - F_b) (`paid=pair`, the default). Its
value is noisy; with `paid=all` the value is that of the whole p, and the gradient still moves the pair alone.

Where the drawn operation is `none` (`zero` in a chain), its output and so its G is 0, and it takes part in the step
like any other. The official code leaves the mixed operation there: the position's gradient is dropped, the cost's with
it, and neither its alpha nor Adam's state of it moves, step count included (`dead=dropped`; each position then has an
Adam of its own, as there).
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from benchbed.cost import Problem
from benchbed.errors import BenchbedError
from benchbed.objective import Batch, Keep, Objective
from benchbed.searcher import AlphaOptions, Clock, GradientSearcher, masked_softmax, one_hot_draws
from benchbed.space import Space
from benchbed.streams import Streams


class Options(AlphaOptions):
    """ProxylessNAS' architecture step. Defaults: the CIFAR-10 settings of the paper, section 4.1."""

    alpha_lr: float = Field(6e-3, gt=0, description="Adam's learning rate of alpha (paper, CIFAR-10: 0.006)")
    alpha_beta1: float = Field(0.0, ge=0, lt=1, description="Adam's first beta; above 0 undrawn alphas drift in 'two'")
    alpha_weight_decay: float = Field(0.0, ge=0, description="L2 on alpha, through Adam")
    mode: Literal["two", "full", "echo"] = Field(
        "two",
        description="whose gates get a gradient: a pair's, all at once (full), all one by one in one path's memory",
    )
    paid: Literal["pair", "all"] = Field(
        "pair", description="of 'two': a cost is that of the pair alone (official), or of all probabilities"
    )
    dead: Literal["learns", "dropped"] = Field(
        "learns", description="a position whose draw is none or zero: moves like any other, or stands still (official)"
    )
    warmup: float = Field(0.25, ge=0, lt=1, description="share of the epochs that train weights alone, paths from p")
    every: int = Field(1, ge=1, description="batches of an epoch per architecture step (official ImageNet code: 5)")


NOTHING = ("none", "zero")  # the operations that give zeros, as our spaces name them


class ProxylessNAS(GradientSearcher[Options]):
    """Samples one path a batch; gate gradients of two or all operations move alpha."""

    evaluation = "mixture"  # measured: results/evaluation-gates.md

    def __init__(self, space: Space, options: Options, streams: Streams):
        super().__init__(space, options, streams)
        self.gates = torch.zeros(self.mask.shape)  # of the latest architecture step
        if options.dead == "dropped":
            self.optimiser = AdamByRow(self.alpha, self.optimiser.defaults, self._dead)

    def _dead(self) -> list[bool]:
        """Of each position, whether its latest draw is an operation that gives zeros."""
        chosen = zip(self.space.positions, self.gates.argmax(1).tolist(), strict=True)
        return [p.operations[k] in NOTHING for p, k in chosen]

    def arch_steps_due(self, clock: Clock) -> int:
        return clock.due(self.options.every, self.options.warmup)

    def weight_gates(self, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        return self.sample(1)[0]

    @property
    def keep(self) -> Keep:
        return "nothing" if self.options.mode == "echo" else "outputs"

    def arch_gates(self) -> tuple[Tensor, Tensor, Tensor]:
        if self.options.mode != "two":
            self.gates = self.sample(1)[0]
            return self.gates, self.mask, masked_softmax(self.alpha, self.mask)
        self.pair = pair = self._draw_pairs()
        q = masked_softmax(self.alpha, pair)
        draws = torch.rand(1, len(self.mask), generator=self.streams.generator("gates"))
        self.gates = one_hot_draws(q.detach(), draws)[0]
        return self.gates, pair, q

    def paid_gates(self, p: Tensor) -> Tensor:
        """`two` with `paid=all`: all of softmax(alpha), held fixed but for how the pair shares its mass."""
        if self.options.mode != "two" or self.options.paid == "pair":
            return p
        whole = self.probabilities()
        mass = (whole * self.pair).sum(1, keepdim=True)
        return torch.where(self.pair, p * mass, whole)

    def _draw_pairs(self) -> Tensor:
        """bool (P, O): per position two operations without replacement, weighted by p; one where there is one."""
        p, generator = self.probabilities(), self.streams.generator("gates")
        pair = torch.zeros_like(self.mask)
        for i, row in enumerate(p):
            available, operations = int((row > 0).sum()), int(self.mask[i].sum())
            if operations == 0:  # a modifier has dropped the position
                continue
            if available < min(2, operations):
                name = self.space.positions[i].name
                raise BenchbedError(
                    f"mode 'two' needs two operations of non-zero probability at position '{name}'"
                    f" and alpha has saturated to {[round(x, 2) for x in self.alpha[i].tolist()]}:"
                    " lower searcher.alpha_lr or use searcher.mode=full"
                )
            pair[i, torch.multinomial(row, min(2, operations), replacement=False, generator=generator)] = True
        return pair

    def arch_step(self, problem: Problem, batch: Batch | None, clock: Clock) -> dict[str, float]:
        before = self.alpha.detach().clone()
        logged = super().arch_step(problem, batch, clock)
        if self.options.mode == "two":
            rescale(self.alpha, before, self.pair)
        return logged


class AdamByRow(torch.optim.Optimizer):
    """Adam with a state of its own for each row of alpha (P, O); the rows that `still()` names are left as they are."""

    def __init__(self, alpha: Tensor, defaults: dict[str, Any], still: Callable[[], list[bool]]):
        super().__init__([alpha], defaults)
        self.alpha, self.still = alpha, still
        self.rows = [alpha.detach()[i].requires_grad_() for i in range(len(alpha))]  # they share alpha's memory
        self.adam = torch.optim.Adam(self.rows, **{k: defaults[k] for k in ("lr", "betas", "eps", "weight_decay")})

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        assert self.alpha.grad is not None
        for row, gradient, still in zip(self.rows, self.alpha.grad, self.still(), strict=True):
            row.grad = None if still else gradient.clone()  # without one Adam skips the row, its step count too
        self.adam.step()

    def state_dict(self) -> dict[str, Any]:
        return self.adam.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.adam.load_state_dict(state_dict)


def rescale(alpha: Tensor, before: Tensor, pair: Tensor) -> None:
    """Shifts the pair's entries of each row so that the sum of their exponentials is what it was (section 3.2.1).

    alpha, before: (P, O), changed in place; pair: bool (P, O). In log space: exp overflows past 88 in float32.
    """
    with torch.no_grad():
        now = torch.logsumexp(alpha.masked_fill(~pair, -torch.inf), 1, keepdim=True)
        was = torch.logsumexp(before.masked_fill(~pair, -torch.inf), 1, keepdim=True)
        alpha -= torch.where(pair, now - was, 0.0)
