"""Searchers that train one architecture after the other, on a simulated clock: random search, evolution and their kin.

Such a searcher proposes an architecture, is told its validation accuracy after a few epochs of training by itself,
proposes the next. It shares no weights, so it needs an objective that provides 'fidelity' (a table), and its time is
the table's: each evaluation takes the seconds that the training took, also if the architecture was trained before.

The loop's steps stand for equal parts of the budget. An evaluation that does not end within the steps made so far goes
on in the next, and one that does not end within the budget is never made: the budget is not overshot, and what a search
finds does not depend on how many steps and epochs the loop has.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import TypeVar

from .cost import Problem
from .errors import BenchbedError
from .objective import Batch, Objective, Tree
from .runtime import pulse
from .searcher import Clock, EvaluationMode, Options, Searcher
from .space import Architecture, Space
from .streams import Streams


class BlackBoxOptions(Options):
    """The budget and what it buys."""

    budget: float = Field(12000.0, gt=0, description="simulated seconds of the search (NAS-Bench-201: 12,000)")
    fidelity: int = Field(12, ge=1, description="training epochs of an evaluation (NAS-Bench-201: 12)")


class Proposal(NamedTuple):
    """An architecture and for how many epochs it is to be trained.

    trained: the epochs that a training of it in this search has behind it and that are not paid for again, which is
    what going on with it costs; 0: it begins anew.
    """

    architecture: Architecture
    fidelity: int
    trained: int = 0


class Trial(NamedTuple):
    """A finished evaluation: validation accuracy in percent, what is maximised, and the clock at its end.

    fidelity: after how many epochs. trained: how many of them were paid for before.
    """

    architecture: Architecture
    accuracy: float
    reward: float
    seconds: float
    fidelity: int
    trained: int = 0


BoxOptionsT = TypeVar("BoxOptionsT", bound=BlackBoxOptions, default=BlackBoxOptions)


class BlackBoxSearcher(Searcher[BoxOptionsT]):
    """Base of the searchers that see whole architectures alone.

    A subclass gives `propose`, where a uniform draw of the space is `drawn`, and `observe` where it keeps anything
    beside `trials`. Its randomness is the stream 'search' (`self.draws()`), its probabilities are the incumbent's: of
    the trials of greatest fidelity that of greatest reward, the earliest of equal ones.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"fidelity"})
    draws_uniformly: ClassVar[bool] = False  # whether new architectures are `drawn`

    def __init__(self, space: Space, options: BoxOptionsT, streams: Streams):
        super().__init__(space, options, streams)
        self.trials: list[Trial] = []
        self.pending: Proposal | None = None  # its evaluation has not ended yet
        self.incumbent: Trial | None = None
        self.prepared: list[Architecture] | None = None  # what a modifier has laid before the uniform draws

    @classmethod
    def check(cls, options: BoxOptionsT, space: Space, objective: Objective | None) -> None:
        if objective is None:
            return
        choices = [int(row.argmax()) for row in space.selectable]
        first = space.architecture_of(space.keep_strongest(choices, [0.0] * len(choices)))
        for epochs in cls.fidelities(options):
            try:
                objective.evaluate(first, epochs)
            except BenchbedError as error:
                option = "fidelity" if epochs == options.fidelity else "lower"
                raise BenchbedError(f"searcher.{option} = {epochs}: {error}") from None

    @classmethod
    def fidelities(cls, options: BoxOptionsT) -> Sequence[int]:
        """The epochs after which it looks at architectures, upwards; `options.fidelity` alone by default."""
        return (options.fidelity,)

    @abstractmethod
    def propose(self) -> Architecture | Proposal | None:
        """What to evaluate next, an architecture alone for `options.fidelity` epochs from the start; None where there
        is nothing left to look at."""

    def observe(self, trial: Trial) -> None:
        """What to remember of a finished evaluation beside `trials`, which has it already. Default: nothing."""
        return None

    @property
    def seconds(self) -> float:
        """The simulated clock at the end of the last evaluation."""
        return self.trials[-1].seconds if self.trials else 0.0

    def draws(self) -> np.random.Generator:
        """A generator for one proposal, from the stream 'search'."""
        return self.streams.numpy("search")

    def drawn(self, rng: np.random.Generator) -> Architecture:
        """A uniform draw; while there is something `prepared`, that in its place."""
        return self.prepared.pop(0) if self.prepared else self.space.random(rng)

    def arch_step(self, problem: Problem, batch: Batch | None, clock: Clock) -> dict[str, float]:
        """Every evaluation that ends within this step's part of the budget. Logs the means of loss and reward.

        Raises BenchbedError at the last step where no evaluation ends within the whole budget: nothing was found.
        """
        done, total = clock.epoch * clock.steps_per_epoch + clock.step + 1, clock.epochs * clock.steps_per_epoch
        until = self.options.budget * (done / total)
        before = len(self.trials)
        while True:
            if self.pending is None:
                asked = self.propose()
                self.pending = Proposal(asked, self.options.fidelity) if isinstance(asked, Architecture) else asked
            if self.pending is None or (trial := self._evaluated(problem, self.pending)).seconds > until:
                break
            self.pending = None
            self.trials.append(trial)
            if self.incumbent is None or standing(trial) > standing(self.incumbent):
                self.incumbent = trial
            self.observe(trial)
        if done == total and not self.trials:
            raise BenchbedError(self._nothing_found(problem))
        new = self.trials[before:]
        if not new:
            return {}
        accuracy = sum(trial.accuracy for trial in new) / len(new)
        return {"loss": 1 - accuracy / 100, "reward": sum(trial.reward for trial in new) / len(new)}

    def _nothing_found(self, problem: Problem) -> str:
        if self.pending is None:
            return "the search ended before a first evaluation: its searcher proposed nothing"
        return (
            f"searcher.budget = {self.options.budget:g}: no evaluation ends within its budget of simulated seconds, "
            f"the first takes {self._evaluated(problem, self.pending).seconds:.6g}"
        )

    def _evaluated(self, problem: Problem, asked: Proposal) -> Trial:
        architecture, fidelity, trained = asked
        accuracy, seconds = problem.objective.evaluate(architecture, fidelity)
        if trained:
            seconds -= problem.objective.evaluate(architecture, trained).seconds
        pulse.beat()
        gates = torch.from_numpy(self.space.gates(architecture))[None]
        reward = float(problem.reward(torch.tensor([accuracy]), gates))
        return Trial(architecture, accuracy, reward, self.seconds + seconds, fidelity, trained)

    def weight_gates(self, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        """The incumbent's: an objective that has weights as well may train them there."""
        return self.probabilities()

    def probabilities(self) -> Tensor:
        if self.incumbent is None:
            return self.mask / self.mask.sum(1, keepdim=True)
        return torch.from_numpy(self.space.gates(self.incumbent.architecture))

    def evaluation_gates(self, allowed: Tensor, mode: EvaluationMode, uniforms: Tensor) -> Tensor:
        """Nothing flows where the incumbent has dropped the position, whatever is allowed."""
        return super().evaluation_gates(allowed & self.probabilities().any(1, keepdim=True), mode, uniforms)

    def progress(self) -> dict[str, Any]:
        shown = {"simulated_seconds": self.seconds, "evaluations": len(self.trials)}
        if self.incumbent is None:
            return shown
        return {**shown, "incumbent": str(self.incumbent.architecture), "incumbent_accuracy": self.incumbent.accuracy}

    def anytime(self) -> list[tuple[float, float, str]]:
        found, best = [], (0, -float("inf"))
        for trial in self.trials:
            if standing(trial) > best:
                best = standing(trial)
                found.append((trial.seconds, trial.accuracy, str(trial.architecture)))
        return found

    def state(self) -> Tree:
        return {
            "choices": [list(trial.architecture.choices) for trial in self.trials],
            "figures": [[trial.accuracy, trial.reward, trial.seconds] for trial in self.trials],
            "epochs": [[trial.fidelity, trial.trained] for trial in self.trials],
            "pending": None if self.pending is None else [list(self.pending.architecture.choices), *self.pending[1:]],
        }

    def load_state(self, tree: Tree) -> None:
        epochs = tree.get("epochs", [[self.options.fidelity, 0]] * len(tree["choices"]))  # before there were several
        of, pending = self.space.architecture_of, tree["pending"]
        rows = zip(tree["choices"], tree["figures"], epochs, strict=True)
        self.trials = [Trial(of(tuple(c)), *figures, *trained) for c, figures, trained in rows]
        if pending is not None:
            choices, *trained = pending if "epochs" in tree else (pending, self.options.fidelity, 0)
            pending = Proposal(of(tuple(choices)), *trained)
        self.pending = pending
        self.incumbent = max(self.trials, key=standing, default=None)


def standing(trial: Trial) -> tuple[int, float]:
    """What trials are compared by: a reward says more after more epochs."""
    return trial.fidelity, trial.reward
