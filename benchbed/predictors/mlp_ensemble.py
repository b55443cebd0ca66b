"""mlp-ensemble: small networks from different starts, scikit-learn's; their deviation says how sure it is.

White, Neiswanger and Savani, "BANANAS", AAAI 2021, section 3: five networks on the path encoding. Theirs have ten
layers of twenty units and descend the mean absolute percentage error; these have two of 64 and descend the squared
error.
"""

import warnings

import numpy as np
from pydantic import Field

from ..predictor import Numbers
from ._encoded import EncodedOptions, EncodedPredictor, Matrix


class Options(EncodedOptions):
    """How many networks, and for how long."""

    networks: int = Field(5, ge=1, description="of the ensemble (BANANAS: 5)")
    epochs: int = Field(200, ge=1, description="of each network's training")


class MLPEnsemble(EncodedPredictor[Options]):
    """Two hidden layers of 64 ReLUs, Adam, the target standardised."""

    def learn(self, rows: Matrix, target: Numbers) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPRegressor

        self.mean, self.scale = float(target.mean()), float(target.std()) or 1.0
        self.networks = []
        for seed in self.draws().integers(2**31, size=self.options.networks).tolist():
            network = MLPRegressor(
                hidden_layer_sizes=(64, 64), max_iter=self.options.epochs, learning_rate_init=0.01, random_state=seed
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # the epochs are what was asked for
                self.networks.append(network.fit(rows, (target - self.mean) / self.scale))

    def expect(self, rows: Matrix) -> tuple[Numbers, Numbers]:
        found = np.stack([network.predict(rows) for network in self.networks]) * self.scale + self.mean
        return found.mean(0), found.std(0)
