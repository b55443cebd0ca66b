"""One-path sampling with shared weights: uniform and strictly fair paths, and nothing learned."""

import pytest
import torch
from scipy.stats import chisquare

from benchbed.cost import without_cost
from benchbed.errors import BenchbedError
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.searcher import Clock
from benchbed.searchers.random import RandomSampling
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task
from benchbed.testing.toys import ToySpace, random_table
from benchbed.training.search_loop import train_epoch


def _searcher(seed=0):
    return RandomSampling(ToySpace(), RandomSampling.Options(), Streams(seed))


def small_supernet() -> SupernetObjective:
    """Of random images; a constant rate of 0.1, no momentum, decay or clipping."""
    drawn = torch.Generator().manual_seed(1)
    train, valid = (
        Split(torch.randn(24, 3, 8, 8, generator=drawn), torch.randint(4, (24,), generator=drawn)) for _ in range(2)
    )
    task = Task("noise", 4, (3, 8, 8), train, valid, Seal(lambda: train), "noise")
    plain = {"lr": 0.1, "lr_min": 0.1, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0, "clip": None}
    small = SupernetOptions(channels=4, cells=1, batch=8, valid_batch=8, eval_batch=12, **plain)
    return SupernetObjective(NB201(), task, small, Streams(0), epochs=3)


def test_probabilities_are_uniform_on_each_positions_own_operations():
    assert torch.allclose(
        _searcher().probabilities(), torch.tensor([[1 / 3, 1 / 3, 1 / 3, 0], [1 / 2, 1 / 2, 0, 0], [1 / 4] * 4])
    )


def test_weights_are_trained_on_every_architecture_alike():
    """Chi-square over the 24 architectures, not over rows: the positions must be independent too."""
    searcher, n = _searcher(), 2400
    table, counts = random_table(ToySpace(), 0), torch.zeros(3, 2, 4)
    for _ in range(n):
        gates = searcher.weight_gates(table, None, Clock(0, 0, 1, 1))
        counts[tuple(gates.argmax(1).tolist())] += 1
    assert chisquare(counts.flatten().numpy()).pvalue > 1e-3


def test_a_search_makes_no_architecture_step_and_moves_nothing():
    searcher, table = _searcher(), random_table(ToySpace(), 0)
    before = searcher.probabilities()
    logged = [train_epoch(without_cost(table), searcher, epoch, 3) for epoch in range(3)]
    assert torch.equal(before, searcher.probabilities())
    assert [set(line) for line in logged] == [{"loss"}] * 3
    assert searcher.arch_step(without_cost(table), None, Clock(0, 0, 1, 1)) == {}


# -- strict fairness ---------------------------------------------------------------------------------------------------


def _fair(seed=0):
    return RandomSampling(NB201(), RandomSampling.Options(sampling="fair"), Streams(seed))


def test_a_fair_step_holds_every_operation_of_every_position_once():
    """FairNAS, algorithm 1; that one path is as likely as another is left: permutations of positions are apart."""
    searcher, first = _fair(), torch.zeros(6, 5)
    pairs = torch.zeros(5, 5)
    for _ in range(1500):
        paths = searcher.weight_gates(random_table(ToySpace(), 0), None, Clock(0, 0, 1, 1))
        assert paths.shape == (5, 6, 5)
        assert torch.equal(paths.sum(0), torch.ones(6, 5))
        assert torch.equal(paths.sum(2), torch.ones(5, 6))
        first += paths[0]
        pairs += paths[0, 0][:, None] * paths[0, 1][None]
    assert chisquare(first.flatten().numpy()).pvalue > 1e-3
    assert chisquare(pairs.flatten().numpy()).pvalue > 1e-3
    assert searcher.weight_gates(random_table(ToySpace(), 0), None, Clock(0, 0, 1, 1)).dtype == torch.float32


def test_a_fair_step_moves_the_weights_once_by_the_sum_of_its_paths_gradients():
    """Against autograd on the supernet; a second reading of the gradients, of the mean or of the last path, fails."""
    objective, searcher = small_supernet(), _fair()
    batch = objective.batch("train")
    paths = searcher.weight_gates(objective, batch, Clock(0, 0, 1, 1))
    weights = list(objective.weights().values())
    losses = [objective.loss(path, batch) for path in paths]
    wanted = torch.autograd.grad(torch.stack(losses).sum(), weights, allow_unused=True)
    last = torch.autograd.grad(objective.loss(paths[-1], batch), weights, allow_unused=True)
    before = [w.detach().clone() for w in weights]
    loss = objective.weight_step(paths, batch)
    torch.testing.assert_close(loss, torch.stack(losses).mean().detach())
    for was, now, gradient in zip(before, weights, wanted, strict=True):
        if gradient is None:
            assert torch.equal(was, now)
        else:
            torch.testing.assert_close(now.detach(), was - 0.1 * gradient, rtol=1e-4, atol=1e-6)
    assert any(a is None and b is not None for a, b in zip(last, wanted, strict=True))
    assert objective.steps == 1


def test_after_fair_steps_the_weights_of_every_operation_were_stepped_alike():
    """Where a uniform path leaves most of them out."""
    counts = {}
    for sampling in ("fair", "uniform"):
        objective, stepped = small_supernet(), {}
        searcher = RandomSampling(NB201(), RandomSampling.Options(sampling=sampling), Streams(0))
        for _ in range(4):
            before = {pair: own[0].detach().clone() for pair, own in objective.operations.of.items()}
            batch = objective.batch("train")
            objective.weight_step(searcher.weight_gates(objective, batch, Clock(0, 0, 1, 1)), batch)
            for pair, own in objective.operations.of.items():
                stepped[pair] = stepped.get(pair, 0) + int(not torch.equal(before[pair], own[0]))
        counts[sampling] = stepped
    assert len(counts["fair"]) == 12  # two convolutions at each of six edges
    assert max(counts["uniform"].values()) < 4
    assert min(counts["fair"].values()) >= max(counts["uniform"].values())


def test_a_space_with_unequal_positions_refuses_fairness_in_one_line():
    with pytest.raises(BenchbedError, match=r"^searcher\.sampling=fair takes as many operations at every position, "):
        RandomSampling.check(RandomSampling.Options(sampling="fair"), ToySpace(), None)
    RandomSampling.check(RandomSampling.Options(), ToySpace(), None)
    RandomSampling.check(RandomSampling.Options(sampling="fair"), NB201(), None)
