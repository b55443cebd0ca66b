"""The discrete trees: counts against torch's, the forward pass against one written out, DropPath."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchbed.errors import BenchbedError
from benchbed.spaces.proxyless_cifar.network import ProxylessCifarNetwork
from benchbed.spaces.proxyless_cifar.space import ProxylessCifar
from benchbed.task import Seal, Split, Task
from benchbed.training.cell import training_of
from benchbed.training.train import Recipe


def built(space: ProxylessCifar, text: str, **sizes) -> ProxylessCifarNetwork:
    return ProxylessCifarNetwork(space.parse(text).choices, **space.sizes(0, 0), **sizes)


def counted(space: ProxylessCifar, choices, classes: int) -> tuple[int, int]:
    """Parameters of the network, and multiply-accumulates of its convolutions and its linear layer, both by torch."""
    seen = []

    def see(module, inputs, output):
        if isinstance(module, nn.Conv2d):
            seen.append(module.weight.numel() * output.shape[2] * output.shape[3])
        elif isinstance(module, nn.Linear):
            seen.append(module.weight.numel())

    with torch.device("meta"):
        sizes = space.sizes(0, 0)
        network = ProxylessCifarNetwork(choices, **sizes, classes=classes, in_channels=space.images[0]).eval()
        for module in network.modules():
            module.register_forward_hook(see)
        network(torch.empty(1, *space.images))
    return sum(p.numel() for p in network.parameters()), sum(seen)


@pytest.mark.parametrize(
    ("options", "size", "in_channels"),
    [({}, 32, 3), ({"preset": "small"}, 12, 1), ({"preset": "small", "depth": 4, "blocks": 2}, 13, 3)],
)
def test_the_formulas_are_torch_s_counts(options, size, in_channels):
    space = ProxylessCifar(**options).for_images((in_channels, size, size), 7)
    arch = space.random(np.random.default_rng(0))
    assert (space.parameters(arch), space.flops(arch)) == counted(space, arch.choices, 7)


def test_the_released_network_is_built_with_the_published_counts():
    space = ProxylessCifar()
    parameters, flops = counted(space, space.parse("proxyless-g").choices, 10)
    assert round(parameters / 1e6, 2) == 5.73
    assert round(flops / 1e6, 1) == 1213.2


def _written_out(network, x, choices):
    """A network of depth 3 by section 4.2 of the description, edge by edge, in evaluation."""

    def bn(x, norm):
        return (x - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + norm.eps).sqrt() * (
            norm.weight[:, None, None]
        ) + norm.bias[:, None, None]

    def operation(k, x, module):
        if k == 0:
            return x
        if k == 5:
            return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        if k == 6:
            return F.max_pool2d(x, 3, 1, 1)
        size, dilation = {1: (3, 1), 2: (5, 1), 3: (7, 1), 4: (3, 2)}[k]
        x = F.relu(bn(x, module[0]))
        depthwise = F.conv2d(
            x, module[2].weight, padding=dilation * (size - 1) // 2, dilation=dilation, groups=x.shape[1]
        )
        return F.conv2d(depthwise, module[3].weight)

    x = bn(F.conv2d(x, network.stem[0].weight, padding=1), network.stem[1])
    for number, block in enumerate(network.blocks):
        stride = 2 if number in (1, 2) else 1
        own, inner = choices[12 * number : 12 * number + 12], F.conv2d(bn(x, block.enter[0]), block.enter[1].weight)
        c = inner.shape[1]
        doubled = F.conv2d(F.relu(bn(inner, block.root[0])), block.root[2].weight, stride=stride, padding=1, groups=2)
        # the shuffle: channel 2 i + g is channel i of group g
        shuffled = torch.stack([doubled[:, :c], doubled[:, c:]], 2).flatten(1, 2)
        total = 0
        for branch in (0, 1):
            part = shuffled[:, branch * c : branch * c + c]
            node = 0
            for child in (0, 1):
                e = 6 * branch + 3 * child
                y = operation(own[e], part, block.edges[e])
                node = (
                    node + operation(own[e + 1], y, block.edges[e + 1]) + operation(own[e + 2], y, block.edges[e + 2])
                )
            total = total + bn(node, block.norms[branch]) + part
        y = bn(F.conv2d(F.relu(bn(total, block.leave[0])), block.leave[2].weight), block.leave[3])
        if stride == 2:
            x = F.avg_pool2d(x, 2)
        x = y + torch.cat([x, x.new_zeros(len(x), y.shape[1] - x.shape[1], *x.shape[2:])], 1)
    return network.tail.classifier(F.relu(bn(x, network.tail.norm)).mean((2, 3)))


@pytest.mark.parametrize(
    "text", ["357dam+i35i7a-mmaaii+7d57d5-i35337+aammii", "iiiiii+iiiiii-355555+d33333-amamam+777i7i"]
)
def test_the_forward_pass_is_the_described_one(text):
    torch.manual_seed(0)
    space = ProxylessCifar(preset="small", depth=3, bottleneck=4)
    network = built(space, text, in_channels=3).double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight, module.bias, module.running_mean):
                values.data.add_(torch.randn_like(values) * 0.3)
            module.running_var.uniform_(0.5, 2)
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(network.eval()(images), _written_out(network, images, space.parse(text).choices))


def test_choices_that_do_not_fit_are_refused():
    with pytest.raises(BenchbedError, match="5 choices name no network of 3 trees: 4 numbers from 0 to 6 each"):
        ProxylessCifarNetwork((0,) * 5, **ProxylessCifar(preset="small").sizes(0, 0))


# -- DropPath ----------------------------------------------------------------------------------------------------------

TEXT = "35+7d-am+ii-35+77"


def dropping(rate):
    torch.manual_seed(3)
    return built(ProxylessCifar(preset="small", drop_path=rate), TEXT, in_channels=1)


def test_drop_path_leaves_out_paths_in_training_at_its_rate():
    network, x = dropping(0.3), torch.ones(1, 2, 3, 3)
    kept = []
    for _ in range(400):
        path = network.drop.begin()
        kept += [float(path(x, lambda: x + 1).mean()) for _ in range(5)]
    dropped = np.mean([value == 0 for value in kept])
    assert set(kept) == {0.0, 2.0}
    assert abs(dropped - 0.3) < 4 * (0.3 * 0.7 / 2000) ** 0.5


def test_drop_path_scales_in_evaluation():
    network, x = dropping(0.25).eval(), torch.ones(1, 2, 3, 3)
    torch.testing.assert_close(network.drop.begin()(x, lambda: 2 * x), 1.5 * x)
    images = torch.randn(2, 1, 12, 12)
    torch.testing.assert_close(network(images), network(images), rtol=0, atol=0)


def test_drop_path_goes_on_where_it_was_saved():
    images = torch.randn(4, 1, 12, 12)
    one = dropping(0.5)
    one(images)
    saved = {name: value.clone() for name, value in one.state_dict().items()}
    expected = [one(images) for _ in range(4)]
    torch.manual_seed(99)
    other = built(ProxylessCifar(preset="small", drop_path=0.5), TEXT, in_channels=1)
    other.load_state_dict(saved)
    found = [other(images) for _ in range(4)]
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert any((a - expected[0]).abs().max() > 1e-3 for a in expected[1:])


def test_a_training_with_drop_path_resumes_bit_for_bit():
    images, labels = torch.randn(32, 1, 8, 8), torch.arange(32) % 3
    split = Split(images, labels)
    task = Task("random", 3, (1, 8, 8), split, split, Seal(lambda: split), "0")
    space = ProxylessCifar(preset="small", start=4, widening=3, drop_path=0.4)

    def training():
        recipe = Recipe(epochs=3, batch=16, lr=0.1)
        return training_of(space, task, recipe, space.parse(TEXT), channels=1, cells=1, seed=5)

    one, other = training(), training()
    losses = [one.epoch()["loss"] for _ in range(3)]
    first = training()
    first.epoch()
    other.load_state(first.state())
    assert [other.epoch()["loss"] for _ in range(2)] == losses[1:]


def test_without_drop_path_nothing_is_dropped_and_nothing_is_saved_of_it():
    network = dropping(0)
    assert network.drop is None
    assert not [name for name in network.state_dict() if "drop" in name]
