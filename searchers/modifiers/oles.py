"""OLES: an operation's weights stop once their gradient on training data no longer serves validation data.

Jiang et al., "Operation-Level Early Stopping for Robustifying Differentiable NAS", NeurIPS 2023, section 4. Operations
with weights overfit the training data, then validation turns to skip connections. After every architecture step, o
being an operation of a position,

    M_o = cos(dL_train/dw_o, dL_valid/dw_o)                (gradient matching score)

on the weight step's training batch and the architecture step's validation batch, at the weight step's gates. Once the
mean of M_o over `window` such steps is below `threshold`, w_o is frozen for good; alpha and all else go on. Each step
costs two more forward and backward passes.

What the authors' code does otherwise (oles d90455c; confopt has it too) is an option, off by default:
`against=previous` sets the validation gradient beside the training gradient of the step before, at the weights of then,
which costs it no pass; `valid=official` has that training gradient in the validation gradient as well, for nothing
zeroes it in between: cos(g_train, g_train + g_valid) is about 0.7 where the two have nothing to do with each other, and
`threshold` was chosen for that; `cosine=official` takes a cosine for every place of a weight tensor along its output
channels, and their mean over places and tensors; `count=official` adds `window` + 1 values and divides by `window`.
There each module of each cell stops by itself, skip connections of stride 2 never; here an operation of a position
stops in all cells that share its alpha, by all its weights (on `nb201-untied` each cell has its own). Operations
without weights have no score. tests/originals holds all of it against the authors' code.
"""

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from benchbed.cost import Problem
from benchbed.errors import BenchbedError
from benchbed.modifier import Modifier
from benchbed.objective import Batch, Objective, OperationGradients, Tree
from benchbed.searcher import AlphaSearcher, Clock, Searcher
from benchbed.searcher import Options as PluginOptions
from benchbed.space import Space

from ._watched import Watched


class Options(PluginOptions):
    """When an operation's weights stop. Defaults: the authors'."""

    window: int = Field(20, ge=1, description="scores that are averaged for a decision (official: 20)")
    threshold: float = Field(0.4, ge=-1, le=1, description="a mean below this freezes the operation (official: 0.4)")
    against: Literal["same", "previous"] = Field(
        "same", description="training gradient of the same step, or of the one before, as the official code"
    )
    valid: Literal["own", "official"] = Field(
        "own", description="official: the training gradient of the step before is added to it, a bug of the code"
    )
    cosine: Literal["flat", "official"] = Field(
        "flat", description="of all weights as one vector; official: the mean of cosines along output channels"
    )
    count: Literal["exact", "official"] = Field(
        "exact", description="official: window + 1 scores are added and divided by window, a bug of the code"
    )

    @model_validator(mode="after")
    def _fits(self) -> "Options":
        if self.valid == "official" and self.against != "previous":
            raise ValueError(f"valid = 'official' with against = '{self.against}': take against = 'previous'")
        return self


class EarlyStopping(Modifier[Options]):
    """Freezes operations whose gradients on the two splits no longer match."""

    needs = frozenset({"weights", "operations"})
    suite_options: ClassVar[dict[str, Any]] = {"window": 2, "against": "previous"}

    def __init__(self, searcher: Searcher[Any], options: Options):
        super().__init__(searcher, options)
        shape = searcher.mask.shape
        self.sums, self.counts = torch.zeros(shape, dtype=torch.float64), torch.zeros(shape, dtype=torch.int64)
        self.frozen = torch.zeros(shape, dtype=torch.bool)
        self.valid: tuple[Clock, Batch | None] | None = None  # of the last architecture step
        self.previous: OperationGradients = {}

    @classmethod
    def fits(cls, searcher: type[Searcher[Any]], options: Options, space: Space, objective: Objective | None) -> None:
        if not issubclass(searcher, AlphaSearcher):
            raise BenchbedError(f"it goes by the validation batch of steps on alpha, and {searcher.__name__} has none")
        if objective is not None and "operations" not in objective.provides:
            raise BenchbedError("it freezes the weights of operations, and this network does not say whose they are")

    def problem(self, problem: Problem, clock: Clock) -> Problem:
        def note(batch: Batch | None) -> None:
            self.valid = clock, batch

        return problem._replace(objective=Watched(problem.objective, note))

    def weight_gates(self, gates: Tensor, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        noted, self.valid = self.valid, None
        # none of an epoch before: a search that is continued there has none
        due = noted is not None and noted[0].epoch == clock.epoch and noted[0].step in (clock.step, clock.step - 1)
        if not due and self.options.against == "same":
            return gates
        training = objective.operation_gradients(gates, batch)
        if due and noted is not None:
            other = training if self.options.against == "same" else self.previous
            self.compare(objective.operation_gradients(gates, noted[1]), other)
            if (stopping := self.stopping()).any():
                objective.freeze(stopping)
        self.previous = training if self.options.against == "previous" else {}
        return gates

    def compare(self, valid: OperationGradients, training: OperationGradients) -> None:
        """Adds the scores of the operations that have a gradient on both splits."""
        measure = flat_cosine if self.options.cosine == "flat" else official_cosine
        for pair in valid.keys() & training.keys():
            own = valid[pair]
            if self.options.valid == "official":
                own = [v + t for v, t in zip(own, training[pair], strict=True)]
            score = measure(own, training[pair])
            if score is not None and not self.frozen[pair]:
                self.sums[pair] += score
                self.counts[pair] += 1

    def stopping(self) -> Tensor:
        """The operations (P, O) that stop now; where a window is full, the next begins."""
        o = self.options
        full = self.counts == o.window + (o.count == "official")
        found = full & (self.sums / o.window < o.threshold)
        self.sums[full], self.counts[full] = 0.0, 0
        self.frozen |= found
        return found

    def progress(self) -> dict[str, Any]:
        return {"frozen": int(self.frozen.sum())}

    def state(self) -> Tree:
        previous = [[*pair, [g.clone() for g in own]] for pair, own in self.previous.items()]
        held = {"sums": self.sums.clone(), "counts": self.counts.clone(), "frozen": self.frozen.clone()}
        return {**held, "previous": previous}

    def load_state(self, tree: Tree) -> None:
        self.sums, self.counts, self.frozen = (tree[key].clone() for key in ("sums", "counts", "frozen"))
        self.previous = {(i, k): [g.clone() for g in own] for i, k, own in tree["previous"]}


def flat_cosine(one: list[Tensor], other: list[Tensor]) -> float | None:
    """Of the gradients as one vector each; None where one of them is zero."""
    a, b = (torch.cat([g.flatten() for g in own]).double() for own in (one, other))
    norms = float(a.norm() * b.norm())
    return float(a @ b) / norms if norms > 0 else None


def official_cosine(one: list[Tensor], other: list[Tensor]) -> float:
    """The mean over tensors of the mean over places of the cosine along dimension 0; 0 where a column is zero."""
    means = [torch.cosine_similarity(a, b, dim=0).mean() for a, b in zip(one, other, strict=True)]
    return float(torch.stack(means).mean())
