"""gp: a Gaussian process over encoded architectures, scikit-learn's.

The kernel is c exp(-|x - x'|^2 / (2 l^2)) + noise, its three numbers those of greatest marginal likelihood. On one-hot
rows |x - x'|^2 is twice the Hamming distance.
"""

import warnings

import numpy as np

from ..predictor import Numbers
from ._encoded import EncodedOptions, EncodedPredictor, Matrix


class GaussianProcess(EncodedPredictor[EncodedOptions]):
    """Mean and deviation of the posterior, the noise left out."""

    Options = EncodedOptions

    def learn(self, rows: Matrix, target: Numbers) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        noise = WhiteKernel(0.05, (1e-4, 1.0))
        kernel = ConstantKernel(1.0, (0.1, 100.0)) * RBF(2.0, (0.3, 100.0)) + noise
        self.process = GaussianProcessRegressor(kernel, normalize_y=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a bound of the kernel was reached
            self.process.fit(rows, target)
        self.scale = float(np.std(target)) or 1.0

    def expect(self, rows: Matrix) -> tuple[Numbers, Numbers]:
        mean, deviation = self.process.predict(rows, return_std=True)
        noise = self.process.kernel_.k2.noise_level * self.scale**2
        return mean, np.sqrt(np.maximum(deviation**2 - noise, 0.0))
