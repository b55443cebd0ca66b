"""ASHA: whoever is in the best part of its rung is promoted at once, without waiting for the others. On a table.

Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, algorithm 2, with one worker: from the
highest rung but one downwards, if one of the best floor(n / eta) of the n architectures that a rung has seen was not
promoted yet, the best such is trained on the next rung; if there is none anywhere, a new one is drawn for the lowest.
Its bracket 0: no rung is left out. Rungs and what a promotion costs are those of `hyperband`. The gain of ASHA is in
many workers, which a simulated clock of one does not show.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

from benchbed.black_box import BlackBoxSearcher, Proposal, Trial, standing
from benchbed.objective import Tree
from benchbed.space import Space
from benchbed.streams import Streams

from .hyperband import Options as HyperbandOptions


class ASHA(BlackBoxSearcher[HyperbandOptions]):
    """Asynchronous successive halving. All it knows follows from its trials."""

    draws_uniformly = True
    suite_options: ClassVar[dict[str, Any]] = {"lower": [1], "fidelity": 3}

    def __init__(self, space: Space, options: HyperbandOptions, streams: Streams):
        super().__init__(space, options, streams)
        self._begin()

    @classmethod
    def fidelities(cls, options: HyperbandOptions) -> Sequence[int]:
        return options.rungs

    def _begin(self) -> None:
        self.seen: dict[int, list[Trial]] = {epochs: [] for epochs in self.options.rungs}
        self.promoted: set[int] = set()  # by id

    def due(self) -> tuple[Trial, int] | None:
        """Who is to be promoted now, and to how many epochs."""
        rungs = self.options.rungs
        for epochs, following in reversed(list(pairwise(rungs))):
            ranked = sorted(self.seen[epochs], key=standing, reverse=True)
            for trial in ranked[: len(ranked) // self.options.eta]:
                if id(trial) not in self.promoted:
                    return trial, following
        return None

    def propose(self) -> Proposal:
        if (found := self.due()) is None:
            return Proposal(self.drawn(self.draws()), self.options.rungs[0])
        trial, epochs = found
        return Proposal(trial.architecture, epochs, trial.fidelity if self.options.resume else 0)

    def observe(self, trial: Trial) -> None:
        if (found := self.due()) is not None:  # nothing was seen since it was proposed
            self.promoted.add(id(found[0]))
        self.seen[trial.fidelity].append(trial)

    def load_state(self, tree: Tree) -> None:
        super().load_state(tree)
        self._begin()
        for trial in self.trials:
            self.observe(trial)
