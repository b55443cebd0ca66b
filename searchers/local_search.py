"""Local search: every neighbour is trained, then the best one's neighbours, until none is better; again. On a table.

White, Nolen and Savani, "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021, algorithm 1: from a
uniform draw, all architectures that differ in one decision are evaluated and the search moves to the best of them while
that is better than where it stands; at a local optimum it begins again elsewhere. What was evaluated once is known, and
is not paid for twice.
"""

from functools import cached_property

from benchbed.black_box import BlackBoxOptions, BlackBoxSearcher, Trial
from benchbed.objective import Tree
from benchbed.space import Architecture, Space
from benchbed.streams import Streams

TRIES = 1000  # draws of a start that is not known yet, before the space counts as seen


class LocalSearch(BlackBoxSearcher):
    """Hill climbing over whole neighbourhoods, restarted at local optima."""

    draws_uniformly = True

    def __init__(self, space: Space, options: BlackBoxOptions, streams: Streams):
        super().__init__(space, options, streams)
        self.here: Architecture | None = None  # where it stands; None: the next trial is a start
        self.exhausted = False  # no start was found that is not known yet

    @cached_property
    def known(self) -> dict[tuple[int, ...], float]:
        """Choices -> reward of everything that was evaluated."""
        return {trial.architecture.choices: trial.reward for trial in self.trials}

    def propose(self) -> Architecture | None:
        while self.here is not None:
            around = list(self.space.neighbours(self.here))
            for neighbour in around:
                if neighbour.choices not in self.known:
                    return neighbour
            best = max(around, key=lambda neighbour: self.known[neighbour.choices], default=self.here)
            better = self.known[best.choices] > self.known[self.here.choices]
            self.here = best if better else None
        if self.exhausted or len(self.known) >= self.space.size():
            return None
        rng = self.draws()
        for _ in range(TRIES):
            start = self.drawn(rng)
            if start.choices not in self.known:
                return start
        self.exhausted = True
        return None

    def observe(self, trial: Trial) -> None:
        self.known[trial.architecture.choices] = trial.reward
        if self.here is None:
            self.here = trial.architecture

    def state(self) -> Tree:
        return {**super().state(), "here": None if self.here is None else list(self.here.choices),
                "exhausted": self.exhausted}  # fmt: skip

    def load_state(self, tree: Tree) -> None:
        super().load_state(tree)
        self.exhausted = tree.get("exhausted", False)  # searches of before it was kept have none
        self.here = None if tree["here"] is None else self.space.architecture_of(tuple(tree["here"]))
        self.__dict__.pop("known", None)
