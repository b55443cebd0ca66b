"""gp: Bayesian optimisation by a Gaussian process, whose expected improvement picks the next. On a table.

Jones, Schonlau and Welch, "Efficient Global Optimization of Expensive Black-Box Functions", 1998: with mean m and
deviation s of an architecture and the best evaluation y so far, z = (m - y) / s,

    EI = s (z Phi(z) + phi(z))

Candidates are all architectures that were not evaluated, where the space has no more than `candidates`, and uniform
draws of them otherwise. Where no prediction has a deviation (s = 0 of all, as after equal evaluations), the
greatest mean is picked.
"""

from functools import cached_property
from itertools import product
from math import prod

import numpy as np
from pydantic import Field
from scipy.stats import norm

from benchbed.errors import BenchbedError
from benchbed.objective import Objective
from benchbed.predictor import Prediction
from benchbed.ranking.asked import predictor_of
from benchbed.space import Architecture, Space

from ._guided import Guided, GuidedOptions, unseen


class Options(GuidedOptions):
    """Who predicts, and how often it learns anew."""

    predictor: str = Field("gp", description="NAME or NAME:KEY=VALUE[,...]; one that says how sure it is")
    batch: int = Field(5, ge=1, description="architectures that are evaluated between two fits")
    candidates: int = Field(
        20_000, ge=1, description="a space of at most so many is looked at whole in a fit, of a larger one 1,000 draws"
    )


class ExpectedImprovement(Guided[Options]):
    """The greatest expected improvements of everything."""

    @classmethod
    def check(cls, options: Options, space: Space, objective: Objective | None) -> None:
        super().check(options, space, objective)
        if not predictor_of(options.predictor)[0].says_deviation:
            raise BenchbedError(
                f"searcher.predictor = {options.predictor}: expected improvement needs a predictor that says how sure "
                "it is, such as gp, random-forest or mlp-ensemble"
            )

    @cached_property
    def everything(self) -> list[Architecture]:
        """All architectures of a small space without nodes that drop inputs; of another nothing."""
        sizes = [len(position.operations) for position in self.space.positions]
        if self.space.nodes or prod(sizes) > self.options.candidates:
            return []
        columns = [[int(k) for k in np.flatnonzero(row)] for row in self.space.selectable]
        return [self.space.architecture_of(choices) for choices in product(*columns)]

    def candidates(self, rng: np.random.Generator) -> list[Architecture]:
        known = {trial.architecture for trial in self.trials}
        if self.everything:
            return [one for one in self.everything if one not in known]
        found: dict[Architecture, None] = {}
        for _ in range(min(self.options.candidates, 1000)):
            if (one := unseen(self, rng)) is None:
                break
            found[one] = None
        return list(found)

    def worth(self, found: Prediction, rng: np.random.Generator) -> np.ndarray:
        if not found.deviation.any():
            return found.accuracy
        above = found.accuracy - self.told().max()
        spread = np.maximum(found.deviation, 1e-9)
        z = above / spread
        improvement: np.ndarray = spread * (z * norm.cdf(z) + norm.pdf(z))
        return improvement
