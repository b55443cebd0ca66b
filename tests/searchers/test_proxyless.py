"""ProxylessNAS' estimator against closed forms and exact enumeration (float64)."""

import itertools
import math

import pytest
import torch
from scipy.stats import chisquare
from torch.nn import functional as F

import benchbed.searchers.proxyless as proxyless
from benchbed.cost import Problem, without_cost
from benchbed.errors import BenchbedError
from benchbed.searcher import Clock, arch_gradient, masked_softmax
from benchbed.searchers.darts import DARTS
from benchbed.searchers.proxyless import ProxylessNAS, rescale
from benchbed.space import Position
from benchbed.streams import Streams
from benchbed.testing.toys import ToySpace, ToyTable, random_table

CLOCK = Clock(0, 0, 1, 1)
P4, LN4 = [0.1, 0.2, 0.3, 0.4], [math.log(k) for k in (1, 2, 3, 4)]


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class OnePosition(ToySpace):
    def __init__(self, n):
        self.positions = (Position("only", tuple("abcdefgh"[:n]), (True,) * n),)


def affine(costs):
    """One position, loss = sum_j g_j costs_j: G is `costs` at every gates."""
    return ToyTable(OnePosition(len(costs)), torch.tensor(costs))


class Quadratic(ToyTable):
    """One position of linear maps o_j, loss ||sum_j g_j o_j - t||^2."""

    def __init__(self, n, seed=0):
        super().__init__(OnePosition(n), torch.zeros(n))
        generator = torch.Generator().manual_seed(seed)
        self.o, self.t = torch.randn(n, 3, generator=generator), torch.randn(3, generator=generator)

    def value(self, gates):
        return (gates[0] @ self.o - self.t).square().sum()


def searcher(space, alpha=None, kind=ProxylessNAS, **options):
    made = kind(space, kind.Options(**options), Streams(0))
    if alpha is not None:
        with torch.no_grad():
            made.alpha.copy_(torch.as_tensor(alpha))
    return made


def full_gradient(made, problem, gates):
    """alpha's gradient of one architecture step of mode 'full' whose draw is `gates`; alpha is left as it was."""
    before, made.sample = made.alpha.detach().clone(), lambda n: gates[None]
    made.arch_step(problem, None, CLOCK)
    with torch.no_grad():
        made.alpha.copy_(before)
    return made.alpha.grad


def pair_gradient(made, problem, pair, active, monkeypatch, rescaled=False):
    """The same of mode 'two' whose draws are `pair` (row 0) and `active`; also alpha after the step."""
    n = made.mask.shape[1]
    mask = torch.zeros(1, n, dtype=torch.bool)
    mask[0, list(pair)] = True
    before, made._draw_pairs = made.alpha.detach().clone(), lambda: mask
    monkeypatch.setattr(proxyless, "one_hot_draws", lambda q, u: F.one_hot(torch.tensor([[active]]), n).double())
    made.arch_step(problem, None, CLOCK)
    after = made.alpha.detach().clone()
    with torch.no_grad():
        made.alpha.copy_(before)
    return made.alpha.grad, after


def draws(mask):
    """Every one-hot gates (P, O) on the mask."""
    for choices in itertools.product(*(row.nonzero().flatten().tolist() for row in mask)):
        yield F.one_hot(torch.tensor(choices), mask.shape[1]).double()


def double_loop(p, G):
    """Equation 4 as printed: sum_j G_j p_j (delta_ij - p_i)."""
    n = len(p)
    return torch.stack([sum(G[j] * p[j] * (float(i == j) - p[i]) for j in range(n)) for i in range(n)])


# -- equation 4 ------------------------------------------------------------------------------------------------------


def test_closed_form_is_the_double_loop():
    mask = torch.from_numpy(ToySpace().mask)
    alpha, G = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)
    problem = without_cost(random_table(ToySpace(), 0))

    def gradient(alpha, G):
        return arch_gradient(problem, alpha, torch.tensor(1.0), G, masked_softmax(alpha, mask))

    found = gradient(alpha, G)
    p = masked_softmax(alpha.detach(), mask)
    for i, row in enumerate(mask):
        n = int(row.sum())
        assert torch.allclose(found[i, :n], double_loop(p[i, :n], G[i, :n]), rtol=1e-10, atol=1e-12)
    assert (found[~mask] == 0).all()
    assert found.sum(1).abs().max() < 1e-14
    assert torch.allclose(gradient(alpha, G + 7.0), found, atol=1e-12)
    assert torch.allclose(gradient((alpha + 5.0).detach().requires_grad_(), G), found, atol=1e-12)


def test_a_position_of_one_operation_gets_no_gradient():
    table = affine([3.0])
    for mode in ("full", "two"):
        made = searcher(table.space, [[0.5]], mode=mode)
        made.arch_step(without_cost(table), None, CLOCK)
        assert made.alpha.grad.tolist() == [[0.0]]
        assert made.alpha.tolist() == [[0.5]]


def test_worked_numbers_of_the_full_gradient():
    table = affine([1.0, 0.0, -1.0, 2.0])
    made = searcher(table.space, [LN4], mode="full")
    assert made.probabilities()[0].tolist() == pytest.approx(P4, abs=1e-12)
    made.arch_step(without_cost(table), None, CLOCK)
    assert made.alpha.grad[0].tolist() == pytest.approx([0.04, -0.12, -0.48, 0.56], abs=1e-10)


def test_affine_loss_is_exact_at_every_draw():
    table = ToyTable.of_costs(ToySpace(), torch.randn(3, 4))
    made = searcher(table.space, torch.randn(3, 4), mode="full")
    exact = _true_gradient(table, made)
    for gates in draws(made.mask):
        assert torch.allclose(full_gradient(made, without_cost(table), gates), exact, rtol=1e-9, atol=1e-12)


def _true_gradient(objective, made):
    """d/dalpha of sum over draws of P(draw) L(draw)."""
    alpha = made.alpha.detach().clone().requires_grad_()
    p = masked_softmax(alpha, made.mask)
    expected = sum((p * g).sum(1).prod() * objective.value(g) for g in draws(made.mask))
    return torch.autograd.grad(expected, alpha)[0]


def _mean_over_draws(objective, made):
    p = made.probabilities()
    return sum((p * g).sum(1).prod() * full_gradient(made, without_cost(objective), g) for g in draws(made.mask))


def test_chained_operations_are_unbiased():
    """Three chained mixed operations of linear maps, the loss linear in the output: all 24 draws enumerated."""
    torch.manual_seed(1)
    space = ToySpace()
    maps = [torch.randn(len(p.operations), 3, 3) for p in space.positions]
    x, out = torch.randn(3), torch.randn(3)
    losses = torch.einsum("cij,bjk,akl,l,i->abc", maps[2], maps[1], maps[0], x, out)
    table = ToyTable(space, losses)
    made = searcher(space, torch.randn(3, 4), mode="full")
    single = full_gradient(made, without_cost(table), next(draws(made.mask))).clone()
    exact = _true_gradient(table, made)
    assert torch.allclose(_mean_over_draws(table, made), exact, rtol=1e-9, atol=1e-12)
    assert not torch.allclose(single, exact, rtol=0.1)  # a single draw is not: the mean is what is tested


def test_a_curved_loss_gives_the_gradient_of_darts_instead_of_the_true_one():
    objective = Quadratic(5)
    alpha = torch.randn(1, 5, generator=torch.Generator().manual_seed(4))
    made, mixing = searcher(objective.space, alpha, mode="full"), searcher(objective.space, alpha, kind=DARTS)
    mean = _mean_over_draws(objective, made)
    mixing.arch_step(without_cost(objective), None, CLOCK)
    assert torch.allclose(mean, mixing.alpha.grad, rtol=1e-9, atol=1e-12)
    assert (mean - _true_gradient(objective, made)).abs().max() > 0.05 * mean.abs().max()


def test_cost_enters_exactly():
    table, costs = affine([1.0, 0.0, -1.0, 2.0]), torch.tensor([[4.0, 3.0, 2.0, 1.0]])
    made = searcher(table.space, [LN4], mode="full")
    problem = Problem(table, lambda loss, p: loss + 10 * (costs * p).sum(), lambda r, g: r)
    made.arch_step(problem, None, CLOCK)
    expected = double_loop(torch.tensor(P4), table.losses + 10 * costs[0])
    assert torch.allclose(made.alpha.grad[0], expected, rtol=1e-10)


# -- two paths -------------------------------------------------------------------------------------------------------


def test_worked_numbers_of_the_pair(monkeypatch):
    table = affine([1.0, 0.0, -1.0, 2.0])
    made = searcher(table.space, [LN4], alpha_lr=1e-3)
    gradient, after = pair_gradient(made, without_cost(table), (1, 3), 1, monkeypatch)
    assert gradient[0].tolist() == pytest.approx([0, -4 / 9, 0, 4 / 9], abs=1e-10)
    offset = LN4[1] + 1e-3 - float(after[0, 1])
    assert offset == pytest.approx(-0.00033288879, abs=1e-9)
    assert after.softmax(1)[0].tolist() == pytest.approx([0.1, 0.20026676, 0.3, 0.39973324], abs=1e-8)
    assert float(after[0, [1, 3]].exp().sum()) == pytest.approx(6, abs=1e-12)


def _pair_mean(made, objective, pair_weight, monkeypatch):
    """The mean over pairs (weighted) and active choices of the step's gradient."""
    p, n = made.probabilities()[0], made.mask.shape[1]
    mean = torch.zeros(1, n)
    for a, b in itertools.combinations(range(n), 2):
        q = p[[a, b]] / (p[a] + p[b])
        for k, active in enumerate((a, b)):
            found, _ = pair_gradient(made, without_cost(objective), (a, b), active, monkeypatch)
            mean += pair_weight(p, a, b) * q[k] * found
    return mean


def pair_probability(p, a, b):
    return p[a] * p[b] * (1 / (1 - p[a]) + 1 / (1 - p[b]))


def test_expectation_of_the_two_path_gradient(monkeypatch):
    G = torch.tensor([0.3, -1.2, 0.8, 2.0])
    made = searcher(affine(G.tolist()).space, [LN4])
    p = made.probabilities()[0]
    assert sum(pair_probability(p, a, b) for a, b in itertools.combinations(range(4), 2)) == pytest.approx(1)
    expected = [
        sum(pair_probability(p, a, b) / (p[a] + p[b]) ** 2 * p[a] * p[b] * (G[a] - G[b]) for b in range(4) if b != a)
        for a in range(4)
    ]
    mean = _pair_mean(made, affine(G.tolist()), pair_probability, monkeypatch)
    assert torch.allclose(mean[0], torch.stack(expected), rtol=1e-10)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_at_uniform_probabilities_two_paths_are_a_shrunk_full_gradient(n, monkeypatch):
    G = torch.randn(n, generator=torch.Generator().manual_seed(n)).tolist()
    made = searcher(affine(G).space, torch.zeros(1, n))
    mean = _pair_mean(made, affine(G), pair_probability, monkeypatch)
    full = double_loop(made.probabilities()[0], torch.tensor(G))
    assert torch.allclose(mean[0], full * n / (2 * (n - 1)), rtol=1e-9, atol=1e-14)


def test_of_two_operations_a_pair_is_all(monkeypatch):
    objective = Quadratic(2)
    made = searcher(objective.space, [[0.3, -0.8]])
    full = _mean_over_draws(objective, searcher(objective.space, [[0.3, -0.8]], mode="full"))
    assert torch.allclose(_pair_mean(made, objective, lambda p, a, b: 1.0, monkeypatch), full, rtol=1e-9)


def test_a_step_moves_the_pair_apart_and_nothing_else(monkeypatch):
    G = [1.0, 0.0, -1.0, 2.0]
    for a, b in itertools.combinations(range(4), 2):
        made = searcher(affine(G).space, [LN4], alpha_lr=0.01)
        before = made.probabilities()[0]
        _, after = pair_gradient(made, without_cost(affine(G)), (a, b), a, monkeypatch)
        moved = after.softmax(1)[0] - before
        rest = [k for k in range(4) if k not in (a, b)]
        assert moved[rest].abs().max() < 1e-15
        assert torch.equal(after[0, rest], torch.tensor(LN4)[rest])
        assert torch.sign(moved[a]) == -torch.sign(moved[b]) == -math.copysign(1, G[a] - G[b])
        assert float(moved[a] + moved[b]) == pytest.approx(0, abs=1e-15)


def test_without_momentum_undrawn_alphas_stay_bit_identical():
    """Real draws, many steps; with beta1 = 0.9 the same alphas drift (negative control)."""

    def drift(beta1):
        table = random_table(ToySpace(), 0)
        made, moved = searcher(table.space, alpha_lr=0.05, alpha_beta1=beta1), 0
        for _ in range(30):
            before = made.alpha.detach().clone()
            made.arch_step(without_cost(table), None, CLOCK)
            moved += int((made.alpha.detach() != before)[~made.pair].sum())
        return moved

    assert drift(0.0) == 0
    assert drift(0.9) > 50


# -- rescale ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 100.0, 1e3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rescale_conserves_the_mass_of_the_pair(scale, dtype):
    generator = torch.Generator().manual_seed(0)
    before = (scale * torch.randn(6, 5, generator=generator)).clamp(-1e3, 1e3).to(dtype)
    pair = torch.zeros(6, 5, dtype=torch.bool)
    for row in pair:
        row[torch.randperm(5, generator=generator)[:2]] = True
    alpha = before + 0.1 * torch.randn(6, 5, generator=generator).to(dtype) * pair
    rescale(alpha, before, pair)
    assert alpha.isfinite().all()
    assert torch.equal(alpha[~pair], before[~pair])
    mass = [x.masked_fill(~pair, -torch.inf).logsumexp(1) for x in (alpha, before)]
    assert torch.allclose(*mass, rtol=4 * torch.finfo(dtype).eps, atol=4 * torch.finfo(dtype).eps)


def test_rescale_of_nothing_is_nothing():
    before = torch.tensor([[0.4, -0.2, 3.0], [7.0, 0.0, 1.0]])
    alpha = before.clone()
    rescale(alpha, before, torch.tensor([[True, False, True], [False, True, True]]))
    assert torch.equal(alpha, before)


def test_the_mass_tells_a_ratio_multiplied_onto_alpha_itself():
    """The paper says 'multiplying by a ratio': that is the ratio of exp(alpha). On alpha itself the mass is lost."""
    before, alpha = torch.tensor([[0.7, -0.4]]), torch.tensor([[0.8, -0.5]])
    wrong = alpha * before.exp().sum() / alpha.exp().sum()
    assert abs(float(wrong.exp().sum() - before.exp().sum())) > 1e-3
    rescale(alpha, before, torch.tensor([[True, True]]))
    assert float(alpha.exp().sum()) == pytest.approx(float(before.exp().sum()), abs=1e-14)


# -- draws -----------------------------------------------------------------------------------------------------------


def test_pairs_and_active_paths_are_drawn_at_their_probabilities():
    made, n = searcher(OnePosition(4), [LN4]), 6000
    pairs, active = {}, {}
    for _ in range(n):
        gates, pair, q = made.arch_gates()
        key = tuple(pair[0].nonzero().flatten().tolist())
        pairs[key] = pairs.get(key, 0) + 1
        assert q.detach()[0, list(key)].sum() == pytest.approx(1)
        assert int(gates[0].argmax()) in key
        active[key] = active.get(key, 0) + int(gates[0].argmax() == key[0])
    keys = list(itertools.combinations(range(4), 2))
    expected = [n * float(pair_probability(torch.tensor(P4), a, b)) for a, b in keys]
    assert expected[keys.index((1, 3))] == pytest.approx(n * 0.2333333, rel=1e-6)
    assert chisquare([pairs[k] for k in keys], expected).pvalue > 1e-3
    for a, b in keys:
        first, total = active[a, b], pairs[a, b]
        share = P4[a] / (P4[a] + P4[b])
        assert chisquare([first, total - first], [total * share, total * (1 - share)]).pvalue > 1e-3


def test_weight_steps_train_paths_drawn_from_p():
    made, n = searcher(OnePosition(4), [LN4]), 3000
    counts = sum(made.weight_gates(affine([0.0] * 4), None, CLOCK) for _ in range(n))
    assert chisquare(counts[0].tolist(), [n * p for p in P4]).pvalue > 1e-3


def test_a_saturated_position_is_refused_in_one_line_and_full_goes_on():
    alpha = [[2000.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    table = random_table(ToySpace(), 0)
    with pytest.raises(BenchbedError, match=r"^mode 'two' .* position 'first' .* searcher\.mode=full$"):
        searcher(table.space, alpha).arch_step(without_cost(table), None, CLOCK)
    made = searcher(table.space, alpha, mode="full")
    made.arch_step(without_cost(table), None, CLOCK)
    assert made.alpha.isfinite().all()


# -- schedule --------------------------------------------------------------------------------------------------------


def test_no_architecture_step_in_the_warm_up_then_one_every_fifth_batch():
    made = searcher(ToySpace(), warmup=0.25, every=5)
    due = [[made.arch_steps_due(Clock(e, s, 8, 23)) for s in range(23)] for e in range(8)]
    assert [sum(epoch) for epoch in due] == [0, 0] + [23 // 5] * 6
    assert [s for s, d in enumerate(due[2]) if d] == [4, 9, 14, 19]


def test_defaults_are_the_papers():
    o = ProxylessNAS.Options()
    assert (o.mode, o.alpha_lr, o.alpha_beta1, o.alpha_beta2, o.alpha_weight_decay) == ("two", 6e-3, 0.0, 0.999, 0.0)


# -- where `none` is drawn, in the official code -----------------------------------------------------------------------

LR, BETA = 0.01, 0.999


class WithNone(ToySpace):
    positions = tuple(Position(name, ("none", "a", "b"), (True,) * 3) for name in ("first", "second"))


def _adam(gradients):
    """What Adam with beta1 = 0 has moved a row by after these gradients of it: each over its root mean square."""
    moved, second = torch.zeros(3), torch.zeros(3)
    for t, gradient in enumerate(gradients, 1):
        second = BETA * second + (1 - BETA) * gradient**2
        moved = moved - LR * gradient / ((second / (1 - BETA**t)).sqrt() + 1e-8)
    return moved


def _steps(made, problem, drawn):
    for choices in drawn:
        made.sample = lambda n, choices=choices: F.one_hot(torch.tensor([choices]), 3).double()
        made.arch_step(problem, None, CLOCK)


@pytest.mark.parametrize("dead", ["dropped", "learns"])
def test_a_row_that_draws_none_drops_its_gradient_the_cost_s_too_and_its_adam_waits(dead):
    costs, paid = torch.tensor([[0.0, 1.0, -2.0], [0.0, 3.0, 0.5]]), torch.tensor([[0.0, 5.0, 1.0], [0.0, 2.0, 4.0]])
    table = ToyTable.of_costs(WithNone(), costs)
    made = searcher(table.space, torch.zeros(2, 3), mode="full", dead=dead, alpha_lr=LR)
    problem = Problem(table, lambda loss, p: loss + (paid * p).sum(), lambda a, g: a)
    drawn = [(0, 1), (1, 0), (0, 2), (2, 2), (0, 0)]
    _steps(made, problem, drawn)
    for row in range(2):
        alpha, seen = torch.zeros(3), []
        for choices in drawn:
            if dead == "learns" or choices[row] != 0:
                seen.append(double_loop(alpha.softmax(0), costs[row] + paid[row]))  # the loss is affine: exact
            alpha = _adam(seen)
        assert torch.allclose(made.alpha[row], alpha, rtol=1e-9, atol=1e-12)
        assert len(seen) == (2 + row if dead == "dropped" else 5)


def test_a_pair_s_row_that_draws_none_stands_still(monkeypatch):
    table = ToyTable.of_costs(WithNone(), torch.tensor([[0.0, 1.0, -2.0], [0.0, 3.0, 0.5]]))
    made = searcher(table.space, torch.zeros(2, 3), dead="dropped", alpha_lr=LR)
    made._draw_pairs = lambda: torch.tensor([[True, True, False], [True, True, False]])
    monkeypatch.setattr(proxyless, "one_hot_draws", lambda q, u: F.one_hot(torch.tensor([[0, 1]]), 3).double())
    made.arch_step(without_cost(table), None, CLOCK)
    assert made.alpha[0].tolist() == [0.0, 0.0, 0.0]
    # q = (1/2, 1/2), G = (0, 3): 'none' rises and 'a' falls by LR, then both shift to keep exp(a) + exp(b) = 2
    shift = math.log((math.exp(LR) + math.exp(-LR)) / 2)
    assert made.alpha[1].tolist() == pytest.approx([LR - shift, -LR - shift, 0.0], abs=1e-9)


def test_adam_by_row_continues_from_its_state_and_sees_what_a_hook_makes_of_the_gradient():
    costs = torch.tensor([[0.0, 1.0, -2.0], [0.0, 3.0, 0.5]])
    table = ToyTable.of_costs(WithNone(), costs)
    drawn, problem = [(1, 1), (0, 1), (2, 0), (1, 2)], without_cost(table)
    whole, first, second = (searcher(table.space, torch.zeros(2, 3), mode="full", dead="dropped") for _ in range(3))
    _steps(whole, problem, drawn)
    _steps(first, problem, drawn[:2])
    second.load_state(first.state())
    _steps(second, problem, drawn[2:])
    assert torch.equal(second.alpha, whole.alpha)

    def turned(optimiser, *_):  # as a modifier changes alpha's gradient
        made.alpha.grad = -made.alpha.grad

    made = searcher(table.space, torch.zeros(2, 3), mode="full", dead="dropped", alpha_lr=LR)
    made.optimiser.register_step_pre_hook(turned)
    _steps(made, problem, [(1, 1)])
    expected = torch.stack([_adam([-double_loop(torch.full((3,), 1 / 3), row)]) for row in costs])
    assert torch.allclose(made.alpha, expected, atol=1e-9)
