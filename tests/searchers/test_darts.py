"""DARTS against closed forms and autograd's exact second derivatives (in float64)."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from benchbed import registry
from benchbed.cost import Problem, without_cost
from benchbed.errors import BenchbedError
from benchbed.objective import Batch, Decisions
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.searcher import Clock, masked_softmax
from benchbed.searchers.darts import DARTS
from benchbed.space import Position
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task
from benchbed.testing.objective_suite import dense_gates, one_hot_gates
from benchbed.testing.searcher_suite import Traced
from benchbed.testing.toy_network import ToyNetwork
from benchbed.testing.toys import ToySpace, ToyTable, random_table
from benchbed.training.search_loop import train_epoch

CLOCK = Clock(0, 0, 1, 1)
TRAIN, VALID = Batch(torch.zeros(0), torch.zeros(0)), Batch(torch.zeros(0), torch.ones(0))  # names of a double's losses


@pytest.fixture(autouse=True)
def _double():
    """Everything made in a test is float64: a finite difference then errs by its step alone."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class OnePosition(ToySpace):
    """One position of `n` operations."""

    def __init__(self, n: int):
        self.positions = (Position("only", tuple("abcdefgh"[:n]), (True,) * n),)


class Double(ToyTable):
    """A loss of gates and weights, written out by a test; `w` are the weights, `train` and `valid` the two losses."""

    def __init__(self, n, w, train, valid, xi=0.0, momentum=0.0, decay=0.0, buffer=None):
        super().__init__(OnePosition(n), torch.zeros(n))
        self.w, self.train, self.valid, self.xi = w, train, valid, xi
        self.momentum, self.decay, self.buffer = momentum, decay, torch.zeros_like(w) if buffer is None else buffer

    def batch(self, split):
        return {"train": TRAIN, "valid": VALID}[split]

    def loss(self, gates, batch, weights=None):
        loss = self.train if batch is TRAIN else self.valid
        return loss(gates[0], self.w if weights is None else weights["w"])

    def weights(self):
        return {"w": self.w}

    def lookahead(self, gates, batch):
        w = self.w.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(self.loss(gates.detach(), batch, {"w": w}), w)
        step = self.momentum * self.buffer + gradient + self.decay * self.w
        return {"w": (self.w - self.xi * step).requires_grad_()}, self.xi


def _darts(space, alpha=None, kind=DARTS, **options):
    searcher = kind(space, kind.Options(**options), Streams(0))
    if alpha is not None:
        with torch.no_grad():
            searcher.alpha.copy_(alpha)
    return searcher


def _softmax_vjp(p, gradient):
    """p_i (G_i - sum_j p_j G_j), written out."""
    return p * (gradient - (p * gradient).sum(-1, keepdim=True))


# -- the finite difference -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("r", "error"), [(0.1, 1.84e-5), (0.01, 1.84e-7), (0.001, 1.84e-9)])
def test_hessian_vector_product_of_the_reference_errs_as_the_square_of_the_step(r, error):
    def loss(a, w):
        return F.softplus(w * a.tanh()).sum()

    objective = Double(3, torch.tensor([0.7, -1.2, 0.4]), loss, loss)
    v = torch.tensor([0.2, -0.4, 0.9])
    # the reference's steps are r itself; ours is epsilon / |v|
    searcher = _darts(objective.space, order=2, epsilon=r * float(v.norm()))
    gates = torch.tensor([[0.3, 0.1, -0.5]], requires_grad=True)
    found = searcher._mixed_derivative(objective, gates, TRAIN, {"w": v})
    exact = torch.tensor([[0.11004653, -0.1743869, 0.28885454]])
    assert float((found - exact).abs().max()) == pytest.approx(error, rel=0.05, abs=6e-9)


def test_a_vanishing_validation_gradient_gives_no_mixed_derivative():
    objective = Double(2, torch.ones(2), lambda a, w: (a * w).sum(), lambda a, w: a.sum())
    gates = torch.tensor([[0.3, 0.7]], requires_grad=True)
    found = _darts(objective.space, order=2)._mixed_derivative(objective, gates, TRAIN, {"w": torch.zeros(2)})
    assert torch.equal(found, torch.zeros(1, 2))


def test_tiny_network_against_double_backward():
    torch.manual_seed(0)
    images, labels = torch.randn(2, 16, 5), torch.randint(4, (2, 16))

    def loss_of(half):
        def loss(g, w):
            h = images[half] @ w.reshape(5, 4)
            return F.cross_entropy(g[0] * h + g[1] * h.tanh() + g[2] * h.sin(), labels[half])

        return loss

    xi = 1.0
    objective = Double(3, torch.randn(20), loss_of(0), loss_of(1), xi=xi)
    searcher = _darts(objective.space, torch.randn(1, 3), order=2)
    alpha = searcher.alpha.detach().clone().requires_grad_()
    searcher.arch_step(without_cost(objective), TRAIN, CLOCK)
    exact = _unrolled(objective, alpha, xi)
    first_order = _unrolled(objective, alpha, 0.0)
    assert torch.allclose(searcher.alpha.grad, exact, rtol=1e-4, atol=1e-4 * float(exact.abs().max()))
    assert (exact - first_order).abs().max() > 0.01 * exact.abs().max()  # the term is there to be missed


def _unrolled(objective, alpha, xi):
    """dL_valid(w - xi dL_train/dw, alpha)/dalpha by backpropagation through the step."""
    w = objective.w.clone().requires_grad_()
    p = alpha.softmax(1)
    (by_w,) = torch.autograd.grad(objective.loss(p, TRAIN, {"w": w}), w, create_graph=True)
    (exact,) = torch.autograd.grad(objective.loss(p, VALID, {"w": w - xi * by_w}), alpha)
    return exact


# -- closed-form bilevel problems ------------------------------------------------------------------------------------

C, XI = 0.3, 0.2


def _bilevel(**optimiser):
    """L_train = (w - a)^2 / 2, L_valid = (w - 1)^2 / 2 + c a^2 / 2, where a is the gate of the first operation."""
    return Double(
        2,
        torch.tensor(0.4),
        lambda g, w: (w - g[0]) ** 2 / 2,
        lambda g, w: (w - 1) ** 2 / 2 + C * g[0] ** 2 / 2,
        xi=XI,
        **optimiser,
    )


BILEVEL = [{}, {"momentum": 0.9, "buffer": torch.tensor(0.7, dtype=torch.float64)}, {"decay": 0.05}]
BILEVEL += [{"momentum": 0.9, "buffer": torch.tensor(-0.3, dtype=torch.float64), "decay": 0.05}]


def _bilevel_gradients(kind, optimiser):
    """(alpha's gradient, the closed form): dL/da = c a + xi (w' - 1), through the softmax."""
    objective = _bilevel(**optimiser)
    searcher = _darts(objective.space, torch.tensor([[0.2, -0.5]]), kind, order=2)
    p = searcher.probabilities()
    a, w = float(p[0, 0]), float(objective.w)
    buffer = float(optimiser.get("buffer", 0.0))
    ahead = w - XI * (optimiser.get("momentum", 0.0) * buffer + (w - a) + optimiser.get("decay", 0.0) * w)
    by_a = C * a + XI * (ahead - 1)
    searcher.arch_step(without_cost(objective), TRAIN, CLOCK)
    return searcher.alpha.grad, _softmax_vjp(p, torch.tensor([[by_a, 0.0]]))


@pytest.mark.parametrize("optimiser", BILEVEL, ids=lambda x: "+".join(x) or "plain")
def test_second_order_step_is_the_closed_form(optimiser):
    found, expected = _bilevel_gradients(DARTS, optimiser)
    assert torch.allclose(found, expected, rtol=1e-10, atol=1e-12)


class MultipliesByEps(DARTS):
    """The operator precedence slip of a fork: (a - b) / 2 * eps."""

    def _mixed_derivative(self, objective, gates, batch, v):
        return super()._mixed_derivative(objective, gates, batch, v) * (self.options.epsilon / v["w"].norm()) ** 2


class OtherSign(DARTS):
    def _mixed_derivative(self, objective, gates, batch, v):
        return -super()._mixed_derivative(objective, gates, batch, v)


@pytest.mark.parametrize("broken", [MultipliesByEps, OtherSign])
def test_the_closed_form_tells_known_slips(broken):
    found, expected = _bilevel_gradients(broken, {})
    assert (found - expected).abs().max() > 0.1 * expected.abs().max()


def test_second_order_scales_with_a_cost_that_multiplies_the_loss():
    objective = _bilevel()
    searcher = _darts(objective.space, torch.tensor([[0.2, -0.5]]), order=2)
    p = searcher.probabilities()
    ahead = float(objective.w) - XI * float(objective.w - p[0, 0])
    loss = float(objective.valid(p[0], torch.tensor(ahead)))
    costs = torch.tensor([[1.0, 3.0]])
    searcher.arch_step(Problem(objective, lambda value, q: value * (costs * q).sum(), lambda r, g: r), TRAIN, CLOCK)
    by_loss = torch.tensor([[C * float(p[0, 0]) + XI * (ahead - 1), 0.0]])
    # the loss enters the cost in float32
    expected = _softmax_vjp(p, (costs * p).sum() * by_loss + loss * costs)
    assert torch.allclose(searcher.alpha.grad, expected, rtol=1e-6)


# -- first order -----------------------------------------------------------------------------------------------------


def test_first_order_gradient_is_that_of_the_expected_loss():
    table = random_table(ToySpace(), 2)
    searcher = _darts(table.space, torch.randn(3, 4))
    alpha = searcher.alpha.detach().clone().requires_grad_()
    (exact,) = torch.autograd.grad(table.value(masked_softmax(alpha, searcher.mask)), alpha)
    searcher.arch_step(without_cost(table), None, CLOCK)
    assert torch.allclose(searcher.alpha.grad, exact, rtol=1e-9, atol=1e-12)


def test_cost_gradient_is_exact_and_lowers_the_cost():
    table, costs = random_table(ToySpace(), 2), torch.rand(3, 4)
    searcher = _darts(table.space, torch.randn(3, 4), alpha_lr=0.01)
    p, (_, by_gates) = searcher.probabilities(), table.gate_gradient(searcher.probabilities(), None)
    before = (costs * p).sum()
    problem = Problem(table, lambda loss, q: loss + 100 * (costs * q).sum(), lambda r, g: r)
    searcher.arch_step(problem, None, CLOCK)
    assert torch.allclose(searcher.alpha.grad, _softmax_vjp(p, by_gates + 100 * costs), rtol=1e-9)
    assert (costs * searcher.probabilities()).sum() < before


def test_unrolling_needs_weights():
    with pytest.raises(BenchbedError, match=r"searcher\.order=2 unrolls a weight step .* use 1"):
        _darts(ToySpace(), order=2).arch_step(without_cost(random_table(ToySpace(), 0)), None, CLOCK)


def test_defaults_are_the_papers():
    o = DARTS.Options()
    adam = (o.alpha_lr, o.alpha_beta1, o.alpha_beta2, o.alpha_weight_decay, o.alpha_init)
    assert adam == (3e-4, 0.5, 0.999, 1e-3, 1e-3)
    assert (o.order, o.epsilon) == (1, 0.01)


# -- on a real supernet ----------------------------------------------------------------------------------------------


def _supernet(space=None, **options):
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(2, 12, 3, 8, 8, generator=generator), torch.arange(24).reshape(2, 12) % 3
    train, valid = (Split(images[i], labels[i]) for i in range(2))
    task = Task("random", 3, (3, 8, 8), train, valid, Seal(lambda: train), "0")
    space = (space or NB201()).for_images(task.shape, task.classes)
    cells = 3 if space.nodes else 1  # the least with both kinds of cell
    small = SupernetOptions(channels=4, cells=cells, batch=6, valid_batch=6, eval_batch=6, lr=0.1, **options)
    return SupernetObjective(space, task, small, Streams(0), epochs=4)


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("gates_of", [dense_gates, one_hot_gates])
def test_lookahead_is_the_step_that_sgd_then_takes(steps, gates_of):
    objective = _supernet(clip=None, weight_decay=0.01)
    for seed in range(steps):
        objective.weight_step(one_hot_gates(objective, seed), objective.batch("train"))
    gates, batch = gates_of(objective, 9), objective.batch("train")
    ahead, rate = objective.lookahead(gates, batch)
    assert rate == objective.learning_rate()
    objective.weight_step(gates, batch)
    for name, w in objective.weights().items():
        # a weight step takes its loss in float32
        assert torch.allclose(ahead[name], w, rtol=1e-5, atol=1e-6), name


def _exact_second_order(objective, searcher, batch, valid):
    """Backpropagation through w' = w - xi (mu buf + dL_train/dw + lambda w), all in one graph."""
    alpha = searcher.alpha.detach().clone().requires_grad_()
    p = masked_softmax(alpha, searcher.mask)
    o, rate = objective.options, objective.learning_rate()
    w = {name: x.detach().clone().requires_grad_() for name, x in objective.weights().items()}
    by_w = torch.autograd.grad(objective.loss(p, batch, w), list(w.values()), create_graph=True)
    ahead = {}
    for (name, x), gradient in zip(w.items(), by_w, strict=True):
        buffer = objective.optimiser.state[objective.weights()[name]]["momentum_buffer"]
        ahead[name] = x - rate * (o.momentum * buffer + gradient + o.weight_decay * x)
    (exact,) = torch.autograd.grad(objective.loss(p, valid, ahead), alpha)
    return exact


@pytest.mark.parametrize("name", [plugin.name for plugin in registry.plugins("space")])
def test_second_order_on_a_supernet_is_backpropagation_through_the_step(name, small_space, monkeypatch):
    torch.manual_seed(0)
    objective = _supernet(small_space(name), clip=None)
    for seed in range(2):
        objective.weight_step(dense_gates(objective, seed), objective.batch("train"))
    # so small a step that no ReLU of this tiny network changes its side, where a finite difference would jump
    alpha = torch.randn(objective.space.mask.shape) * 0.3 * torch.from_numpy(objective.space.mask)
    searcher = _darts(objective.space, alpha, order=2, epsilon=1e-8)
    batch, valid = objective.batch("train"), objective.batch("valid")
    monkeypatch.setattr(objective, "batch", {"valid": valid}.__getitem__)
    exact = _exact_second_order(objective, searcher, batch, valid)
    _, first = objective.gate_gradient(searcher.probabilities(), valid)
    first_order = _softmax_vjp(searcher.probabilities(), first)
    weights = {name: w.detach().clone() for name, w in objective.weights().items()}
    momentum = {w: s["momentum_buffer"].clone() for w, s in objective.optimiser.state.items()}
    searcher.arch_step(without_cost(objective), batch, CLOCK)
    scale = float(exact.abs().max())
    assert float((searcher.alpha.grad - exact).abs().max()) < 1e-5 * scale
    assert float((first_order - exact).abs().max()) > 0.02 * scale
    assert all(torch.equal(w, weights[name]) for name, w in objective.weights().items())
    assert all(torch.equal(s["momentum_buffer"], momentum[w]) for w, s in objective.optimiser.state.items())


@pytest.mark.parametrize("order", [1, 2])
def test_decided_rows_get_no_gradient(order):
    objective = ToyNetwork(ToySpace(), random_table(ToySpace(), 0).losses, Streams(0))
    decided = objective.decided(Decisions.none(objective.space).decide(1, 0))
    searcher = _darts(objective.space, torch.randn(3, 4), order=order)
    weights = {name: w.detach().clone() for name, w in objective.weights().items()}
    searcher.arch_step(without_cost(decided), objective.batch("train"), CLOCK)
    assert (searcher.alpha.grad[1] == 0).all()
    assert (searcher.alpha.grad[[0, 2]] != 0).any(1).all()
    assert all(torch.equal(w, weights[name]) for name, w in objective.weights().items())


def test_mixture_is_what_weights_are_trained_at():
    searcher = _darts(ToySpace(), torch.tensor([[math.log(2), 0.0, 0, 0]] * 3))
    gates = searcher.weight_gates(random_table(ToySpace(), 0), None, CLOCK)
    assert isinstance(gates, Tensor)
    assert gates[1].tolist() == pytest.approx([2 / 3, 1 / 3, 0, 0])


@pytest.mark.parametrize("name", ["darts", "sdarts-rs", "proxyless"])
def test_alpha_steps_before_the_weights_on_the_same_batch(name):
    """DARTS' own order; AutoDL's is the other (darts-pt.md, pitfall 24), which GDAS takes."""
    kind, objective, order = registry.load("searcher", name), Traced(), []
    searcher = kind(objective.space, kind.Options(), Streams(0))
    alpha = getattr(searcher, "base", searcher).alpha  # the searcher's own, under a modifier
    before = alpha.detach().clone()
    arch_step, weight_step = searcher.arch_step, objective.weight_step

    def noted_arch(problem, batch, clock):
        order.append(("alpha", id(batch)))
        return arch_step(problem, batch, clock)

    def noted_weights(gates, batch):
        order.append(("w", id(batch)))
        assert not torch.equal(alpha, before), "the weights step under an alpha that has moved"
        return weight_step(gates, batch)

    searcher.arch_step, objective.weight_step = noted_arch, noted_weights
    train_epoch(without_cost(objective), searcher, 0, 1)
    assert [what for what, _ in order] == ["alpha", "w"] * objective.steps_per_epoch
    assert all(a == b for (_, a), (_, b) in zip(order[::2], order[1::2], strict=True))


def test_frozen_weights_have_no_part_in_the_second_order():
    """One of two weights is frozen: the derivative is that of a loss in which it is a constant."""
    space = ToySpace()
    toy = ToyNetwork(space, random_table(space, 0).losses, Streams(0))
    frozen = torch.zeros(space.mask.shape, dtype=torch.bool)
    frozen[0, 0] = frozen[1, 1] = True
    toy.freeze(frozen)
    searcher = _darts(space, order=2, epsilon=1e-4)
    batch, valid = toy.batch("train"), toy.batch("valid")
    p = searcher.probabilities().double()
    ahead, rate = toy.lookahead(p.float(), batch)
    held = {n: w.detach() for n, w in toy.weights().items() if n not in ahead}
    assert len(held) == 2
    gates = p.float().clone().requires_grad_()
    free = {n: w.detach().clone().requires_grad_() for n, w in toy.weights().items() if n in ahead}
    by_w = torch.autograd.grad(toy.loss(gates, batch, {**held, **free}), list(free.values()), create_graph=True)
    moved = {n: w - rate * g for (n, w), g in zip(free.items(), by_w, strict=True)}
    (expected,) = torch.autograd.grad(toy.loss(gates, valid, {**held, **moved}), gates)
    by_ahead = torch.autograd.grad(
        toy.loss(gates, valid, ahead), [gates, *ahead.values()], allow_unused=True, materialize_grads=True
    )
    v = dict(zip(ahead, by_ahead[1:], strict=True))
    found = by_ahead[0] - rate * searcher._mixed_derivative(toy, gates.detach().requires_grad_(), batch, v)
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=1e-5)
