"""Perturbation where nodes keep some of their inputs: the DARTS spaces' rule, schedule and number of passes."""

import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.objective import Measure
from benchbed.selectors.perturb import Options, Perturb
from benchbed.space import Node, Position
from benchbed.streams import Streams
from benchbed.testing.selector_suite import Bench
from benchbed.testing.toys import ToyCell, ToySpace, ToyTable


def perturb(**options) -> Perturb:
    return Perturb(Options(**{"interval": 0, "order": "forward", **options}))


class Counter(ToyTable):
    """Remembers the gates of every measurement; what flows is worth `worth`, row by row, in percent and in loss.

    pairs: (i, j, bonus) adds the bonus where both positions flow: then what is missed depends on what else is there.
    """

    def __init__(self, space, worth=None, pairs=(), loss_worth=None):
        self.space, self.seen, self.pairs = space, [], pairs
        self.worth = torch.zeros(space.mask.shape) if worth is None else worth
        self.loss_worth = self.worth if loss_worth is None else loss_worth

    def measure(self, gates, batch=None):
        self.seen += list(gates.reshape(-1, *gates.shape[-2:]))
        flows = (gates.sum(-1) > 0).float()
        accuracy = (gates * self.worth).sum((-1, -2))
        for i, j, bonus in self.pairs:
            accuracy = accuracy + bonus * flows[..., i] * flows[..., j]
        return Measure(-(gates * self.loss_worth).sum((-1, -2)), accuracy, 0)


def darts_like(operations: int) -> ToySpace:
    """Fourteen edges and four nodes in each of two cells, as DARTS has them: node i has 2 + i inputs and keeps two."""
    space, blocks = ToySpace(), [range(0, 2), range(2, 5), range(5, 9), range(9, 14)]
    names = tuple("abcdefg"[:operations])
    space.positions = tuple(
        Position(f"{group} {i}", names, (True,) * operations, droppable=i > 1, group=group)
        for group in ("normal", "reduce")
        for i in range(14)
    )
    space.nodes = tuple(
        Node(group, tuple(first + i for i in block), 2)
        for group, first in (("normal", 0), ("reduce", 14))
        for block in blocks
    )
    return space


def bench_of(objective, seed=0) -> Bench:
    bench = Bench(objective.space, objective, Streams(seed))
    with torch.no_grad():
        bench.searcher.alpha.zero_()
    return bench


@pytest.mark.parametrize(
    ("operations", "topology", "passes"),
    [
        (7, "cumulative", 240),  # oracle 10: 2 (14 x 7 + 3 + 7 + 12)
        (2, "cumulative", 100),  # S2
        (7, "non-cumulative", 220),  # the official code measures 7 and 12 where 4 and 5 tell the same
    ],
)
def test_the_schedule_of_darts_is_walked_with_the_published_number_of_passes(operations, topology, passes):
    bench, events = bench_of(Counter(darts_like(operations))), []

    def tune(decisions, done, epochs, lr_factor, train_alpha):
        assert (done, epochs, lr_factor, train_alpha) == (events.count("t"), 81, 0.1, True)
        events.append("t")

    def log(values):
        events.append("n" if "kept" in values else "o")

    context = bench.context()._replace(tune=tune, log=log)
    selector = perturb(interval=5, order="random", schedule="official", topology=topology)
    assert selector.steps(bench.space) == 81 + 34
    results = [selector.step(context) for _ in range(81 + 34)]
    assert [r is None for r in results] == [True] * 114 + [False]
    assert "".join(events) == "oottttt" * 14 + "nnttttt" * 2 + "nnt"
    assert len(bench.objective.seen) == passes
    chosen = results[-1].architecture.choices
    for node in bench.space.nodes:
        assert sum(chosen[i] >= 0 for i in node.incoming) == 2
    order = results[-1].notes["order"]
    assert [name.split()[0] for name in order] == ["normal", "reduce"] * 14


def worths(space, values):
    worth = torch.zeros(space.mask.shape)
    for i, value in enumerate(values):
        worth[i, : len(space.positions[i].operations)] = value
    return worth


def test_the_input_that_is_missed_least_is_dropped_and_ties_go_to_the_later():
    space = ToyCell()
    bench = bench_of(Counter(space, worths(space, [1, 1, 3, 2, 5, 4, 4, 4])))
    chosen = bench.run(perturb())
    assert [k >= 0 for k in chosen.architecture.choices] == [True, True, True, False, True, True, True, False]
    # without an input accuracy is the sum of what all other positions are worth
    total = 1 + 1 + 3 + 2 + 5 + 4 + 4 + 4
    assert chosen.notes["inputs"]["normal node 2"] == {
        "y<-0": pytest.approx(3 - total), "y<-1": pytest.approx(2 - total), "y<-x": pytest.approx(5 - total)
    }  # fmt: skip
    later = total - 2  # the reduction cell's node came after an input of the normal cell was dropped
    assert list(chosen.notes["inputs"]["reduce node 1"].values()) == pytest.approx([4 - later] * 3)


def test_cumulative_elimination_tries_inputs_without_what_was_dropped_and_official_with_it():
    """Inputs 0 and 1 need each other: with one gone the other is worth less than 2 and 3, which are worth 3 each."""
    space = ToySpace()
    space.positions = tuple(Position(f"e{i}", ("a", "b"), (True, True), droppable=True) for i in range(4))
    space.nodes = (Node("", (0, 1, 2, 3), 2),)
    worth = worths(space, [1.0, 1.5, 3.0, 3.1])

    def kept(topology):
        objective = Counter(space, worth, pairs=[(0, 1, 1.8)])  # missed: 2.8, 3.3, 3.0, 3.1
        chosen = bench_of(objective).run(perturb(topology=topology)).architecture.choices
        return [i for i, k in enumerate(chosen) if k >= 0], objective.seen[8:]

    names, passes = kept("cumulative")  # 0 goes; then 1 is missed 1.5 only
    assert names == [2, 3]
    assert [int((g.sum(1) == 0).sum()) for g in passes] == [1] * 4 + [2] * 3
    assert all(float(g[0].sum()) == 0 for g in passes[4:])
    names, passes = kept("non-cumulative")  # 0 goes, then 2, which is missed 3.0 while 1 is missed 3.3
    assert names == [1, 3]
    assert [int((g.sum(1) == 0).sum()) for g in passes] == [1] * 4


@pytest.mark.parametrize(("edge_criterion", "dropped"), [(None, 2), ("acc", 2), ("loss", 4)])
def test_the_criterion_of_inputs_is_that_of_operations_unless_it_is_given(edge_criterion, dropped):
    """The official code parses a criterion for edges and uses the operations' all the same: here none is that."""
    space = ToyCell()
    acc, loss = worths(space, [1, 1, 2, 3, 4, 1, 1, 1]), worths(space, [1, 1, 4, 3, 2, 1, 1, 1])
    chosen = bench_of(Counter(space, acc, loss_worth=loss)).run(perturb(edge_criterion=edge_criterion))
    assert [i for i in (2, 3, 4) if chosen.architecture.choices[i] < 0] == [dropped]


def test_what_is_dropped_has_a_row_of_zeros_from_then_on_and_decided_operations_stand():
    bench, tuned = bench_of(Counter(ToyCell())), []
    context = bench.context()._replace(tune=lambda decisions, *_: tuned.append(decisions))
    selector = perturb(interval=1, schedule="official")
    results = [selector.step(context) for _ in range(selector.steps(bench.space))]
    last = tuned[-1]
    assert bool(last.fixed.all())
    assert torch.equal(last.rows, torch.from_numpy(bench.space.gates(results[-1].architecture)))
    assert [int((d.fixed & (d.rows.sum(1) == 0)).sum()) for d in tuned] == [0] * 5 + [2]


@pytest.mark.parametrize("what", ["op", "edge"])
@pytest.mark.parametrize("when", ["once", "greedy"])
def test_global_orders_begin_with_what_is_missed_most(what, when):
    space = ToySpace()
    worth = torch.zeros(space.mask.shape)
    worth[0, :3] = torch.tensor([2.0, 2.0, 2.0])  # the most missed as a whole, each operation little
    worth[1, :2] = torch.tensor([0.0, 3.0])  # half of it flows: 1.5 of one operation
    worth[2, :4] = torch.tensor([1.0, 1.0, 1.0, 1.0])
    chosen = bench_of(Counter(space, worth)).run(perturb(order=f"global-{what}-{when}"))
    expected = ["second", "first", "third"] if what == "op" else ["first", "second", "third"]
    assert chosen.notes["order"] == expected


def test_greedy_looks_again_before_every_decision_and_once_does_not():
    """'third' is worth much only while 'first' is undecided: its row is a mixture until then."""

    class Shifting(Counter):
        def measure(self, gates, batch=None):
            open_ = (gates[..., 0, :].amax(-1) < 0.99).float()
            found = super().measure(gates)
            return found._replace(accuracy=found.accuracy + 8 * open_ * gates[..., 2, 0])

    space = ToySpace()
    worth = torch.zeros(space.mask.shape)
    worth[0, 0], worth[1, 0], worth[2, 0] = 12.0, 3.0, 1.0
    orders = {
        when: bench_of(Shifting(space, worth)).run(perturb(order=f"global-op-{when}")).notes["order"]
        for when in ("once", "greedy")
    }
    assert orders == {"once": ["first", "third", "second"], "greedy": ["first", "second", "third"]}


def test_random_orders_of_positions_and_nodes_stay_in_their_groups():
    found = {tuple(bench_of(Counter(ToyCell()), s).run(perturb(order="random")).notes["order"]) for s in range(6)}
    assert len(found) > 3
    for order in found:
        assert [name[0] in "xy" for name in order] == [True, False, True, False, True, False, True, True]


def test_a_diverged_supernet_is_named_by_its_node():
    class Diverges(Counter):
        def measure(self, gates, batch=None):
            found = super().measure(gates)
            return found._replace(loss=torch.where((gates.sum(-1) == 0).any(-1), torch.nan, found.loss))

    with pytest.raises(BenchbedError, match="inputs of y<-0 and others: the supernet has diverged"):
        bench_of(Diverges(ToyCell())).run(perturb(criterion="loss"))
