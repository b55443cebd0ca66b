"""ProxylessNAS on a real supernet: its gate gradients against the operations written out one by one (float64)."""

import pytest
import torch
from torch.nn import functional as F

from benchbed.cost import Problem, without_cost
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.searcher import Clock
from benchbed.searchers.proxyless import ProxylessNAS
from benchbed.spaces.nb201.space import EDGES, NB201
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task

CLOCK = Clock(0, 0, 1, 1)
NONE, SKIP, CONV1, CONV3, POOL = range(5)


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def _objective(cells=1, **options):
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(2, 12, 3, 8, 8, generator=generator), torch.arange(24).reshape(2, 12) % 3
    train, valid = (Split(images[i], labels[i]) for i in range(2))
    task = Task("random", 3, (3, 8, 8), train, valid, Seal(lambda: train), "0")
    small = SupernetOptions(channels=4, cells=cells, batch=6, valid_batch=6, eval_batch=6, lr=0.1, **options)
    return SupernetObjective(NB201(), task, small, Streams(0), epochs=4)


def _one_hot(choices):
    return F.one_hot(torch.tensor(choices), 5).to(torch.get_default_dtype())


def _norm(x, weight=None, bias=None):
    """Batch norm by the batch's statistics, written out."""
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
    y = (x - mean) / (var + 1e-5).sqrt()
    return y if weight is None else y * weight[:, None, None] + bias[:, None, None]


def _operation(params, prefix, edge, k, x):
    """o_k(x) of an edge, all five written out."""
    if k == NONE:
        return torch.zeros_like(x)
    if k == SKIP:
        return x
    if k == POOL:
        ones = torch.ones(x.shape[1], 1, 3, 3)
        count = F.conv2d(torch.ones_like(x), ones, padding=1, groups=x.shape[1])
        return F.conv2d(x, ones, padding=1, groups=x.shape[1]) / count
    kernel = params[f"{prefix}.conv{1 if k == CONV1 else 3}.{edge}"]
    return _norm(F.conv2d(torch.relu(x), kernel, padding=kernel.shape[-1] // 2))


def _op_by_op(objective, batch, choices, cells):
    """(loss, G): a plain forward through the chosen operations, then <dL/dm, o_j(x)> for all j, summed over cells."""
    params = {name: w.detach() for name, w in objective.weights().items()}
    edges = []  # (edge, block's prefix, input, mixed output)
    x = batch.images.clone().requires_grad_()
    x = _norm(F.conv2d(x, params["stem"], padding=1), params["stem_norm.weight"], params["stem_norm.bias"])
    block = 0
    for stage in range(3):
        if stage:
            name = f"blocks.{block}"
            h = F.conv2d(torch.relu(x), params[f"{name}.conv_a"], stride=2, padding=1)
            h = _norm(h, params[f"{name}.norm_a.weight"], params[f"{name}.norm_a.bias"])
            h = F.conv2d(torch.relu(h), params[f"{name}.conv_b"], padding=1)
            h = _norm(h, params[f"{name}.norm_b.weight"], params[f"{name}.norm_b.bias"])
            x, block = h + F.conv2d(F.avg_pool2d(x, 2), params[f"{name}.shortcut"]), block + 1
        for _ in range(cells):
            nodes, prefix = [x], f"blocks.{block}"
            for node in (1, 2, 3):
                arriving = []
                for edge, (source, target) in enumerate(EDGES):
                    if target == node:
                        m = _operation(params, prefix, edge, choices[edge], nodes[source]) * 1.0
                        if not m.requires_grad:
                            m.requires_grad_()
                        edges.append((edge, prefix, nodes[source], m))
                        arriving.append(m)
                nodes.append(sum(arriving))
            x, block = nodes[3], block + 1
    x = torch.relu(_norm(x, params["last_norm.weight"], params["last_norm.bias"])).mean((2, 3))
    loss = F.cross_entropy(x @ params["classifier.weight"].T + params["classifier.bias"], batch.labels)
    outputs = [m for *_, m in edges]  # that of a dead edge reaches nothing: zero
    by_m = torch.autograd.grad(loss, outputs, allow_unused=True, materialize_grads=True)
    G = torch.zeros(6, 5)
    for (edge, prefix, source, _), grad in zip(edges, by_m, strict=True):
        for k in range(5):
            G[edge, k] += (grad * _operation(params, prefix, edge, k, source.detach())).sum()
    return loss.detach(), G


# all kinds of operation; a dead node 1; an output reached by one path only
CELLS = [(3, 2, 4, 1, 3, 2), (1, 1, 4, 3, 2, 1), (4, 3, 2, 0, 1, 3), (0, 3, 0, 2, 0, 4), (2, 0, 3, 4, 0, 1)]


@pytest.mark.parametrize("choices", CELLS, ids=str)
def test_gate_gradient_is_that_of_the_operations_written_out(choices):
    objective = _objective(cells=2)
    objective.weight_step(torch.full((6, 5), 0.2), objective.batch("train"))
    batch = objective.batch("valid")
    loss, G = objective.gate_gradient(_one_hot(choices), batch)
    expected_loss, expected = _op_by_op(objective, batch, choices, cells=2)
    scale = float(expected.abs().max())
    assert float(loss) == pytest.approx(float(expected_loss), abs=1e-6)  # the loss is taken in float32
    assert float((G - expected).abs().max()) < 3e-6 * scale
    assert (G[:, NONE] == 0).all()
    assert int((expected != 0).sum()) >= 12  # most entries are inactive ones with a gradient of their own


@pytest.mark.parametrize("choices", CELLS, ids=str)
def test_a_pair_gets_the_same_gate_gradient_as_all(choices):
    objective = _objective()
    batch, gates = objective.batch("valid"), _one_hot(choices)
    _, everything = objective.gate_gradient(gates, batch)
    pair = gates.bool()
    for i, k in enumerate(choices):
        pair[i, (k + 1 + i) % 5] = True
    _, G = objective.gate_gradient(gates, batch, pair)
    assert (G[~pair] == 0).all()
    assert torch.allclose(G[pair], everything[pair], rtol=1e-5, atol=1e-7)


def _searcher(objective, **options):
    return ProxylessNAS(objective.space, ProxylessNAS.Options(**options), Streams(3))


@pytest.mark.parametrize("mode", ["full", "two"])
@pytest.mark.parametrize("choices", [(0,) * 6, (0, 0, 0, 1, 3, 2), (3, 3, 3, 0, 0, 0)], ids=str)
def test_none_active_leaves_a_gradient_and_the_cost_still_counts(mode, choices):
    """Pitfalls 1 and 2 of the official code: a sampled Zero dropped alpha's gradient, the latency's included."""
    objective = _objective()
    batch = objective.batch("valid")
    objective.batch = lambda split: batch
    gates, costs = _one_hot(choices), torch.arange(5.0).expand(6, 5)
    pair = gates.bool()
    pair[torch.arange(6), (torch.tensor(choices) + 1) % 5] = True
    q = torch.where(pair, 0.5, 0.0) if mode == "two" else torch.full((6, 5), 0.2)

    def gradient(weight):
        searcher = _searcher(objective, mode=mode, alpha_init=0.0)
        searcher._draw_pairs = lambda: pair
        drawn = searcher.arch_gates
        searcher.arch_gates = lambda: (gates, *drawn()[1:])
        problem = Problem(objective, lambda loss, p: loss + weight * (costs * p).sum(), lambda r, g: r)
        searcher.arch_step(problem, None, CLOCK)
        return searcher.alpha.grad

    without, with_cost = gradient(0.0), gradient(10.0)
    assert without.isfinite().all()
    expected = 10 * q * (costs - (q * costs).sum(1, keepdim=True))
    assert torch.allclose(with_cost - without, expected, rtol=1e-5, atol=1e-5)


def test_none_active_equals_equation_4_with_its_gate_gradient_zero():
    objective, choices = _objective(), (0, 3, 0, 2, 0, 4)
    batch = objective.batch("valid")
    objective.batch = lambda split: batch
    searcher = _searcher(objective, mode="full")
    searcher.sample = lambda n: _one_hot(choices)[None]
    p = searcher.probabilities()
    _, G = _op_by_op(objective, batch, choices, cells=1)
    searcher.arch_step(without_cost(objective), None, CLOCK)
    expected = p * (G - (p * G).sum(1, keepdim=True))
    assert torch.allclose(searcher.alpha.grad, expected, rtol=1e-4, atol=1e-6 * float(expected.abs().max()))
    assert (searcher.alpha.grad[:, NONE] != 0).any()


def test_an_architecture_step_leaves_weights_and_their_momentum_bit_identical():
    torch.set_default_dtype(torch.float32)
    objective = _objective()
    objective.weight_step(torch.full((6, 5), 0.2), objective.batch("train"))
    before = [w.detach().clone() for w in objective.weights().values()]
    momentum = [s["momentum_buffer"].clone() for s in objective.optimiser.state.values()]
    for mode in ("full", "two"):
        _searcher(objective, mode=mode).arch_step(without_cost(objective), None, CLOCK)
    assert all(torch.equal(a, b) for a, b in zip(before, objective.weights().values(), strict=True))
    assert all(
        torch.equal(a, s["momentum_buffer"]) for a, s in zip(momentum, objective.optimiser.state.values(), strict=True)
    )


def test_a_weight_step_leaves_alpha_and_its_adam_bit_identical_and_touches_one_path():
    """Candidates that did not run keep weights and momentum, through decay and momentum of earlier steps."""
    torch.set_default_dtype(torch.float32)
    objective = _objective(weight_decay=0.1)
    objective.weight_step(torch.full((6, 5), 0.2), objective.batch("train"))
    searcher = _searcher(objective)
    searcher.arch_step(without_cost(objective), None, CLOCK)
    held, choices = searcher.state(), (3, 2, 1, 2, 3, 4)
    weights = {name: w.detach().clone() for name, w in objective.weights().items()}
    momentum = {w: s["momentum_buffer"].clone() for w, s in objective.optimiser.state.items()}
    objective.weight_step(_one_hot(choices), objective.batch("train"))
    assert torch.equal(held["alpha"], searcher.alpha)
    for name, value in held["optimiser"]["state"][0].items():
        assert torch.equal(value, searcher.optimiser.state[searcher.alpha][name])
    kept = changed = 0
    for name, w in objective.weights().items():
        operation = {"conv1": CONV1, "conv3": CONV3}.get(name.split(".")[-2] if "conv" in name else "")
        idle = operation is not None and choices[int(name.split(".")[-1])] != operation
        same = torch.equal(w, weights[name]) and torch.equal(
            objective.optimiser.state[w]["momentum_buffer"], momentum[w]
        )
        assert same == idle, name
        kept, changed = kept + idle, changed + (not idle)
    assert kept == 3 * (12 - 4)  # four convolutions of twelve ran, in each of three cells
    assert changed > 0
