"""Blank: alpha stands still, the weights do not (darts-pt.md, pitfall 8)."""

import pytest
import torch

from benchbed.cost import Problem, without_cost
from benchbed.searchers.blank import Blank
from benchbed.searchers.darts import DARTS
from benchbed.selectors.magnitude import Magnitude
from benchbed.streams import Streams
from benchbed.testing.searcher_suite import CHECKS
from benchbed.testing.selector_suite import Bench
from benchbed.testing.toy_network import ToyNetwork
from benchbed.testing.toys import ToySpace, random_table
from benchbed.training.search_loop import train_epoch


def _blank(seed=0, **options):
    return Blank(ToySpace(), Blank.Options(**options), Streams(seed))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_exactly_uniform_default_fulfils_the_contract(check):
    if check.__name__ == "check_seeds":
        with pytest.raises(AssertionError, match="another seed gives the same search"):
            check(Blank, {})
    else:
        check(Blank, {})


def test_by_default_the_operations_of_a_position_have_the_very_same_probability():
    p = _blank().probabilities()
    for row, position in zip(p, ToySpace.positions, strict=True):
        assert set(row[: len(position.operations)].tolist()) == {float(torch.tensor(1.0) / len(position.operations))}


def test_the_official_option_is_where_darts_begins():
    blank = _blank(3, alpha_init=1e-3)
    darts = DARTS(ToySpace(), DARTS.Options(), Streams(3))
    assert torch.equal(blank.probabilities(), darts.probabilities())
    assert len(set(blank.probabilities()[0, :3].tolist())) == 3


@pytest.mark.parametrize("start", [0.0, 1e-3])
def test_weights_move_and_alpha_does_not_whatever_a_cost_says(start):
    searcher, streams = _blank(alpha_init=start), Streams(0)
    objective = ToyNetwork(ToySpace(), random_table(ToySpace(), 0).losses, streams)
    before, weights = searcher.probabilities().clone(), {n: w.clone() for n, w in objective.weights().items()}

    def costly(loss, p):
        raise AssertionError("a cost was paid")

    for epoch in range(2):
        means = train_epoch(Problem(objective, costly, costly), searcher, epoch, 2)
        assert set(means) == {"loss"}  # no architecture step
    assert torch.equal(searcher.probabilities(), before)
    assert all(not torch.equal(w, weights[name]) for name, w in objective.weights().items())


def test_magnitude_draws_and_says_so():
    table = random_table(ToySpace(), 0)
    bench = Bench(table.space, table, Streams(0))
    bench.searcher = _blank()
    train_epoch(without_cost(table), bench.searcher, 0, 1)
    chosen = bench.run(Magnitude(Magnitude.Options()))
    assert chosen.notes == {"drawn_at_random": ["first", "second", "third"]}
