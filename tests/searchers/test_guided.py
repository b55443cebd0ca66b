"""Searchers that ask a predictor: what they evaluate, what they learn from, and what they pick."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from benchbed import registry
from benchbed.cost import without_cost
from benchbed.errors import BenchbedError
from benchbed.predictor import Prediction
from benchbed.searcher import Clock
from benchbed.searchers import _guided
from benchbed.streams import Streams
from benchbed.testing.toys import ToyCell, ToySpace, ToyTable, random_table

NAMES = ("bananas", "npenas", "gp")
WHOLE = Clock(0, 0, 1, 1)


class Clairvoyant:
    """Says the truth and notes what it was told."""

    table: ToyTable
    told: list[tuple[list[Any], np.ndarray]]

    says_deviation = True

    def __init__(self, space: Any, options: Any, streams: Streams):
        pass

    def fit(self, architectures: list[Any], accuracy: np.ndarray) -> None:
        self.told.append((architectures, accuracy))

    def predict(self, architectures: list[Any]) -> Prediction:
        accuracy = np.array([self.table.evaluate(a, 1).accuracy for a in architectures])
        return Prediction(accuracy, np.full(len(architectures), 1e-6))


@pytest.fixture
def clairvoyant(monkeypatch: pytest.MonkeyPatch) -> type[Clairvoyant]:
    Clairvoyant.table, Clairvoyant.told = random_table(ToyCell(), 0), []
    monkeypatch.setattr(_guided, "predictor_of", lambda text: (Clairvoyant, None))
    return Clairvoyant


def searched(name: str, table: ToyTable, **options: Any) -> Any:
    loaded = registry.load("searcher", name)
    searcher = loaded(table.space, loaded.Options(**{"budget": 100.0, "fidelity": 1, **options}), Streams(0))
    searcher.arch_step(without_cost(table), None, WHOLE)
    return searcher


@pytest.mark.parametrize("name", NAMES)
def test_it_learns_from_all_evaluations_and_repeats_none(name: str, clairvoyant: type[Clairvoyant]) -> None:
    searcher = searched(name, clairvoyant.table, initial=8, batch=4, candidates=30)
    trials = searcher.trials
    assert len({trial.architecture for trial in trials}) == len(trials) == 100
    sizes = [len(known) for known, _ in clairvoyant.told]
    assert sizes[:8] == list(range(8, 40, 4))
    for known, accuracy in clairvoyant.told:
        assert known == [trial.architecture for trial in trials[: len(known)]]
        assert accuracy == pytest.approx([trial.accuracy for trial in trials[: len(known)]], abs=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_liked_most_comes_first(name: str, clairvoyant: type[Clairvoyant]) -> None:
    trials = searched(name, clairvoyant.table, initial=8, batch=4, candidates=30).trials
    for start in (8,) if name == "gp" else range(8, 40, 4):  # what is below the best so far improves nothing
        batch = [trial.accuracy for trial in trials[start : start + 4]]
        assert batch[0] == max(batch)
        assert name == "gp" or batch == sorted(batch, reverse=True)
    later, first = np.mean([t.accuracy for t in trials[8:40]]), np.mean([t.accuracy for t in trials[:8]])
    assert later > first


@pytest.mark.parametrize("name", ["bananas", "npenas"])
def test_candidates_are_mutants_of_the_best(name: str, clairvoyant: type[Clairvoyant]) -> None:
    trials = searched(name, clairvoyant.table, initial=8, batch=4, candidates=30, parents=3).trials
    for start in range(8, 40, 4):
        parents = _guided.best(trials[:start], 3)
        around = {n for parent in parents for n in clairvoyant.table.space.neighbours(parent)}
        assert {trial.architecture for trial in trials[start : start + 4]} <= around


def test_expected_improvement_by_hand() -> None:
    searcher = registry.load("searcher", "gp")
    made = searcher(ToySpace(), searcher.Options(), Streams(0))
    made.trials = searched("gp", random_table(ToySpace(), 0), budget=3.0, initial=2, predictor="random-forest").trials
    best = max(100 * trial.reward for trial in made.trials)
    found = made.worth(Prediction(np.array([best, best + 2]), np.array([1.0, 0.5])), np.random.default_rng(0))
    assert found == pytest.approx([norm.pdf(0), 0.5 * (4 * norm.cdf(4) + norm.pdf(4))])


def test_without_any_deviation_the_greatest_mean_is_picked_and_a_predictor_that_has_none_is_refused() -> None:
    loaded = registry.load("searcher", "gp")
    made = loaded(ToySpace(), loaded.Options(), Streams(0))
    mean = np.array([3.0, 9.0, 5.0])
    assert made.worth(Prediction(mean, np.zeros(3)), np.random.default_rng(0)).argsort().tolist() == [0, 2, 1]
    with pytest.raises(BenchbedError, match=r"^searcher.predictor = gradient-boosting: expected improvement needs a"):
        loaded.check(loaded.Options(predictor="gradient-boosting"), ToyCell(), None)


def test_a_small_space_is_looked_at_whole() -> None:
    searcher = searched("gp", random_table(ToySpace(), 0), budget=600.0, initial=2, predictor="random-forest:trees=3")
    assert len({trial.architecture for trial in searcher.trials}) == len(searcher.everything)
    assert searcher.propose() is None


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_predictor_or_encoding_is_refused(name: str) -> None:
    loaded = registry.load("searcher", name)
    with pytest.raises(BenchbedError, match="unknown predictor 'forest'"):
        loaded.check(loaded.Options(predictor="forest"), ToyCell(), None)
    with pytest.raises(BenchbedError, match="encoding 'path' is of NAS-Bench-201's cells"):
        loaded.check(loaded.Options(predictor="gp:encoding=path"), ToyCell(), None)
