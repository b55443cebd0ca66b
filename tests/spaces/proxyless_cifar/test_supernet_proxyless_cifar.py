"""The supernet of trees: nested mixed operations against a sum written out, and against the discrete network."""

import pytest
import torch
from torch.nn import functional as F

from benchbed.layers.plan import Run, plan
from benchbed.spaces.proxyless_cifar.network import ProxylessCifarNetwork
from benchbed.spaces.proxyless_cifar.space import ProxylessCifar
from benchbed.spaces.proxyless_cifar.supernet import ProxylessCifarSupernet

SPACE = ProxylessCifar(preset="small", depth=3, start=4, widening=3)
P = len(SPACE.positions)
ALL = torch.ones(P, 7, dtype=torch.bool)


def supernet():
    torch.manual_seed(0)
    network = ProxylessCifarSupernet(**SPACE.sizes(0, 0), classes=3, in_channels=2).double()
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim == 1:
                weight.add_(torch.randn_like(weight) * 0.3)  # norms away from where they start
    return network


def images():
    return torch.randn(3, 2, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def gates(kind):
    dense = torch.rand(P, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).softmax(1)
    path = F.one_hot(torch.arange(P) * 3 % 7, 7).double()
    half = torch.where(torch.arange(P)[:, None] % 2 == 0, path, dense)
    dead = dense.clone()
    dead[0] = dead[7] = 0
    return {"dense": dense, "path": path, "half": half, "rows of zeros": dead}[kind]


def written_out(network, x, gates):
    """Every operation of every edge run by itself, times its gate."""

    def edge(number, y):
        operations = network.blocks[number // 12].edges[number % 12].candidates
        return torch.stack([g * op(y) for g, op in zip(gates[number], operations, strict=True)]).sum(0)

    x = network.stem(x)
    for i, block in enumerate(network.blocks):
        c, total = block.shape.channels, 0
        doubled = block.root(block.enter(x))
        for branch in (0, 1):
            part, first = doubled[:, branch * c : branch * c + c], 12 * i + 6 * branch
            node = 0
            for child in (first, first + 3):
                y = edge(child, part)
                node = node + edge(child + 1, y) + edge(child + 2, y)
            total = total + block.norms[branch](node) + part
        y = block.leave(total)
        x = F.avg_pool2d(x, 2) if i else x
        x = y + torch.cat([x, x.new_zeros(len(x), max(0, y.shape[1] - x.shape[1]), *x.shape[2:])], 1)
    return network.tail(x)


@pytest.mark.parametrize("probe", [Run.PROBED, Run.ECHOED, Run.GATED])
@pytest.mark.parametrize("kind", ["dense", "path", "half", "rows of zeros"])
def test_loss_and_all_gradients_equal_the_sum_written_out(kind, probe):
    network, labels, found = supernet(), torch.tensor([0, 2, 1]), []
    for ours in (True, False):
        network.zero_grad()
        at = gates(kind).requires_grad_()
        logits = network(images(), at, plan(at, ALL, probe)) if ours else written_out(network, images(), at)
        F.cross_entropy(logits, labels).backward()
        weights = [torch.zeros_like(w) if w.grad is None else w.grad.clone() for w in network.parameters()]
        found.append((logits.detach(), at.grad, weights))
    torch.testing.assert_close(found[0], found[1], rtol=1e-7, atol=1e-10)
    assert (found[0][1] != 0).any(1).sum() >= P - 6  # nothing flows below an edge whose row is zero


def test_at_one_hot_gates_it_is_the_discrete_network_with_its_weights():
    network, rest = supernet(), {"classes": 3, "in_channels": 2}
    arch = SPACE.parse("357dam+i35i7a-mmaaii+7d57d5-i35337+aammii")
    discrete = ProxylessCifarNetwork(arch.choices, **SPACE.sizes(0, 0), **rest).double().train()
    theirs = dict(discrete.named_parameters())
    pairs = []
    for name, weight in network.named_parameters():
        if ".candidates." not in name:
            pairs.append((theirs[name], weight))
    for i, k in enumerate(arch.choices):
        edge = discrete.blocks[i // 12].edges[i % 12]
        pairs += zip(edge.parameters(), network.candidate_weights(i, k), strict=True)
    assert len(pairs) == len(theirs)
    with torch.no_grad():
        for a, b in pairs:
            a.copy_(b)
    one_hot = torch.from_numpy(SPACE.gates(arch)).double()
    torch.testing.assert_close(network(images(), one_hot, plan(one_hot)), discrete(images()), rtol=1e-9, atol=1e-11)


def test_one_hot_gates_run_the_chosen_operations_alone():
    network = supernet()
    arch = SPACE.architecture_of(tuple((3 * i + 1) % 7 for i in range(P)))
    one_hot = torch.from_numpy(SPACE.gates(arch)).double()
    network(images(), one_hot, plan(one_hot)).sum().backward()
    for i, chosen in enumerate(arch.choices):
        for k in range(7):
            for weight in network.candidate_weights(i, k):
                assert (weight.grad is not None) == (k == chosen)


def test_second_derivatives_in_the_gates():
    network, labels = supernet(), torch.tensor([0, 2, 1])
    at, direction = gates("dense"), torch.randn(P, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(4))

    def gradient(point, create_graph=False):
        point = point.clone().requires_grad_()
        loss = F.cross_entropy(network(images(), point, plan(point, ALL, Run.GATED)), labels)
        (found,) = torch.autograd.grad(loss, point, create_graph=create_graph)
        return point, found

    point, first = gradient(at, create_graph=True)
    (second,) = torch.autograd.grad((first * direction).sum(), point)
    eps = 1e-6
    sides = [gradient(at + sign * eps * direction)[1] for sign in (1, -1)]
    torch.testing.assert_close(second, (sides[0] - sides[1]) / (2 * eps), rtol=1e-4, atol=1e-6)


def test_the_published_supernet_has_648_positions_of_seven_candidates_and_no_running_statistics():
    with torch.device("meta"):
        network = ProxylessCifarSupernet()
    assert sum(len(block.edges) for block in network.blocks) == 648
    assert all(len(edge.candidates) == 7 for block in network.blocks for edge in block.edges)
    assert not list(network.buffers())
