"""What progressive searchers share: DARTS on the operations that are left, fewer from epoch to epoch."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from benchbed.cost import Problem
from benchbed.objective import Batch, Objective, Tree
from benchbed.searcher import Clock, EvaluationMode
from benchbed.space import Space
from benchbed.streams import Streams

from .darts import DARTS


class ProgressiveDARTS(DARTS):
    """DARTS whose `mask` shrinks; a subclass says what goes in `end_epoch`.

    A position with one operation left is decided: its row is exactly one-hot, one operation runs there, and its alpha
    stays bit for bit where it was, as does that of every operation that is gone. (In published code Adam's momentum and
    weight decay go on moving them, unseen.) A position with none left is dropped: its row is zero.
    """

    def __init__(self, space: Space, options: Any, streams: Streams):
        super().__init__(space, options, streams)
        self.everything = self.mask.clone()

    @property
    def open(self) -> Tensor:
        """bool (P,): where alpha still has something to decide."""
        return self.mask.sum(1) > 1

    def arch_steps_due(self, clock: Clock) -> int:
        return int(self.open.any())

    def arch_gates(self) -> tuple[Tensor, Tensor, Tensor]:
        gates, need, p = super().arch_gates()
        return gates, need & self.open[:, None], p

    def arch_step(self, problem: Problem, batch: Batch | None, clock: Clock) -> dict[str, float]:
        before = self.alpha.detach().clone()
        logged = super().arch_step(problem, batch, clock)
        with torch.no_grad():
            self.alpha.copy_(torch.where(self.mask & self.open[:, None], self.alpha, before))
        return logged

    def evaluation_gates(self, allowed: Tensor, mode: EvaluationMode, uniforms: Tensor) -> Tensor:
        """Nothing flows where the position was dropped, whatever is allowed."""
        return super().evaluation_gates(allowed & self.mask.any(1, keepdim=True), mode, uniforms)

    @abstractmethod
    def end_epoch(self, objective: Objective, clock: Clock) -> None:
        """Drops operations from `mask`, by a schedule that leaves nothing open after the last epoch."""

    def state(self) -> Tree:
        return {**super().state(), "mask": self.mask.clone()}

    def load_state(self, tree: Tree) -> None:
        super().load_state(tree)
        self.mask = tree["mask"].clone()
