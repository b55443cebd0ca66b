"""Optuna's samplers as searchers: TPE and others over one categorical parameter a position. On a table.

Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization Framework", KDD 2019; the default sampler is the
tree-structured Parzen estimator of Bergstra et al., NeurIPS 2011. A study in memory is asked for one architecture after
the other and told its reward. Each proposal has a sampler of its own, seeded from the run's stream, so that a search
which is continued makes the proposals that it would have made.
"""

from functools import cached_property
from itertools import combinations
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from benchbed.black_box import BlackBoxOptions, BlackBoxSearcher, Trial
from benchbed.errors import BenchbedError
from benchbed.objective import Tree
from benchbed.space import Architecture, Space
from benchbed.streams import Streams


class Options(BlackBoxOptions):
    """Which sampler, at its own defaults."""

    sampler: Literal["tpe", "random", "gp"] = Field("tpe", description="of Optuna, at its defaults")


# Those that need nothing but the finished trials: NSGA-II, say, keeps its generations in the study.
SAMPLERS = {"tpe": "TPESampler", "random": "RandomSampler", "gp": "GPSampler"}


class OptunaSearch(BlackBoxSearcher):
    """An Optuna study of the space's decisions."""

    Options: ClassVar[type[BaseModel]] = Options

    def __init__(self, space: Space, options: Any, streams: Streams):
        super().__init__(space, options, streams)
        self.optuna = _optuna()
        self.told: list[dict[str, int]] = []  # the parameters of each trial, in its order
        self.asked: dict[str, int] = {}  # and of the pending one

    @cached_property
    def distributions(self) -> dict[str, Any]:
        """A parameter a position: its selectable operations; one a node that drops inputs: which it keeps."""
        categorical = self.optuna.distributions.CategoricalDistribution
        rows = zip(self.space.positions, self.space.selectable, strict=True)
        found = {position.name: categorical([int(k) for k in row.nonzero()[0]]) for position, row in rows}
        for n, node in enumerate(self.space.nodes):
            if len(kept := list(combinations(node.incoming, node.keep))) > 1:
                found[f"inputs of node {n}"] = categorical(list(range(len(kept))))
        return found

    @cached_property
    def study(self) -> Any:
        """The study as it stands after the trials that were told."""
        study = self.optuna.create_study(direction="maximize")
        for params, trial in zip(self.told, self.trials, strict=False):
            self._tell(study, params, trial)
        return study

    def propose(self) -> Architecture:
        seed = int(self.draws().integers(2**31))
        self.study.sampler = getattr(self.optuna.samplers, SAMPLERS[self.options.sampler])(seed=seed)
        trial = self.study.ask(self.distributions)
        self.asked = {name: int(value) for name, value in trial.params.items()}
        # told later as a trial of its own, as it is where a search continues: this one must not stay open
        self.study.tell(trial, state=self.optuna.trial.TrialState.FAIL)
        choices = [self.asked[position.name] for position in self.space.positions]
        for n, node in enumerate(self.space.nodes):
            kept = list(combinations(node.incoming, node.keep))[self.asked.get(f"inputs of node {n}", 0)]
            for i in set(node.incoming) - set(kept):
                choices[i] = -1
        return self.space.architecture_of(tuple(choices))

    def observe(self, trial: Trial) -> None:
        study = self.study  # before `told` grows: made after that, it would hold the trial already
        self.told.append(self.asked)
        self._tell(study, self.asked, trial)

    def _tell(self, study: Any, params: dict[str, int], trial: Trial) -> None:
        given = {"params": params, "distributions": self.distributions, "value": trial.reward}
        study.add_trial(self.optuna.trial.create_trial(**given))

    def state(self) -> Tree:
        return {**super().state(), "told": [dict(params) for params in self.told], "asked": dict(self.asked)}

    def load_state(self, tree: Tree) -> None:
        super().load_state(tree)
        self.told, self.asked = [dict(params) for params in tree["told"]], dict(tree["asked"])
        self.__dict__.pop("study", None)


def _optuna() -> Any:
    """The library. Raises BenchbedError where it is not installed."""
    try:
        import optuna
    except ImportError:
        raise BenchbedError("searcher 'optuna' needs the package optuna: pip install optuna") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
