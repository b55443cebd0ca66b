"""SETN: weights at uniform paths whatever alpha is, then DARTS' step on alpha."""

import pytest
import torch
from scipy.stats import chisquare

from benchbed.cost import without_cost
from benchbed.searcher import Clock
from benchbed.searchers.darts import DARTS
from benchbed.searchers.setn import SETN
from benchbed.streams import Streams
from benchbed.testing.searcher_suite import Traced
from benchbed.testing.toys import ToySpace, random_table
from benchbed.training.search_loop import train_epoch

MASK = torch.from_numpy(ToySpace().mask)
CLOCK = Clock(0, 0, 1, 1)


def made(kind: type = SETN, alpha_init: float = 3.0, **options: float):
    return kind(ToySpace(), kind.Options(alpha_init=alpha_init, **options), Streams(0))


def test_weights_train_on_every_path_alike_whatever_alpha_says() -> None:
    searcher, counts = made(), torch.zeros(3, 2, 4)
    assert float(searcher.probabilities().max()) > 0.9
    for _ in range(2400):
        gates = searcher.weight_gates(Traced(), None, CLOCK)
        assert torch.equal(gates.sum(1), torch.ones(3))
        counts[tuple(gates.argmax(1).tolist())] += 1
    assert chisquare(counts.flatten().numpy()).pvalue > 1e-3


def test_alpha_descends_the_loss_of_the_mixture_as_in_darts() -> None:
    table, one, other = random_table(ToySpace(), 0), made(alpha_init=0.5), made(DARTS, alpha_init=0.5)
    for searcher in (one, other):
        searcher.arch_step(without_cost(table), None, CLOCK)
    assert torch.equal(one.alpha.grad, other.alpha.grad)
    assert torch.equal(one.alpha, other.alpha)
    alpha = made(alpha_init=0.5).alpha
    p = alpha.masked_fill(~MASK, -torch.inf).softmax(1)
    (exact,) = torch.autograd.grad(table.value(p), alpha)
    torch.testing.assert_close(one.alpha.grad, exact, rtol=1e-4, atol=1e-6)


def test_weights_come_first_in_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    searcher, objective, order = made(), Traced(), []
    arch_step, weight_gates = searcher.arch_step, searcher.weight_gates
    searcher.arch_step = lambda *a: (order.append("alpha"), arch_step(*a))[1]
    searcher.weight_gates = lambda *a: (order.append("w"), weight_gates(*a))[1]
    train_epoch(without_cost(objective), searcher, 0, 1)
    assert order == ["w", "alpha"] * objective.steps_per_epoch


def test_what_is_decided_is_what_flows() -> None:
    searcher = made()
    searcher.mask = MASK.clone()
    searcher.mask[0] = torch.tensor([False, True, False, False])
    for _ in range(20):
        assert searcher.weight_gates(Traced(), None, CLOCK)[0].tolist() == [0.0, 1.0, 0.0, 0.0]
