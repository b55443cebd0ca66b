"""Perturbation against what DARTS-PT fixes: masks, ties, schedule, measurements, and a toy whose answer is known."""

import pytest
import torch
from torch.nn import functional as F

from benchbed.errors import BenchbedError
from benchbed.objective import Measure
from benchbed.searcher import one_hot_draws
from benchbed.selection.compare import compare
from benchbed.selectors import perturb as perturb_module
from benchbed.selectors.magnitude import Magnitude
from benchbed.selectors.perturb import Options, Perturb
from benchbed.space import Position
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.testing.selector_suite import Bench
from benchbed.testing.toys import ToySpace, ToyTable, random_table


class Spy(ToyTable):
    """A random table that keeps every set of gates it measures."""

    def __init__(self, space, seed=0):
        super().__init__(space, random_table(space, seed).losses)
        self.seen = []

    def measure(self, gates, batch=None):
        self.seen.append(gates.clone())
        return super().measure(gates, batch)


def spied(space, seed=0, evaluation="mixture") -> Bench:
    return Bench(space, Spy(space, seed), Streams(seed), evaluation)


def perturb(**options) -> Perturb:
    return Perturb(Options(**options))


# -- masks ---------------------------------------------------------------------------------------------------------


def test_masks_zero_one_entry_and_leave_the_rest_as_it_is():
    bench = spied(ToySpace())
    p, selector = bench.searcher.probabilities(), perturb(interval=0, order="forward")
    selection = bench.run(selector)
    final = torch.from_numpy(bench.space.gates(selection.architecture))
    assert [len(gates) for gates in bench.objective.seen] == [3, 2, 3]  # 'a' may not be selected at the third position
    for position, gates in enumerate(bench.objective.seen):
        for column, one in enumerate(gates[:, 0]):
            assert one[position].sum() == pytest.approx(float(1 - p[position, column]), abs=1e-6)
            expected = torch.cat([final[:position], p[position:]])  # decided, then not yet decided
            expected[position, column] = 0
            assert torch.equal(one, expected)


def test_renormalised_masks_sum_to_one_and_keep_the_ratios():
    bench = spied(ToySpace())
    p = bench.searcher.probabilities()
    bench.run(perturb(interval=0, order="forward", mask="renormalised"))
    for column, one in enumerate(bench.objective.seen[0][:, 0]):
        kept = p[0].clone()
        kept[column] = 0
        torch.testing.assert_close(one[0], kept / kept.sum())
        torch.testing.assert_close(one.sum(1), torch.ones(3))


def test_renormalised_masks_keep_how_much_of_a_position_flows(monkeypatch):
    bench = spied(ToySpace())
    strength = torch.tensor([0.5, 2.0, 1.0])  # as PC-DARTS weighs edges
    monkeypatch.setattr(type(bench.searcher), "strength", lambda self: strength)
    bench.run(perturb(interval=0, order="forward", mask="renormalised"))
    torch.testing.assert_close(bench.objective.seen[0][:, 0].sum(2), strength.expand(3, 3))


def test_sampled_masks_share_their_draws(monkeypatch):
    bench, compared = spied(ToySpace(), seed=4), []
    monkeypatch.setattr(perturb_module, "compare", lambda o, g, c: compared.append(g) or compare(o, g, c))
    bench.run(perturb(interval=0, order="forward", gates="sampled", draws=500))
    seen = compared[0]  # (3 masks, 500 draws, P, O)
    assert len(bench.objective.seen[0]) <= 2 * 3 * 4  # the different paths among them, each measured once
    assert torch.equal(seen[0][:, 1:], seen[1][:, 1:])  # every row but the masked one, draw by draw
    assert torch.equal(seen[0][:, 1:], seen[2][:, 1:])
    for column in range(3):
        assert not seen[column][:, 0, column].any()
        assert torch.equal(seen[column].sum(2), torch.ones(500, 3))
    # the same uniforms, through the renormalised row: the share of each operation is its renormalised probability
    p, generator = bench.searcher.probabilities(), Streams(4).generator("selection")
    uniforms = torch.rand(500, 3, generator=generator)
    kept = p.clone()
    kept[0, 1] = 0
    assert torch.equal(seen[1], one_hot_draws(kept, uniforms))


@pytest.mark.parametrize(("wanted", "expected"), [("auto", "sampled"), ("mixture", "mixture"), ("sampled", "sampled")])
def test_gates_follow_the_searchers_mode_unless_told_otherwise(wanted, expected):
    bench = spied(ToySpace(), evaluation="sampled")
    selection = bench.run(perturb(interval=0, gates=wanted, draws=4))
    assert selection.notes["gates"] == expected
    one_hot = bench.objective.seen[0].flatten(0, -3).amax(2) == 1
    assert bool(one_hot.all()) == (expected == "sampled")


# -- what is chosen ------------------------------------------------------------------------------------------------


class Signals(ToyTable):
    """Real labels, real logits: sum of gate * f(x). One operation a position tells the labels of a third of the data.

    The others are noise, so accuracy falls to chance on a third exactly where the informative operation is missing.
    """

    informative = (2, 1, 1)

    def __init__(self, space):
        super().__init__(space, random_table(space, 0).losses)
        generator = torch.Generator().manual_seed(0)
        self.labels = torch.randint(2, (3000,), generator=generator)
        side = self.labels * 2.0 - 1
        self.features = torch.randn(3, 4, 3000, generator=generator) * 1e-3
        for position, column in enumerate(self.informative):
            self.features[position, column] = side * (torch.arange(3000) % 3 == position)

    def measure(self, gates, batch=None):
        score = torch.einsum("...po,pon->...n", gates, self.features)
        correct = (score > 0) == (self.labels == 1)
        loss = F.softplus(-score * (self.labels * 2 - 1)).mean(-1)
        return Measure(loss, 100 * correct.float().mean(-1), 3000)


@pytest.mark.parametrize("criterion", ["acc", "loss"])
@pytest.mark.parametrize("gates", ["mixture", "sampled"])
def test_perturbation_finds_what_alpha_ranks_last_and_magnitude_does_not(criterion, gates):
    space = ToySpace()
    bench = Bench(space, Signals(space), Streams(0))
    with torch.no_grad():
        bench.searcher.alpha.zero_()
        for position, column in enumerate(Signals.informative):
            bench.searcher.alpha[position, column] = -1.0
    chosen = bench.run(perturb(interval=0, criterion=criterion, gates=gates, draws=64))
    assert chosen.architecture.choices == Signals.informative
    if criterion == "acc" and gates == "mixture":  # a third of the data at chance: 100 * (2/3 + 1/3 * 1/2)
        assert -chosen.scores[0, 2] == pytest.approx(100 * 5 / 6, abs=2.5)
        assert -chosen.scores[0, 0] > 99
    by_magnitude = bench.run(Magnitude(Magnitude.Options()))
    assert all(a != b for a, b in zip(by_magnitude.architecture.choices, Signals.informative, strict=True))


@pytest.mark.parametrize("criterion", ["acc", "loss"])
def test_the_criterion_is_lowest_accuracy_or_highest_loss(criterion):
    class Figures(ToyTable):
        def measure(self, gates, batch=None):  # accuracy and loss disagree: each criterion reads its own
            loss, accuracy = torch.tensor([[1.0], [3.0], [2.0]]), torch.tensor([[10.0], [90.0], [5.0]])
            return Measure(loss[: len(gates)], accuracy[: len(gates)], 1)

    space = ToySpace()
    bench = Bench(space, Figures(space, random_table(space, 0).losses), Streams(0))
    chosen = bench.run(perturb(interval=0, criterion=criterion))
    assert chosen.architecture.choices == ((2, 0, 2) if criterion == "acc" else (1, 1, 1))
    assert chosen.scores[0].tolist()[:3] == ([-10, -90, -5] if criterion == "acc" else [1, 3, 2])


@pytest.mark.parametrize("criterion", ["acc", "loss"])
def test_ties_go_to_the_lowest_index_that_may_be_selected(criterion):
    class Fussy(ToySpace):
        positions = (*ToySpace.positions[:2], Position("third", ("b", "c", "d", "a"), (False, True, True, False)))

    class Flat(ToyTable):
        def measure(self, gates, batch=None):
            return Measure(torch.ones(gates.shape[:-2]), torch.full(gates.shape[:-2], 50.0), 1)

    bench = Bench(Fussy(), Flat(Fussy(), random_table(Fussy(), 0).losses), Streams(0))
    chosen = bench.run(perturb(interval=0, criterion=criterion))
    assert chosen.architecture.choices == (0, 0, 1)
    assert torch.from_numpy(chosen.scores).isnan().sum() == 12 - 3 - 2 - 2  # what may not be selected is not measured


def test_a_position_without_a_choice_keeps_its_operation():
    class Narrow(ToySpace):
        positions = (Position("first", ("a", "b", "c"), (False, True, False)), *ToySpace.positions[1:])

    bench = spied(Narrow())
    p = bench.searcher.probabilities()
    chosen = bench.run(perturb(interval=0, order="forward"))
    assert chosen.architecture.choices[0] == 1
    assert torch.equal(bench.objective.seen[0][0, 0], p)  # nothing is masked


def test_what_was_decided_is_selected_wherever_alpha_goes_afterwards():
    bench, logged = spied(ToySpace()), []

    def flips(*_):
        with torch.no_grad():
            bench.searcher.alpha.mul_(-3)

    context = bench.context()._replace(tune=flips, log=logged.append)
    selector = perturb(interval=1)
    steps = [selector.step(context) for _ in range(selector.steps(bench.space))]
    names = dict(bench.space.describe_choices(steps[-1].architecture))
    assert names == {line["position"]: line["operation"] for line in logged}


def test_a_loss_that_is_not_finite_is_an_error_of_one_line():
    class Diverged(ToyTable):
        def measure(self, gates, batch=None):
            return Measure(torch.full(gates.shape[:-2], torch.nan), torch.zeros(gates.shape[:-2]), 1)

    bench = Bench(ToySpace(), Diverged(ToySpace(), random_table(ToySpace(), 0).losses), Streams(0))
    with pytest.raises(BenchbedError, match="position 'first': the supernet has diverged"):
        perturb(criterion="loss", order="forward").step(bench.context())


# -- schedule and order --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["official", "even"])
def test_the_schedule_is_walked_on_nas_bench_201_with_thirty_measurements(schedule):
    bench, events = spied(NB201()), []

    def tune(decisions, done, epochs, lr_factor, train_alpha):
        assert (done, epochs, lr_factor, train_alpha) == (len([e for e in events if e == "t"]), 25, 0.1, True)
        assert int(decisions.fixed.sum()) == events.count("d")
        events.append("t")

    context = bench.context()._replace(tune=tune, log=lambda values: events.append("d"))
    selector = perturb(schedule=schedule)
    assert selector.steps(bench.space) == 31
    results = [selector.step(context) for _ in range(31)]
    assert [r is None for r in results] == [True] * 30 + [False]
    last = "dtttt" + "dt" if schedule == "official" else "dttttt" + "d"
    assert "".join(events) == "dttttt" * 4 + last
    assert sum(gates.shape[:2].numel() for gates in bench.objective.seen) == 30
    assert results[-1].notes["tuning_epochs"] == 25


def test_orders():
    def order(wanted, seed=0):
        return spied(NB201(), seed).run(perturb(interval=0, order=wanted)).notes["order"]

    names = [p.name for p in NB201().positions]
    assert order("forward") == names
    assert order("backward") == names[::-1]
    drawn = [order("random", seed) for seed in range(8)]
    assert all(sorted(o) == sorted(names) for o in drawn)
    assert len({tuple(o) for o in drawn}) > 4
