"""The mixed operation: same value, same gate gradients, whatever is kept; and what is kept is what it says.

proxylessnas.md, oracles 9, 10 and 12, and the bugs of its section 8 that can come back here: 11, 14, 17, 18a.
"""

import pytest
import torch
from torch import nn
from torch.func import functional_call

from benchbed.layers.mixed import Echo, echo, mixed
from benchbed.layers.plan import Run, plan

N = 4
ALL = torch.ones(1, N, dtype=torch.bool)


class Operation(nn.Module):
    """A convolution and tanh, or zeros; counts its calls."""

    def __init__(self, zero):
        super().__init__()
        self.conv = None if zero else nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return torch.zeros_like(x) if self.conv is None else torch.tanh(self.conv(x))


class Mixture(nn.Module):
    """x to sum_j g_j * op_j(x); the last operation is zero."""

    def __init__(self):
        super().__init__()
        self.operations = nn.ModuleList(Operation(zero=j == N - 1) for j in range(N))
        self.double()

    @property
    def calls(self):
        return sum(operation.calls for operation in self.operations)

    def operation(self, j):
        return self.operations[j]

    def forward(self, x, gates, steps):
        return mixed(x, [(how, gates[0, j], self.operation(j)) for j, how in steps[0]], lambda: torch.zeros_like(x))

    def reference(self, x, gates):
        return sum(gates[0, j] * self.operation(j)(x) for j in range(N))


@pytest.fixture
def mixture():
    torch.manual_seed(0)
    return Mixture()


def _images():
    return torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(1)).double()


def _one_hot(j):
    return torch.eye(N)[j : j + 1].double()


def _loss(output):
    return (output * torch.linspace(-1, 1, output.numel()).reshape(output.shape).double()).sum() + output.pow(3).sum()


@pytest.mark.parametrize("probe", [Run.PROBED, Run.ECHOED, Run.GATED])
@pytest.mark.parametrize("gates", [_one_hot(0), _one_hot(2), _one_hot(N - 1), torch.full((1, N), 0.25).double()])
def test_value_and_gate_gradients_are_plain_autograd_s(mixture, gates, probe):
    x, ours, theirs = _images(), gates.clone().requires_grad_(), gates.clone().requires_grad_()
    output, expected = mixture(x, ours, plan(ours, ALL, probe)), mixture.reference(x, theirs)
    torch.testing.assert_close(output, expected)
    _loss(output).backward()
    _loss(expected).backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-10, atol=1e-12)
    assert ours.grad[0, N - 1] == 0  # Zero has a gradient, and it is 0 (oracle 12; the official code has none)


@pytest.mark.parametrize("probe", [Run.PROBED, Run.ECHOED])
@pytest.mark.parametrize("active", range(N))
def test_what_does_not_flow_gives_no_gradient_to_the_input_or_to_its_weights(mixture, active, probe):
    x, gates = _images().requires_grad_(), _one_hot(active).requires_grad_()
    _loss(mixture(x, gates, plan(gates, ALL, probe))).backward()
    for j, operation in enumerate(mixture.operations[: N - 1]):
        assert (operation.conv.weight.grad is not None) == (j == active)
    if active == N - 1:  # zeros: nothing reaches the input
        assert x.grad is None
        return
    alone = _images().requires_grad_()
    _loss(mixture.operation(active)(alone)).backward()
    torch.testing.assert_close(x.grad, alone.grad)


@pytest.mark.parametrize(
    ("need", "probe", "forward", "backward"),
    [
        (torch.zeros(1, N, dtype=torch.bool), Run.PROBED, 1, 0),
        (torch.tensor([[True, True, False, False]]), Run.PROBED, 2, 0),
        (ALL, Run.PROBED, N, 0),
        (ALL, Run.ECHOED, 1, N - 1),
    ],
    ids=["one path", "two", "full", "echo"],
)
def test_how_many_operations_run_and_when(mixture, need, probe, forward, backward):
    gates = _one_hot(0).requires_grad_()
    output = mixture(_images().requires_grad_(), gates, plan(gates, need, probe))
    assert mixture.calls == forward
    _loss(output).backward()
    assert mixture.calls == forward + backward


def _kept(mixture, probe, operations):
    """Bytes that autograd saved in the forward pass, each storage once, beyond weights and input."""
    seen = {}

    def pack(tensor):
        seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    x, gates = _images().requires_grad_(), _one_hot(0).requires_grad_()
    need = torch.arange(N)[None] < operations
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        output = mixture(x, gates, plan(gates, need, probe))
    for known in (x, gates, *mixture.parameters()):
        seen.pop(known.untyped_storage().data_ptr(), None)
    del output
    return sum(seen.values())


def test_an_echo_keeps_nothing_of_what_does_not_flow(mixture):
    assert _kept(mixture, Run.ECHOED, N) == _kept(mixture, Run.ECHOED, 2) == _kept(mixture, Run.ECHOED, 1)
    outputs = [_kept(mixture, Run.PROBED, n) for n in range(1, N)]  # the last operation makes zeros
    assert outputs[1] - outputs[0] == outputs[2] - outputs[1] == _images().nbytes


def test_an_echo_runs_with_the_weights_of_its_own_forward_pass(mixture):
    """Inside a virtual step the operation must not be run on the module's own weights (contracts.md)."""
    other = {name: w.detach() + 1 for name, w in mixture.named_parameters()}
    found = []
    for probe in (Run.ECHOED, Run.GATED):
        gates = _one_hot(0).requires_grad_()
        output = functional_call(mixture, other, (_images(), gates, plan(gates, ALL, probe)))
        found.append(torch.autograd.grad(_loss(output), gates)[0])
    torch.testing.assert_close(*found)


def test_an_echo_runs_under_the_autocast_of_its_forward_pass():
    seen = []

    def operation(x):
        seen.append(torch.is_autocast_enabled("cpu"))
        return torch.nn.functional.conv2d(x, torch.ones(3, 3, 1, 1))

    x, gate = torch.randn(2, 3, 4, 4), torch.zeros((), requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = echo(x.clone(), [Echo(gate, x, operation)])
    output.sum().backward()
    assert seen == [True]
    output = echo(x.clone(), [Echo(gate, x, operation)])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output.sum().backward()
    assert seen == [True, False]


def test_the_random_state_of_the_caller_is_untouched(mixture):
    gates, before = _one_hot(1).requires_grad_(), torch.get_rng_state()
    _loss(mixture(_images(), gates, plan(gates, ALL, Run.ECHOED))).backward()
    assert torch.equal(torch.get_rng_state(), before)


def test_an_input_that_was_changed_before_the_echo_is_refused(mixture):
    x, gates = _images(), _one_hot(N - 1).requires_grad_()
    output = mixture(x, gates, plan(gates, ALL, Run.ECHOED))
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        _loss(output).backward()


def test_nothing_is_echoed_is_the_total_itself():
    total = torch.ones(3)
    assert echo(total, []) is total


def test_ones_runs_nothing_else_and_gives_every_other_gate_the_sum_of_the_output_s_gradient(mixture):
    x, gates = _images().requires_grad_(), _one_hot(1).requires_grad_()
    output = mixture(x, gates, plan(gates, ALL, Run.ONES))
    output.retain_grad()
    _loss(output).backward()
    assert [operation.calls for operation in mixture.operations] == [0, 1, 0, 0]
    expected = torch.full((1, N), float(output.grad.sum())).double()
    expected[0, 1] = (output.grad * output).sum()  # the gate is 1: the output is the drawn operation's
    torch.testing.assert_close(gates.grad, expected)
