"""The discrete network against the benchmark's published counts and a plain op-by-op computation."""

import pytest
import torch
import torch.nn.functional as F

from benchbed.errors import BenchbedError
from benchbed.spaces.nb201.network import NB201Network

ARCH_0 = (4, 2, 1, 2, 1, 1)
ARCH_11 = (3, 3, 4, 0, 3, 4)
ARCH_284 = (1, 1, 1, 0, 2, 0)
ALL_CONV3 = (3,) * 6

# Recorded by the benchmark: (choices, classes, parameters).
PUBLISHED = [
    (ARCH_0, 10, 129306),
    (ARCH_0, 100, 135156),
    (ARCH_0, 120, 136456),
    (ARCH_11, 10, 802426),
    (ARCH_11, 100, 808276),
    (ARCH_11, 120, 809576),
    (ARCH_284, 10, 101306),
    (ARCH_284, 100, 107156),
    (ARCH_284, 120, 108456),
    ((1,) * 6, 10, 73306),
    (ALL_CONV3, 10, 1531546),
    ((0,) * 6, 10, 73306),
    ((4,) * 6, 10, 73306),
    ((3, 3, 3, 1, 3, 3), 10, 1288506),
    ((3, 2, 3, 1, 2, 3), 10, 858426),
]


@pytest.mark.parametrize(("choices", "classes", "published"), PUBLISHED)
def test_parameters_are_the_published_count(choices, classes, published):
    network = NB201Network(choices, classes=classes)
    assert sum(p.numel() for p in network.parameters()) == published


def _bn(x, params, name, training):
    stats = (None, None) if training else (params[f"{name}.running_mean"], params[f"{name}.running_var"])
    return F.batch_norm(x, *stats, params[f"{name}.weight"], params[f"{name}.bias"], training, eps=1e-5)


def _conv_bn(x, params, name, training, stride=1):
    weight = params[f"{name}.0.weight"]
    return _bn(F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2), params, f"{name}.1", training)


def _plain(choices, params, x, cells, training):
    """Every edge run, also the useless ones, with the operations written out: none is x * 0."""
    x = _conv_bn(x, params, "stem", training)
    block = 0
    for stage in range(3):
        for _ in range(cells):
            nodes, edge = [x], 0
            for node in (1, 2, 3):
                total = torch.zeros_like(x)
                for source in range(node):
                    h, op = nodes[source], choices[edge]
                    name = f"blocks.{block}.edges.{node}<-{source}"
                    if op == 1:
                        total = total + h
                    elif op in (2, 3):
                        total = total + _conv_bn(h.clamp(min=0), params, name, training)
                    elif op == 4:
                        ones = torch.ones_like(h)
                        kernel = torch.ones(h.shape[1], 1, 3, 3, dtype=h.dtype)
                        window = {"padding": 1, "groups": h.shape[1]}
                        total = total + F.conv2d(h, kernel, **window) / F.conv2d(ones, kernel, **window)
                    edge += 1
                nodes.append(total)
            x, block = nodes[3], block + 1
        if stage < 2:
            name = f"blocks.{block}"
            h = _conv_bn(x.clamp(min=0), params, f"{name}.conv_a", training, stride=2)
            h = _conv_bn(h.clamp(min=0), params, f"{name}.conv_b", training)
            quarter = x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).mean((3, 5))
            x, block = h + F.conv2d(quarter, params[f"{name}.shortcut.weight"]), block + 1
    x = _bn(x, params, "last_bn", training).clamp(min=0).mean((2, 3))
    return x @ params["classifier.weight"].T + params["classifier.bias"]


def _randomised(choices, cells=1):
    torch.manual_seed(3)
    network = NB201Network(choices, channels=4, cells=cells, classes=7, in_channels=2).double()
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2.0)
            elif value.dtype.is_floating_point and value.ndim == 1:
                value.normal_(1.0, 0.5)
    return network


# Dead node 1 and 2 (a convolution of zero still gives its bias), a dead output, and parts that reach no output.
CELLS = [ARCH_0, ARCH_11, ARCH_284, ALL_CONV3, (0,) * 6, (1,) * 6, (4,) * 6]
CELLS += [(0, 0, 3, 2, 4, 1), (0, 1, 1, 0, 3, 4), (0, 0, 0, 0, 2, 3), (3, 2, 1, 3, 0, 0), (2, 3, 4, 0, 0, 0)]


@pytest.mark.parametrize("choices", CELLS, ids=str)
@pytest.mark.parametrize("training", [True, False])
def test_forward_equals_the_operations_written_out(choices, training):
    network = _randomised(choices, cells=2).train(training)
    params = dict(network.state_dict())
    x = torch.randn(3, 2, 8, 12, dtype=torch.float64)
    expected = _plain(choices, {k: v.clone() for k, v in params.items()}, x, 2, training)
    assert torch.allclose(network(x), expected, rtol=1e-9, atol=1e-9)


def test_gradient_equals_that_of_the_operations_written_out():
    network = _randomised((3, 2, 1, 4, 3, 2)).train()
    x = torch.randn(5, 2, 8, 8, dtype=torch.float64)
    params = {k: v.clone().requires_grad_(v.dtype.is_floating_point) for k, v in network.state_dict().items()}
    _plain((3, 2, 1, 4, 3, 2), params, x, 1, True).square().sum().backward()
    network(x).square().sum().backward()
    for name, p in network.named_parameters():
        assert torch.allclose(p.grad, params[name].grad, rtol=1e-7, atol=1e-9), name


def test_edges_that_reach_no_output_are_not_run():
    network = NB201Network((3, 3, 3, 3, 0, 0), channels=4, cells=1)
    network(torch.randn(2, 3, 8, 8)).sum().backward()
    ran = {name.split(".")[3] for name, p in network.named_parameters() if "edges" in name and p.grad is not None}
    assert ran == {"3<-0"}


@pytest.mark.parametrize("size", [(4, 4), (7, 9), (5, 12)])
def test_odd_sizes_work(size):
    assert NB201Network(ARCH_0, channels=2, cells=1)(torch.randn(2, 3, *size)).shape == (2, 10)


@pytest.mark.parametrize("choices", [(1,) * 5, (1, 1, 1, 1, 1, 5), (1, 1, 1, 1, 1, -1)])
def test_choices_that_name_no_cell_are_refused(choices):
    with pytest.raises(BenchbedError, match="six numbers from 0 to 4"):
        NB201Network(choices)


def test_a_size_of_zero_is_refused():
    with pytest.raises(BenchbedError, match="cells of 0"):
        NB201Network(ARCH_0, cells=0)
