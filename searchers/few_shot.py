"""Few-shot: one supernet trains for some epochs, and then is split; each part of the space goes on with its own.

Zhao et al., "Few-shot Neural Architecture Search", ICML 2021. Operations that share weights of one supernet disturb
each other, and it ranks architectures the worse. With K operations at the position that is split, the paths fall into
K parts by what they hold there, and so do the weights from then on:

    for the first `warmup` of the epochs    w <- w - dL_train(w, u)/dw                  u a path of the whole space
    then w_k = w for k = 1 .. K, and        w_k <- w_k - dL_train(w_k, u_k)/dw_k        u_k one of part k

`splits` positions give a part for every choice at them. An architecture is scored by the sub-supernet that it belongs
to. Positions are the first of the space that hold an operation in every architecture (the authors' default is the first
edge); momentum begins anew, as in the authors' code for NAS-Bench-201 (aoiang/few-shot-NAS, ec366c1).

There every sub-supernet is trained as long as it takes, each with a schedule of its own (600 epochs of one supernet,
then 300 of each). Here the schedule is the search's, and goes on. `train=all`: a batch trains every sub-supernet, as if
each had its own search, so that a batch costs K passes; `train=one`: the one that a path of the whole space belongs to,
so that the search costs what one supernet does, and each sub-supernet has 1/K of the steps. The history counts passes.
"""

from math import prod
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from benchbed.errors import BenchbedError
from benchbed.objective import Batch, Objective, Tree
from benchbed.searcher import Clock
from benchbed.space import Space
from benchbed.streams import Streams

from .random import Options as PathOptions
from .random import RandomSampling

MOST = 128  # sub-supernets, which are all in memory


class Options(PathOptions):
    """When and where the supernet is split, and how paths are drawn."""

    splits: int = Field(1, ge=1, description="positions that are split; a sub-supernet for every choice at them")
    warmup: float = Field(0.5, ge=0, le=1, description="share of the epochs of one supernet; the first always is")
    train: Literal["all", "one"] = Field(
        "all", description="all: each batch trains every sub-supernet (the paper); one: that of a drawn path"
    )


class FewShot(RandomSampling[Options]):
    """Trains drawn paths, from the split on those of every part by weights of its own."""

    needs: ClassVar[frozenset[str]] = frozenset({"weights", "splits"})

    def __init__(self, space: Space, options: Options, streams: Streams):
        super().__init__(space, options, streams)
        self.positions = splittable(space)[: options.splits]
        self.apart, self.passes = False, 0  # whether it is split; one-path passes of weight steps so far

    @classmethod
    def check(cls, options: Options, space: Space, objective: Objective | None) -> None:
        super().check(options, space, objective)
        n, found = options.splits, splittable(space)
        if n > len(found):
            raise BenchbedError(
                f"searcher.splits={n}: {len(found)} of the space's positions hold one of several operations in every "
                "architecture, and no more can be split"
            )
        if (count := prod(int(space.mask[i].sum()) for i in found[:n])) > MOST:
            raise BenchbedError(f"searcher.splits={n} makes {count:,} sub-supernets, more than {MOST}: give fewer")
        if objective is not None and "splits" not in objective.provides:
            raise BenchbedError("searcher 'few-shot' needs splits, and the supernet of this space has none")

    def weight_gates(self, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        if not self.apart or self.options.train == "one":
            paths = super().weight_gates(objective, batch, clock)
        else:
            each = [self.inside(part, objective, batch, clock) for part in objective.split(self.positions)]
            paths = torch.cat(each)
        self.passes += paths.shape[:-2].numel()
        return paths

    def inside(self, part: Tensor, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        """Drawn paths (n, P, O) that hold what the part (P, O) does at the positions that are split."""
        drawn = super().weight_gates(objective, batch, clock)
        return torch.where(part.any(1, keepdim=True), part, drawn.reshape(-1, *part.shape))

    def end_epoch(self, objective: Objective, clock: Clock) -> None:
        if not self.apart and clock.epoch + 1 >= round(self.options.warmup * clock.epochs):
            objective.split(self.positions)
            self.apart = True

    def progress(self) -> dict[str, int]:
        parts = prod(int(self.space.mask[i].sum()) for i in self.positions) if self.apart else 1
        return {"supernets": parts, "passes": self.passes}

    def state(self) -> Tree:
        return {"apart": self.apart, "passes": self.passes}

    def load_state(self, tree: Tree) -> None:
        self.apart, self.passes = tree["apart"], tree["passes"]


def splittable(space: Space) -> tuple[int, ...]:
    """The positions at which every architecture holds one of several operations, in the space's order."""
    return tuple(i for i, p in enumerate(space.positions) if not p.droppable and len(p.operations) > 1)
