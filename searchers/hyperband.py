"""Hyperband: many architectures are trained a little, the better ones longer, at several ratios in turn. On a table.

Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", JMLR 2018, algorithm 1. The rungs
are numbers of training epochs r_0 < ... < r_S, from one to the next about eta times as many. A bracket s begins with

    n = ceil((S + 1) eta^s / (s + 1))     uniform draws, trained for r_(S-s) epochs

and on every further rung floor(n / eta^i) of them are left, those of greatest reward on the rung below, ties to the
earlier. Brackets S, ..., 0 follow each other, and begin again until the budget is spent.

The published scripts on NAS-Bench-201 pay for a promoted architecture's training from its first epoch (their tables
hold trainings of 12 and of 200 epochs, of which neither is a part of the other): so does `resume=false`. With
`resume=true` a promotion goes on with the training and costs the difference, which is what the paper has in mind; it is
true of tables whose rungs are epochs of one training. The result is the best of the highest rung that was reached.
"""

from collections.abc import Sequence
from math import ceil
from typing import Any, ClassVar

from pydantic import Field, model_validator

from benchbed.black_box import BlackBoxOptions, BlackBoxSearcher, Proposal, Trial, standing
from benchbed.objective import Tree
from benchbed.space import Architecture, Space
from benchbed.streams import Streams


class Options(BlackBoxOptions):
    """The rungs. Defaults: NAS-Bench-201's (section 5), 12 to 200 epochs."""

    fidelity: int = Field(200, ge=1, description="training epochs of the highest rung")
    lower: tuple[int, ...] = Field((12,), description="training epochs of the rungs below it, upwards")
    eta: int = Field(3, ge=2, description="of so many architectures one is trained further (NAS-Bench-201: 3)")
    resume: bool = Field(False, description="whether a promotion costs only the epochs that are new")

    @model_validator(mode="after")
    def _rise(self) -> "Options":
        if (rungs := list(self.rungs)) != sorted(set(rungs)) or rungs[0] < 1:
            raise ValueError(f"lower, then fidelity: expected at least 1 epoch, rising, and they are {rungs}")
        return self

    @property
    def rungs(self) -> tuple[int, ...]:
        """Training epochs, upwards."""
        return (*self.lower, self.fidelity)


class Hyperband(BlackBoxSearcher[Options]):
    """Brackets of successive halving. All it knows follows from its trials."""

    draws_uniformly = True
    suite_options: ClassVar[dict[str, Any]] = {"lower": [1], "fidelity": 3}

    def __init__(self, space: Space, options: Options, streams: Streams):
        super().__init__(space, options, streams)
        self._begin(0)

    @classmethod
    def fidelities(cls, options: Options) -> Sequence[int]:
        return options.rungs

    def _begin(self, number: int) -> None:
        self.number = number  # of brackets before this one
        self.survivors: list[Trial] = []  # who comes to this rung; on a bracket's first all are drawn
        self.here: list[Trial] = []  # on this rung
        self.rung = 0  # of the bracket

    def bracket(self) -> list[tuple[int, int]]:
        """(architectures, epochs) of every rung of the present bracket."""
        rungs, eta = self.options.rungs, self.options.eta
        s = len(rungs) - 1 - self.number % len(rungs)
        n = ceil(len(rungs) * eta**s / (s + 1))
        return [(n // eta**i, epochs) for i, epochs in enumerate(rungs[-s - 1 :])]

    def draw(self) -> Architecture:
        """A new architecture."""
        return self.drawn(self.draws())

    def propose(self) -> Proposal:
        _, epochs = self.bracket()[self.rung]
        if not self.rung:
            return Proposal(self.draw(), epochs)
        best = self.survivors[len(self.here)]
        return Proposal(best.architecture, epochs, best.fidelity if self.options.resume else 0)

    def observe(self, trial: Trial) -> None:
        self.here.append(trial)
        bracket = self.bracket()
        if len(self.here) < bracket[self.rung][0]:
            return
        self.rung += 1
        if self.rung == len(bracket):
            self._begin(self.number + 1)
        else:
            self.survivors, self.here = sorted(self.here, key=standing, reverse=True)[: bracket[self.rung][0]], []

    def load_state(self, tree: Tree) -> None:
        super().load_state(tree)
        self._begin(0)
        for trial in self.trials:
            self.observe(trial)
