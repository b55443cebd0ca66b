"""What searchers share that ask a predictor: some draws first, then batches that it picks from candidates."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np
from pydantic import Field

from benchbed.black_box import BlackBoxOptions, BlackBoxSearcher, Trial
from benchbed.objective import Objective, Tree
from benchbed.predictor import Prediction
from benchbed.ranking.asked import predictor_of
from benchbed.space import Architecture, Space
from benchbed.streams import Streams

TRIES = 1000  # draws of an architecture that is not known yet


class GuidedOptions(BlackBoxOptions):
    """Who predicts, and how many are drawn and picked."""

    predictor: str = Field("mlp-ensemble", description="NAME or NAME:KEY=VALUE[,...] of 'list predictors'")
    initial: int = Field(10, ge=2, description="uniform draws before the first prediction")
    batch: int = Field(10, ge=1, description="architectures that are evaluated between two fits")
    candidates: int = Field(100, ge=1, description="architectures that are looked at in a fit")


GuidedT = TypeVar("GuidedT", bound=GuidedOptions)


class Guided(BlackBoxSearcher[GuidedT]):
    """A subclass says who the candidates are, and which of them are best."""

    draws_uniformly = True
    suite_options: ClassVar[dict[str, Any]] = {"predictor": "random-forest:trees=10", "candidates": 20, "batch": 20}

    def __init__(self, space: Space, options: GuidedT, streams: Streams):
        super().__init__(space, options, streams)
        self.queue: list[Architecture] = []  # picked, not proposed yet
        self.exhausted = False  # nothing is left to look at

    @classmethod
    def check(cls, options: GuidedT, space: Space, objective: Objective | None) -> None:
        super().check(options, space, objective)
        found, own = predictor_of(options.predictor)
        found.check(own, space)

    @abstractmethod
    def candidates(self, rng: np.random.Generator) -> list[Architecture]:
        """Architectures that were not evaluated, none twice."""

    @abstractmethod
    def worth(self, found: Prediction, rng: np.random.Generator) -> np.ndarray:
        """(n,): what a candidate is picked by, the greatest first."""

    def propose(self) -> Architecture | None:
        if self.exhausted:
            return None
        if len(self.trials) < self.options.initial:
            found = unseen(self, self.draws(), self.drawn)
        else:
            self.queue = self.queue or self.pick()
            found = self.queue.pop(0) if self.queue else None
        self.exhausted = found is None
        return found

    def told(self) -> np.ndarray:
        """(n,): the rewards of all trials, in percent; scaled so that none is above 100, as one with a cost may be."""
        found = 100 * np.array([trial.reward for trial in self.trials])
        return found * min(1.0, 100 / max(float(found.max()), 1e-9))

    def pick(self) -> list[Architecture]:
        """The next batch; nothing where everything was evaluated."""
        if len({trial.architecture for trial in self.trials}) >= self.space.size():
            return []
        rng = self.draws()
        candidates = self.candidates(rng)
        if not candidates:
            return []
        found, own = predictor_of(self.options.predictor)
        predictor = found(self.space, own, self.streams)
        predictor.fit([trial.architecture for trial in self.trials], self.told())
        worth = self.worth(predictor.predict(candidates), rng)
        return [candidates[i] for i in np.argsort(-worth, kind="stable")[: self.options.batch]]

    def state(self) -> Tree:
        queue = [list(a.choices) for a in self.queue]
        return {**super().state(), "queue": queue, "exhausted": self.exhausted}

    def load_state(self, tree: Tree) -> None:
        super().load_state(tree)
        self.queue = [self.space.architecture_of(tuple(choices)) for choices in tree["queue"]]
        self.exhausted = tree["exhausted"]


def best(trials: Sequence[Trial], count: int) -> list[Architecture]:
    """The architectures of greatest reward, each once."""
    ranked = sorted(trials, key=lambda trial: trial.reward, reverse=True)
    return list(dict.fromkeys(trial.architecture for trial in ranked))[:count]


def mutants(searcher: Guided[GuidedT], parents: Sequence[Architecture], rng: np.random.Generator) -> list[Architecture]:
    """Neighbours of parents, both drawn uniformly, that were not evaluated; none twice."""
    known = {trial.architecture for trial in searcher.trials}
    found: dict[Architecture, None] = {}
    neighbours = [list(searcher.space.neighbours(parent)) for parent in parents]
    for _ in range(10 * searcher.options.candidates):
        if len(found) == searcher.options.candidates:
            break
        around = neighbours[int(rng.integers(len(parents)))]
        child = around[int(rng.integers(len(around)))]
        if child not in known:
            found[child] = None
    return list(found) or [one for one in (unseen(searcher, rng),) if one is not None]


def unseen(
    searcher: BlackBoxSearcher[Any],
    rng: np.random.Generator,
    draw: Callable[[np.random.Generator], Architecture] | None = None,
) -> Architecture | None:
    """A uniform draw that was not evaluated, by `draw` if not by the space; None where there seems to be none left."""
    draw = draw or searcher.space.random
    known = {trial.architecture for trial in searcher.trials}
    for _ in range(TRIES if len(known) < searcher.space.size() else 0):
        if (found := draw(rng)) not in known:
            return found
    return None
