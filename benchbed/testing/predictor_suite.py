"""The contract of a predictor, as checks that a plug-in's author can run.

    from benchbed.testing.predictor_suite import CHECKS

    @pytest.mark.parametrize("check", CHECKS)
    def test_contract(check):
        check(lambda space, streams: MyPredictor(space, MyPredictor.Options(), streams))

Each check takes `make`, which gives the predictor, and raises AssertionError where the contract is broken. They run on
NAS-Bench-201's cells with accuracies that are a sum over its edges.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..predictor import Prediction, Predictor
from ..space import Architecture, Space
from ..spaces.nb201.space import NB201
from ..streams import Streams
from .tree import checks_in, require

MakePredictor = Callable[[Space, Streams], Predictor[Any]]
TRAINED = 60


def some(count: int, seed: int) -> list[Architecture]:
    """Uniform draws."""
    space, rng = NB201(), np.random.default_rng(seed)
    return [space.random(rng) for _ in range(count)]


def additive(architectures: Sequence[Architecture]) -> np.ndarray:
    """Accuracies in percent (n,): what each operation of each edge is worth, added up."""
    worth = np.random.default_rng(1).uniform(0, 10, (6, 5))
    return np.array([30 + sum(worth[i, k] for i, k in enumerate(a.choices)) for a in architectures])


def fitted(make: MakePredictor, seed: int = 0) -> Predictor[Any]:
    """A predictor that has seen 60 cells."""
    predictor, trained = make(NB201(), Streams(seed)), some(TRAINED, 2)
    predictor.fit(trained, additive(trained))
    return predictor


def check_it_says_an_accuracy_and_a_deviation_of_each(make: MakePredictor) -> None:
    """Finite accuracies, in the order asked for, and deviations of at least 0."""
    asked = some(30, 3)
    found = fitted(make).predict(asked)
    require(isinstance(found, Prediction), f"predict gives {type(found).__name__}, not Prediction")
    for name, values in zip(found._fields, found, strict=True):
        require(np.shape(values) == (30,), f"{name} has shape {np.shape(values)}, not (30,)")
        require(bool(np.isfinite(values).all()), f"{name} is not finite")
    require(bool((found.deviation >= 0).all()), "a deviation is below 0")
    says, does = type(fitted(make)).says_deviation, bool(found.deviation.any())
    require(says == does, f"says_deviation is {says}, and deviations above 0 are{'' if does else ' not'} said")
    again = fitted(make).predict(asked[::-1]).accuracy[::-1]
    require(bool(np.allclose(again, found.accuracy)), "what is said of one depends on which others are asked")


def check_the_same_seed_says_the_same(make: MakePredictor) -> None:
    """Its randomness is the stream's: nothing is drawn from elsewhere."""
    first, again = (fitted(make).predict(some(20, 3)) for _ in range(2))
    require(bool(np.array_equal(first.accuracy, again.accuracy)), "two predictors of one seed differ")


def check_it_forgets_what_it_knew(make: MakePredictor) -> None:
    """What a first `fit` was told does not count after a second."""
    said, trained = [], some(TRAINED, 8)
    for before in (additive(some(TRAINED, 2)), 90 - additive(some(TRAINED, 2))):
        predictor = make(NB201(), Streams(5))
        predictor.fit(some(TRAINED, 2), before)
        predictor.fit(trained, additive(trained))
        said.append(predictor.predict(some(20, 3)).accuracy)
    require(bool(np.array_equal(said[0], said[1])), "what was learned before still counts")


def check_it_learns_a_sum(make: MakePredictor) -> None:
    """Of 60 cells it ranks others better than by lot: a correlation above 0.3."""
    asked = some(200, 9)
    found = np.corrcoef(fitted(make).predict(asked).accuracy, additive(asked))[0, 1]
    require(bool(found > 0.3), f"on accuracies that are a sum over edges its correlation is {found:.2f}")


def check_equal_accuracies_are_no_error(make: MakePredictor) -> None:
    """Where every training came out the same it says that, and does not divide by their deviation."""
    predictor, trained = make(NB201(), Streams(0)), some(20, 2)
    predictor.fit(trained, np.full(20, 50.0))
    found = predictor.predict(some(10, 3)).accuracy
    require(bool(np.allclose(found, 50.0, atol=0.5)), f"it was told 50 of all and says {found[:3]}")


CHECKS = checks_in(globals())
