"""Shrink: when an operation goes, which one, and what is left at the end."""

import pytest
import torch

from benchbed.cost import without_cost
from benchbed.searcher import Clock
from benchbed.searchers.shrink import Shrink
from benchbed.selectors.magnitude import Magnitude
from benchbed.space import Position
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.testing.searcher_suite import Traced
from benchbed.testing.selector_suite import Bench
from benchbed.testing.toys import ToyCell, ToySpace, random_table
from benchbed.training.search_loop import train_epoch


def _shrink(space=ToySpace, alpha=None, seed=0, **options):
    searcher = Shrink(space(), Shrink.Options(**options), Streams(seed))
    if alpha is not None:
        with torch.no_grad():
            searcher.base.alpha.copy_(torch.tensor(alpha))
    return searcher


def _left(searcher, epochs):
    """How many operations each position has after each epoch."""
    table, found = random_table(searcher.space, 0), []
    for epoch in range(epochs):
        searcher.end_epoch(table, Clock(epoch, 0, epochs, 1))
        found.append(searcher.mask.sum(1).tolist())
    return found


def test_one_operation_goes_at_the_end_of_every_interval_but_the_last():
    assert [row[0] for row in _left(_shrink(NB201), 10)] == [5, 4, 4, 3, 3, 2, 2, 1, 1, 1]
    assert [row[0] for row in _left(_shrink(NB201), 5)] == [4, 3, 2, 1, 1]
    assert [row[0] for row in _left(_shrink(NB201), 100)] == [5 - min(4, (e + 1) // 20) for e in range(100)]


def test_with_fewer_epochs_than_operations_several_go_at_once():
    assert [row[0] for row in _left(_shrink(NB201), 2)] == [3, 1]
    assert [row[0] for row in _left(_shrink(NB201), 1)] == [1]


def test_shorter_positions_end_earlier():
    assert _left(_shrink(), 4) == [[2, 1, 3], [1, 1, 2], [1, 1, 1], [1, 1, 1]]


def test_the_lowest_alpha_goes_ties_to_the_highest_index():
    searcher = _shrink(alpha=[[0.3, -0.1, 0.2, 0.0], [0.1, 0.1, 0.0, 0.0], [0.5, 0.4, 0.3, 0.2]])
    searcher.modifiers["shrink"].drop_weakest()
    assert searcher.mask.int().tolist() == [[1, 0, 1, 0], [1, 0, 0, 0], [1, 1, 1, 0]]
    left = torch.tensor([0.3, -torch.inf, 0.2, -torch.inf]).softmax(0)
    torch.testing.assert_close(searcher.probabilities()[0], left)


class OneSelectable(ToySpace):
    positions = (Position("only", ("a", "b", "c"), (False, True, False)),)


def test_the_last_selectable_operation_never_goes():
    searcher = _shrink(OneSelectable, [[2.0, -9.0, 1.0]])
    searcher.modifiers["shrink"].drop_weakest()
    assert searcher.mask.int().tolist() == [[1, 1, 0]]
    searcher.modifiers["shrink"].drop_weakest()
    assert searcher.mask.int().tolist() == [[0, 1, 0]]


def test_what_is_gone_does_not_flow_and_its_alpha_stays():
    objective, searcher = Traced(), _shrink(alpha_lr=0.05)
    problem, gone = without_cost(objective), {}
    for epoch in range(8):
        train_epoch(problem, searcher, epoch, 8)
        for (i, k), value in gone.items():
            assert float(searcher.base.alpha.detach()[i, k]) == value
        closed = searcher.modifiers["shrink"].everything & ~searcher.mask
        gone = {(i, k): float(searcher.base.alpha.detach()[i, k]) for i, k in closed.nonzero().tolist()}
    flowing = [int((g != 0).sum()) for g in objective.trace[:: objective.steps_per_epoch]]
    assert flowing == [9, 9, 6, 6, 4, 4, 3, 3]
    assert not searcher.modifiers["shrink"].open.any()


@pytest.mark.parametrize("seed", range(3))
def test_nodes_keep_their_strongest_inputs_when_the_last_operation_goes(seed):
    table = random_table(ToyCell(), seed)
    searcher = _shrink(ToyCell, seed=seed, alpha_lr=0.05)
    for epoch in range(6):
        train_epoch(without_cost(table), searcher, epoch, 6)
        assert bool(searcher.mask.any(1).all()) == (epoch < 3)  # 3 operations: the last goes after 2 of 3 intervals
    p = searcher.probabilities()
    architecture = table.space.architecture(p.numpy())
    before = searcher.base.alpha.detach().masked_fill(~searcher.modifiers["shrink"].everything, -torch.inf).softmax(1)
    for node in table.space.nodes:
        kept = [float(before[i, architecture.choices[i]]) for i in node.incoming if architecture.choices[i] >= 0]
        assert len(kept) == node.keep
    bench = Bench(table.space, table, Streams(0))
    bench.searcher = searcher
    chosen = bench.run(Magnitude(Magnitude.Options()))
    assert (chosen.architecture, chosen.notes) == (architecture, {})


def test_the_strength_of_an_input_is_p_among_all_operations():
    # z keeps two of three: what is left there holds 0.88, 0.62 and 0.73 of all it began with
    alpha = torch.zeros(8, 3)
    alpha[5, 0], alpha[6, 1], alpha[7, 1] = 2.0, 0.5, 1.0
    searcher = _shrink(ToyCell, alpha.tolist())
    _left(searcher, 1)
    assert searcher.mask.any(1)[5:].tolist() == [True, False, True]
