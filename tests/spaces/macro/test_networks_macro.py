"""The discrete NAS-Bench-Macro networks against the published counts."""

import itertools

import pytest
import torch
from torch import nn

from benchbed.errors import BenchbedError
from benchbed.spaces.macro.network import MacroNetwork
from benchbed.spaces.macro.space import Macro, flops, parameters

# of nas-bench-macro_cifar10.json: (network, parameters, FLOPs)
PUBLISHED = [("02012100", 890666, 47327744), ("11111221", 2181386, 65012224), ("00011110", 1118378, 31390208)]


@pytest.mark.parametrize(("text", "params", "macs"), PUBLISHED)
def test_the_network_has_the_published_parameters_and_flops(text, params, macs):
    with torch.device("meta"):
        network = MacroNetwork(Macro().parse(text).choices)
    assert sum(p.numel() for p in network.parameters()) == params
    assert counted(network, torch.empty(1, 3, 32, 32, device="meta")) == macs


@pytest.mark.parametrize("sizes", [(3, 2, 1, 5), (5, 7, 3, 12), (2, 10, 3, 32)])
def test_the_formulas_are_torch_s_counts_at_every_size(sizes):
    channels, classes, in_channels, size = sizes
    for choices in itertools.islice(itertools.product(range(3), repeat=8), 0, None, 613):
        chain = Macro().architecture_of(choices)
        with torch.device("meta"):
            network = MacroNetwork(choices, channels, classes, in_channels)
            images = torch.empty(1, in_channels, size, size)
        assert parameters(chain, channels, classes, in_channels) == sum(p.numel() for p in network.parameters())
        assert flops(chain, channels, classes, in_channels, size) == counted(network, images)


def counted(network: nn.Module, images: torch.Tensor) -> int:
    """Multiply-accumulates of convolutions and linear layers, seen while the network runs."""
    total = 0

    def see(module, inputs, output):
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += module.weight.numel() * output.shape[2] * output.shape[3]
        elif isinstance(module, nn.Linear):
            total += module.weight.numel()

    hooks = [m.register_forward_hook(see) for m in network.modules()]
    network.eval()(images)
    for hook in hooks:
        hook.remove()
    return total


def test_identities_of_stride_one_do_nothing():
    torch.manual_seed(0)
    one, other = (MacroNetwork(Macro().parse(text).choices, channels=2).eval() for text in ("20102000", "20120000"))
    weights = dict(zip(one.state_dict(), one.state_dict().values(), strict=True))
    renamed = {name.replace("blocks.4.", "blocks.3."): value for name, value in weights.items()}
    other.load_state_dict(renamed)
    images = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(one(images), other(images), rtol=0, atol=0)


@pytest.mark.parametrize(("choices", "sizes"), [((0,) * 7, {}), ((3, *(0,) * 7), {}), ((0,) * 8, {"channels": 0})])
def test_what_is_no_network_is_refused(choices, sizes):
    with pytest.raises(BenchbedError):
        MacroNetwork(choices, **sizes)
