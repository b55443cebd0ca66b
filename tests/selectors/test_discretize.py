"""The yardstick of DARTS-PT's section 4.1: trained to a plateau, measured, put back."""

import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.objective import Decisions
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.pipeline.resolve import expand
from benchbed.pipeline.run import run_all
from benchbed.runtime.options import RunOptions
from benchbed.selection.discretize import TrainingOptions, discretised
from benchbed.selectors.discretize import Discretize, Options
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task
from benchbed.testing.selector_suite import Bench
from benchbed.testing.toys import ToyCell, ToySpace, ToyTable, random_table
from benchbed.testing.tree import difference, through_file


def selector(**options) -> Discretize:
    return Discretize(Options(**{"epochs": 1, "min_epochs": 1, **options}))


class Scripted(ToyTable):
    """Accuracy is a script's: one value after each tuning epoch of a candidate; the fit of its decisions is added."""

    provides = frozenset({"weights"})

    def __init__(self, script, worth=None):
        super().__init__(ToySpace(), random_table(ToySpace(), 0).losses)
        self.script, self.worth, self.epoch = script, worth, 0

    def measure(self, gates, batch=None):
        found = super().measure(gates)
        value = self.script[self.epoch - 1] + (0 if self.worth is None else float((gates * self.worth).sum()))
        return found._replace(accuracy=torch.full_like(found.accuracy, value))

    def state(self):
        return {"epoch": self.epoch}

    def load_state(self, tree):
        self.epoch = tree["epoch"]


def scripted(script, worth=None):
    bench = Bench(ToySpace(), Scripted(script, worth), Streams(0))

    def tune(decisions, done, epochs, lr_factor, train_alpha):
        assert done == bench.objective.epoch
        bench.objective.epoch += 1

    return bench, bench.context()._replace(tune=tune)


@pytest.mark.parametrize(
    ("script", "options", "expected"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], {"epochs": 6, "min_epochs": 2}, (6, 6)),  # capped
        ([5, 4, 3, 2, 1, 9, 9, 9], {"epochs": 8, "min_epochs": 1, "patience": 2}, (5, 3)),  # plateau
        ([5, 4, 3, 2, 1, 9, 9, 9], {"epochs": 8, "min_epochs": 5, "patience": 2}, (5, 5)),  # not before the fifth
        ([5, 4, 6, 6, 6, 9, 9, 9], {"epochs": 8, "min_epochs": 1, "patience": 2}, (6, 5)),  # an equal one is no better
        ([3, 9], {"epochs": 1, "min_epochs": 1}, (3, 1)),
    ],
)
def test_training_ends_at_a_plateau_and_the_best_epoch_counts(script, options, expected):
    bench, context = scripted(script)
    found = discretised(
        context, Decisions.none(bench.space), TrainingOptions(**options), lambda: bench.searcher.probabilities()[None]
    )
    assert found == expected
    assert bench.objective.epoch == 0  # put back


def test_the_best_operation_of_every_position_by_itself_is_kept_and_ties_go_to_the_lowest():
    worth = torch.tensor([[0.0, 2, 1, 0], [1.0, 1, 0, 0], [0.0, 1, 3, 9]])  # 'a' of the third may not be selected
    bench, context = scripted([10.0], worth)
    made = selector()
    results = [made.step(context) for _ in range(made.steps(bench.space))]
    assert len(results) == 3 + 2 + 3
    assert results[-1].architecture.choices == (1, 0, 2)
    p = bench.searcher.probabilities()
    expected = 10 + 2.0 + float((p * worth)[1:].sum())  # the others keep their mixture
    assert results[-1].scores[0, 1] == pytest.approx(expected, abs=1e-5)
    assert results[-1].notes["tuning_epochs"] == 8


def test_a_node_keeps_the_inputs_that_gain_most_over_their_removal():
    space = ToyCell()
    costs = torch.zeros(space.mask.shape)
    for i, gain in zip((2, 3, 4), (0.2, 0.3, 0.1), strict=True):
        costs[i, 0] = -gain
    table = ToyTable.of_costs(space, costs)
    bench = Bench(space, table, Streams(0))
    context = bench.context()._replace(tune=lambda *_: None)
    made = selector()
    results = [made.step(context) for _ in range(made.steps(space))]
    assert len(results) == sum(map(sum, (p.selectable for p in space.positions))) + 6
    chosen = results[-1]
    assert [chosen.architecture.choices[i] for i in (2, 3, 4)] == [0, 0, -1]
    assert set(chosen.notes["without"]) == {"y<-0", "y<-1", "y<-x", "z<-0", "z<-1", "z<-x"}
    gains = [float(chosen.scores[i, 0]) - chosen.notes["without"][space.positions[i].name] for i in (2, 3, 4)]
    assert gains == pytest.approx([20, 30, 10], abs=1e-3)


def supernet_bench() -> Bench:
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.randn(48, 3, 8, 8, generator=generator), torch.arange(48) % 4
    train, valid = Split(images[:24], labels[:24]), Split(images[24:], labels[24:])
    task = Task("noise", 4, (3, 8, 8), train, valid, Seal(lambda: valid), fingerprint="noise")
    options = SupernetOptions.model_validate({"channels": 2, "cells": 1, "batch": 12, "valid_batch": 12, "lr": 0.5})
    streams = Streams(0)
    bench = Bench(NB201(), SupernetObjective(NB201(), task, options, streams, epochs=2), streams)
    bench.tune(Decisions.none(bench.space), 0, 2, 1.0, True)  # momentum, half of a pass, alpha's Adam: all there
    bench.objective.batch("valid")
    return bench


@pytest.mark.parametrize("tune_alpha", [False, True])
def test_weights_momentum_cursors_alpha_and_streams_are_put_back_bit_for_bit(tune_alpha):
    bench = supernet_bench()
    made = selector(epochs=2, min_epochs=2, tune_alpha=tune_alpha)
    made.step(bench.context())
    first = made.accuracies[0]
    before = through_file(bench.state())
    tuned = []

    def tune(*arguments):
        bench.tune(*arguments)
        tuned.append(through_file(bench.state()))

    made.step(bench.context()._replace(tune=tune))
    assert difference(bench.state(), before) is None
    assert difference(tuned[0]["objective"]["network"], before["objective"]["network"]) is not None
    assert (difference(tuned[0]["searcher"], before["searcher"]) is not None) == tune_alpha
    # the same candidate again: the same batches, the same figure
    again = selector(epochs=2, min_epochs=2, tune_alpha=tune_alpha)
    again.load_state({**made.state(), "accuracies": [], "epochs": []})
    again.step(bench.context())
    assert again.accuracies == [first]


def test_on_a_table_it_is_refused(tmp_path, unchecked, make_table):
    make_table("mine")
    raw = {"objective": "table", "table": "mine", "dataset": "cifar10", "epochs": 1}
    with pytest.raises(BenchbedError, match="selector 'discretize' needs weights, which objective 'table'"):
        run_all(expand(raw, ["darts"], ["discretize"], [0]), RunOptions(tmp_path / "out", torch.device("cpu")))
    assert not (tmp_path / "out").exists()


def test_more_epochs_at_least_than_at_most_are_refused(refused):
    line = refused(
        "run", "--searcher", "darts", "--selector", "discretize", "--set", "selector.epochs=3", "--set",
        "selector.min_epochs=4",
    )  # fmt: skip
    assert "min_epochs = 4" in line
    assert "epochs = 3" in line
