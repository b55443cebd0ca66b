"""The networks of NATS-Bench's size space against the formulas, and against the cell written out.

On eight architectures, extremes among them, the logits are those of the official `DynamicShapeTinyNet` (AutoDL-Projects
at f46486e) with the same weights, to the last bit in float64; that was run once, since its code is not here.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from benchbed.errors import BenchbedError
from benchbed.spaces.nats_sss.network import Cell, NatsSssNetwork
from benchbed.spaces.nats_sss.space import NatsSss, flops, parameters


@pytest.mark.parametrize("sizes", [(8, 10, 3, 32), (8, 120, 3, 16), (3, 7, 1, 8)])
@pytest.mark.parametrize("text", ["8:8:8:8:8", "64:64:64:64:64", "8:64:8:64:8", "64:56:48:40:32"])
def test_the_formulas_are_torch_s_counts(text: str, sizes: tuple[int, int, int, int]) -> None:
    channels, classes, in_channels, size = sizes
    arch, seen = NatsSss().parse(text), []
    with torch.device("meta"):
        network = NatsSssNetwork(arch.choices, channels, classes, in_channels).eval()
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(lambda m, x, y: seen.append(m.weight.numel() * y.shape[2] * y.shape[3]))
        network(torch.empty(1, in_channels, size, size))
    assert parameters(arch, channels, classes, in_channels) == sum(p.numel() for p in network.parameters())
    assert flops(arch, channels, classes, in_channels, size) == sum(seen) + network.classifier.weight.numel() + classes


@pytest.mark.parametrize(("before", "width"), [(8, 8), (8, 16), (16, 8)])
def test_a_cell_is_the_string_written_out(before: int, width: int) -> None:
    """|conv~0|+|conv~0|conv~1|+|skip~0|conv~1|conv~2|; the skip connection is a convolution where the width changes."""
    torch.manual_seed(0)
    cell, x = Cell(before, width).double(), torch.randn(2, before, 5, 5).double()
    assert isinstance(cell.skip, nn.Identity) == (before == width)
    one = cell.conv_01(F.relu(x))
    two = cell.conv_02(F.relu(x)) + cell.conv_12(F.relu(one))
    wanted = cell.skip(x) + cell.conv_13(F.relu(one)) + cell.conv_23(F.relu(two))
    torch.testing.assert_close(cell(x), wanted, rtol=1e-12, atol=1e-12)


def test_images_of_an_odd_size_are_rounded_up() -> None:
    assert NatsSssNetwork((0, 1, 2, 3, 4))(torch.randn(2, 3, 9, 7)).shape == (2, 10)


@pytest.mark.parametrize(
    ("choices", "sizes"),
    [((0,) * 4, {}), ((8, 0, 0, 0, 0), {}), ((0,) * 5, {"classes": 0}), ((0,) * 5, {"channels": 0})],
)
def test_what_is_no_network_is_refused(choices: tuple[int, ...], sizes: dict[str, int]) -> None:
    with pytest.raises(BenchbedError):
        NatsSssNetwork(choices, **sizes)
