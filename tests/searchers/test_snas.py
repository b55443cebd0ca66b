"""SNAS: the relaxed draw's gradient, its temperature; ReinMax by enumeration of all its draws (methods.md 2.6)."""

from itertools import product

import pytest
import torch

from benchbed.cost import without_cost
from benchbed.errors import BenchbedError
from benchbed.searcher import Clock, masked_softmax
from benchbed.searchers.gdas import GDAS
from benchbed.searchers.snas import SNAS
from benchbed.space import Position
from benchbed.streams import Streams
from benchbed.testing.searcher_suite import Traced
from benchbed.testing.toys import ToySpace, random_table
from benchbed.training.search_loop import train_epoch

MASK = torch.from_numpy(ToySpace().mask)
ALPHA = torch.randn(3, 4, generator=torch.Generator().manual_seed(5)) * MASK


def _snas(alpha=ALPHA, seed=0, space=ToySpace, **options):
    searcher = SNAS(space(), SNAS.Options(**options), Streams(seed))
    with torch.no_grad():
        searcher.alpha.copy_(alpha)
    return searcher


@pytest.mark.parametrize(("epoch", "tau"), [(0, 10.0), (2, 5.5), (4, 1.0)])
def test_the_gradient_is_that_of_the_loss_at_the_relaxed_draw(epoch: int, tau: float) -> None:
    table, alpha = random_table(ToySpace(), 0), ALPHA.clone().requires_grad_()
    noise = -torch.empty(3, 4).exponential_(generator=Streams(0).generator("gates")).log()
    z = masked_softmax((alpha + noise) / tau, MASK)
    (expected,) = torch.autograd.grad(table.value(z), alpha)
    searcher, asked = _snas(), []
    inner = table.gate_gradient
    table.gate_gradient = lambda gates, *rest: (asked.append(gates), inner(gates, *rest))[1]
    searcher.arch_step(without_cost(table), None, Clock(epoch, 0, 5, 1))
    torch.testing.assert_close(asked, [z.detach()])
    torch.testing.assert_close(searcher.alpha.grad, expected, rtol=1e-4, atol=1e-6)
    assert (expected.abs().max(1).values > 0).all()


def test_the_mean_gradient_is_that_of_the_expectation() -> None:
    """E L(Z) = L(E Z) on a multilinear loss: its finite differences by many draws of common noise."""
    table, n, m, step, tau = random_table(ToySpace(), 0), 3000, 400_000, 0.05, 1.0
    searcher, found = _snas(tau_start=tau, tau_end=tau), []
    for _ in range(n):
        searcher.arch_step(without_cost(table), None, Clock(0, 0, 5, 1))
        found.append(searcher.alpha.grad.clone())
        with torch.no_grad():
            searcher.alpha.copy_(ALPHA)
    noise = -torch.empty(m, 3, 4).exponential_(generator=torch.Generator().manual_seed(9)).log()

    def expected(alpha: torch.Tensor) -> float:
        z = ((alpha + noise) / tau).masked_fill(~MASK, -torch.inf).softmax(-1)
        return float(table.value(z.double().mean(0)))

    draws = torch.stack(found).double()
    for i, k in [(0, 0), (0, 1), (1, 1), (2, 2)]:
        moved = torch.zeros(3, 4)
        moved[i, k] = step
        difference = (expected(ALPHA + moved) - expected(ALPHA - moved)) / (2 * step)
        error = float(draws[:, i, k].std()) / n**0.5
        assert float(draws[:, i, k].mean()) == pytest.approx(difference, abs=4 * error + 3e-4)


def test_a_cold_draw_is_gdas_and_a_hot_one_is_uniform() -> None:
    cold, hot = _snas(tau_start=0.01), _snas(tau_start=200.0)
    hard = GDAS(ToySpace(), GDAS.Options(), Streams(0))
    with torch.no_grad():
        hard.alpha.copy_(ALPHA)
        assert float((cold.relaxed() - hard.draw()[0]).abs().max()) < 0.02
        assert float((hot.relaxed() - MASK / MASK.sum(1, keepdim=True)).abs().max()) < 0.02


def test_every_step_mixes_by_a_draw_of_its_own_and_alpha_comes_first() -> None:
    searcher, objective, order = _snas(), Traced(), []
    arch_step, weight_gates = searcher.arch_step, searcher.weight_gates
    searcher.arch_step = lambda *a: (order.append("alpha"), arch_step(*a))[1]
    searcher.weight_gates = lambda *a: (order.append("w"), weight_gates(*a))[1]
    train_epoch(without_cost(objective), searcher, 0, 1)
    assert order == ["alpha", "w"] * objective.steps_per_epoch
    assert len({g.numpy().tobytes() for g in objective.trace}) == objective.steps_per_epoch
    for gates in objective.trace:
        assert (gates[MASK] > 0).all()
        torch.testing.assert_close(gates.sum(1), torch.ones(3))


# -- ReinMax -----------------------------------------------------------------------------------------------------------


def _paths() -> list[tuple[tuple[int, ...], torch.Tensor]]:
    """Every path of the toy space, and its one-hot rows."""
    sizes = [len(p.operations) for p in ToySpace.positions]
    eye = torch.eye(4)
    return [(k, torch.stack([eye[i] for i in k])) for k in product(*map(range, sizes))]


def _estimate(searcher: SNAS, path: torch.Tensor, by_gates: torch.Tensor) -> torch.Tensor:
    (found,) = torch.autograd.grad(searcher.reinmax(path), searcher.alpha, by_gates)
    return found


@pytest.mark.parametrize("tau", [1.0, 3.0])
def test_a_step_is_the_formula_of_the_paper(tau: float) -> None:
    """2 J(pi)^T G - J(p)^T G / 2 with the matrices written out, row by row."""
    searcher = _snas(reinmax=True)
    searcher.tau = tau
    by_gates = torch.randn(3, 4, generator=torch.Generator().manual_seed(2)) * MASK
    for _, path in _paths()[::5]:
        found = _estimate(searcher, path, by_gates)
        for i, kept in enumerate(MASK):
            p, hot, g = ALPHA[i, kept].softmax(0), path[i, kept], by_gates[i, kept]
            pi = ((ALPHA[i, kept] / tau).softmax(0) + hot) / 2
            wanted = 2 * (pi.diag() - pi.outer(pi)) @ g - (p.diag() - p.outer(p)) @ g / 2
            torch.testing.assert_close(found[i, kept], wanted, rtol=1e-4, atol=1e-6)
            assert (found[i, ~kept] == 0).all()


def test_it_is_unbiased_on_a_multilinear_loss() -> None:
    """The mean over every path, by its probability, is the exact gradient of the expected loss."""
    table, alpha = random_table(ToySpace(), 0), ALPHA.clone().requires_grad_()
    (exact,) = torch.autograd.grad(table.value(masked_softmax(alpha, MASK)), alpha)
    searcher, mean = _snas(reinmax=True, tau_start=1.0), torch.zeros(3, 4)
    p = masked_softmax(ALPHA, MASK)
    for choices, path in _paths():
        _, by_gates = table.gate_gradient(path, None)
        share = float(torch.stack([p[i, k] for i, k in enumerate(choices)]).prod())
        mean += share * _estimate(searcher, path, by_gates)
    torch.testing.assert_close(mean, exact, rtol=1e-4, atol=1e-6)


class OneOfThree(ToySpace):
    positions = (Position("only", ("a", "b", "c"), (True,) * 3),)


@pytest.mark.parametrize(("power", "exact"), [(1, True), (2, True), (3, False)])
def test_it_is_exact_to_second_order_where_straight_through_is_to_first(power: int, exact: bool) -> None:
    """f(g) = <c, g> + <a, g>^power: Heun's rule for f(i) - f(j) is exact for a quadratic, Euler's for a line alone."""
    alpha, c, a = torch.tensor([[0.4, -0.3, 0.9]]), torch.tensor([0.2, 1.0, -0.5]), torch.tensor([1.0, -0.7, 0.4])

    def f(g: torch.Tensor) -> torch.Tensor:
        return g @ c + (g @ a) ** power

    logits, eye = alpha.clone().requires_grad_(), torch.eye(3)
    (wanted,) = torch.autograd.grad(sum(p * f(e) for p, e in zip(logits.softmax(1)[0], eye, strict=True)), logits)
    searcher, p = _snas(alpha, space=OneOfThree, reinmax=True, tau_start=1.0), alpha.softmax(1)[0]
    reinmax, straight = torch.zeros(1, 3), torch.zeros(1, 3)
    for k in range(3):
        g = eye[k].clone().requires_grad_()
        (by_gates,) = torch.autograd.grad(f(g), g)
        reinmax += p[k] * _estimate(searcher, eye[k : k + 1], by_gates[None])
        straight += p[k] * (p.diag() - p.outer(p)) @ by_gates
    assert bool((reinmax - wanted).abs().max() < 1e-6) is exact
    assert bool((straight - wanted).abs().max() < 1e-6) is (power == 1)


def test_reinmax_runs_one_path_drawn_from_p() -> None:
    searcher, n = _snas(reinmax=True), 6000
    drawn = torch.stack([searcher.weight_gates(Traced(), None, Clock(0, 0, 1, 1)) for _ in range(n)])
    assert ((drawn == 0) | (drawn == 1)).all()
    assert (drawn.sum(2) == 1).all()
    p = searcher.probabilities()
    assert float(((drawn.mean(0) - p) / (p * (1 - p) / n).sqrt().clamp_min(1 / n))[MASK].abs().max()) < 4
    table, asked = random_table(ToySpace(), 0), []
    inner = table.gate_gradient
    table.gate_gradient = lambda gates, *rest: (asked.append(gates), inner(gates, *rest))[1]
    searcher.arch_step(without_cost(table), None, Clock(0, 0, 5, 1))
    assert ((asked[0] == 0) | (asked[0] == 1)).all()


def test_a_temperature_below_one_is_refused_with_reinmax_alone() -> None:
    SNAS.check(SNAS.Options(tau_end=0.33), ToySpace(), None)
    with pytest.raises(BenchbedError, match=r"^searcher\.reinmax=true takes temperatures of 1 or more, .* is 0\.33$"):
        SNAS.check(SNAS.Options(tau_end=0.33, reinmax=True), ToySpace(), None)
