"""The discrete MBConv network: its counts against the space's formulas, its function against one written out."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from benchbed.errors import BenchbedError
from benchbed.spaces.mbconv.network import MBConvNetwork
from benchbed.spaces.mbconv.space import RELEASED, MBConv, kernel_and_expansion

SPACE = MBConv("small", resolution=13).for_images((2, 13, 13), 5)  # odd: halves are rounded
RNG = np.random.default_rng(3)
ARCHS = [SPACE.random(RNG) for _ in range(4)] + [SPACE.parse("zero-k3e3-zero-k5e6-zero-k7e3")]


def counted(network: nn.Module, images: torch.Tensor) -> int:
    """Multiply-accumulates of convolutions and linear layers in a forward pass of one image, from its own shapes."""
    total = 0

    def hook(layer, inputs, output):
        nonlocal total
        if isinstance(layer, nn.Linear):
            total += layer.in_features * layer.out_features
        else:
            total += layer.weight.numel() * output.shape[2] * output.shape[3]

    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            layer.register_forward_hook(hook)
    with torch.no_grad():
        network.eval()(images)
    return total


@pytest.mark.parametrize("arch", ARCHS, ids=str)
def test_parameters_and_macs_are_the_formulas(arch):
    network, facts = MBConvNetwork(arch.choices, SPACE.geometry, 5, 2), SPACE.facts(arch)
    assert sum(p.numel() for p in network.parameters()) == facts["params"]
    assert counted(network, torch.zeros(1, 2, 13, 13)) == facts["flops"]


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_network_has_the_published_counts_as_modules(name):
    space, arch = MBConv().resolve(name)
    network = MBConvNetwork(arch.choices, space.geometry)
    facts = space.facts(arch)  # the published ones: see the space's tests
    assert sum(p.numel() for p in network.parameters()) == facts["params"]
    if name == "proxyless-mobile":
        assert counted(network, torch.zeros(1, 3, 224, 224)) == facts["flops"]


# -- the function ------------------------------------------------------------------------------


def _norm(x, w, name):
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
    return (x - mean) / (var + 1e-3).sqrt() * w[f"{name}.weight"][:, None, None] + w[f"{name}.bias"][:, None, None]


def _layer(x, w, name, stride=1, groups=1, act=True):
    kernel = w[f"{name}.conv.weight"]
    x = _norm(F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2, groups=groups), w, f"{name}.norm")
    return x.clamp(0, 6) if act else x


def _bottleneck(x, w, name, expansion, stride):
    if expansion > 1:
        x = _layer(x, w, f"{name}.expand")
    x = _layer(x, w, f"{name}.depthwise", stride, x.shape[1])
    return _layer(x, w, f"{name}.project", act=False)


def plain(space, arch, w, x):
    """The network written out, zero blocks and all: each gives 0 and is added to its shortcut."""
    x = _layer(x, w, "stem", space.geometry.stem.stride)
    x = _bottleneck(x, w, "first", 1, 1)
    number = 0
    for block, k in zip(space.geometry.searched, arch.choices, strict=True):
        if block.operations[k] == "zero":
            x = x + 0 * x
            continue
        _, expansion = kernel_and_expansion(block.operations[k])
        name = f"blocks.{number}.operation" if block.has_shortcut else f"blocks.{number}"
        y = _bottleneck(x, w, name, expansion, block.stride)
        x, number = (x + y if block.has_shortcut else y), number + 1
    x = _layer(x, w, "head").mean((2, 3))
    return x @ w["classifier.weight"].T + w["classifier.bias"]


@pytest.mark.parametrize("arch", ARCHS, ids=str)
def test_the_function_is_the_one_written_out_and_zero_blocks_are_no_modules(arch):
    torch.manual_seed(0)
    network = MBConvNetwork(arch.choices, SPACE.geometry, 5, 2).double()
    x = torch.randn(3, 2, 13, 13, dtype=torch.float64) * 3
    expected = plain(SPACE, arch, dict(network.named_parameters()), x)
    assert torch.allclose(network(x), expected, rtol=1e-10, atol=1e-12)
    assert len(network.blocks) == SPACE.facts(arch)["depth"]


def test_batch_norm_is_the_authors():
    norms = [m for m in MBConvNetwork(ARCHS[0].choices, SPACE.geometry).modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(m.eps, m.momentum, m.track_running_stats) for m in norms} == {(1e-3, 0.1, True)}


def test_weights_start_as_the_authors_do():
    torch.manual_seed(0)
    space = MBConv()
    network = MBConvNetwork(space.parse("-".join(["k7e6"] * 21)).choices, space.geometry)
    looked = {
        "head.conv.weight": 1280,  # 1x1
        "blocks.20.depthwise.conv.weight": 49 * 192 * 6,  # k^2 times channels out, not divided by the groups
        "blocks.20.expand.conv.weight": 192 * 6,
    }
    for name, fan_out in looked.items():
        weight = network.get_parameter(name).detach()
        assert float(weight.std() * (fan_out / 2) ** 0.5) == pytest.approx(1, abs=0.02), name
    linear = network.classifier.weight.detach()
    assert float(linear.abs().max()) == pytest.approx(1280**-0.5, rel=1e-3)
    assert float(linear.std()) == pytest.approx((1280 * 3) ** -0.5, rel=1e-2)
    assert not network.classifier.bias.any()


def test_dropout_falls_on_the_features_in_training_alone():
    torch.manual_seed(0)
    network = MBConvNetwork(ARCHS[0].choices, SPACE.geometry, 5, 2, dropout=0.5).eval()
    x = torch.randn(4, 2, 13, 13)
    assert torch.equal(network(x), network(x))
    zeros = []
    network.classifier.register_forward_hook(lambda layer, inputs, output: zeros.append(inputs[0] == 0))
    network.train()(x)
    assert 0.3 < float(zeros[0].float().mean()) < 0.7


@pytest.mark.parametrize(
    ("choices", "words"),
    [((0,) * 7, "7 mbconv choices"), ((*(0,) * 3, 6, 0, 0), "choice 6 at position 3"), ((-1, *(0,) * 5), "choice -1")],
)
def test_choices_of_no_member_are_refused(choices, words):
    with pytest.raises(BenchbedError, match=words):
        MBConvNetwork(choices, SPACE.geometry)
