"""The MBConv supernet against each operation written out and each output times its gate, in float64."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from benchbed.layers.plan import Run, plan
from benchbed.spaces.mbconv.network import MBConvNetwork
from benchbed.spaces.mbconv.space import MBConv, kernel_and_expansion
from benchbed.spaces.mbconv.supernet import MBConvSupernet, MixedBlock

# rows of six and of seven operations; a first block that may be zero
SPACE = MBConv("small", stem_width=8, stage_widths=[8, 16], stage_depths=[2, 2], stage_strides=[1, 2], head_width=8)
SEARCHED, MASK = SPACE.geometry.searched, torch.from_numpy(SPACE.mask)
ZERO = 6
CLASSES = 4


def network(dtype=torch.float64) -> MBConvSupernet:
    torch.manual_seed(0)
    net = MBConvSupernet(SPACE.geometry, CLASSES, in_channels=2).to(dtype)
    with torch.no_grad():
        for p in net.parameters():
            if p.ndim == 1:
                p.add_(torch.randn_like(p) * 0.3)  # norms away from where they start
    return net


def images(size=7, n=3, dtype=torch.float64):
    return torch.randn(n, 2, size, size, dtype=dtype, generator=torch.Generator().manual_seed(1))


def one_hot(*choices, dtype=torch.float64):
    return torch.from_numpy(SPACE.gates(SPACE.architecture_of(choices))).to(dtype)


def dense():
    gates = torch.rand(MASK.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) + 0.1
    return gates * MASK


def some_zero():
    gates = dense()
    gates[0, 2] = gates[1, 0] = gates[1, ZERO] = gates[2, 5] = 0
    gates[3] = one_hot(0, 0, 0, ZERO)[3]
    return gates


GATES = {
    "dense": dense(),
    "some zero": some_zero(),
    "one-hot": one_hot(3, 0, 4, 1),
    "zero twice": one_hot(ZERO, 2, 5, ZERO),
    "every zero": one_hot(ZERO, ZERO, 0, ZERO),
    "all zero": torch.zeros(MASK.shape, dtype=torch.float64),
}


# -- the reference ------------------------------------------------------------------------------


def _layer(x, w, name, stride=1, groups=1, act=True):
    kernel = w[f"{name}.conv.weight"]
    x = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2, groups=groups)
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
    x = (x - mean) / (var + 1e-3).sqrt() * w[f"{name}.norm.weight"][:, None, None] + w[f"{name}.norm.bias"][
        :, None, None
    ]
    return x.clamp(0, 6) if act else x


def _operation(x, w, name, expansion, stride):
    if expansion > 1:
        x = _layer(x, w, f"{name}.expand")
    x = _layer(x, w, f"{name}.depthwise", stride, x.shape[1])
    return _layer(x, w, f"{name}.project", act=False)


def written_out(w, x, gates):
    """Every operation runs, zero gives zeros, and every output is multiplied by its gate."""
    x = _operation(_layer(x, w, "stem"), w, "first", 1, 1)
    for i, block in enumerate(SEARCHED):
        total = 0
        for k, word in enumerate(block.operations):
            if word == "zero":
                o = torch.zeros_like(x)
            else:
                name = f"blocks.{i}.operations.{word}"
                o = _operation(x, w, name, kernel_and_expansion(word)[1], block.stride)
            total = total + gates[i, k] * o
        x = x + total if block.has_shortcut else total
    return _layer(x, w, "head").mean((2, 3)) @ w["classifier.weight"].T + w["classifier.bias"]


# -- all modes ------------------------------------------------------------------------------


@pytest.mark.parametrize("probe", [Run.PROBED, Run.ECHOED, Run.GATED])
@pytest.mark.parametrize("name", GATES)
def test_forward_and_all_gradients_equal_the_operations_written_out(name, probe):
    net, labels, results = network(), torch.tensor([0, 3, 1]), []
    for ours in (True, False):
        net.zero_grad()
        x, gates = images().requires_grad_(), GATES[name].clone().requires_grad_()
        logits = (
            net(x, gates, plan(gates, MASK, probe)) if ours else written_out(dict(net.named_parameters()), x, gates)
        )
        F.cross_entropy(logits, labels).backward()
        weights = {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in net.named_parameters()}
        results.append((logits.detach(), gates.grad, torch.zeros_like(x) if x.grad is None else x.grad, weights))
    (a, gate_a, image_a, weights_a), (b, gate_b, image_b, weights_b) = results
    assert torch.allclose(a, b, rtol=1e-10, atol=1e-10)
    scale = float(gate_b.abs().max())
    assert torch.allclose(gate_a, gate_b, rtol=1e-8, atol=1e-10 * (1 + scale))
    assert torch.allclose(image_a, image_b, rtol=1e-8, atol=1e-10 * (1 + float(image_b.abs().max())))
    for n, gradient in weights_a.items():
        assert torch.allclose(gradient, weights_b[n], rtol=1e-8, atol=1e-10 * (1 + float(weights_b[n].abs().max()))), n
    if name != "all zero":
        assert (gate_b[:, :ZERO] != 0).sum() >= 12  # hence not all of it is trivially equal


def _gate_gradient(net, gates, probe):
    gates = gates.clone().requires_grad_()
    F.cross_entropy(net(images(), gates, plan(gates, MASK, probe)), torch.tensor([0, 1, 2])).backward()
    return gates.grad


@pytest.mark.parametrize("probe", [Run.PROBED, Run.ECHOED])
def test_a_zero_that_flows_leaves_the_block_its_gate_gradients_and_its_own_is_zero(probe):
    """Pitfall 1 of the authors' code: with `zero` drawn the whole block's architecture gradient was dropped."""
    gradient = _gate_gradient(network(), one_hot(ZERO, 1, 0, ZERO), probe)
    assert gradient.isfinite().all()
    assert (gradient[[0, 1, 3], ZERO] == 0).all()
    assert (gradient[[0, 3], :ZERO] != 0).all()


@pytest.mark.parametrize("probe", [Run.PROBED, Run.ECHOED])
def test_leaving_the_mixed_operation_where_zero_flows_would_drop_the_gradient(monkeypatch, probe):
    """The authors' way, so that the test above is seen to notice it."""
    forward = MixedBlock.forward

    def bypassing(self, x, gates, steps):
        drawn = any(column == ZERO and float(gates[column].detach()) == 1 for column, _ in steps)
        return x if drawn else forward(self, x, gates, steps)

    expected = _gate_gradient(network(), one_hot(ZERO, 1, 0, ZERO), probe)
    monkeypatch.setattr(MixedBlock, "forward", bypassing)
    gradient = _gate_gradient(network(), one_hot(ZERO, 1, 0, ZERO), probe)
    assert (gradient[[0, 3]] == 0).all()
    assert torch.allclose(gradient[[1, 2]], expected[[1, 2]])


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("probe", [Run.PROBED, Run.ECHOED])
def test_a_mixed_block_may_stand_on_the_images_themselves(probe, frozen):
    """Pitfall 18a: the authors' memory-saving mode asked for the gradient of its input, which images do not have."""
    block, x, found = network().blocks[0].requires_grad_(not frozen), torch.randn(3, 8, 7, 7).double(), []
    for how in (probe, Run.GATED):
        gates = one_hot(2, 0, 0, 0).requires_grad_()
        out = block(x, list(gates[0].unbind()), plan(gates, MASK, how)[0])
        found.append(torch.autograd.grad(out.square().sum(), gates)[0][0])
        with pytest.raises(RuntimeError, match="does not require grad"):
            torch.autograd.grad(block(x, list(gates[0].unbind()), plan(gates, MASK, how)[0]).sum(), x)
    assert torch.allclose(*found, rtol=1e-10)
    assert (found[0][:ZERO] != 0).all()


def test_a_block_of_zero_is_the_identity():
    net, x = network(), images()
    steps = plan(one_hot(ZERO, ZERO, 0, ZERO))
    h = torch.randn(3, 8, 7, 7, dtype=torch.float64)
    assert net.blocks[0](h, [], steps[0]) is h
    # with its gradients asked for it is the same value
    gates = one_hot(ZERO, ZERO, 0, ZERO).requires_grad_()
    for probe in (Run.PROBED, Run.ECHOED, Run.GATED):
        row = list(gates[0].unbind())
        assert torch.equal(net.blocks[0](h, row, plan(gates, MASK, probe)[0]), h)
    assert not torch.equal(
        net(x, gates, plan(gates)), net(x, one_hot(0, ZERO, 0, ZERO), plan(one_hot(0, ZERO, 0, ZERO)))
    )


@pytest.mark.parametrize("probe", [Run.PROBED, Run.ECHOED])
def test_only_what_flows_has_a_weight_gradient(probe):
    net, choices = network(), (3, ZERO, 5, 1)
    for need in (None, MASK):
        net.zero_grad()
        gates = one_hot(*choices).requires_grad_()
        net(images(), gates, plan(gates, need, probe)).square().sum().backward()
        for i, block in enumerate(SEARCHED):
            for k in range(len(block.operations)):
                ran = [p.grad is not None for p in net.candidate_weights(i, k)]
                assert ran == [k == choices[i]] * len(ran), (i, k)


def test_candidate_weights_are_each_operations_own_and_all_but_the_fixed_parts():
    net = network()
    owned = [p for i, b in enumerate(SEARCHED) for k in range(len(b.operations)) for p in net.candidate_weights(i, k)]
    assert len({id(p) for p in owned}) == len(owned)
    fixed = [n for n, _ in net.named_parameters() if not n.startswith("blocks.")]
    assert len(owned) + len(fixed) == len(list(net.parameters()))
    assert list(net.candidate_weights(0, ZERO)) == []
    # an operation holds what its formula counts
    _, costs = SPACE.unit_costs("params")
    for i, b in enumerate(SEARCHED):
        for k in range(len(b.operations)):
            assert sum(p.numel() for p in net.candidate_weights(i, k)) == costs[i, k]


def test_padding_takes_no_part_even_where_it_is_asked_for():
    net, gates = network(), one_hot(0, 0, 0, 0).requires_grad_()
    everywhere = torch.ones_like(MASK)
    net(images(), gates, plan(gates, everywhere)).square().sum().backward()
    assert gates.grad is not None
    assert (gates.grad[~MASK] == 0).all()
    assert (~MASK).sum() == 1  # the block of stride 2


# -- against the discrete network ------------------------------------------------------------------------------


def shared(net: MBConvSupernet, choices: tuple[int, ...]) -> MBConvNetwork:
    """The discrete network with the supernet's weights."""
    discrete = MBConvNetwork(choices, SPACE.geometry, CLASSES, in_channels=2).double()
    weights, number = net.state_dict(), 0
    named = {n: v for n, v in weights.items() if not n.startswith("blocks.")}
    for i, (block, k) in enumerate(zip(SEARCHED, choices, strict=True)):
        if k == ZERO:
            continue
        prefix, inside = f"blocks.{i}.operations.{block.operations[k]}.", "operation." if block.has_shortcut else ""
        for n, v in weights.items():
            if n.startswith(prefix):
                named[f"blocks.{number}.{inside}{n.removeprefix(prefix)}"] = v
        number += 1
    missing, unexpected = discrete.load_state_dict(named, strict=False)
    assert not unexpected
    assert all("running" in n or "num_batches" in n for n in missing)
    return discrete


@pytest.mark.parametrize("seed", range(4))
def test_at_one_hot_gates_the_supernet_is_the_discrete_network(seed):
    net, arch = network(), SPACE.random(np.random.default_rng(seed))
    gates = torch.from_numpy(SPACE.gates(arch)).double()
    found = net(images(), gates, plan(gates))
    assert torch.allclose(found, shared(net, arch.choices).train()(images()), rtol=1e-12, atol=1e-12)
    # in any mode of the module: it knows no running statistics
    assert torch.equal(net.eval()(images(), gates, plan(gates)), found)
    assert list(net.buffers()) == []


def test_zeros_moved_within_a_stage_are_one_function():
    space = MBConv("small", stage_widths=[8, 16], stage_depths=[1, 3], stage_strides=[1, 2])
    torch.manual_seed(0)
    a, b = space.parse("k3e3-k3e3-zero-k5e6"), space.parse("k3e3-k3e3-k5e6-zero")
    assert space.canonical(a) == space.canonical(b)
    one, other = (MBConvNetwork(arch.choices, space.geometry, CLASSES, 2).double() for arch in (a, b))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(images()), other(images()))


def test_second_derivatives_are_those_of_the_operations_written_out():
    """What DARTS' second order needs: d/dw of <dL/dgates, v>."""
    net, labels, found = network(), torch.tensor([0, 3, 1]), []
    v = torch.randn(MASK.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5)) * MASK
    for ours in (True, False):
        gates = dense().requires_grad_()
        weights = dict(net.named_parameters())
        logits = net(images(), gates, plan(gates, MASK, Run.GATED)) if ours else written_out(weights, images(), gates)
        (first,) = torch.autograd.grad(F.cross_entropy(logits, labels), gates, create_graph=True)
        found.append(torch.autograd.grad((first * v).sum(), [weights["stem.conv.weight"], weights["head.conv.weight"]]))
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, rtol=1e-7, atol=1e-10 * (1 + float(b.abs().max())))
