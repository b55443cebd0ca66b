"""Hyperband and its kin: brackets to the integer, promotion by the rung below alone, what going on costs.

`Curves` is a table whose accuracies after different epochs have nothing to do with each other; an epoch is a second.
"""

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from benchbed import registry
from benchbed.black_box import Proposal, Trial
from benchbed.cost import without_cost
from benchbed.errors import BenchbedError
from benchbed.objective import Evaluation
from benchbed.objectives.table import TableObjective
from benchbed.searcher import Clock
from benchbed.searchers.bohb import Density
from benchbed.streams import Streams
from benchbed.testing.toys import ToyCell, ToySpace, ToyTable, random_table
from benchbed.typed import typed

WHOLE = Clock(0, 0, 1, 1)


class Curves(ToyTable):
    """Accuracies after each number of epochs drawn anew; those above `known` by another seed."""

    known, seed = 1000, 0

    def evaluate(self, architecture: Any, fidelity: int) -> Evaluation:
        key = [*architecture.choices, fidelity, self.seed if fidelity > self.known else 0]
        return Evaluation(float(np.random.default_rng([k + 1 for k in key]).random()) * 100, float(fidelity))


def curves(known: int = 1000, seed: int = 0) -> Curves:
    found = Curves(ToyCell(), random_table(ToyCell(), 0).losses)
    found.known, found.seed = known, seed
    return found


def searched(name: str, objective: Any = None, seed: int = 0, budget: float = 2000.0, **options: Any) -> Any:
    loaded, objective = registry.load("searcher", name), objective or curves()
    searcher = loaded(objective.space, loaded.Options(budget=budget, **options), Streams(seed))
    searcher.arch_step(without_cost(objective), None, WHOLE)
    return searcher


RUNGS = {"lower": (1, 3, 9, 27), "fidelity": 81}


def test_the_brackets_are_those_of_the_paper() -> None:
    """Algorithm 1 at R = 81 and eta = 3."""
    searcher = searched("hyperband", budget=1.0, **RUNGS)
    found = []
    for number in range(6):
        searcher._begin(number)
        found.append(searcher.bracket())
    assert found[:5] == [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ]
    assert found[5] == found[0]


@pytest.mark.parametrize("name", ["hyperband", "bohb"])
def test_trials_come_in_the_brackets_numbers(name: str) -> None:
    whole = 81 + 27 * 3 + 81 * 3 + 34 * 3 + 99 + 81 * 2 + 15 * 9 + 5 * 27 + 81 + 8 * 27 + 162 + 5 * 81
    trials = searched(name, budget=whole, **RUNGS).trials
    assert trials[-1].seconds == whole
    assert Counter(t.fidelity for t in trials) == {1: 81, 3: 61, 9: 35, 27: 19, 81: 10}


def promotions(trials: list[Trial], numbers: list[int]) -> list[tuple[list[Trial], list[Trial]]]:
    """(a rung's trials, the next one's) of one bracket."""
    ends = np.cumsum([0, *numbers])
    return list(pairwise([trials[a:b] for a, b in pairwise(ends.tolist())]))


def test_the_best_of_a_rung_go_on_and_no_others() -> None:
    trials = searched("successive-halving", budget=3000.0, **RUNGS).trials
    for rung, following in promotions(trials, [81, 27, 9, 3, 1]):
        best = sorted(rung, key=lambda trial: -trial.accuracy)[: len(following)]
        assert [trial.architecture for trial in following] == [trial.architecture for trial in best]
        assert {t.fidelity for t in following} == {3 * rung[0].fidelity}


@pytest.mark.parametrize("name", ["hyperband", "successive-halving", "asha"])
def test_promotion_sees_no_rung_above_the_one_that_it_leaves(name: str) -> None:
    """With other figures after 9 epochs and more, what was asked for after 9 epochs at most is the same."""
    first, other = (searched(name, curves(9 - 1, seed), 0, 400.0, lower=(1, 3), fidelity=9).trials for seed in (1, 2))
    asked = [[(t.architecture, t.fidelity) for t in trials] for trials in (first, other)]
    assert asked[0] == asked[1]
    assert [t.accuracy for t in first] != [t.accuracy for t in other]


@pytest.mark.parametrize("name", ["hyperband", "successive-halving", "asha", "bohb"])
def test_going_on_costs_the_difference_and_beginning_anew_the_whole(name: str) -> None:
    for resume in (True, False):
        trials = searched(name, resume=resume, **RUNGS).trials
        paid = [t.fidelity - t.trained for t in trials]
        assert [t.seconds for t in trials] == np.cumsum(paid).tolist()
        assert trials[-1].seconds <= 2000
        before = {t.trained for t in trials if t.fidelity == 81}
        assert 0 not in before or not resume or name in ("hyperband", "bohb")  # whose last bracket begins at the top
        assert resume or before <= {0}
        if resume:
            for i, t in enumerate(trials):
                known = {(o.architecture, o.fidelity) for o in trials[:i]}
                assert not t.trained or (t.architecture, t.trained) in known


def test_asha_promotes_as_soon_as_it_can() -> None:
    """By hand, eta = 2: the second architecture lets one go on, the fourth another, which lets one go on twice."""
    trials = searched("asha", budget=200.0, lower=(1, 2), fidelity=4, eta=2).trials
    assert [t.fidelity for t in trials[:7]] == [1, 1, 2, 1, 1, 2, 4]
    for i, trial in enumerate(trials):
        if trial.fidelity == 1:
            continue
        below = [t for t in trials[:i] if t.fidelity == trial.fidelity // 2]
        best = sorted(below, key=lambda t: -t.accuracy)[: len(below) // 2]
        assert trial.architecture in [t.architecture for t in best]
    assert len(trials) > 50


def test_successive_halving_begins_with_as_many_as_asked() -> None:
    trials = searched("successive-halving", configurations=10, budget=10 + 9 + 9.0, lower=(1, 3), fidelity=9).trials
    assert [t.fidelity for t in trials] == [1] * 10 + [3] * 3 + [9]


# -- BOHB --------------------------------------------------------------------------------------------------------------


def test_a_density_by_hand() -> None:
    rows, sizes = np.array([[0, 0], [1, 2]]), np.array([2, 3])
    found = Density(rows, sizes, 0.1)
    rule = 1.06 * np.array([0.5, 1.0]) * 2 ** (-1 / 6)
    b = np.minimum(rule, [1 / 2, 2 / 3])
    assert found.bandwidth == pytest.approx(b)
    assert found(np.array([[0, 2]]))[0] == pytest.approx(((1 - b[0]) * b[1] / 2 + b[0] * (1 - b[1])) / 2)
    everything = np.array([[i, j] for i in range(2) for j in range(3)])
    assert found(everything).sum() == pytest.approx(1)
    assert Density(rows[:1], sizes, 0.1).bandwidth == pytest.approx([0.1, 0.1])


def test_there_is_a_model_once_a_rung_has_enough_of_both_kinds() -> None:
    d = len(ToyCell().positions)
    searcher = searched("bohb", budget=500.0, lower=(1,), fidelity=3)
    trials, searcher.trials = searcher.trials, []
    low = [t for t in trials if t.fidelity == 1]
    assert len(low) >= 2 * d + 2
    searcher.trials = low[: 2 * d + 1]
    assert searcher.model() is None
    searcher.trials = low[: 2 * d + 2]
    good, other = searcher.model()
    assert (len(good.rows), len(other.rows)) == (d + 1, d + 1)
    best = sorted(searcher.trials, key=lambda t: -t.reward)[: d + 1]
    of = [[searcher.categories[i][k] for i, k in enumerate(row)] for row in good.rows]
    assert of == [list(trial.architecture.choices) for trial in best]


def test_its_draws_beat_uniform_ones_on_an_additive_table() -> None:
    space = ToyCell()
    costs = torch.rand(space.mask.shape, generator=torch.Generator().manual_seed(2)) * torch.from_numpy(space.mask) / 8
    table, means = ToyTable.of_costs(space, costs), {}
    for name in ("bohb", "hyperband"):
        later = []
        for seed in range(3):
            trials = searched(name, table, seed, 600.0, lower=(1,), fidelity=3).trials
            later += [t.accuracy for t in trials[60:] if t.fidelity == 1]
        means[name] = np.mean(later)
    assert means["bohb"] > means["hyperband"] + 2


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_rungs_that_do_not_rise_are_refused_in_one_line() -> None:
    for given in ({"lower": (12, 12)}, {"lower": (300,)}, {"lower": (0,)}, {"lower": (12, 4)}):
        with pytest.raises(BenchbedError, match=r"^searcher: .*expected at least 1 epoch, rising, and they are \["):
            typed(registry.load("searcher", "hyperband").Options, given, "searcher")


def test_a_table_without_a_rung_is_refused_and_says_what_it_has(make_table: Any) -> None:
    table = make_table("two", short=np.full((5,) * 6, 50.0), seconds=np.full((5,) * 6, 200.0))
    hyperband = registry.load("searcher", "hyperband")
    objective = TableObjective.of(table, "cifar10")
    hyperband.check(hyperband.Options(), objective.space, objective)
    with pytest.raises(BenchbedError, match=r"^searcher.lower = 4: .*cifar10 valid .* 4 epochs: nearest 12"):
        hyperband.check(hyperband.Options(lower=(4, 12)), objective.space, objective)


def test_a_search_saved_before_there_were_rungs_goes_on() -> None:
    loaded, space = registry.load("searcher", "random-search"), ToySpace()
    searcher = loaded(space, loaded.Options(fidelity=7), Streams(0))
    searcher.load_state({"choices": [[0, 0, 0]], "figures": [[50.0, 0.5, 7.0]], "pending": [1, 0, 0]})
    assert searcher.trials == [Trial(space.architecture_of((0, 0, 0)), 50.0, 0.5, 7.0, 7, 0)]
    assert searcher.pending == Proposal(space.architecture_of((1, 0, 0)), 7)
