"""NPENAS: evolution whose offspring is evaluated only where a predictor likes it. On a table.

Wei et al., "NPENAS: Neural Predictor Guided Evolution for Neural Architecture Search", TNNLS 2022. After `initial`
uniform draws, in rounds: a predictor learns all evaluations; each of the best `parents` so far has mutants, and of all
of them the `batch` of greatest prediction are evaluated. Theirs is a graph network; here any of `list predictors`.
"""

import numpy as np
from pydantic import Field

from benchbed.predictor import Prediction
from benchbed.space import Architecture

from ._guided import Guided, GuidedOptions, best, mutants


class Options(GuidedOptions):
    """Whose mutants, and who predicts."""

    predictor: str = Field("random-forest", description="NAME or NAME:KEY=VALUE[,...] of 'list predictors'")
    parents: int = Field(10, ge=1, description="of the best so far, whose mutants are the candidates (NPENAS: 10)")


class NPENAS(Guided[Options]):
    """Mutants of the best, picked by what is predicted of them."""

    def candidates(self, rng: np.random.Generator) -> list[Architecture]:
        return mutants(self, best(self.trials, self.options.parents), rng)

    def worth(self, found: Prediction, rng: np.random.Generator) -> np.ndarray:
        return found.accuracy
