"""BANANAS: mutants of the best are ranked by draws from an ensemble's predictions. On a table.

White, Neiswanger and Savani, "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search",
AAAI 2021, algorithm 1. After `initial` uniform draws, in rounds: an ensemble of networks learns all evaluations;
candidates are mutants of the best `parents` so far; each gets a draw of N(mean, deviation) of its prediction
(independent Thompson sampling, section 4), and the `batch` of greatest draws are evaluated. On NAS-Bench-201 theirs see
paths: `predictor=mlp-ensemble:encoding=path`; the networks here are smaller (`list predictors mlp-ensemble`).
"""

import numpy as np
from pydantic import Field

from benchbed.predictor import Prediction
from benchbed.space import Architecture

from ._guided import Guided, GuidedOptions, best, mutants


class Options(GuidedOptions):
    """Whose mutants."""

    parents: int = Field(5, ge=1, description="of the best so far, whose mutants are the candidates")


class Bananas(Guided[Options]):
    """Mutants of the best, picked by Thompson sampling."""

    def candidates(self, rng: np.random.Generator) -> list[Architecture]:
        return mutants(self, best(self.trials, self.options.parents), rng)

    def worth(self, found: Prediction, rng: np.random.Generator) -> np.ndarray:
        return rng.normal(found.accuracy, found.deviation)
