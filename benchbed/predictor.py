"""The contract of a predictor: accuracies of architectures that were not trained, from those of some that were.

A predictor is made for a space, sees trained architectures with their accuracies once (`fit`) and says of any others
what it expects and how sure it is (`predict`). It reads nothing else: no table, no image, no network. Its randomness is
the stream 'predictor' (`self.draws()`), so that the same trainings and seed give the same predictions.

A plug-in of kind predictor is a file of benchbed/predictors/, a user's own file (`--plugin`), or an entry point of the
group `benchbed.predictors`. `benchbed.testing.predictor_suite` holds the contract as checks.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel

from .objective import Objective
from .searcher import Options as PluginOptions
from .searcher import OptionsT, Plugin
from .space import Architecture, Space
from .streams import Streams

Numbers = Float[np.ndarray, " n"]


class Options(PluginOptions):
    """Of a predictor that has none."""


class Prediction(NamedTuple):
    """What is expected of n architectures, in percent, and the deviation of that; a deviation of 0: it is not said."""

    accuracy: Numbers
    deviation: Numbers


class Predictor(Plugin[OptionsT]):
    """Base of every predictor. `class Mine(Predictor[MyOptions])` has its options as `self.options`."""

    Options: ClassVar[type[BaseModel]] = Options
    says_deviation: ClassVar[bool] = True  # False: its deviations are all 0

    def __init__(self, space: Space, options: OptionsT, streams: Streams):
        self.space, self.options, self.streams = space, options, streams

    @classmethod
    def check(cls, options: OptionsT, space: Space, objective: Objective | None = None) -> None:
        """Raises BenchbedError where the predictor with these options does not work on the space."""
        return None

    def draws(self) -> np.random.Generator:
        """A generator of the stream 'predictor'."""
        return self.streams.numpy("predictor")

    @abstractmethod
    def fit(self, architectures: Sequence[Architecture], accuracy: Numbers) -> None:
        """Learns from n >= 2 trained architectures and their accuracies in percent; what it knew before is gone."""

    @abstractmethod
    def predict(self, architectures: Sequence[Architecture]) -> Prediction:
        """Of architectures in their order, after `fit`."""
