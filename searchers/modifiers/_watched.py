"""What a searcher's architecture step sees, noted for a modifier that looks at the same validation batch."""

from collections.abc import Callable
from typing import Literal

from benchbed.objective import Batch, DecidedObjective, Decisions, Objective


class Watched(DecidedObjective):
    """The objective as it is; `note` is told of every validation batch that is drawn."""

    def __init__(self, base: Objective, note: Callable[[Batch | None], None]):
        super().__init__(base, Decisions.none(base.space))
        self.note = note

    def batch(self, split: Literal["train", "valid"]) -> Batch | None:
        found = self.base.batch(split)
        if split == "valid":
            self.note(found)
        return found
