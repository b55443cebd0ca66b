"""gradient-boosting: trees that each mend what those before left over, scikit-learn's. It says no deviation.

Friedman, "Greedy Function Approximation: A Gradient Boosting Machine", Annals of Statistics 2001.
"""

import numpy as np
from pydantic import Field

from ..predictor import Numbers
from ._encoded import EncodedOptions, EncodedPredictor, Matrix


class Options(EncodedOptions):
    """How many, how deep, how much of each."""

    trees: int = Field(300, ge=1, description="one after the other")
    depth: int = Field(3, ge=1, description="of a tree")
    rate: float = Field(0.05, gt=0, le=1, description="how much of each tree is added")


class GradientBoosting(EncodedPredictor[Options]):
    """Squared error, on half of the rows a tree."""

    says_deviation = False

    def learn(self, rows: Matrix, target: Numbers) -> None:
        from sklearn.ensemble import GradientBoostingRegressor

        o, seed = self.options, int(self.draws().integers(2**31))
        self.trees = GradientBoostingRegressor(
            n_estimators=o.trees, max_depth=o.depth, learning_rate=o.rate, subsample=0.5, random_state=seed
        )
        self.trees.fit(rows, target)

    def expect(self, rows: Matrix) -> tuple[Numbers, Numbers]:
        return self.trees.predict(rows), np.zeros(len(rows))
