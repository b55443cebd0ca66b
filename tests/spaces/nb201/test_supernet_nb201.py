"""The supernet against one written plainly here: each operation of each edge a module, each output times its gate."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from benchbed.layers.plan import Run, plan
from benchbed.spaces.nb201.pooling import pool
from benchbed.spaces.nb201.space import EDGES, NB201, OPERATIONS
from benchbed.spaces.nb201.supernet import CellSupernet, NB201Supernet

NONE, SKIP, CONV1, CONV3, POOL = range(5)
ALL = torch.ones(6, 5, dtype=torch.bool)


# -- the reference: Dong and Yang's description, op by op ----------------------------------------------------------


class RefCell(nn.Module):
    def __init__(self, channels):
        super().__init__()

        def convolution(size):
            norm = nn.BatchNorm2d(channels, affine=False, track_running_stats=False)
            return nn.Sequential(nn.ReLU(), nn.Conv2d(channels, channels, size, padding=size // 2, bias=False), norm)

        pooling = [nn.AvgPool2d(3, 1, 1, count_include_pad=False) for _ in EDGES]
        self.edges = nn.ModuleList(
            nn.ModuleList([nn.Identity(), convolution(1), convolution(3), pooling[e]]) for e in range(len(EDGES))
        )

    def forward(self, x, gates):
        nodes = [x]
        for node in (1, 2, 3):
            value = torch.zeros_like(x)
            for e, (source, target) in enumerate(EDGES):
                if target == node:
                    outputs = [nodes[source] * 0, *(op(nodes[source]) for op in self.edges[e])]
                    value = value + sum(g * o for g, o in zip(gates[e], outputs, strict=True))
            nodes.append(value)
        return nodes[3]


class RefBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.a = nn.Sequential(nn.ReLU(), nn.Conv2d(c, 2 * c, 3, 2, 1, bias=False), _affine(2 * c))
        self.b = nn.Sequential(nn.ReLU(), nn.Conv2d(2 * c, 2 * c, 3, 1, 1, bias=False), _affine(2 * c))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(c, 2 * c, 1, bias=False))

    def forward(self, x):
        return self.b(self.a(x)) + self.shortcut(x)


def _affine(channels):
    return nn.BatchNorm2d(channels, track_running_stats=False)


class RefNet(nn.Module):
    def __init__(self, channels, cells, classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1, bias=False), _affine(channels))
        self.blocks = nn.ModuleList()
        for stage, c in enumerate((channels, 2 * channels, 4 * channels)):
            if stage:
                self.blocks.append(RefBlock(c // 2))
            self.blocks.extend(RefCell(c) for _ in range(cells))
        self.norm, self.linear = _affine(4 * channels), nn.Linear(4 * channels, classes)

    def forward(self, x, gates):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x, gates) if isinstance(block, RefCell) else block(x)
        return self.linear(F.relu(self.norm(x)).mean((2, 3)))


def pairs(net: NB201Supernet, ref: RefNet) -> list[tuple[nn.Parameter, nn.Parameter]]:
    """(supernet's parameter, the reference's) for every parameter of either."""
    found = [(net.stem, ref.stem[0].weight), *_norms(net.stem_norm, ref.stem[1]), *_norms(net.last_norm, ref.norm)]
    found += list(zip(net.classifier.parameters(), ref.linear.parameters(), strict=True))
    for ours, theirs in zip(net.blocks, ref.blocks, strict=True):
        if isinstance(ours, CellSupernet):
            for e in range(6):
                found += [(ours.conv1[e], theirs.edges[e][1][1].weight), (ours.conv3[e], theirs.edges[e][2][1].weight)]
        else:
            found += [(ours.conv_a, theirs.a[1].weight), (ours.conv_b, theirs.b[1].weight)]
            found += [*_norms(ours.norm_a, theirs.a[2]), *_norms(ours.norm_b, theirs.b[2])]
            found.append((ours.shortcut, theirs.shortcut[1].weight))
    assert len(found) == len(list(net.parameters())) == len(list(ref.parameters()))
    return found


def _norms(ours, theirs):
    return [(ours.weight, theirs.weight), (ours.bias, theirs.bias)]


def both(channels=3, cells=1, classes=4, dtype=torch.float64):
    torch.manual_seed(0)
    net, ref = NB201Supernet(channels, cells, classes).to(dtype), RefNet(channels, cells, classes).to(dtype)
    with torch.no_grad():
        for ours, theirs in pairs(net, ref):
            if ours.ndim == 1:
                ours.add_(torch.randn_like(ours) * 0.3)  # norms away from where they start
            theirs.copy_(ours)
    return net, ref


def images(n=3, size=8, dtype=torch.float64):
    return torch.randn(n, 3, size, size, dtype=dtype, generator=torch.Generator().manual_seed(1))


def one_hot(*choices):
    return F.one_hot(torch.tensor(choices), 5).double()


def dense():
    return torch.rand(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).softmax(1)


def some_zero():
    gates = dense()
    gates[0, CONV3] = gates[1, SKIP] = gates[4, POOL] = gates[5, NONE] = 0
    gates[2] = one_hot(CONV1)[0]
    gates[3] = 0
    return gates


GATES = {
    "dense": dense(),
    "one-hot": one_hot(CONV3, SKIP, POOL, CONV1, CONV3, SKIP),
    "some zero": some_zero(),
    "all none": one_hot(NONE, NONE, NONE, NONE, NONE, NONE),
    "all zero": torch.zeros(6, 5, dtype=torch.float64),
    "node 1 dead": one_hot(NONE, CONV3, CONV1, POOL, CONV3, SKIP),
    "nodes 1 and 2 dead": one_hot(NONE, NONE, CONV1, POOL, CONV3, SKIP),
    "output dead": one_hot(CONV3, SKIP, CONV1, NONE, NONE, NONE),
    "not normalised": dense() * torch.tensor([0.5, 2.0, -1.0, 0.0, 1.0, 3.0]).double()[:, None],
}


@pytest.mark.parametrize("probe", [Run.PROBED, Run.ECHOED, Run.GATED])
@pytest.mark.parametrize("name", GATES)
def test_forward_and_all_gradients_equal_the_reference(name, probe):
    net, ref = both()
    labels, results = torch.tensor([0, 3, 1]), []
    for network, is_ours in ((net, True), (ref, False)):
        x, gates = images().requires_grad_(), GATES[name].clone().requires_grad_()
        logits = network(x, gates, plan(gates, ALL, probe)) if is_ours else network(x, gates)
        F.cross_entropy(logits, labels).backward()
        # probing passes no gradient on: where all is dead, the images have none
        results.append((logits.detach(), torch.zeros_like(x) if x.grad is None else x.grad, gates.grad))
    logits, by_images, by_gates = results[0]
    torch.testing.assert_close(logits, results[1][0])
    torch.testing.assert_close(by_gates, results[1][2], rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(by_images, results[1][1], rtol=1e-6, atol=1e-9)
    for ours, theirs in pairs(net, ref):
        by_weight = torch.zeros_like(ours) if ours.grad is None else ours.grad
        torch.testing.assert_close(by_weight, theirs.grad, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", GATES)
def test_a_weight_step_that_asks_for_no_gate_gradient_equals_the_reference(name):
    net, ref = both()
    x, gates, labels = images(), GATES[name], torch.tensor([0, 3, 1])
    F.cross_entropy(net(x, gates, plan(gates)), labels).backward()
    F.cross_entropy(ref(x, gates), labels).backward()
    for ours, theirs in pairs(net, ref):
        by_weight = torch.zeros_like(ours) if ours.grad is None else ours.grad
        torch.testing.assert_close(by_weight, torch.zeros_like(by_weight) if theirs.grad is None else theirs.grad)


@pytest.mark.parametrize("name", ["dense", "one-hot", "some zero"])
def test_channels_last_in_float32_is_the_same_function(name):
    net, ref = both(channels=4, dtype=torch.float32)
    net = net.to(memory_format=torch.channels_last)
    x, results = images(4, 12, torch.float32), []
    for network, is_ours in ((net, True), (ref, False)):
        gates = GATES[name].float().requires_grad_()
        inputs = (x.contiguous(memory_format=torch.channels_last), gates, plan(gates, ALL)) if is_ours else (x, gates)
        loss = F.cross_entropy(network(*inputs), torch.tensor([0, 3, 1, 2]))
        results.append((loss.detach(), torch.autograd.grad(loss, gates)[0]))
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-5)


# -- sizes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("classes", "expected"), [(10, 1_686_106), (100, 1_691_956), (120, 1_693_256)])
def test_published_parameter_counts(classes, expected):
    with torch.device("meta"):
        network = NB201Supernet(channels=16, cells=5, classes=classes)
    assert sum(p.numel() for p in network.parameters()) == expected
    assert not list(network.buffers())  # no running statistics: nothing drifts while it is measured


@pytest.mark.parametrize("size", [4, 5, 7, 10, 28])
def test_images_of_any_size(size):
    network = NB201Supernet(channels=2, cells=1, classes=3)
    gates = dense().float().requires_grad_()
    logits = network(images(2, size, torch.float32), gates, plan(gates, ALL))
    assert logits.shape == (2, 3)
    (gradient,) = torch.autograd.grad(logits.square().sum(), gates)
    assert gradient[:, 1:].isfinite().all()
    assert gradient[:, 1:].any()


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 4, 3, 3), (2, 1, 1, 4), (2, 8, 12, 12)])
def test_pooling_in_channels_last_is_average_pooling_without_the_border(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=torch.channels_last)
    results = []
    for function in (pool, lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)):
        at = x.clone(memory_format=torch.preserve_format).requires_grad_()
        out = function(at)
        out.square().sum().backward()
        results.append((out.detach(), at.grad))
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-6)


# -- what runs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "choices",
    [(CONV3, CONV1, SKIP, POOL, NONE, CONV3), (SKIP,) * 6, (CONV1,) * 6, (NONE, CONV3, CONV1, SKIP, POOL, SKIP)],
)
def test_one_hot_gates_convolve_by_the_chosen_kernels_alone(choices, monkeypatch):
    network, used = NB201Supernet(channels=2, cells=2, classes=3), []
    plain = F.conv2d
    monkeypatch.setattr(F, "conv2d", lambda x, w, *a, **k: used.append(id(w)) or plain(x, w, *a, **k))
    gates = one_hot(*choices).float()
    network(images(2, 8, torch.float32), gates, plan(gates))
    alive = [e for e, k in enumerate(choices) if EDGES[e][0] == 0 or choices[0] != NONE or EDGES[e][0] == 2]
    chosen = {id(w) for e in alive for w in network.candidate_weights(e, choices[e])}
    everything = {id(w) for e in range(6) for k in range(5) for w in network.candidate_weights(e, k)}
    assert len(everything) == 2 * 6 * 6  # two kernels, six edges, six cells
    assert sorted(w for w in used if w in everything) == sorted(chosen)  # each of them once, and no other


def test_a_one_hot_gate_is_the_chosen_operation_and_a_masked_one_can_be_added_back():
    torch.manual_seed(0)
    cell, x = CellSupernet(3).double(), torch.randn(4, 3, 6, 6, dtype=torch.float64)
    last = 5  # the edge 2->3: the output is linear in its gates

    def output(gates):
        return cell(x, [list(row) for row in gates], plan(gates))

    for k in (SKIP, CONV1, CONV3, POOL):
        alone, source = one_hot(NONE, CONV3, NONE, NONE, NONE, k), one_hot(NONE, CONV3, NONE, NONE, NONE, SKIP)
        node = output(source)  # node 2 through a skip
        plain = {
            SKIP: lambda v: v,
            CONV1: lambda v: _normal(F.conv2d(F.relu(v), cell.conv1[last])),
            CONV3: lambda v: _normal(F.conv2d(F.relu(v), cell.conv3[last], padding=1)),
            POOL: lambda v: F.avg_pool2d(v, 3, 1, 1, count_include_pad=False),
        }[k](node)
        torch.testing.assert_close(output(alone), plain)
        full = dense()
        masked, only = full.clone(), full.clone()
        masked[last, k] = 0
        only[3:] = one_hot(NONE, NONE, k)
        torch.testing.assert_close(output(masked) + full[last, k] * output(only), output(full))


def _normal(x):
    return (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()


def test_a_constant_operation_list_has_the_space_s_order():
    assert (
        NB201().positions[0].operations == OPERATIONS == tuple(OPERATIONS[k] for k in (NONE, SKIP, CONV1, CONV3, POOL))
    )


# -- second derivatives, and a trap --------------------------------------------------------------------------------


def test_second_derivatives_in_gates_and_weights():
    net, _ = both(channels=2, classes=3)
    x, labels = images(3, 4), torch.tensor([0, 2, 1])
    kernel = net.blocks[0].conv3[5]
    name = next(n for n, p in net.named_parameters() if p is kernel)

    def loss(gates, weight):
        steps = plan(gates, ALL, probe=Run.GATED)
        return F.cross_entropy(torch.func.functional_call(net, {name: weight}, (x, gates, steps)), labels)

    inputs = (GATES["some zero"].clone().requires_grad_(), kernel.detach().clone().requires_grad_())
    assert torch.autograd.gradcheck(loss, inputs, eps=1e-6, atol=1e-5, fast_mode=True)
    assert torch.autograd.gradgradcheck(loss, inputs, eps=1e-6, atol=1e-5, fast_mode=True)
    gates, weight = inputs
    (by_weight,) = torch.autograd.grad(loss(gates, weight), weight, create_graph=True)
    v, eps = torch.randn_like(weight), 1e-6
    (mixed,) = torch.autograd.grad((by_weight * v).sum(), gates)
    sides = [torch.autograd.grad(loss(gates, weight + s * eps * v), gates)[0] for s in (1, -1)]
    torch.testing.assert_close(mixed, (sides[0] - sides[1]) / (2 * eps), rtol=1e-4, atol=1e-6)
    assert mixed.abs().max() > 1e-3


def test_gate_gradients_read_no_memory_beyond_the_gate():
    """torch's batch norm backward on the CPU takes an expanded scale for a dense one and reads past its end."""
    net, ref = both(channels=8, dtype=torch.float32)
    net = net.to(memory_format=torch.channels_last)
    x, labels = images(4, 8, torch.float32).contiguous(memory_format=torch.channels_last), torch.tensor([0, 1, 2, 3])
    gates = GATES["some zero"].float().requires_grad_()
    (expected,) = torch.autograd.grad(F.cross_entropy(ref(x, gates), labels), gates)
    for _ in range(30):
        freed = [torch.full((size,), torch.nan) for size in (1, 2, 4, 8, 16, 32, 64, 128) for _ in range(30)]
        del freed  # what is read out of bounds now is likely to be NaN
        (gradient,) = torch.autograd.grad(F.cross_entropy(net(x, gates, plan(gates, ALL)), labels), gates)
        torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-4)


# -- ones in place of what was not drawn (GDAS' own cell) --------------------------------------------------------------


def _authors(net, x, gates):
    """The logits with each edge as AutoDL-Projects has it: g_k o_k(x) of the drawn operation, plus the other gates
    themselves, numbers that are added to every entry."""
    x = net.stem_norm(F.conv2d(x, net.stem, padding=1))
    for block in net.blocks:
        if not isinstance(block, CellSupernet):
            x = block(x)
            continue
        nodes = [x]
        for node in range(1, 4):
            total = torch.zeros_like(x)
            for edge, (source, target) in enumerate(EDGES):
                drawn = int(gates[edge].argmax())
                if target == node:
                    y = nodes[source]
                    out = torch.zeros_like(y) if drawn == NONE else block.operation(edge, drawn)(y)
                    total = total + gates[edge, drawn] * out
                    total = total + sum(gates[edge, k] for k in range(5) if k != drawn)
            nodes.append(total)
        x = nodes[-1]
    return net.classifier(F.relu(net.last_norm(x)).mean((2, 3)))


@pytest.mark.parametrize("name", ["one-hot", "all none", "node 1 dead", "nodes 1 and 2 dead", "output dead"])
def test_with_ones_the_gate_gradient_is_that_of_the_authors_cell(name):
    net, labels, found = both()[0], torch.tensor([0, 3, 1]), []
    for ours in (True, False):
        x, gates = images(), GATES[name].clone().requires_grad_()
        logits = net(x, gates, plan(gates, ALL, Run.ONES)) if ours else _authors(net, x, gates)
        F.cross_entropy(logits, labels).backward()
        found.append((logits.detach(), gates.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-9)
    if name in ("one-hot", "node 1 dead"):  # else the output is constant, and the last batch norm's gradients sum to 0
        assert float(found[1][1].abs().max()) > 1e-4
