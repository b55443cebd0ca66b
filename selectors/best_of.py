"""Best-of: n architectures drawn from the searcher, ranked by the shared weights; the most accurate is kept.

RSPS' rule (Li and Talwalkar, UAI 2019), with 100 draws in NAS-Bench-201. Each draw is measured on its own path, on
all of the validation split. A draw with an operation that may not be selected is drawn again; where nodes keep some of
their inputs, only the positions that hold one are, and the inputs kept are a uniform draw.
"""

from typing import Any, ClassVar

import torch
from pydantic import Field

from benchbed.errors import BenchbedError
from benchbed.objective import Tree
from benchbed.searcher import Options as PluginOptions
from benchbed.selector import Context, Selection, Selector
from benchbed.space import Space


class Options(PluginOptions):
    """How many draws."""

    samples: int = Field(100, ge=1, description="architectures drawn (NAS-Bench-201: 100)")


TRIES = 200


class BestOf(Selector[Options]):
    """The draw of greatest validation accuracy by shared weights."""

    suite_options: ClassVar[dict[str, Any]] = {"samples": 23}

    chunk = 10  # draws per step: what a kill may cost

    def __init__(self, options: Options):
        super().__init__(options)
        self.gates: list[torch.Tensor] = []
        self.accuracies: list[float] = []

    def steps(self, space: Space) -> int:
        return -(-self.options.samples // self.chunk)

    def step(self, context: Context) -> Selection | None:
        n = min(self.chunk, self.options.samples - len(self.accuracies))
        drawn = _draws_with_topology(context, n) if context.space.nodes else _selectable_draws(context, n)
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
        return {"gates": list(self.gates), "accuracies": list(self.accuracies)}

    def load_state(self, tree: Tree) -> None:
        self.gates, self.accuracies = list(tree["gates"]), list(tree["accuracies"])


def _selectable_draws(context: Context, n: int) -> torch.Tensor:
    """n of the searcher's draws (n, P, O), without those that hold an operation which may not be selected.

    Raises BenchbedError where hardly any draw is selectable.
    """
    forbidden = ~torch.from_numpy(context.space.selectable)
    kept = torch.zeros(0, *forbidden.shape)
    for _ in range(TRIES):
        drawn = context.searcher.sample(n - len(kept), context.streams.generator("selection"))
        kept = torch.cat([kept, drawn[~drawn.bool().logical_and(forbidden).any(2).any(1)]])
        if len(kept) == n:
            return kept
    raise BenchbedError(f"best-of: {TRIES} times {n} draws held {len(kept)} architectures that may be selected")


def _draws_with_topology(context: Context, n: int) -> torch.Tensor:
    """n members (n, P, O): the searcher's draws, each node's inputs thinned at random to as many as it keeps.

    A cell of many positions hardly ever comes without `none`, so only the positions with it are drawn again. Raises
    BenchbedError where one of them is hardly ever selectable.
    """
    space, generator = context.space, context.streams.generator("selection")
    forbidden = ~torch.from_numpy(space.selectable)
    drawn = context.searcher.sample(n, generator)
    for _ in range(TRIES):
        bad = drawn.bool().logical_and(forbidden).any(2, keepdim=True)
        if not bad.any():
            break
        drawn = torch.where(bad, context.searcher.sample(n, generator), drawn)
    else:
        name = space.positions[int(bad.any(0).flatten().nonzero()[0])].name
        raise BenchbedError(f"best-of: {TRIES} draws at position '{name}' held nothing that may be selected")
    strength = torch.rand(drawn.shape[:2], generator=generator)
    strength[:, context.dropped] = -1.0  # below every draw
    for one, numbers in zip(drawn, strength.tolist(), strict=True):
        kept = space.keep_strongest(one.argmax(1).tolist(), numbers)
        one[torch.tensor(kept) < 0] = 0.0
    return drawn
