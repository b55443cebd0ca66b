"""The DARTS supernet against a sum written out, against the discrete network, and against the published counts."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from benchbed.errors import BenchbedError
from benchbed.layers.plan import Run, plan
from benchbed.spaces.darts.network import DartsNetwork
from benchbed.spaces.darts.space import EDGES, Darts
from benchbed.spaces.darts.space_s1 import DartsS1
from benchbed.spaces.darts.space_s2 import DartsS2
from benchbed.spaces.darts.space_s3 import DartsS3
from benchbed.spaces.darts.space_s4 import DartsS4
from benchbed.spaces.darts.space_s5 import DartsS5
from benchbed.spaces.darts.supernet import DartsSupernet

SPACE = Darts()


def supernet(space=SPACE, dtype=torch.float64, channels=2, cells=3):
    torch.manual_seed(0)
    network = DartsSupernet(**space.sizes(channels, cells), classes=4).to(dtype)
    if network.draws:
        network.noise = torch.Generator().manual_seed(3)
    return network


def normalised(x):
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
    return (x - mean) / (var + 1e-5).sqrt()


def operation(name, x, weights, stride):
    """Section 1.1, one operation by itself. weights: its convolutions' kernels in the order in which they run."""
    if name == "skip_connect":
        if stride == 1:
            return x
        x = F.relu(x)
        halves = F.conv2d(x, weights[0], stride=2), F.conv2d(x[:, :, 1:, 1:], weights[1], stride=2)
        return normalised(torch.cat(halves, 1))
    if name == "max_pool_3x3":
        return normalised(F.max_pool2d(x, 3, stride, 1))
    if name == "avg_pool_3x3":
        return normalised(F.avg_pool2d(x, 3, stride, 1, count_include_pad=False))
    kernel = int(name[-1])
    if name.startswith("dil"):
        x = F.conv2d(F.relu(x), weights[0], None, stride, kernel - 1, 2, x.shape[1])
        return normalised(F.conv2d(x, weights[1]))
    for i in (0, 2):
        step = stride if i == 0 else 1
        x = F.conv2d(F.relu(x), weights[i], None, step, kernel // 2, 1, x.shape[1])
        x = normalised(F.conv2d(x, weights[i + 1]))
    return x


def written_out(network, images, gates):
    """Every operation of every edge of every cell by itself, times its gate."""
    before = previous = network.stem[0](images)
    for number, cell in enumerate(network.cells):
        reduction = number in (1, 2)  # of three cells
        rows = gates[14:] if reduction else gates[:14]
        states = [cell.preprocessing[0](before), cell.preprocessing[1](previous)]
        for node in range(2, 6):
            total = 0
            for edge, (source, target) in enumerate(EDGES):
                if target == node:
                    stride = 2 if reduction and source < 2 else 1
                    for k, name in enumerate(cell.operations[edge]):
                        if name != "none":
                            module = cell.module(edge, name)
                            weights = [] if module is None else module.weights()
                            total = total + rows[edge, k] * operation(name, states[source], weights, stride)
            states.append(total)
        before, previous = previous, torch.cat(states[2:], 1)
    return network.classifier(previous.mean((2, 3)))


def images(size=8):
    return torch.randn(3, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def mixtures(space):
    mask = torch.from_numpy(space.mask)
    dense = torch.rand(mask.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).softmax(1)
    some = dense.clone()
    some[0, 1] = some[2, 0] = some[5] = some[20, 1] = 0
    some[3] = F.one_hot(torch.tensor(1), mask.shape[1])
    member = torch.from_numpy(space.gates(space.random(np.random.default_rng(1)))).double()
    return {"dense": dense, "some zero": some, "a member": member}


@pytest.mark.parametrize("probe", [Run.PROBED, Run.ECHOED, Run.GATED])
@pytest.mark.parametrize("name", ["dense", "some zero", "a member"])
@pytest.mark.parametrize("space", [Darts(), DartsS1()], ids=["darts", "s1"])
def test_loss_and_all_gradients_equal_the_sum_written_out(space, name, probe):
    network, labels, found = supernet(space), torch.tensor([0, 3, 1]), []
    everything = torch.from_numpy(space.mask)
    for ours in (True, False):
        network.zero_grad()
        gates = mixtures(space)[name].requires_grad_()
        if ours:
            logits = network(images(), gates, plan(gates, everything, probe))
        else:
            logits = written_out(network, images(), gates)
        F.cross_entropy(logits, labels).backward()
        weights = [torch.zeros_like(w) if w.grad is None else w.grad.clone() for w in network.parameters()]
        found.append((logits.detach(), gates.grad, weights))
    torch.testing.assert_close(found[0], found[1], rtol=1e-7, atol=1e-9)
    assert (found[0][1] != 0).any(1).sum() > 20


def test_the_loss_can_be_differentiated_twice():
    network, labels = supernet(DartsS5()), torch.tensor([0, 3, 1])
    gates = mixtures(DartsS5())["dense"].requires_grad_()
    direction = torch.randn(gates.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    everything = torch.from_numpy(DartsS5().mask)

    def slope(at):
        loss = F.cross_entropy(network(images(), at, plan(at, everything, Run.GATED)), labels)
        return torch.autograd.grad(loss, at, create_graph=True)[0]

    (twice,) = torch.autograd.grad((slope(gates) * direction).sum(), gates)
    eps = 1e-7  # below the distance to the nearest kink of a ReLU or a pooling
    ahead, behind = (slope((gates + s * eps * direction).detach().requires_grad_()) for s in (1, -1))
    torch.testing.assert_close(twice, ((ahead - behind) / (2 * eps)).detach(), rtol=1e-6, atol=1e-6)


def pairs_with(network, discrete, arch):
    """(parameter of the discrete network, weight of the supernet) of all that a member's network holds."""
    pairs = list(zip(discrete.stem.parameters(), network.stem.parameters(), strict=True))
    pairs += zip(discrete.classifier.parameters(), network.classifier.parameters(), strict=True)
    for ours, cell in zip(network.cells, discrete.cells, strict=True):
        kernels = [w for w in cell.preprocessing.parameters() if w.ndim == 4]
        pairs += zip(kernels, ours.preprocessing.parameters(), strict=True)
        offset = 14 * ours.shape.reduction
        for edge, (source, node) in enumerate(EDGES):
            k = arch.choices[offset + edge]
            if k >= 0 and (module := ours.module(edge, ours.operations[edge][k])) is not None:
                kernels = [w for w in cell.edges[f"{source}->{node}"].parameters() if w.ndim == 4]
                pairs += zip(kernels, module.weights(), strict=True)
    return pairs


@pytest.mark.parametrize(("space", "name"), [(DartsS2(), "darts_pt_s2_1"), (DartsS3(), "darts_pt_s3_1")])
def test_at_one_hot_gates_it_is_the_discrete_network_with_its_weights(space, name):
    """For cells without pooling, which has a batch norm in the supernet alone."""
    network, arch = supernet(space), space.resolve(name)[1]
    discrete = DartsNetwork(arch.choices, **space.sizes(2, 3), classes=4).double().train()
    pairs = pairs_with(network, discrete, arch)
    kernels = [w for w in discrete.parameters() if w.ndim == 4]
    assert len([p for p, _ in pairs if p.ndim == 4]) == len(kernels)
    with torch.no_grad():
        for theirs, ours in pairs:
            theirs.copy_(ours)
    gates = torch.from_numpy(space.gates(arch)).double()
    torch.testing.assert_close(network(images(), gates, plan(gates)), discrete(images()), rtol=1e-9, atol=1e-11)


def test_a_member_runs_its_own_operations_alone():
    network, arch = supernet(), SPACE.resolve("DARTS_V2")[1]
    gates = torch.from_numpy(SPACE.gates(arch)).double()
    network(images(), gates, plan(gates)).sum().backward()
    for i, chosen in enumerate(arch.choices):
        for k in range(8):
            for weight in network.candidate_weights(i, k):
                assert (weight.grad is not None) == (k == chosen)


def test_every_candidate_weight_belongs_to_one_operation_of_one_position():
    network = supernet()
    owned = [w for i in range(28) for k in range(8) for w in network.candidate_weights(i, k)]
    assert len({id(w) for w in owned}) == len(owned)
    assert len(owned) == sum(1 for cell in network.cells for _ in cell.edges.parameters())


@pytest.mark.parametrize(
    ("space", "count"),
    [
        (Darts, 1_930_618), (DartsS1, 405_146), (DartsS2, 665_466), (DartsS3, 665_466), (DartsS4, 624_506),
        (DartsS5, 1_930_618),
    ],
)  # fmt: skip
def test_parameters_are_the_published_ones(space, count):
    assert sum(w.numel() for w in DartsSupernet(**space().sizes(16, 8)).parameters()) == count


def test_parameters_on_cifar100_are_the_published_ones():
    assert sum(w.numel() for w in DartsSupernet(**SPACE.sizes(16, 8), classes=100).parameters()) == 1_953_748


def test_it_keeps_no_running_statistics():
    assert not list(supernet().buffers())


@pytest.mark.parametrize(("height", "width"), [(5, 7), (8, 8), (9, 6), (1, 1)])
def test_every_size_of_image_goes_through(height, width):
    network, arch = supernet(dtype=torch.float32), SPACE.resolve("DARTS_V1")[1]
    x = torch.randn(4, 3, height, width)
    gates = torch.from_numpy(SPACE.mask) / 8.0
    assert network(x, gates, plan(gates)).isfinite().all()
    assert DartsNetwork(arch.choices, channels=2, cells=3, classes=4)(x).shape == (4, 4)


def test_the_imagenet_stem_divides_the_size_by_eight():
    network = DartsSupernet(**Darts(stem="imagenet").sizes(4, 3), classes=4)
    gates, seen = torch.from_numpy(SPACE.mask) / 8.0, []
    network.cells[0].preprocessing[1].register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    assert network(torch.randn(2, 3, 64, 64), gates, plan(gates)).shape == (2, 4)
    assert seen == [(2, 4, 8, 8)]


def test_fewer_cells_than_three_are_refused():
    with pytest.raises(BenchbedError, match="cells of 2: a DARTS network needs at least 3, so that both kinds of cell"):
        DartsSupernet(cells=2)


# -- oracles 8 and 22 ------------------------------------------------------------------------------------------------


def test_removing_an_operation_and_adding_it_back_gives_the_whole_edge():
    """Oracle 8, on an edge into a reduction cell's last node, which no other node follows."""
    network, gates = supernet(), mixtures(SPACE)["dense"]
    position, column = 14 + 13, 6
    masked, alone = gates.clone(), torch.zeros_like(gates)
    masked[position, column] = 0
    alone[:14], alone[14:27], alone[position, column] = gates[:14], gates[14:27], gates[position, column]
    bare = alone.clone()
    bare[position] = 0
    with torch.no_grad():
        before = network.stem[0](images())
        inputs = (before, network.cells[0](before, before, _scalars(gates[:14]), plan(gates)[:14], 0))
        outputs = [network.cells[1](*inputs, _scalars(g[14:]), plan(g)[14:], 0) for g in (gates, masked, alone, bare)]
    whole, without, only, none = (x[:, -4:] for x in outputs)  # node 5
    torch.testing.assert_close(without + (only - none), whole, rtol=1e-9, atol=1e-11)
    assert not torch.allclose(without, whole)


def _scalars(gates):
    return [list(row.unbind()) for row in gates.unbind()]


def test_swapping_edges_with_equal_weights_changes_nothing_and_twice_is_the_identity():
    """Oracle 22, on two edges from the same source: 0->2 and 0->3 with each other's weights."""
    network, gates = supernet(DartsS2()), torch.full((28, 2), 0.5, dtype=torch.float64)

    def logits():
        return network(images(), gates, plan(gates)).detach()

    def swap():
        for cell in network.cells:
            cell.edges[0], cell.edges[2] = cell.edges[2], cell.edges[0]

    start = logits()
    swap()
    assert not torch.allclose(logits(), start)
    swap()
    torch.testing.assert_close(logits(), start, rtol=0, atol=0)
    for cell in network.cells:
        cell.edges[2].load_state_dict(cell.edges[0].state_dict())
    start = logits()
    swap()
    torch.testing.assert_close(logits(), start, rtol=0, atol=0)


# -- noise (S4, pitfall 19) ------------------------------------------------------------------------------------------


def noisy(gates):
    network = supernet(DartsS4())
    state = network.noise.get_state()
    logits = network(images(), gates, plan(gates)).detach()
    return network, logits, torch.equal(state, network.noise.get_state())


def test_noise_whose_gate_is_zero_draws_nothing():
    gates = torch.zeros(28, 2, dtype=torch.float64)
    gates[:, 1] = 1.0
    network, first, untouched = noisy(gates)
    assert untouched
    torch.testing.assert_close(network(images(), gates, plan(gates)), first, rtol=0, atol=0)


def test_noise_that_flows_is_drawn_anew_from_its_own_generator_alone():
    gates = torch.full((28, 2), 0.5, dtype=torch.float64)
    network, first, untouched = noisy(gates)
    assert not untouched
    dice = torch.get_rng_state()
    assert not torch.allclose(network(images(), gates, plan(gates)), first)
    network.noise.manual_seed(3)
    torch.testing.assert_close(network(images(), gates, plan(gates)), first, rtol=0, atol=0)
    assert torch.equal(dice, torch.get_rng_state())


def test_all_noise_is_standard_normal_of_the_edges_shape_and_ignores_the_images():
    network, seen = supernet(DartsS4(), channels=8), []
    gates = torch.zeros(28, 2, dtype=torch.float64)
    gates[:, 0] = 1.0
    for cell in network.cells:
        cell.register_forward_hook(lambda module, inputs, output: seen.append(output.detach()))
    outputs = []
    for factor in (1.0, 5.0):
        network.noise.manual_seed(3)
        outputs.append(network(factor * images(16), gates, plan(gates)).detach())
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=0)
    assert [x.shape[2:] for x in seen[:3]] == [(16, 16), (8, 8), (4, 4)]
    last = seen[0][:, -8:]  # node 5: the sum of five edges
    assert abs(float(last.mean())) < 5 * (5 / last.numel()) ** 0.5
    assert abs(float(last.var()) - 5) < 5 * 5 * (2 / last.numel()) ** 0.5


def test_an_edge_of_zero_gates_gives_a_tensor_of_the_right_shape():
    """Pitfall 19: a node without any input is zeros, not the number 0."""
    gates = torch.from_numpy(SPACE.gates(SPACE.resolve("DARTS_V2")[1])).double()
    gates[9:14] = 0  # node 5 of the normal cell
    network, seen = supernet(), []
    network.cells[0].register_forward_hook(lambda module, inputs, output: seen.append(output))
    network(images(), gates, plan(gates))
    assert seen[0].shape == (3, 8, 8, 8)
    assert not seen[0][:, -2:].any()
    assert seen[0].dtype == torch.float64


def test_ones_leaves_the_loss_and_gives_all_other_gates_of_a_node_s_edges_the_same_gradient():
    """They stand for the same sum: that of the gradient of the node that the edges lead to."""
    space = Darts()
    network, gates = supernet(space), mixtures(space)["a member"].requires_grad_()
    everything = torch.from_numpy(space.mask)
    loss = F.cross_entropy(network(images(), gates, plan(gates, everything, Run.ONES)), torch.tensor([0, 3, 1]))
    (found,) = torch.autograd.grad(loss, gates)
    alone = F.cross_entropy(network(images(), gates.detach(), plan(gates)), torch.tensor([0, 3, 1]))
    torch.testing.assert_close(loss, alone)
    closed, whole = gates == 0, mixtures(space)["a member"]
    for node in space.nodes:
        rows = list(node.incoming)
        sums = found[rows][closed[rows]]
        torch.testing.assert_close(sums, sums[:1].expand_as(sums))
        assert float(sums[0].abs()) > 1e-9
        assert whole[rows].sum() == node.keep
