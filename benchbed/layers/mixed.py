"""The mixed operation of a position: the gated sum of its candidates, each run as the plan says.

ProxylessNAS' architecture step needs G_j = <dL/dm, o_j(x)> of candidates that do not flow (Cai et al., ICLR 2019,
section 3.2.1). Keeping their outputs costs memory linear in their number. `echo` runs them in the backward pass
instead, one after the other, on the input that the flowing candidate keeps anyway: the same G, the memory of one
path, one more forward pass of each.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .plan import Run

# x to its output. A function must hold the weight tensors of the forward pass that it was made in: an echo calls it
# when `functional_call` has put the module's own weights back. A module is bound to its weights here.
Candidate = Callable[[Tensor], Tensor]


class Echo(NamedTuple):
    """A candidate whose gate is zero and whose gate gradient is asked for: scalar gate, input, operation."""

    gate: Tensor
    x: Tensor
    operation: Candidate


def mixed(x: Tensor, candidates: Sequence[tuple[Run, Tensor, Candidate]], zero: Callable[[], Tensor]) -> Tensor:
    """sum_j gate_j * o_j(x) over (how, scalar gate, o_j); `zero()` gives an output of zeros where none flows.

    Every o_j gives the same shape. A candidate that is probed or echoed has gate zero, passes no gradient to x or to
    its weights, and adds nothing; its gate receives <dL/dm, o_j(x)>. Probing keeps its output until the backward
    pass, an echo keeps nothing. One that is taken for ones is not run: its gate receives sum(dL/dm).
    """
    total: Tensor | None = None
    echoes = []
    for how, gate, operation in candidates:
        if how is Run.ONES:
            echoes.append(Echo(gate, x, ones))
            continue
        if how is Run.ECHOED:
            echoes.append(Echo(gate, x, bound(operation) if isinstance(operation, nn.Module) else operation))
            continue
        if how is Run.PROBED:
            with torch.no_grad():
                output = operation(x)
        else:
            output = operation(x)
        term = output if how is Run.UNIT else output * gate
        total = term if total is None else total + term
    if total is None:
        total = zero()
    return echo(total, echoes)


def bound(module: nn.Module) -> Candidate:
    """The module as a function on the weights and buffers that it holds now."""
    held = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return lambda x: functional_call(module, held, (x,))


def ones(x: Tensor) -> Tensor:
    """A one that stands for an output of ones whatever its shape: its echo is the sum of dL/dm over m's entries."""
    return x.new_ones(())


def nothing(x: Tensor, channels: int, stride: int = 1) -> Tensor:
    """What zero gives on x (n, c, h, w): zeros (n, channels, h/stride, w/stride), sizes rounded up."""
    height, width = (-(-side // stride) for side in x.shape[2:])
    return x.new_zeros(len(x), channels, height, width)


def echo(total: Tensor, echoes: Sequence[Echo]) -> Tensor:
    """`total`, whose backward pass also gives each echo's gate <dL/dtotal, o(x)>.

    The operations run there without a graph, under the autocast state of the forward pass. Sources must not be
    changed in between (autograd refuses it), nor the weights that the operations hold.
    """
    if not echoes:
        return total
    operations = [e.operation for e in echoes]
    apply: Callable[..., Tensor] = _Echo.apply
    return apply(total, operations, *[e.gate for e in echoes], *[e.x for e in echoes])


class _Echo(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, total: Tensor, operations: list[Candidate], *gates_and_sources: Tensor) -> Tensor:
        sources = gates_and_sources[len(operations) :]
        ctx.operations = operations
        kind = total.device.type
        ctx.autocast = {
            "device_type": kind,
            "dtype": torch.get_autocast_dtype(kind),
            "enabled": torch.is_autocast_enabled(kind),
            "cache_enabled": False,
        }
        ctx.save_for_backward(*sources)
        return total.view_as(total)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grad_outputs
        gradients = []
        with torch.no_grad(), torch.autocast(**ctx.autocast):
            for operation, x in zip(ctx.operations, ctx.saved_tensors, strict=True):
                output = operation(x)
                gradients.append((grad.to(output.dtype) * output).sum())
        nothing = [None] * len(gradients)
        return (grad, None, *gradients, *nothing)
