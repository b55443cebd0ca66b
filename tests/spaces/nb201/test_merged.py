"""Programs of merged convolutions against plain autograd of the same supernet, operation by operation."""

from contextlib import nullcontext

import pytest
import torch

from benchbed.layers.plan import Run, plan
from benchbed.objectives.capture import gate_gradients, weight_gradients
from benchbed.spaces.nb201 import supernet
from benchbed.spaces.nb201.space import CONV3, EDGES, NONE, POOL, SKIP
from benchbed.spaces.nb201.supernet import NB201Supernet

from .test_supernet_nb201 import ALL, GATES, images, one_hot

LABELS = torch.tensor([0, 3, 1])


class Plainly(NB201Supernet):
    """The same supernet, whose steps go through `forward`."""

    forward_once = NB201Supernet.forward


def networks(channels=3, cells=2):
    torch.manual_seed(0)
    ours = NB201Supernet(channels, cells, 4).double()
    theirs = Plainly(channels, cells, 4).double()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.fixture(autouse=True)
def _merged_here(monkeypatch):
    monkeypatch.setattr(supernet, "MERGED", {"cpu"})


def differences(step, steps, gates, layout=torch.contiguous_format, need=None):
    """The largest difference of loss and gradients, each over the largest entry of the reference's.

    need: what is asked for of a gate gradient; an objective takes nothing else of it, and none for zeros.
    """
    found = []
    for network in networks():
        inputs = (images().contiguous(memory_format=layout), LABELS, gates)
        loss, gradients = step(network.to(memory_format=layout), nullcontext, steps, inputs)
        if need is not None:
            gradients = [need * (0 if gradients[0] is None else gradients[0])]
        found.append([loss, *gradients])
    pairs = list(zip(*found, strict=True))
    for ours, theirs in pairs:  # None where nothing arrives, in both or zero: an optimiser then leaves a weight alone
        assert (ours is None) == (theirs is None)
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-3)) for a, b in pairs if b is not None)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", GATES)
def test_weight_gradients_are_those_of_autograd(name, layout):
    assert differences(weight_gradients, plan(GATES[name]), GATES[name], layout) < 1e-10


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("probe", [Run.PROBED, Run.ECHOED, Run.ONES, Run.GATED])
@pytest.mark.parametrize("name", GATES)
def test_gate_gradients_are_those_of_autograd(name, probe, layout):
    assert differences(gate_gradients, plan(GATES[name], ALL, probe), GATES[name], layout) < 1e-10


SAMPLED = torch.randint(0, 5, (60, 2, 6), generator=torch.Generator().manual_seed(0)).tolist()


@pytest.mark.parametrize(("flows", "probed"), SAMPLED)
def test_two_paths_of_which_one_flows(flows, probed):
    """ProxylessNAS' architecture step: nodes that nothing leaves, that only probes leave or reach, and so on."""
    gates = one_hot(*flows)
    need = (gates + one_hot(*probed)).bool()
    assert differences(gate_gradients, plan(gates, need, Run.PROBED), gates) < 1e-10
    assert differences(weight_gradients, plan(gates), gates) < 1e-10


def partly_decided(seed):
    """Gates between decisions: of a node's outgoing edges mostly all or none are decided, of the others some pruned."""
    draw = torch.Generator().manual_seed(seed)
    gates = 0.1 + torch.rand(6, 5, generator=draw, dtype=torch.float64)
    gates *= torch.rand(6, 5, generator=draw).argsort(1) < torch.randint(2, 6, (6, 1), generator=draw)
    sources = torch.tensor([source for source, _ in EDGES])
    decided = (torch.rand(3, generator=draw) < 0.5)[sources] ^ (torch.rand(6, generator=draw) < 0.15)
    taken = torch.tensor([SKIP, POOL, CONV3, SKIP, POOL, NONE])[torch.randint(6, (6,), generator=draw)]
    return torch.where(decided[:, None], one_hot(*taken.tolist()), gates / gates.sum(1, keepdim=True))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("seed", range(30))
def test_edges_that_are_decided_beside_edges_that_are_not(seed, layout):
    """Tuning between decisions: a bundle of taken edges and one of gated ones may lead to the same node."""
    gates = partly_decided(seed)
    undecided = (gates.max(1, keepdim=True).values < 1).expand(6, 5)
    assert differences(weight_gradients, plan(gates), gates, layout) < 1e-10
    for need in (undecided, undecided & (gates > 0)):
        if need.any():
            assert differences(gate_gradients, plan(gates, need), gates, layout, need) < 1e-10


def test_a_second_derivative_is_refused():
    """It would leave out what the gradient itself depends on; a loss that needs one goes through `forward`."""
    network, gates = networks()[0], GATES["dense"].clone().requires_grad_()
    logits = network.forward_once(images(), gates, plan(gates, ALL))
    (gradient,) = torch.autograd.grad(logits.square().sum(), gates, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.square().sum().backward()
