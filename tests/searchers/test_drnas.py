"""DrNAS: its draws' mean, its gradient's expectation, its two limits, and the divergence (methods.md 2.4)."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import beta

from benchbed.cost import Problem, without_cost
from benchbed.searcher import Clock, masked_softmax
from benchbed.searchers.darts import DARTS
from benchbed.searchers.drnas import DrNAS
from benchbed.space import Position
from benchbed.streams import Streams
from benchbed.testing.searcher_suite import Traced
from benchbed.testing.toys import ToySpace, ToyTable, random_table
from benchbed.training.search_loop import train_epoch

MASK = torch.from_numpy(ToySpace().mask)
ALPHA = torch.randn(3, 4, generator=torch.Generator().manual_seed(5)) * MASK
CLOCK = Clock(0, 0, 5, 1)


def _drnas(alpha=ALPHA, seed=0, space=ToySpace, **options):
    searcher = DrNAS(space(), DrNAS.Options(**options), Streams(seed))
    with torch.no_grad():
        searcher.alpha.copy_(alpha)
    return searcher


def _mean(alpha):
    """c / sum c by row, float64, c = elu(alpha) + 1 where an operation is."""
    c = (torch.nn.functional.elu(alpha.double()) + 1) * MASK
    return c / c.sum(1, keepdim=True)


def _gradients(table, n, **options):
    """What n architecture steps without moving would have stepped by, (n, P, O)."""
    searcher = _drnas(**options)
    found = []
    for _ in range(n):
        searcher.arch_step(without_cost(table), None, CLOCK)
        found.append(searcher.alpha.grad.clone())
        with torch.no_grad():
            searcher.alpha.copy_(ALPHA)
    return torch.stack(found).double()


def test_the_mean_of_the_draws_is_the_share_of_the_concentration() -> None:
    searcher, n = _drnas(), 20_000
    with torch.no_grad():
        drawn = torch.stack([searcher.draw() for _ in range(n)]).double()
    mean = _mean(ALPHA)
    torch.testing.assert_close(searcher.probabilities().double(), mean, rtol=1e-6, atol=1e-7)
    assert (drawn[:, ~MASK] == 0).all()
    torch.testing.assert_close(drawn.sum(2), torch.ones(n, 3).double())
    total = ((torch.nn.functional.elu(ALPHA.double()) + 1) * MASK).sum(1, keepdim=True)
    variance = mean * (1 - mean) / (total + 1)  # of a share of Dir(c), in closed form
    assert float((((drawn.mean(0) - mean) / (variance / n).sqrt())[MASK]).abs().max()) < 4
    torch.testing.assert_close(drawn.var(0), variance, rtol=0.06, atol=1e-6)


def test_the_gradient_is_that_of_the_expectation() -> None:
    """On a multilinear loss E L(gates) = L(E gates) for independent rows: its finite differences are known exactly."""
    table, n, step = random_table(ToySpace(), 0), 4000, 1e-4
    exact = torch.zeros(3, 4).double()
    for i, k in MASK.nonzero().tolist():
        moved = torch.zeros(3, 4).double()
        moved[i, k] = step
        exact[i, k] = (table.value(_mean(ALPHA + moved)) - table.value(_mean(ALPHA - moved))) / (2 * step)
    found = _gradients(table, n)
    z = ((found.mean(0) - exact) / (found.std(0) / n**0.5))[MASK]
    assert float(z.abs().max()) < 4
    assert float((z**2).mean()) < 2
    assert float(exact[MASK].abs().max()) > 0.01
    # the gradient of DARTS at the same probabilities would have been found out
    alpha = ALPHA.clone().requires_grad_()
    (other,) = torch.autograd.grad(table.value(masked_softmax(alpha, MASK)), alpha)
    assert float(((found.mean(0) - other) / (found.std(0) / n**0.5))[MASK].abs().max()) > 6


def test_the_draw_and_its_derivative_are_torch_s_own_on_whole_rows() -> None:
    """Without padding the row is Dirichlet(elu(alpha) + 1).rsample() of the run's own seed, as in the authors' code."""

    class Whole(ToySpace):
        positions = tuple(Position(f"{i}", ("a", "b", "c"), (True,) * 3) for i in range(2))

    alpha = torch.tensor([[0.3, -0.2, 0.1], [-1.0, 2.0, 0.0]])
    searcher = _drnas(alpha, space=Whole)
    drawn, up = searcher.draw(), torch.tensor([[1.0, 0.0, -2.0], [0.5, 3.0, 1.0]])
    (found,) = torch.autograd.grad(drawn, searcher.alpha, up)
    own = alpha.double().requires_grad_()
    torch.manual_seed(int(torch.randint(2**62, (1,), generator=Streams(0).generator("gates"))))
    wanted = torch.distributions.Dirichlet(torch.nn.functional.elu(own) + 1).rsample()
    torch.testing.assert_close(drawn, wanted.float())
    torch.testing.assert_close(found.double(), torch.autograd.grad(wanted, own, up.double())[0], rtol=1e-5, atol=1e-6)


def test_a_concentration_of_a_million_is_darts() -> None:
    """At c = 1e6 p the draw is p to its deviation of 5e-4, and the gradient, through c of DARTS' alpha, is DARTS'."""
    table, logits = random_table(ToySpace(), 0), ALPHA.clone().requires_grad_()
    p = masked_softmax(logits, MASK)
    searcher = _drnas((1e6 * p.detach() - 1) * MASK)
    with torch.no_grad():
        assert float((searcher.draw() - p).abs().max()) < 3e-3
    searcher.arch_step(without_cost(table), None, CLOCK)
    (found,) = torch.autograd.grad(1e6 * p, logits, searcher.alpha.grad)
    darts = DARTS(ToySpace(), DARTS.Options(), Streams(0))
    with torch.no_grad():
        darts.alpha.copy_(ALPHA)
    darts.arch_step(without_cost(table), None, CLOCK)
    torch.testing.assert_close(found, darts.alpha.grad, rtol=0.02, atol=1e-3)
    assert float(darts.alpha.grad.abs().max()) > 0.02


def test_every_step_has_a_draw_of_its_own_from_the_run_s_streams() -> None:
    """Weight steps and architecture steps; the global generator is where it was."""
    searcher, objective, asked = _drnas(), Traced(), []
    inner, before = objective.gate_gradient, torch.get_rng_state()
    objective.gate_gradient = lambda gates, *rest: (asked.append(gates), inner(gates, *rest))[1]
    train_epoch(without_cost(objective), searcher, 0, 1)
    drawn = [g.numpy().tobytes() for g in (*asked, *objective.trace)]
    assert len(drawn) == len(set(drawn)) == 2 * objective.steps_per_epoch
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("at", [-60.0, -8.0, 30.0])
def test_extreme_alphas_still_draw(at: float) -> None:
    searcher = _drnas(torch.full((3, 4), at) * MASK)
    with torch.no_grad():
        drawn = torch.stack([searcher.draw() for _ in range(50)])
    assert bool(drawn.isfinite().all())
    torch.testing.assert_close(drawn.sum(2), torch.ones(50, 3))
    searcher.arch_step(without_cost(random_table(ToySpace(), 0)), None, CLOCK)
    assert bool(searcher.alpha.grad.isfinite().all())


# -- what holds the concentration --------------------------------------------------------------------------------------


class OneOfTwo(ToySpace):
    positions = (Position("only", ("a", "b"), (True, True)),)


def test_the_divergence_is_the_integral() -> None:
    """KL(Beta(a, b) || uniform) by quadrature, and by finite differences its gradient, on a loss that is flat."""
    flat, alpha = ToyTable(OneOfTwo(), torch.zeros(2)), torch.tensor([[0.7, -0.4]])

    def divergence(x: np.ndarray) -> float:
        a, b = (v + 1 if v > 0 else np.exp(v) for v in x)
        return quad(lambda t: beta.pdf(t, a, b) * beta.logpdf(t, a, b), 0, 1)[0]

    searcher = _drnas(alpha, space=OneOfTwo, reg="kl", kl_scale=0.5)
    assert float(searcher.own_loss().detach()) == pytest.approx(0.5 * divergence(alpha[0].double().numpy()), rel=1e-5)
    searcher.arch_step(without_cost(flat), None, CLOCK)
    x, e = alpha[0].double().numpy(), 1e-4 * np.eye(2)
    wanted = [0.5 * (divergence(x + d) - divergence(x - d)) / 2e-4 for d in e]
    assert searcher.alpha.grad[0].tolist() == pytest.approx(wanted, rel=1e-3)


def test_where_the_start_is_the_anchor_nothing_pulls() -> None:
    searcher = _drnas(torch.zeros(3, 4), reg="kl", kl_scale=1.0)
    assert float(searcher.own_loss().detach()) == pytest.approx(0, abs=1e-6)
    (pull,) = torch.autograd.grad(searcher.own_loss(), searcher.alpha)
    assert float(pull.abs().max()) < 1e-6


def test_the_divergence_stands_in_place_of_weight_decay() -> None:
    assert _drnas().optimiser.param_groups[0]["weight_decay"] == 1e-3
    assert _drnas(reg="kl").optimiser.param_groups[0]["weight_decay"] == 0.0
    assert _drnas().own_loss() is None


def test_a_cost_is_that_of_the_mean() -> None:
    costs = torch.rand(3, 4, generator=torch.Generator().manual_seed(1))
    flat = ToyTable(ToySpace(), torch.zeros(3, 2, 4))
    alpha = ALPHA.clone().requires_grad_()
    (expected,) = torch.autograd.grad((_mean(alpha) * costs).sum(), alpha)
    for seed in (0, 1):  # whatever is drawn
        searcher = _drnas(seed=seed)
        problem = Problem(flat, lambda loss, p: loss + (p * costs).sum(), lambda a, g: a)
        searcher.arch_step(problem, None, CLOCK)
        torch.testing.assert_close(searcher.alpha.grad, expected)
