"""Table-only searchers: the budget, the clock, evolution's population (oracle 20), hill climbing, REINFORCE, Optuna."""

import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from benchbed import registry
from benchbed.cost import without_cost
from benchbed.errors import BenchbedError
from benchbed.objective import Decisions, Evaluation
from benchbed.objectives.table import TableObjective
from benchbed.searcher import Clock
from benchbed.space import Position
from benchbed.streams import Streams
from benchbed.testing.toys import ToyCell, ToySpace, ToyTable, random_table
from benchbed.testing.tree import difference, through_file
from benchbed.training.search_loop import train_epoch

NAMES = [p.name for p in registry.plugins("searcher") if "fidelity" in registry.load("searcher", p.name).needs]
WHOLE = Clock(0, 0, 1, 1)
GIVEN = ("fidelity", "lower", "program")


class Uneven(ToyTable):
    """Each architecture takes seconds of its own, from 1 to 10, and every evaluation is counted."""

    count = 0

    def evaluate(self, architecture, fidelity):
        self.count += 1
        seconds = 1 + 9 * np.random.default_rng(abs(hash(architecture.choices))).random()
        return Evaluation(super().evaluate(architecture, fidelity).accuracy, seconds)


def uneven(space, seed=0) -> Uneven:
    return Uneven(space, random_table(space, seed).losses)


def make(name: str, space: Any = None, seed: int = 0, **options: Any) -> Any:
    loaded = registry.load("searcher", name)
    given = {"budget": 200.0, "fidelity": 1} | {k: v for k, v in loaded.suite_options.items() if k in GIVEN}
    return loaded(space or ToyCell(), loaded.Options(**{**given, **options}), Streams(seed))


def searched(name: str, objective: Any, epochs: int, steps: int, **options: Any) -> Any:
    searcher, objective.steps_per_epoch = make(name, objective.space, **options), steps
    for epoch in range(epochs):
        train_epoch(without_cost(objective), searcher, epoch, epochs)
    return searcher


def test_they_are_all_there():
    assert set(NAMES) >= {"random-search", "regularised-evolution", "local-search", "reinforce-search", "optuna"}
    assert set(NAMES) >= {"hyperband", "successive-halving", "asha", "bohb"}


@pytest.mark.parametrize("name", NAMES)
def test_the_budget_is_spent_and_never_overshot(name):
    for budget in (10.0, 57.3, 200.0):
        searcher = searched(name, uneven(ToyCell()), 3, 5, budget=budget)
        assert searcher.seconds <= budget
        assert searcher.pending is not None
        one_more = uneven(ToyCell()).evaluate(searcher.pending.architecture, searcher.pending.fidelity).seconds
        assert searcher.seconds + one_more > budget  # what was not made would not have ended in time
        ends = [trial.seconds for trial in searcher.trials]
        took = [uneven(ToyCell()).evaluate(trial.architecture, 1).seconds for trial in searcher.trials]
        assert ends == pytest.approx(np.cumsum(took).tolist())


@pytest.mark.parametrize("name", NAMES)
def test_a_budget_that_no_evaluation_ends_within_finds_nothing_and_says_so(name):
    with pytest.raises(BenchbedError, match=r"searcher\.budget = 0\.5: no evaluation .*, the first takes [0-9.]+$"):
        searched(name, uneven(ToyCell()), 3, 5, budget=0.5)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_found_does_not_depend_on_the_loops_steps(name):
    found = [searched(name, uneven(ToyCell()), *size).trials for size in ((1, 1), (3, 5), (40, 10))]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) > 20


@pytest.mark.parametrize("name", NAMES)
def test_the_clock_of_the_loop_is_that_of_the_budget(name):
    searcher, objective = make(name), uneven(ToyCell())
    for step in range(10):
        searcher.arch_step(without_cost(objective), None, Clock(0, step, 1, 10))
        assert searcher.seconds <= 20.0 * (step + 1)
        assert searcher.seconds > 20.0 * (step + 1) - 10  # no evaluation takes longer


@pytest.mark.parametrize("name", NAMES)
def test_a_search_that_is_continued_makes_the_same_trials(name):
    whole, objective = searched(name, uneven(ToyCell()), 4, 5), uneven(ToyCell())
    half, objective.steps_per_epoch = make(name), 5
    for epoch in range(2):
        train_epoch(without_cost(objective), half, epoch, 4)
    saved = through_file({"searcher": half.state(), "streams": half.streams.state()})
    other = make(name, seed=1)
    other.load_state(saved["searcher"])
    other.streams.load_state(saved["streams"])
    for epoch in range(2, 4):
        train_epoch(without_cost(objective), other, epoch, 4)
    assert other.trials == whole.trials
    assert difference(whole.state(), other.state()) is None
    assert make(name, seed=1).trials != whole.trials


def first_of(trials: list[Any], fidelity: int) -> float:
    return min(trial.seconds for trial in trials if trial.fidelity == fidelity)


@pytest.mark.parametrize("name", NAMES)
def test_the_incumbent_is_the_earliest_best_trial_and_what_is_reported(name):
    searcher = searched(name, uneven(ToyCell()), 2, 5)
    top = max(trial.fidelity for trial in searcher.trials)
    accuracies = [trial.accuracy if trial.fidelity == top else -1.0 for trial in searcher.trials]
    best = searcher.trials[int(np.argmax(accuracies))]
    assert searcher.incumbent == best
    curve = searcher.anytime()
    assert curve[-1] == (best.seconds, best.accuracy, str(best.architecture))
    last = [accuracy for seconds, accuracy, _ in curve if seconds >= first_of(searcher.trials, top)]
    assert last == sorted({max(accuracies[: i + 1]) for i in range(len(accuracies))} - {-1.0})
    shown = searcher.progress()
    assert shown["evaluations"] == len(accuracies)
    assert (shown["incumbent"], shown["incumbent_accuracy"]) == (str(best.architecture), best.accuracy)
    assert torch.equal(searcher.probabilities(), torch.from_numpy(searcher.space.gates(best.architecture)))


@pytest.mark.parametrize("name", NAMES)
def test_a_space_that_is_seen_whole_ends_no_search_in_a_loop_without_end(name):
    searcher = searched(name, uneven(ToySpace()), 1, 1, budget=600.0)
    assert searcher.seconds <= 600
    assert searcher.incumbent.accuracy == pytest.approx(best_selectable(uneven(ToySpace())), abs=1e-3)


def best_selectable(table: ToyTable) -> float:
    """Percent: the last operation of the toy's third position may not be chosen."""
    return 100 * (1 - float(table.losses[:, :, :3].min()))


def test_decisions_overlay_an_evaluation():
    space = ToySpace()
    table, first = random_table(space, 0), space.architecture_of((0, 0, 0))
    decided = table.decided(Decisions.none(space).decide(1, 1))
    assert decided.evaluate(first, 3) == table.evaluate(space.architecture_of((0, 1, 0)), 3)


def test_an_objective_without_fidelities_says_so():
    class Bare(ToyTable):
        evaluate = ToyTable.__mro__[1].evaluate

    bare = Bare(ToySpace(), random_table(ToySpace(), 0).losses)
    with pytest.raises(BenchbedError, match="evaluates no single architectures"):
        bare.evaluate(ToySpace().architecture_of((0, 0, 0)), 12)


# -- regularised evolution ---------------------------------------------------------------------------------------------


def test_the_population_keeps_its_size_and_loses_its_oldest():
    searcher, objective, seen = make("regularised-evolution", population=6), uneven(ToyCell()), []
    for step in range(200):
        searcher.arch_step(without_cost(objective), None, Clock(0, step, 1, 200))
        seen.append(list(searcher.population))
    sizes = [len(members) for members in seen]
    assert max(sizes) == 6
    assert sizes == sorted(sizes)  # it grows to its size and stays
    full = [members for members in seen if len(members) == 6]
    for before, after in pairwise(full):
        assert after in (before, [*before[1:], after[-1]])


def test_a_child_differs_from_the_tournaments_winner_in_one_edge():
    """A tournament as large as many draws of the population has the best member for its winner."""
    searcher = make("regularised-evolution", ToySpace(), population=4, sample=100, budget=60.0)
    searcher.arch_step(without_cost(uneven(ToySpace())), None, WHOLE)
    trials = searcher.trials
    assert len(trials) > 8
    for i in range(4, len(trials)):
        parent = max(trials[i - 4 : i], key=lambda trial: trial.reward)
        pairs = zip(parent.architecture.choices, trials[i].architecture.choices, strict=True)
        assert sum(a != b for a, b in pairs) == 1


def test_fitness_is_the_mean_over_the_tables_seeds_whichever_seed_the_search_has(make_table):
    """The benchmark's own evolution reads one training, drawn at random, of each cell (darts-pt.md, pitfall 23)."""
    spread = np.random.default_rng(3).uniform(20, 95, (*(5,) * 6, 3))
    table = make_table("spread", short=spread.mean(-1), short_seeds=spread, seconds=np.full((5,) * 6, 200.0))
    objective = TableObjective.of(table, "cifar10")
    for seed in range(3):
        searcher = make("regularised-evolution", objective.space, seed, fidelity=12, population=5, budget=600.0)
        searcher.arch_step(without_cost(objective), None, WHOLE)
        assert len(searcher.trials) == 600 / 12
        for trial in searcher.trials:
            choices = trial.architecture.choices
            assert 100 * trial.reward == pytest.approx(spread[choices].mean(), abs=1e-4)
            assert abs(100 * trial.reward - spread[choices]).min() > 1e-3  # nor one of them by chance


# -- local search ------------------------------------------------------------------------------------------------------


def test_local_search_pays_for_each_architecture_once_and_stands_on_a_hill():
    searcher = searched("local-search", uneven(ToyCell()), 1, 1, budget=600.0)
    choices = [trial.architecture.choices for trial in searcher.trials]
    assert len(set(choices)) == len(choices)


def test_without_a_valley_local_search_climbs_to_the_top():
    """On an additive table every local optimum is the global one; first neighbourhoods are whole."""
    costs = torch.tensor([[0.3, 0.0, 0.2, 0.0], [0.0, 0.2, 0.0, 0.0], [0.1, 0.2, 0.0, 0.3]])
    table = ToyTable.of_costs(ToySpace(), costs)
    searcher = make("local-search", ToySpace(), budget=17.0)  # a start, and three times its five neighbours at most
    searcher.arch_step(without_cost(table), None, WHOLE)
    around = {n.choices for n in ToySpace().neighbours(searcher.trials[0].architecture)}
    assert {trial.architecture.choices for trial in searcher.trials[1 : 1 + len(around)]} == around
    assert searcher.incumbent.architecture.choices == (1, 0, 2)


# -- REINFORCE ---------------------------------------------------------------------------------------------------------


class OneEdge(ToySpace):
    positions = (Position("only", ("a", "b", "c"), (True, True, True)),)


def test_reinforce_on_one_edge_converges_to_the_best_operation():
    table = ToyTable(OneEdge(), torch.tensor([0.3, 0.1, 0.2]))
    searcher = make("reinforce-search", OneEdge(), budget=600.0, alpha_lr=0.05, result="policy")
    searcher.arch_step(without_cost(table), None, WHOLE)
    assert float(searcher.probabilities()[0, 1]) > 0.95


def test_one_step_of_reinforce_by_hand():
    """Adam's first step is the learning rate times the sign of (R - b) (g - p)."""
    table = ToyTable(OneEdge(), torch.tensor([0.3, 0.1, 0.2]))
    searcher = make("reinforce-search", OneEdge(), budget=1000.0, alpha_init=0.0)
    rewards, alphas = [], []
    for step in range(1000):
        searcher.arch_step(without_cost(table), None, Clock(0, step, 1, 1000))
        rewards.append(searcher.trials[-1].reward)
        alphas.append(searcher.alpha.detach().clone())
    assert not alphas[0].any()  # the first reward has nothing to be held against
    first = next(i for i, r in enumerate(rewards) if r != rewards[0])
    assert not alphas[first - 1].any()
    chosen = searcher.trials[first].architecture.choices[0]
    up = 1.0 if rewards[first] > rewards[0] else -1.0
    assert float(alphas[first][0, chosen]) * up > 0
    assert all(float(alphas[first][0, k]) * up < 0 for k in range(3) if k != chosen)


# -- Optuna ------------------------------------------------------------------------------------------------------------


def test_tpe_beats_random_draws_on_an_additive_table():
    space = ToyCell()
    costs = torch.rand(space.mask.shape, generator=torch.Generator().manual_seed(2)) * torch.from_numpy(space.mask) / 8
    table = ToyTable.of_costs(space, costs)
    means = {}
    for sampler in ("tpe", "random"):
        later = []
        for seed in range(3):
            searcher = make("optuna", space, seed, sampler=sampler, budget=60.0)
            searcher.arch_step(without_cost(table), None, WHOLE)
            later += [trial.accuracy for trial in searcher.trials[30:]]
        means[sampler] = np.mean(later)
    assert means["tpe"] > means["random"] + 2


def test_without_optuna_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(BenchbedError, match=r"^searcher 'optuna' needs the package optuna: pip install optuna$"):
        make("optuna")
