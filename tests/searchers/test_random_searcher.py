"""Random sampling with parameter sharing: uniform paths, and nothing learned."""

import torch
from scipy.stats import chisquare

from benchbed.cost import without_cost
from benchbed.searcher import Clock
from benchbed.searchers.random import RandomSampling
from benchbed.streams import Streams
from benchbed.testing.toys import ToySpace, random_table
from benchbed.training.search_loop import train_epoch


def _searcher(seed=0):
    return RandomSampling(ToySpace(), RandomSampling.Options(), Streams(seed))


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
