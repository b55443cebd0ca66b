"""random-forest: the mean of many regression trees, scikit-learn's; their deviation says how sure it is.

Breiman, "Random Forests", Machine Learning 2001.
"""

import numpy as np
from pydantic import Field

from ..predictor import Numbers
from ._encoded import EncodedOptions, EncodedPredictor, Matrix


class Options(EncodedOptions):
    """How many."""

    trees: int = Field(100, ge=2, description="of the forest")


class RandomForest(EncodedPredictor[Options]):
    """Trees on bootstrap samples, a third of the columns at each split."""

    def learn(self, rows: Matrix, target: Numbers) -> None:
        from sklearn.ensemble import RandomForestRegressor

        seed = int(self.draws().integers(2**31))
        self.forest = RandomForestRegressor(self.options.trees, max_features=1 / 3, random_state=seed)
        self.forest.fit(rows, target)

    def expect(self, rows: Matrix) -> tuple[Numbers, Numbers]:
        found = np.stack([tree.predict(rows) for tree in self.forest.estimators_])
        return found.mean(0), found.std(0)
