"""Optuna's samplers as searchers: TPE and others over one categorical parameter a position. On a table.

Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization Framework", KDD 2019; the default sampler is the
tree-structured Parzen estimator of Bergstra et al., NeurIPS 2011. A study in memory is asked for one architecture after
the other and told its reward; the sampler's seed is a draw of the run's stream.
"""

from functools import cached_property
from itertools import combinations
from types import ModuleType
from typing import Any, Literal

from pydantic import Field

from benchbed.black_box import BlackBoxOptions, BlackBoxSearcher, Trial
from benchbed.errors import BenchbedError
from benchbed.objective import Tree
from benchbed.space import Architecture, Space
from benchbed.streams import Streams


class Options(BlackBoxOptions):
    """Which sampler, at its own defaults."""

    sampler: Literal["tpe", "random", "gp", "nsgaii"] = Field("tpe", description="of Optuna, at its defaults")


SAMPLERS = {"tpe": "TPESampler", "random": "RandomSampler", "gp": "GPSampler", "nsgaii": "NSGAIISampler"}


class OptunaSearch(BlackBoxSearcher[Options]):
    """An Optuna study of the space's decisions."""

    def __init__(self, space: Space, options: Options, streams: Streams):
        super().__init__(space, options, streams)
        self.optuna = _optuna()
        self.begin(int(self.draws().integers(2**31)))

    def begin(self, seed: int) -> None:
        """A study without a trial, whose sampler has this seed."""
        self.seed = seed
        sampler = getattr(self.optuna.samplers, SAMPLERS[self.options.sampler])(seed=seed)
        self.study = self.optuna.create_study(direction="maximize", sampler=sampler)
        self.open: object = None  # the study's trial of the pending architecture

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

    def propose(self) -> Architecture:
        self.open = asked_for = self.study.ask(self.distributions)
        asked = asked_for.params
        choices = [asked[position.name] for position in self.space.positions]
        for n, node in enumerate(self.space.nodes):
            kept = list(combinations(node.incoming, node.keep))[asked.get(f"inputs of node {n}", 0)]
            for i in set(node.incoming) - set(kept):
                choices[i] = -1
        return self.space.architecture_of(tuple(choices))

    def observe(self, trial: Trial) -> None:
        self.study.tell(self.open, trial.reward)

    def state(self) -> Tree:
        return {**super().state(), "seed": self.seed}

    def load_state(self, tree: Tree) -> None:
        """Asks and tells a new study all that was asked and told: a sampler's own state is not to be had.

        Raises BenchbedError where it now asks for something else, as another version of Optuna may.
        """
        super().load_state(tree)
        self.begin(tree["seed"])
        done = [trial.architecture for trial in self.trials]
        for n, architecture in enumerate([*done, self.pending.architecture] if self.pending is not None else done):
            if (found := self.propose()) != architecture:
                raise BenchbedError(
                    f"searcher 'optuna': sampler {self.options.sampler} proposes {found} where this search had "
                    f"{architecture}: it was begun with another version of optuna; make it again with --force"
                )
            if n < len(done):
                self.observe(self.trials[n])


def _optuna() -> ModuleType:
    """The library. Raises BenchbedError where it is not installed."""
    try:
        import optuna
    except ImportError:
        raise BenchbedError("searcher 'optuna' needs the package optuna: pip install optuna") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
