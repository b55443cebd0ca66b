"""SGAS: a search that decides one position after another as it goes, the most important and certain first.

Li et al., "SGAS: Sequential Greedy Architecture Search", CVPR 2020, section 3.2. With p = softmax(alpha) and q the
distribution that p leaves over the operations other than `none`, a position e has

    importance   S_EI = sum of p over the operations other than `none`
    certainty    S_SC = 1 - H(q) / log K                     H: entropy, K: how many operations are not `none`
    stability    S_SS = mean over the last epochs t of sum_k min(q_k, q_k(t))                   (criterion 2 alone)

each scaled to [0, 1] over the positions of its group (min-max), and the score S1 = S_EI S_SC or S2 = S_EI S_SC S_SS. At
a decision the undecided position of greatest score, ties to the first, takes the operation of greatest q. From then on
that operation alone flows there and its alpha stays. A node that has as many decided inputs as it keeps drops the
others. Groups (normal and reduction cells) decide side by side.

Schedule, published for 50 epochs and 8 decisions a group: the first at the end of epoch 9 (counted from 0), then every
fifth, the last at 44, and 5 epochs after it. Here the same shares of any number of epochs: first at `warmup` E, last
`cooldown` E before the end, the others spread evenly, rounded down.

`operation=perturb` is DARTS-PT's SGAS+PT (Wang et al., ICLR 2021, table 1; no code was released): the position by the
same score, its operation the one without which the supernet's validation accuracy is lowest, as the selector
`perturb` finds it; ties to the lowest index.

What differs from the authors' code. A factor that is the same at all positions of a group (S_EI where no operation is
`none`, S_SS before there is a history) is left out of the product; theirs makes every score zero and so decides the
first position. The batch stays what it was (theirs grows by 8 images a decision, into the memory that is freed). As
there, `none` is never chosen, on NAS-Bench-201 too.
"""

import math
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from benchbed.objective import Objective, Tree
from benchbed.searcher import Clock, Searcher, masked_softmax
from benchbed.searcher import Options as PluginOptions
from benchbed.space import Space

from ._progressive import Progressive

FLAT = 1e-6  # a spread of a factor below this is rounding


class Options(PluginOptions):
    """SGAS' criterion and schedule. Defaults: the authors' CNN search."""

    criterion: Literal[1, 2] = Field(1, description="1: importance and certainty; 2: stability too")
    history: int = Field(4, ge=1, description="epochs that stability looks back (official: 4)")
    warmup: float = Field(
        0.18, ge=0, lt=1, description="share of the epochs before the first decision (official: 9/50)"
    )
    cooldown: float = Field(0.1, ge=0, lt=1, description="share of the epochs after the last decision (official: 5/50)")
    operation: Literal["alpha", "perturb"] = Field(
        "alpha", description="what a decided position takes: the greatest alpha, or the most missed (SGAS+PT)"
    )


class Decisions(Progressive[Options]):
    """Greedy decisions between the epochs of a search."""

    def __init__(self, searcher: Searcher[Any], options: Options):
        super().__init__(searcher, options)
        self.candidates = _candidates(self.space)
        self.decided: list[int] = []  # positions, in the order of their decisions
        self.history: list[Tensor] = []  # q (P, O) of the last epochs, the latest last

    def end_epoch(self, objective: Objective, clock: Clock) -> None:
        p = masked_softmax(self.alpha, self.everything)
        q = masked_softmax(self.alpha, self.candidates)
        for group in self.groups():
            due = self.decisions_due(clock, self.decisions_of(group))
            scores = self.scores(p, q, group)
            while len(set(self.decided) & set(group)) < due and bool(self.undecided()[group].any()):
                position = min(group, key=lambda i: (-scores[i] if self.undecided()[i] else math.inf, i))
                self.decide(position, self.operation_at(position, q, objective))
        self.history = [*self.history, q][-self.options.history :]

    def groups(self) -> list[list[int]]:
        """The positions that decide side by side."""
        names = [position.group for position in self.space.positions]
        return [[i for i, name in enumerate(names) if name == group] for group in dict.fromkeys(names)]

    def decisions_of(self, group: list[int]) -> int:
        """How many positions of the group are decided in the end: the others are dropped."""
        dropped = sum(len(node.incoming) - node.keep for node in self.space.nodes if node.incoming[0] in group)
        return len(group) - dropped

    def undecided(self) -> Bool[Tensor, " P"]:
        taken = torch.zeros(len(self.mask), dtype=torch.bool)
        taken[self.decided] = True
        return ~taken & self.mask.any(1)

    def decisions_due(self, clock: Clock, decisions: int) -> int:
        """How many of a group's decisions are made by the end of this epoch."""
        o = self.options
        first = min(round(o.warmup * clock.epochs), clock.epochs - 1)
        last = max(first, clock.epochs - 1 - round(o.cooldown * clock.epochs))
        epochs = [first + j * (last - first) // max(decisions - 1, 1) for j in range(decisions)]
        return sum(epoch <= clock.epoch for epoch in epochs)

    def scores(self, p: Tensor, q: Tensor, group: list[int]) -> dict[int, float]:
        """The criterion at every position of the group, decided ones included, as they enter the scaling."""
        factors = [(p * self.candidates).sum(1), certainty(q, self.candidates)]
        if self.options.criterion == 2 and self.history:
            factors.append(torch.stack([torch.minimum(q, then).sum(1) for then in self.history]).mean(0))
        score = torch.ones(len(group))
        for factor in factors:
            score *= scaled(factor[group])
        return dict(zip(group, score.tolist(), strict=True))

    def operation_at(self, position: int, q: Tensor, objective: Objective) -> int:
        """The operation that an undecided position takes."""
        columns: list[int] = (self.candidates[position] & self.mask[position]).nonzero().flatten().tolist()
        if self.options.operation == "alpha" or len(columns) == 1:
            return max(columns, key=lambda k: (float(q[position, k]), -k))
        flowing = self.searcher.probabilities() * self.searcher.strength()[:, None]
        gates = flowing.repeat(len(columns), 1, 1)
        for row, column in zip(gates, columns, strict=True):
            row[position, column] = 0.0
        accuracy = objective.measure(gates).accuracy.tolist()
        return columns[accuracy.index(min(accuracy))]

    def decide(self, position: int, operation: int) -> None:
        """The operation alone flows at the position; its node's other inputs go once it has as many as it keeps."""
        self.mask[position] = False
        self.mask[position, operation] = True
        self.decided.append(position)
        for node in self.space.nodes:
            if position in node.incoming and len(set(self.decided) & set(node.incoming)) == node.keep:
                self.mask[[i for i in node.incoming if i not in self.decided]] = False

    def state(self) -> Tree:
        return {"decided": list(self.decided), "history": [q.clone() for q in self.history]}

    def load_state(self, tree: Tree) -> None:
        self.decided = list(tree["decided"])
        self.history = [q.clone() for q in tree["history"]]


def _candidates(space: Space) -> Bool[Tensor, "P O"]:
    """What a decision may take: selectable and not `none`; where that is nothing, what is selectable."""
    selectable = torch.from_numpy(space.selectable)
    names = [[*p.operations, *[""] * (selectable.shape[1] - len(p.operations))] for p in space.positions]
    flowing = selectable & torch.tensor([[name != "none" for name in row] for row in names])
    return torch.where(flowing.any(1, keepdim=True), flowing, selectable)


def certainty(q: Float[Tensor, "P O"], candidates: Bool[Tensor, "P O"]) -> Float[Tensor, " P"]:
    """1 - H(q) / log K over each row's K candidates; 1 where there is no choice."""
    count = candidates.sum(1)
    entropy = -torch.special.xlogy(q, q).sum(1)
    return torch.where(count > 1, 1 - entropy / count.clamp_min(2).log(), 1.0)


def scaled(factor: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Min-max to [0, 1]; ones where all are the same, so that the factor tells nothing apart."""
    low, spread = factor.min(), factor.max() - factor.min()
    return torch.ones_like(factor) if float(spread) < FLAT else (factor - low) / spread
