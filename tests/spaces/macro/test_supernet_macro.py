"""The NAS-Bench-Macro supernet against a sum written out, and against the discrete network."""

import pytest
import torch
from torch.nn import functional as F

from benchbed.layers.mixed import bound
from benchbed.layers.plan import Run, plan
from benchbed.spaces.macro.network import MacroNetwork
from benchbed.spaces.macro.space import Macro
from benchbed.spaces.macro.supernet import MacroSupernet

ALL = torch.ones(8, 3, dtype=torch.bool)


def supernet(dtype=torch.float64):
    torch.manual_seed(0)
    network = MacroSupernet(channels=2, classes=4).to(dtype)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim == 1:
                weight.add_(torch.randn_like(weight) * 0.3)  # norms away from where they start
    return network


def written_out(network, images, gates):
    """Every operation of every block run by itself, times its gate."""
    x = network.stem(images)
    for block, row in zip(network.blocks, gates, strict=True):
        x = torch.stack([gate * operation(x) for gate, operation in zip(row, block.candidates, strict=True)]).sum(0)
    return network.classifier(network.head(x).mean((2, 3)))


def images(size=12):
    return torch.randn(3, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def mixtures():
    dense = torch.rand(8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).softmax(1)
    some = dense.clone()
    some[0, 1] = some[2, 0] = some[5, 2] = 0
    some[3] = F.one_hot(torch.tensor(2), 3)
    path = F.one_hot(torch.tensor([0, 1, 2, 0, 1, 1, 0, 2]), 3).double()
    dead = dense.clone()
    dead[4] = 0
    return {"dense": dense, "some zero": some, "one-hot": path, "a row of zeros": dead}


@pytest.mark.parametrize("probe", [Run.PROBED, Run.ECHOED, Run.GATED])
@pytest.mark.parametrize("name", mixtures())
def test_loss_and_all_gradients_equal_the_sum_written_out(name, probe):
    network, labels, found = supernet(), torch.tensor([0, 3, 1]), []
    for ours in (True, False):
        network.zero_grad()
        gates = mixtures()[name].requires_grad_()
        logits = network(images(), gates, plan(gates, ALL, probe)) if ours else written_out(network, images(), gates)
        F.cross_entropy(logits, labels).backward()
        weights = [torch.zeros_like(w) if w.grad is None else w.grad.clone() for w in network.parameters()]
        found.append((logits.detach(), gates.grad, weights))
    torch.testing.assert_close(found[0], found[1], rtol=1e-8, atol=1e-10)
    assert found[0][1].abs().sum(1).min() > 0 or name == "a row of zeros"


@pytest.mark.parametrize("text", ["02012100", "11221022", "00000000", "22222222"])
def test_at_one_hot_gates_it_is_the_discrete_network_with_its_weights(text):
    network, chain = supernet(), Macro().parse(text)
    discrete = MacroNetwork(chain.choices, channels=2, classes=4).double().train()
    pairs = list(zip(discrete.stem.parameters(), network.stem.parameters(), strict=True))
    for i, k in enumerate(chain.choices):
        pairs += zip(discrete.blocks[i].parameters(), network.candidate_weights(i, k), strict=True)
    for part in ("head", "classifier"):
        pairs += zip(getattr(discrete, part).parameters(), getattr(network, part).parameters(), strict=True)
    assert len(pairs) == len(list(discrete.parameters()))
    with torch.no_grad():
        for theirs, ours in pairs:
            theirs.copy_(ours)
    gates = torch.from_numpy(Macro().gates(chain)).double()
    torch.testing.assert_close(network(images(), gates, plan(gates)), discrete(images()), rtol=1e-10, atol=1e-12)


def test_one_hot_gates_run_the_chosen_operations_alone():
    network, choices = supernet(), (0, 1, 2, 0, 1, 2, 0, 1)
    gates = torch.from_numpy(Macro().gates(Macro().architecture_of(choices))).double()
    network(images(), gates, plan(gates)).sum().backward()
    for i, chosen in enumerate(choices):
        for k in range(3):
            for weight in network.candidate_weights(i, k):
                assert (weight.grad is not None) == (k == chosen)


def test_it_keeps_no_running_statistics():
    assert not list(MacroSupernet(channels=2).buffers())


def test_an_echoed_candidate_keeps_the_weights_of_its_forward_pass():
    """Inside a virtual step the module's weights are others by the time of the backward pass (section 1.4's trap)."""
    torch.manual_seed(0)
    module, x = torch.nn.Conv2d(2, 2, 1), torch.randn(1, 2, 3, 3)
    other = {name: torch.zeros_like(w) for name, w in module.named_parameters()}
    held: list = []
    expected = module(x)
    parent = torch.nn.ModuleDict({"inner": module})

    class Holder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = parent["inner"]

        def forward(self, x):
            held.append(bound(self.inner))
            return self.inner(x)

    torch.func.functional_call(Holder(), {f"inner.{name}": w for name, w in other.items()}, (x,))
    torch.testing.assert_close(held[0](x), torch.zeros_like(x))
    torch.testing.assert_close(module(x), expected)
