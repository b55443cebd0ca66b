"""Best-of: n architectures drawn from the searcher, ranked by the shared weights; the most accurate is kept.

RSPS' rule (Li and Talwalkar, UAI 2019), with 100 draws in NAS-Bench-201. Each draw is measured on its own path, on
all of the validation split. A draw with an operation that may not be selected is drawn again; where nodes keep some of
their inputs, only the positions that hold one are, and the inputs kept are a uniform draw.

With `by`, `pool` architectures are drawn and only the `samples` of them that a zero-cost proxy (or a count) likes most
are measured, the best first: the proxy warm-up of Abdelfattah et al. (ICLR 2021) at the searcher's distribution.
"""

from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field, model_validator

from benchbed.errors import BenchbedError
from benchbed.objective import Objective, Tree
from benchbed.ranking.prior import FORMS, Prior, with_digest
from benchbed.searcher import Options as PluginOptions
from benchbed.selector import Context, Selection, Selector
from benchbed.space import Space


class Options(PluginOptions):
    """How many draws."""

    samples: int = Field(100, ge=1, description="architectures measured (NAS-Bench-201: 100)")
    by: str | None = Field(None, description=f"what the pool is ranked by: {FORMS}; none: every draw is measured")
    sha256: str | None = Field(None, description="of that file; filled in")
    pool: int = Field(1000, ge=1, description="architectures drawn where they are ranked")

    _digest = model_validator(mode="before")(with_digest)


TRIES = 200


class BestOf(Selector[Options]):
    """The draw of greatest validation accuracy by shared weights."""

    suite_options: ClassVar[dict[str, Any]] = {"samples": 23}

    chunk = 10  # draws per step: what a kill may cost

    @classmethod
    def check(cls, options: Options, space: Space, objective: Objective | None) -> None:
        if options.by is not None:
            Prior(options.by, space, options.sha256)
        if options.by is not None and options.pool < options.samples:
            raise BenchbedError(
                f"selector.pool = {options.pool}: expected at least selector.samples = {options.samples}"
            )

    def __init__(self, options: Options):
        super().__init__(options)
        self.gates: list[torch.Tensor] = []
        self.accuracies: list[float] = []
        self.ranked: torch.Tensor | None = None  # (samples, P, O): what is measured, in this order

    def steps(self, space: Space) -> int:
        return -(-self.options.samples // self.chunk)

    def step(self, context: Context) -> Selection | None:
        n = min(self.chunk, self.options.samples - len(self.accuracies))
        if self.options.by is not None and self.ranked is None:
            self.ranked = _ranked(context, self.options)
        drawn = _draws(context, n) if self.ranked is None else self.ranked[len(self.accuracies) :][:n]
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
        return {"gates": list(self.gates), "accuracies": list(self.accuracies), "ranked": self.ranked}

    def load_state(self, tree: Tree) -> None:
        self.gates, self.accuracies = list(tree["gates"]), list(tree["accuracies"])
        self.ranked = tree.get("ranked")  # searches before there was such a thing have none


def _ranked(context: Context, options: Options) -> torch.Tensor:
    """(samples, P, O): the best of the pool, each once; of those that the file does not score none.

    Raises BenchbedError where it holds too few that are scored.
    """
    assert options.by is not None
    prior, drawn = Prior(options.by, context.space, options.sha256), _draws(context, options.pool)
    pool = list(dict.fromkeys(context.space.architecture(one.numpy()) for one in drawn))
    values = prior.of(pool)
    order = [i for i in np.argsort(-values, kind="stable").tolist() if np.isfinite(values[i])][: options.samples]
    if len(order) < options.samples:
        raise BenchbedError(
            f"best-of: {options.pool} draws hold {len(order)} architectures with a score by {options.by}, and "
            f"selector.samples = {options.samples}: draw more (selector.pool), or measure fewer"
        )
    return torch.stack([torch.from_numpy(context.space.gates(pool[i])) for i in order])


def _draws(context: Context, n: int) -> torch.Tensor:
    """n of the searcher's draws (n, P, O) that may be selected."""
    return _draws_with_topology(context, n) if context.space.nodes else _selectable_draws(context, n)


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
