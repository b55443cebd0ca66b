"""PC-DARTS: without its two changes it is DARTS; with them, gradients of alpha and beta, and what nodes keep."""

import pytest
import torch

from benchbed.cost import without_cost
from benchbed.errors import BenchbedError
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.searcher import Clock
from benchbed.searchers.darts import DARTS
from benchbed.searchers.pc_darts import PCDARTS
from benchbed.selectors.magnitude import Magnitude
from benchbed.spaces.load import load_space
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task
from benchbed.testing.selector_suite import Bench
from benchbed.testing.toys import ToyCell, random_table
from benchbed.testing.tree import difference
from benchbed.training.search_loop import train_epoch


def _sealed():
    raise AssertionError("the test split was touched")


def objective_of(streams: Streams, **options) -> SupernetObjective:
    images = torch.randn(2, 12, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    train, valid = (Split(half, torch.arange(12) % 3) for half in images)
    task = Task("random", 3, (3, 8, 8), train, valid, Seal(_sealed), "0")
    small = SupernetOptions(**{"channels": 4, "cells": 3, "batch": 6, "valid_batch": 6, "eval_batch": 6, **options})
    return SupernetObjective(load_space("darts-s2", {}), task, small, streams, epochs=2)


def searched(kind, **options):
    streams = Streams(0)
    objective = objective_of(streams)
    searcher = kind(objective.space, kind.Options(alpha_lr=0.05, **options), streams)
    for epoch in range(2):
        train_epoch(without_cost(objective), searcher, epoch, 2)
    return searcher, objective.state()


def test_all_channels_and_no_edge_weights_are_darts_bit_for_bit():
    darts, weights = searched(DARTS)
    plain, others = searched(PCDARTS, edges="none", warmup=0.0)
    assert difference(darts.state(), {k: v for k, v in plain.state().items() if k != "beta"}) is None
    assert difference(weights, others) is None
    assert (plain.strength() == 1).all()
    weighed, _ = searched(PCDARTS, warmup=0.0)
    assert not torch.equal(weighed.alpha, darts.alpha)


def test_uniform_edges_are_the_mean_of_a_nodes_inputs():
    searcher = PCDARTS(load_space("darts", {}), PCDARTS.Options(alpha_init=0.0), Streams(0))
    expected = [1 / n for _ in range(2) for n in (2, 3, 4, 5) for _ in range(n)]
    torch.testing.assert_close(searcher.strength(), torch.tensor(expected))
    gates = searcher.weight_gates(random_table(ToyCell(), 0), None, Clock(0, 0, 1, 1))
    torch.testing.assert_close(gates.sum(1), searcher.strength())


@pytest.mark.parametrize("partial", [1, 2])
def test_alpha_and_beta_descend_the_loss_on_the_validation_batch(partial):
    streams = Streams(0)
    objective = objective_of(streams, partial=partial)
    searcher = PCDARTS(objective.space, PCDARTS.Options(alpha_init=0.5), streams)
    batch = objective.batch("valid")
    objective.batch = lambda split: batch
    alpha, beta = (x.detach().clone().requires_grad_() for x in (searcher.alpha, searcher.beta))
    edges = torch.cat([beta[list(node.incoming)].softmax(0) for node in objective.space.nodes])
    wanted = torch.autograd.grad(objective.loss(alpha.softmax(1) * edges[:, None], batch), [alpha, beta])
    searcher.arch_step(without_cost(objective), None, Clock(0, 0, 1, 1))
    for found, expected in zip((searcher.alpha.grad, searcher.beta.grad), wanted, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=2e-3)
    assert not torch.equal(searcher.beta, beta)


def test_nodes_keep_the_inputs_of_greatest_weight_times_probability():
    space = ToyCell()
    bench = Bench(space, random_table(space, 0), Streams(0))
    searcher = PCDARTS(space, PCDARTS.Options(alpha_init=0.0), Streams(0))
    with torch.no_grad():
        searcher.alpha[2, 1] = 2.0  # of node y the first input is the most decided
        searcher.beta[2:5] = torch.tensor([-3.0, 0.0, 0.0])  # and hardly flows
    bench.searcher = searcher
    chosen = bench.run(Magnitude(Magnitude.Options())).architecture.choices
    assert chosen[2] == -1
    assert min(chosen[3:5]) >= 0
    with torch.no_grad():
        searcher.beta.zero_()
    assert bench.run(Magnitude(Magnitude.Options())).architecture.choices[2] == 1


def test_alpha_learns_after_the_warm_up():
    searcher = PCDARTS(NB201(), PCDARTS.Options(), Streams(0))
    assert [e for e in range(50) if searcher.arch_steps_due(Clock(e, 0, 50, 1))] == list(range(15, 50))


def test_where_nodes_keep_all_their_inputs_no_edge_is_weighed():
    searcher = PCDARTS(NB201(), PCDARTS.Options(), Streams(0))
    assert (searcher.strength() == 1).all()
    assert len(searcher.beta) == 0
    PCDARTS.check(PCDARTS.Options(), NB201(), random_table(ToyCell(), 0))


def test_weighed_edges_on_a_table_are_refused():
    table = random_table(ToyCell(), 0)
    with pytest.raises(BenchbedError, match=r"weighs edges.*set searcher.edges=none"):
        PCDARTS.check(PCDARTS.Options(), table.space, table)
    PCDARTS.check(PCDARTS.Options(edges="none"), table.space, table)


def test_a_dropped_edge_leaves_its_weight_to_the_others():
    searcher = PCDARTS(ToyCell(), PCDARTS.Options(alpha_init=0.0), Streams(0))
    searcher.mask[2] = False
    found = searcher.strength()
    assert found[3:5].tolist() == [0.5, 0.5]


def test_an_operation_that_is_left_alone_is_measured_as_it_is_trained():
    searcher = PCDARTS(ToyCell(), PCDARTS.Options(), Streams(0))
    searcher.mask[2] = torch.arange(searcher.mask.shape[1]) == 1
    gates = searcher.probabilities() * searcher.strength()[:, None]
    trained = searcher.weight_gates(random_table(ToyCell(), 0), None, Clock(0, 0, 1, 1))
    assert torch.equal(gates[2], trained[2])
    torch.testing.assert_close(gates, trained)
