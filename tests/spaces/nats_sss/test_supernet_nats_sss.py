"""The size space's supernet against the discrete network with its first channels, and against a sum written out."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchbed.layers.plan import Run, plan
from benchbed.spaces.nats_sss.network import Cell, NatsSssNetwork
from benchbed.spaces.nats_sss.space import NatsSss
from benchbed.spaces.nats_sss.supernet import CellSupernet, NatsSssSupernet, Widths

C = 3
WIDTHS = [C * k for k in range(1, 9)]
ALL = torch.ones(5, 8, dtype=torch.bool)


def supernet() -> NatsSssSupernet:
    torch.manual_seed(0)
    network = NatsSssSupernet(channels=C, classes=4).double()
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim == 1:
                weight.add_(torch.randn_like(weight) * 0.3)  # norms away from where they start
    return network


def images() -> Tensor:
    return torch.randn(3, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


class Fit(nn.Module):
    """What the identity on all channels is to a cell whose width changes: channels are cut off, or zeros follow."""

    def __init__(self, width: int):
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, : self.width], (0, 0, 0, 0, 0, max(0, self.width - x.shape[1])))


def copied(network: NatsSssSupernet, choices: tuple[int, ...]) -> NatsSssNetwork:
    """The discrete network with the first channels of the supernet's weights."""
    discrete = NatsSssNetwork(choices, channels=C, classes=4).double().train()
    pairs = [(discrete.stem, network.stem)]
    for theirs, ours, k in zip(discrete.blocks, network.blocks, choices, strict=True):
        names = (
            ("conv_01", "conv_02", "conv_12", "conv_13", "conv_23")
            if isinstance(theirs, Cell)
            else ("conv_a", "conv_b")
        )
        pairs += [(getattr(theirs, name), getattr(ours, name)) for name in names]
        if isinstance(theirs, Cell):
            theirs.skip = Fit(C * (k + 1))
        else:
            pairs.append((theirs.shortcut, ours.shortcut))
    pairs += [(discrete.last_bn, network.last_norm), (discrete.classifier, network.classifier)]
    with torch.no_grad():
        for small, large in pairs:
            for a, b in zip(small.parameters(), large.parameters(), strict=True):
                a.copy_(b[tuple(slice(n) for n in a.shape)])
    return discrete


@pytest.mark.parametrize("text", ["8:8:8:8:8", "64:64:64:64:64", "40:40:40:40:40", "8:64:16:56:24", "64:8:64:8:64"])
def test_at_one_hot_gates_it_is_the_discrete_network_with_its_first_channels(text: str) -> None:
    network, arch = supernet(), NatsSss().parse(text)
    gates = torch.from_numpy(NatsSss().gates(arch)).double()
    discrete = copied(network, arch.choices)
    torch.testing.assert_close(network(images(), gates, plan(gates)), discrete(images()), rtol=1e-9, atol=1e-11)


def written_out(network: NatsSssSupernet, x: Tensor, gates: Tensor) -> Tensor:
    """Every width of every layer by itself, times its gate, wherever the layer has a node."""

    def mixture(x: Tensor, row: Tensor) -> Tensor:
        kept = [F.pad(x[:, :width], (0, 0, 0, 0, 0, 8 * C - width)) for width in WIDTHS]
        return torch.stack([gate * each for gate, each in zip(row, kept, strict=True)]).sum(0)

    x = mixture(network.stem(x), gates[0])
    for block, row in zip(network.blocks, gates, strict=True):
        if isinstance(block, CellSupernet):
            one = F.relu(mixture(block.conv_01(F.relu(x)), row))
            two = F.relu(mixture(block.conv_02(F.relu(x)) + block.conv_12(one), row))
            x = mixture(x + block.conv_13(one) + block.conv_23(two), row)
        else:
            inner = block.conv_b(F.relu(mixture(block.conv_a(F.relu(x)), row)))
            x = mixture(inner + block.shortcut(F.avg_pool2d(x, 2)), row)
    return network.classifier(F.relu(mixture(network.last_norm(x), gates[4])).mean((2, 3)))


def mixtures() -> dict[str, Tensor]:
    dense = torch.rand(5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).softmax(1)
    some = dense.clone()
    some[0, 1] = some[2, 0] = some[4, 7] = 0
    some[3] = F.one_hot(torch.tensor(2), 8)
    return {"dense": dense, "some zero": some, "one-hot": F.one_hot(torch.tensor([7, 0, 3, 5, 2]), 8).double()}


@pytest.mark.parametrize("probe", [Run.PROBED, Run.ECHOED, Run.GATED])
@pytest.mark.parametrize("name", mixtures())
def test_loss_and_all_gradients_equal_the_sum_written_out(name: str, probe: Run) -> None:
    network, labels, found = supernet(), torch.tensor([0, 3, 1]), []
    for ours in (True, False):
        network.zero_grad()
        gates = mixtures()[name].requires_grad_()
        logits = network(images(), gates, plan(gates, ALL, probe)) if ours else written_out(network, images(), gates)
        F.cross_entropy(logits, labels).backward()
        found.append((logits.detach(), gates.grad, [w.grad.clone() for w in network.parameters()]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-8, atol=1e-10)


def test_a_channel_flows_with_the_gates_of_all_widths_above_it() -> None:
    network = supernet()
    row = torch.arange(1.0, 9.0).double()
    widths = Widths(network.masks, row.unbind(), plan(row[None])[0])
    flowing = widths(torch.ones(1, 8 * C, 2, 2).double())[0, :, 0, 0]
    wanted = [float(row[c // C :].sum()) for c in range(8 * C)]
    assert flowing.tolist() == wanted


def test_one_taken_for_ones_gets_the_whole_gradient() -> None:
    network = supernet()
    gates = mixtures()["one-hot"][0].clone().requires_grad_()
    steps = tuple((k, Run.UNIT if k == 7 else Run.ONES) for k in range(8))
    x = torch.randn(2, 8 * C, 2, 2).double()
    weight = torch.randn(2, 8 * C, 2, 2).double()
    (Widths(network.masks, gates.unbind(), steps)(x) * weight).sum().backward()
    torch.testing.assert_close(gates.grad[:7], weight.sum().expand(7))


def test_it_keeps_no_statistics_and_no_candidate_has_weights() -> None:
    network = NatsSssSupernet()
    assert "masks" not in network.state_dict()
    assert [name for name, _ in network.named_buffers()] == ["masks"]
    assert not [w for i in range(5) for k in range(8) for w in network.candidate_weights(i, k)]
