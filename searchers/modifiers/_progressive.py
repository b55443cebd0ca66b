"""What progressive decisions share: operations go from the mask by alpha, fewer from epoch to epoch."""

from typing import Any

from jaxtyping import Bool
from torch import Tensor

from benchbed.errors import BenchbedError
from benchbed.modifier import Modifier
from benchbed.objective import Objective
from benchbed.searcher import AlphaSearcher, OptionsT, Searcher
from benchbed.space import Space


class Progressive(Modifier[OptionsT]):
    """Takes operations from the mask in `end_epoch`, by a schedule that leaves nothing open after the last epoch."""

    narrows = True
    role = "progressive decisions"

    def __init__(self, searcher: Searcher[Any], options: OptionsT):
        super().__init__(searcher, options)
        self.everything = searcher.mask.clone()

    @classmethod
    def fits(cls, searcher: type[Searcher[Any]], options: OptionsT, space: Space, objective: Objective | None) -> None:
        if not issubclass(searcher, AlphaSearcher):
            raise BenchbedError(f"it decides by alpha, and {searcher.__name__} learns none")

    @property
    def alpha(self) -> Tensor:
        """The searcher's (P, O), detached."""
        assert isinstance(self.searcher, AlphaSearcher)
        return self.searcher.alpha.detach()

    @property
    def mask(self) -> Bool[Tensor, "P O"]:
        """What is left, to be changed in place."""
        return self.searcher.mask

    @property
    def open(self) -> Bool[Tensor, " P"]:
        """Where alpha still has something to decide."""
        return self.mask.sum(1) > 1
