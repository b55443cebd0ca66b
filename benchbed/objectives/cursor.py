"""A shuffled pass over a split, again and again, that can be saved in the middle."""

from typing import Any

import torch
from torch import Tensor


class Cursor:
    """Gives index batches of a shuffled pass; a rest smaller than a batch is dropped and a new pass begins.

    count: images of the split, at least one batch.
    """

    def __init__(self, count: int, batch: int, generator: torch.Generator):
        self.count, self.size, self.generator = count, batch, generator
        self.order, self.position = torch.empty(0, dtype=torch.int32), 0

    @property
    def batches(self) -> int:
        """Batches in one pass."""
        return self.count // self.size

    def next(self) -> Tensor:
        """int64 (batch,) indices."""
        if self.position + self.size > len(self.order):
            self.order = torch.randperm(self.count, generator=self.generator).to(torch.int32)
            self.position = 0
        chosen = self.order[self.position : self.position + self.size]
        self.position += self.size
        return chosen.long()

    def peek(self) -> Tensor | None:
        """What `next` will give, if that is known: None at the end of a pass, for the next order is not drawn yet."""
        chosen = self.order[self.position : self.position + self.size]
        return chosen.long() if len(chosen) == self.size else None

    def state(self) -> dict[str, Any]:
        return {"order": self.order, "position": self.position}

    def load_state(self, tree: dict[str, Any]) -> None:
        self.order, self.position = tree["order"], tree["position"]
