"""DARTS-: the auxiliary skip connection in the network, in the gradient and over the epochs; without it it is DARTS."""

import pytest
import torch

from benchbed import registry
from benchbed.cost import without_cost
from benchbed.errors import BenchbedError
from benchbed.layers.plan import full_plan
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.searcher import Clock
from benchbed.searchers.darts import DARTS
from benchbed.searchers.darts_minus import DARTSMinus
from benchbed.spaces.load import load_space
from benchbed.spaces.nb201.space import EDGES, NB201, SKIP
from benchbed.spaces.nb201.supernet import CellSupernet
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task
from benchbed.testing.tree import difference
from benchbed.training.search_loop import train_epoch


def _sealed():
    raise AssertionError("the test split was touched")


def objective_of(streams: Streams) -> SupernetObjective:
    images = torch.randn(2, 12, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    train, valid = (Split(half, torch.arange(12) % 3) for half in images)
    task = Task("random", 3, (3, 8, 8), train, valid, Seal(_sealed), "0")
    small = SupernetOptions(channels=4, cells=1, batch=6, valid_batch=6, eval_batch=6)
    return SupernetObjective(NB201(), task, small, streams, epochs=2)


def searched(kind, **options):
    streams = Streams(0)
    objective = objective_of(streams)
    searcher = kind(NB201(), kind.Options(alpha_lr=0.05, **options), streams)
    for epoch in range(2):
        train_epoch(without_cost(objective), searcher, epoch, 2)
    return {"searcher": searcher.state(), "objective": objective.state(), "streams": streams.state()}


@pytest.mark.parametrize("order", [1, 2])
def test_without_the_auxiliary_connection_it_is_darts_bit_for_bit(order):
    plain = searched(DARTS, order=order)
    assert difference(plain, searched(DARTSMinus, order=order, beta=0.0)) is None
    assert difference(plain, searched(DARTSMinus, order=order)) is not None


@pytest.mark.parametrize(
    ("decay", "values"),
    [
        ("linear", {0: 1.0, 25: 0.5, 49: 0.02}),
        ("cosine", {0: 1.0, 25: 0.5, 49: 9.8664e-4}),
        ("slow-cosine", {0: 1.0, 25: 0.5**0.5, 49: 0.0314108}),
        ("none", {0: 1.0, 25: 1.0, 49: 1.0}),
    ],
)
def test_beta_falls_as_the_official_schedules_do(decay, values):
    searcher = DARTSMinus(NB201(), DARTSMinus.Options(decay=decay, beta=2.0), Streams(0))
    for epoch, value in values.items():
        assert searcher.beta(Clock(epoch, 3, 50, 9)) == pytest.approx(2 * value, rel=1e-4)


def test_every_node_gets_beta_x_beside_its_mixtures():
    searcher = DARTSMinus(NB201(), DARTSMinus.Options(alpha_init=1.0), Streams(0))
    clock = Clock(2, 0, 5, 1)
    p, gates = searcher.probabilities(), searcher.weight_gates(objective_of(Streams(0)), None, clock)
    torch.testing.assert_close(gates.sum(1), torch.full((6,), 1.6))
    cell, x = CellSupernet(4), torch.randn(5, 4, 6, 6, generator=torch.Generator().manual_seed(2))
    found = cell(x, [list(row) for row in gates], full_plan(searcher.mask))
    nodes = [x, 0, 0, 0]
    for edge, (source, target) in enumerate(EDGES):
        mixed = sum(p[edge, k] * cell.operation(edge, k)(nodes[source]) for k in range(1, 5))  # column 0 is none
        nodes[target] = nodes[target] + mixed + 0.6 * nodes[source]
    torch.testing.assert_close(found, nodes[3], atol=1e-4, rtol=1e-4)


def test_alpha_descends_the_loss_with_the_connection_in_it():
    streams = Streams(0)
    objective = objective_of(streams)
    searcher = DARTSMinus(NB201(), DARTSMinus.Options(), streams)
    batch = objective.batch("valid")
    objective.batch = lambda split: batch
    alpha = searcher.alpha.detach().clone().requires_grad_()
    auxiliary = torch.zeros(6, 5)
    auxiliary[:, SKIP] = 0.6
    (wanted,) = torch.autograd.grad(objective.loss(alpha.softmax(1) + auxiliary, batch), alpha)
    logged = searcher.arch_step(without_cost(objective), None, Clock(2, 0, 5, 1))
    torch.testing.assert_close(searcher.alpha.grad, wanted, atol=1e-6, rtol=1e-3)
    assert logged["beta"] == pytest.approx(0.6)


def test_what_is_decided_or_gone_has_no_connection_beside_it():
    searcher = DARTSMinus(NB201(), DARTSMinus.Options(), Streams(0))
    searcher.mask[0] = False
    searcher.mask[0, 3] = True
    searcher.mask[1, SKIP] = False
    found = searcher.auxiliary(Clock(0, 0, 5, 1))
    assert (found[:2] == 0).all()
    assert found[2:, SKIP].tolist() == [1.0] * 4


@pytest.mark.parametrize(
    ("space", "count"), [("darts-s1", "10 of 28"), ("darts-s4", "28 of 28"), ("mbconv", "21 of 21")]
)
def test_a_space_without_skip_connections_everywhere_is_refused(space, count):
    with pytest.raises(BenchbedError, match=f"{count} have none, such as"):
        DARTSMinus.check(DARTSMinus.Options(), load_space(space, {}), None)
    DARTSMinus.check(DARTSMinus.Options(), NB201(), None)


def test_noise_that_scales_rows_and_a_table_that_normalises_them_are_refused(refused):
    kind = registry.load("searcher", "darts-minus+sdarts-rs")
    with pytest.raises(BenchbedError, match="rows of gates to sum 1, and those of DARTSMinus do not"):
        kind.check(kind.Options(), NB201(), None)
    flags = ("--objective", "table", "--table", "nb201-digits", "--dataset", "digits")
    said = refused("run", "--searcher", "darts-minus", "--selector", "magnitude", *flags)
    assert "'darts-minus' needs weights, which objective 'table' does not provide" in said
