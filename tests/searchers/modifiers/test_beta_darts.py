"""Beta-DARTS: the term and its gradient; lambda with and without the authors' bug (darts-pt.md, oracle 17)."""

from typing import Any

import pytest
import torch

from benchbed import registry
from benchbed.cost import without_cost
from benchbed.objective import Tree
from benchbed.searcher import Clock
from benchbed.searchers.modifiers.beta_darts import BetaDecay, Options
from benchbed.streams import Streams
from benchbed.testing.searcher_suite import Traced
from benchbed.testing.toys import ToyCell, ToySpace, ToyTable, random_table
from benchbed.testing.tree import difference
from benchbed.training.search_loop import train_epoch

MASK = torch.from_numpy(ToySpace().mask)
ALPHA = torch.randn(3, 4, generator=torch.Generator().manual_seed(5)) * MASK


def made(name: str, space: type = ToySpace, **own: Any) -> Any:
    kind = registry.load("searcher", name)
    options = {"alpha_lr": 0.05, **({"modifiers": {"beta-darts": own}} if own else {})}
    return kind(space(), kind.Options(**options), Streams(0))


def with_alpha(searcher: Any) -> Any:
    with torch.no_grad():
        searcher.base.alpha.copy_(ALPHA)
    return searcher


def test_the_gradient_is_that_of_the_mean_logsumexp() -> None:
    """By autograd over a row's own operations; by hand, lambda p / E. Its rows sum to lambda / E."""
    alpha = ALPHA.clone().requires_grad_()
    term = torch.stack([row[kept].logsumexp(0) for row, kept in zip(alpha, MASK, strict=True)]).mean()
    (wanted,) = torch.autograd.grad(7.5 * term, alpha)
    searcher, flat = with_alpha(made("darts+beta-darts", weight=30.0)), ToyTable(ToySpace(), torch.zeros(3, 2, 4))
    searcher.arch_step(without_cost(flat), None, Clock(2, 0, 8, 1))  # lambda = 30 * 2 / 8
    torch.testing.assert_close(searcher.base.alpha.grad, wanted)
    torch.testing.assert_close(searcher.base.alpha.grad, 7.5 / 3 * searcher.probabilities())
    assert searcher.base.alpha.grad.sum(1).tolist() == pytest.approx([2.5] * 3)


@pytest.mark.parametrize("name", ["darts", "gdas", "drnas", "proxyless"])
def test_it_is_added_to_the_searcher_s_own_gradient(name: str) -> None:
    table, clock = random_table(ToySpace(), 0), Clock(3, 0, 4, 1)
    plain = registry.load("searcher", name)
    other = plain(ToySpace(), plain.Options(alpha_lr=0.05), Streams(0))
    searcher = with_alpha(made(f"{name}+beta-darts", weight=4.0))
    with torch.no_grad():
        other.alpha.copy_(ALPHA)
    other.arch_step(without_cost(table), None, clock)
    searcher.arch_step(without_cost(table), None, clock)
    p = ALPHA.masked_fill(~MASK, -torch.inf).softmax(1)
    torch.testing.assert_close(searcher.base.alpha.grad - other.alpha.grad, p)  # lambda = 3, three rows


def searched(name: str, space: type, **own: Any) -> tuple[Tree, Traced]:
    searcher, objective = made(name, space, **own), Traced(space)
    for epoch in range(6):
        train_epoch(without_cost(objective), searcher, epoch, 6)
    return searcher.state(), objective


@pytest.mark.parametrize("space", [ToySpace, ToyCell])
def test_without_weight_it_is_darts_bit_for_bit(space: type) -> None:
    (mine, here), (darts, there) = searched("darts+beta-darts", space, weight=0.0), searched("darts", space)
    assert difference(mine, darts) is None
    assert difference(here.trace, there.trace) is None
    assert difference(here.state(), there.state()) is None
    assert difference(searched("darts+beta-darts", space, weight=1.0)[0], darts) is not None


@pytest.mark.parametrize(("epochs", "fair", "official"), [(100, 49.5, 49.5), (50, 49.0, 24.5), (200, 49.75, 99.5)])
def test_lambda_rises_to_fifty_whatever_the_epochs_but_under_the_bug(epochs: int, fair: float, official: float) -> None:
    searcher = made("darts+beta-darts").base
    clocks = [Clock(epoch, 0, epochs, 1) for epoch in range(epochs)]
    for literal, last in ((False, fair), (True, official)):
        modifier = BetaDecay(searcher, Options(literal_100=literal))
        strengths = [modifier.strength(clock) for clock in clocks]
        assert (strengths[0], strengths[-1]) == (0.0, pytest.approx(last))
        assert strengths == pytest.approx([last * epoch / (epochs - 1) for epoch in range(epochs)])
    assert Options().literal_100 is False


def test_a_decided_row_has_no_term_and_does_not_count() -> None:
    searcher = with_alpha(made("darts+shrink+beta-darts", weight=4.0))
    searcher.mask[0] = torch.tensor([False, True, False, False])
    flat = ToyTable(ToySpace(), torch.zeros(3, 2, 4))
    searcher.arch_step(without_cost(flat), None, Clock(1, 0, 2, 1))  # lambda = 2, of two rows
    p = ALPHA.masked_fill(~MASK, -torch.inf).softmax(1)
    p[0] = 0.0
    torch.testing.assert_close(searcher.base.alpha.grad, p)
