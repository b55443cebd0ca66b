"""RobustDARTS: a search ends before the validation loss becomes sharp in alpha.

Zela et al., "Understanding and Robustifying Differentiable Architecture Search", ICLR 2020, sections 4 and 5.1. Every
`every` epochs lambda is the largest eigenvalue of the Hessian of the validation loss in alpha, d2 L_valid / dalpha2 at
p = softmax(alpha), on the batch of the epoch's last architecture step. With m_i the mean of the last `window` values,

    where  m_i / m_(i - delta) > factor,  the search ends with the alpha of value i - window // 2 - delta

i - window // 2 being the middle of m_i's window; not before `start` of the epochs, and not after the last of them. The
values are those of the official code (RobustDARTS 3dec3fe, utils.py, EVLocalAvg; the paper writes the rule as
m_(i - k) / m_i < 0.75). Only alpha goes back: weights stay as they are when the search ends, the official code trains
a genotype and keeps none. Where m_(i - delta) is not above 0 a ratio says nothing, and nothing is decided.

The eigenvalue is found by Lanczos' method from products with the Hessian, each two backward passes, in float32; the
official code builds the whole matrix, and with `decay=official` its eigenvalue is theirs: alpha's weight decay is
added. The paper's other remedy is stronger regularisation: `supernet.weight_decay` up to 81e-4 (L2). Its drop path in
the supernet is not here.
"""

import math
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from benchbed.cost import Problem
from benchbed.errors import BenchbedError
from benchbed.modifier import Modifier
from benchbed.objective import Batch, Objective, Tree
from benchbed.searcher import AlphaSearcher, Clock, Searcher, masked_softmax
from benchbed.searcher import Options as PluginOptions
from benchbed.space import Space
from benchbed.stats.lanczos import Vector, largest_eigenvalue

from ._watched import Watched


class Options(PluginOptions):
    """When the loss counts as sharp. Defaults: the official code's."""

    every: int = Field(2, ge=1, description="epochs from one eigenvalue to the next (official scripts: 2)")
    window: int = Field(5, ge=1, description="eigenvalues in a local mean (official: 5)")
    delta: int = Field(4, ge=1, description="how many values back the mean is that is compared (official: 4)")
    factor: float = Field(1.3, gt=0, description="the search ends where the mean has grown by more (official: 1.3)")
    start: float = Field(0.2, ge=0, le=1, description="share of the epochs that no search ends in (official: 10/50)")
    decay: Literal["none", "official"] = Field("none", description="official: alpha's weight decay is in the Hessian")
    iterations: int = Field(30, ge=2, description="most products with the Hessian an eigenvalue")


class Robust(Modifier[Options]):
    """Measures the curvature in alpha between epochs, and ends the search where it has grown."""

    suite_options: ClassVar[dict[str, Any]] = {"every": 1}

    def __init__(self, searcher: Searcher[Any], options: Options):
        super().__init__(searcher, options)
        self.seen: tuple[Batch | None] | None = None  # the validation batch of the epoch's last architecture step
        self.epochs, self.values = list[int](), list[float]()  # where an eigenvalue was taken, and each
        self.alphas: list[Tensor] = []  # alpha (P, O) at the last of them
        self.stopped: int | None = None  # the epoch, from 0, whose alpha the search ended with
        self.start = self.streams.generator("curvature")  # made here, so that every state holds it

    @classmethod
    def fits(cls, searcher: type[Searcher[Any]], options: Options, space: Space, objective: Objective | None) -> None:
        if not issubclass(searcher, AlphaSearcher):
            raise BenchbedError(f"it looks at the curvature of the loss in alpha, and {searcher.__name__} learns none")
        if not searcher.simplex:
            raise BenchbedError(f"it looks at the loss at softmax(alpha), where {searcher.__name__} is not trained")
        if objective is not None and objective.bf16:
            raise BenchbedError("supernet.bf16 = true: second derivatives need float32; give supernet.bf16=false")

    def problem(self, problem: Problem, clock: Clock) -> Problem:
        def note(batch: Batch | None) -> None:
            self.seen = (batch,)

        return problem._replace(objective=Watched(problem.objective, note))

    def end_epoch(self, objective: Objective, clock: Clock) -> None:
        (seen, self.seen), last = (self.seen, None), clock.epoch == clock.epochs - 1
        if seen is None or self.stopped is not None or (clock.epoch % self.options.every and not last):
            return
        alpha = self.searcher.alpha.detach()  # type: ignore[attr-defined]
        self.epochs.append(clock.epoch)
        self.values.append(self.eigenvalue(objective, alpha, seen[0]))
        back = self.options.window // 2 + self.options.delta
        self.alphas = [*self.alphas, alpha.clone()][-back - 1 :]
        if last or len(self.values) <= back or not self.sharp():
            return
        if (then := self.epochs[-back - 1]) >= self.options.start * clock.epochs:
            self.stopped = then
            alpha.copy_(self.alphas[0])

    def sharp(self) -> bool:
        """Whether the local mean has grown by more than the factor."""
        o = self.options

        def mean(end: int) -> float:
            inside = self.values[max(0, end - o.window) : end]
            return sum(inside) / len(inside) if len(inside) >= math.ceil(o.window / 2) else -math.inf

        before = mean(len(self.values) - o.delta)
        return before > 0 and mean(len(self.values)) / before > o.factor

    def eigenvalue(self, objective: Objective, alpha: Tensor, batch: Batch | None) -> float:
        """The largest of the Hessian of the loss on the batch in alpha, over what the mask lets flow."""
        mask = self.searcher.mask
        point = alpha[mask].clone().requires_grad_()
        with torch.enable_grad():
            whole = torch.zeros_like(alpha).masked_scatter(mask, point)
            loss = objective.loss(masked_softmax(whole, mask), batch)
            (gradient,) = torch.autograd.grad(loss, point, create_graph=True)

        def product(v: Vector) -> Vector:
            (found,) = torch.autograd.grad(gradient, point, v.to(gradient), retain_graph=True)
            return found.double()

        begin = torch.randn(len(point), generator=self.start, dtype=torch.float64)
        found = largest_eigenvalue(product, begin, self.options.iterations)
        options = self.searcher.options
        return found + (options.alpha_weight_decay if self.options.decay == "official" else 0.0)

    def done(self) -> bool:
        return self.stopped is not None

    def progress(self) -> dict[str, Any]:
        found: dict[str, Any] = {"eigenvalue": self.values[-1]} if self.values else {}
        return found if self.stopped is None else {**found, "alpha_of_epoch": self.stopped + 1}

    def state(self) -> Tree:
        lists = {"epochs": list(self.epochs), "values": list(self.values), "alphas": [a.clone() for a in self.alphas]}
        return {**lists, "stopped": self.stopped}

    def load_state(self, tree: Tree) -> None:
        self.epochs, self.values, self.stopped = list(tree["epochs"]), list(tree["values"]), tree["stopped"]
        self.alphas = [a.clone() for a in tree["alphas"]]
