"""OLES: the score, when an operation stops, that it stays where it stopped, and the official code's own counting."""

import pytest
import torch

from benchbed import registry
from benchbed.cost import without_cost
from benchbed.errors import BenchbedError
from benchbed.modifier import made_of
from benchbed.objective import Batch
from benchbed.objectives.operations import OperationWeights
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.searcher import Clock
from benchbed.searchers.darts import DARTS
from benchbed.searchers.modifiers.oles import EarlyStopping, flat_cosine, official_cosine
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task
from benchbed.testing.searcher_suite import Traced
from benchbed.testing.toys import ToySpace, random_table
from benchbed.testing.tree import difference, through_file
from benchbed.training.search_loop import train_epoch

CONVOLUTIONS = torch.tensor([[name.startswith("nor_conv") for name in p.operations] for p in NB201().positions])


def _sealed():
    raise AssertionError("the test split was touched")


def search(valid_of, steps: int = 6, **options):
    """A DARTS search under OLES whose validation batch is `valid_of(training batch)`; the objective comes with it."""
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(8 * steps, 3, 8, 8, generator=generator), torch.arange(8 * steps) % 2
    split = Split(images, labels)
    task = Task("random", 2, (3, 8, 8), split, split, Seal(_sealed), "0")
    streams = Streams(0)
    small = SupernetOptions(channels=4, cells=1, batch=8, valid_batch=8, eval_batch=8, lr=0.01)
    objective = SupernetObjective(NB201(), task, small, streams, epochs=2)
    draw, last = objective.batch, {}

    def batch(split):
        last[split] = draw("train") if split == "train" else valid_of(last["train"])
        return last[split]

    objective.batch = batch
    kind = made_of(DARTS, (("oles", EarlyStopping),))
    searcher = kind(NB201(), kind.Options(modifiers={"oles": options}), streams)
    return searcher, objective


def flipped(batch: Batch) -> Batch:
    return Batch(batch.images, 1 - batch.labels)


def test_identical_batches_match_and_freeze_nothing():
    searcher, objective = search(lambda batch: batch, window=3)
    oles = searcher.modifiers["oles"]
    clock, train = Clock(0, 0, 2, 6), objective.batch("train")
    searcher.arch_step(without_cost(objective), train, clock)
    searcher.weight_gates(objective, train, clock)
    assert (oles.counts == CONVOLUTIONS).all()  # what has no weights has no score
    torch.testing.assert_close(oles.sums, CONVOLUTIONS.double())
    train_epoch(without_cost(objective), searcher, 0, 2)
    assert not oles.frozen.any()
    assert not objective.operations.frozen.any()


def test_opposite_labels_freeze_every_operation_with_weights_and_they_stay_bit_for_bit():
    searcher, objective = search(flipped, window=3)
    train_epoch(without_cost(objective), searcher, 0, 2)
    oles = searcher.modifiers["oles"]
    assert torch.equal(oles.frozen, CONVOLUTIONS)
    assert searcher.progress() == {"frozen": 12}

    held = [w for own in objective.operations.of.values() for w in own]
    before, alpha = [w.detach().clone() for w in held], searcher.base.alpha.detach().clone()
    others = {n: w.detach().clone() for n, w in objective.weights().items() if not any(w is h for h in held)}
    train_epoch(without_cost(objective), searcher, 1, 2)
    assert all(torch.equal(w, b) for w, b in zip(held, before, strict=True))
    assert not torch.equal(searcher.base.alpha, alpha)  # alpha goes on
    assert not any(torch.equal(objective.weights()[n], w) for n, w in others.items())


def test_frozen_weights_stay_through_a_checkpoint_and_in_tuning():
    searcher, objective = search(flipped, window=3)
    train_epoch(without_cost(objective), searcher, 0, 2)
    saved = through_file({"searcher": searcher.state(), "objective": objective.state()})
    other, elsewhere = search(flipped, window=3)
    other.load_state(saved["searcher"])
    elsewhere.load_state(saved["objective"])
    assert difference(other.state(), searcher.state()) is None
    before = [w.detach().clone() for own in elsewhere.operations.of.values() for w in own]
    elsewhere.new_optimiser(0.1, 1, "constant")
    train_epoch(without_cost(elsewhere), other, 1, 2, tuning=True)
    after = [w for own in elsewhere.operations.of.values() for w in own]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))


def scored(scores: list[float], **options) -> list[bool]:
    """Whether one operation stands frozen after each of these scores."""
    searcher = DARTS(ToySpace(), DARTS.Options(), Streams(0))
    oles = EarlyStopping(searcher, EarlyStopping.Options(**options))
    found = []
    for score in scores:
        valid, training = torch.tensor([1.0, 0.0]), torch.tensor([score, (1 - score**2) ** 0.5])
        oles.compare({(0, 1): [valid]}, {(0, 1): [training], (2, 2): [training]})
        oles.stopping()
        assert not oles.frozen[2, 2]  # no gradient on the other split
        found.append(bool(oles.frozen[0, 1]))
    return found


def test_an_operation_stops_where_the_mean_of_a_window_is_below_the_threshold():
    assert scored([0.5, 0.2, 0.5, 0.5, 0.1, 0.4], window=3, threshold=0.4) == [False] * 5 + [True]
    assert scored([0.5, 0.4, 0.4] * 3, window=3, threshold=0.4) == [False] * 9
    assert scored([-1.0] * 20) == [False] * 19 + [True]  # the authors' window


def test_the_official_count_adds_one_more_than_it_divides_by():
    assert scored([-1.0] * 21, count="official") == [False] * 20 + [True]
    scores = [0.39] * 21  # a mean below 0.4, and 21 / 20 of it is not
    assert scored(scores, count="official") == [False] * 21
    assert scored(scores) == [False] * 19 + [True] * 2


def test_the_official_validation_gradient_has_the_training_gradient_of_the_step_before_in_it():
    valid, training = {(0, 1): [torch.tensor([1.0, 0.0])]}, {(0, 1): [torch.tensor([0.0, 1.0])]}
    found = []
    for own in ({}, {"valid": "official"}):
        searcher = DARTS(ToySpace(), DARTS.Options(), Streams(0))
        oles = EarlyStopping(searcher, EarlyStopping.Options(against="previous", **own))
        oles.compare(valid, training)
        found.append(float(oles.sums[0, 1]))
    assert found == pytest.approx([0.0, 0.5**0.5])  # unrelated gradients
    with pytest.raises(ValueError, match="valid = 'official' with against = 'same': take against = 'previous'"):
        EarlyStopping.Options(valid="official")


def test_cosines_by_hand():
    a, b = torch.tensor([[1.0, 0.0], [1.0, 2.0]]), torch.tensor([[1.0, 3.0], [-1.0, 0.0]])
    assert flat_cosine([a], [b]) == pytest.approx(0.0, abs=1e-12)  # 1 + 0 - 1 + 0
    assert flat_cosine([a, a], [b, a]) == pytest.approx(6 / (12**0.5 * 17**0.5))
    # along dimension 0: the columns (1, 1).(1, -1) = 0 and (0, 2).(3, 0) = 0
    assert official_cosine([a], [b]) == pytest.approx(0.0, abs=1e-7)
    assert official_cosine([a, a], [b, a]) == pytest.approx(0.5, abs=1e-6)
    c = torch.tensor([[1.0, 3.0], [1.0, 3.0]])
    assert official_cosine([a], [c]) == pytest.approx((1 + 0.5**0.5) / 2, abs=1e-6)
    assert flat_cosine([torch.zeros(2)], [torch.ones(2)]) is None


@pytest.mark.parametrize("against", ["same", "previous"])
def test_the_official_code_looks_at_the_training_gradient_of_the_step_before(against, monkeypatch):
    searcher, objective = search(lambda batch: flipped(batch), against=against)
    seen, oles = [], searcher.modifiers["oles"]
    monkeypatch.setattr(oles, "compare", lambda valid, training: seen.append((valid, training)))
    trained = []
    for step in range(3):
        clock, train = Clock(0, step, 2, 6), objective.batch("train")
        searcher.arch_step(without_cost(objective), train, clock)
        trained.append(objective.operation_gradients(searcher.base.probabilities(), train))
        objective.weight_step(searcher.weight_gates(objective, train, clock), train)
    wanted = trained if against == "same" else [{}, *trained[:2]]
    for (_, training), expected in zip(seen, wanted, strict=True):
        assert training.keys() == expected.keys()
        assert all(torch.equal(a, b) for k in training for a, b in zip(training[k], expected[k], strict=True))


def test_no_step_on_alpha_no_comparison_and_no_extra_pass(monkeypatch):
    kind = made_of(DARTS, (("oles", EarlyStopping),))
    searcher, objective = kind(ToySpace(), kind.Options(), Streams(0)), Traced()
    monkeypatch.setattr(objective, "operation_gradients", None)
    clock, batch = Clock(0, 1, 2, 4), objective.batch("train")
    searcher.modifiers["oles"].valid = (Clock(0, 3, 2, 4), objective.batch("valid"))  # of a step that is long over
    assert torch.equal(searcher.weight_gates(objective, batch, clock), searcher.probabilities())


def test_it_is_refused_where_there_is_nothing_to_compare_or_to_freeze():
    for name, text in (("blank+oles", "Blank has none"), ("shapley+oles", "ShapleyNAS has none")):
        kind = registry.load("searcher", name)
        with pytest.raises(BenchbedError, match=text):
            kind.check(kind.Options(), ToySpace(), None)
    kind = registry.load("searcher", "darts+oles")
    assert {"weights", "operations"} <= kind.needed(kind.Options())
    table = random_table(ToySpace(), 0)
    with pytest.raises(BenchbedError, match="does not say whose they are"):
        kind.check(kind.Options(), table.space, table)


def test_a_table_has_no_weights_to_stop(refused):
    flags = ("--objective", "table", "--table", "nb201-digits", "--dataset", "digits")
    said = refused("run", "--searcher", "darts+oles", "--selector", "magnitude", *flags)
    assert "'darts+oles' needs operations, weights, which objective 'table' does not provide" in said


def test_a_cell_that_is_cut_off_in_one_step_alone_has_zeros():
    """Two cells of an operation, of which a drawn path may leave out one: the lists of two steps are as long."""
    one, other = torch.tensor([1.0, 2.0]), torch.tensor([3.0])
    weights = OperationWeights(torch.nn.Linear(1, 1), torch.ones(1, 2, dtype=torch.bool))
    weights.of = {(0, 0): [one, other], (0, 1): [torch.tensor([5.0])]}
    everything = [*weights.of[0, 0], *weights.of[0, 1]]
    found = weights.gradients(everything, [torch.tensor([4.0, 3.0]), None, None])
    assert list(found) == [(0, 0)]
    assert [g.tolist() for g in found[0, 0]] == [[4.0, 3.0], [0.0]]
    whole = weights.gradients(everything, [torch.tensor([4.0, 3.0]), torch.tensor([5.0]), None])
    assert flat_cosine(found[0, 0], whole[0, 0]) == pytest.approx(25 / (5 * 50**0.5))
