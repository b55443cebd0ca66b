"""The contract of a supernet: one network that holds every operation of every position, and runs what gates ask for.

A space names its supernet as 'module:Class'. The objective makes it, once, as

    Class(**space.sizes(channels, cells), classes=..., in_channels=...)

inside a fork of torch's generator, so that initialisation may use that one; it places it on a device in channels-last
memory, owns the optimiser of its parameters, and calls `forward` alone. Rows of gates are those of the space's
positions, columns their operations; what an entry of a plan says is `benchbed.layers.plan.Run`:

    UNIT     the operation's output is taken as it is: its gate is exactly 1 and nobody asks for its gradient
    GATED    output times gate, differentiable as often as the operation is
    PROBED   its gate is 0: what flows is unchanged, and the gate's gradient is <dL/dm, o(x)>, m being the position's
             output; nothing reaches the operation's weights or its input
    ECHOED   likewise, but the operation runs in the backward pass, and nothing of it is kept until then

An operation that is in no plan is not run: its weights get no gradient and may hold anything. Where nothing flows into
a place, zeros do. Statistics of batch norm are the batch's own, in any mode; `forward` writes no buffer. A network with
an operation that draws says so by `draws` and draws from `noise` alone, once a forward pass, so that equal states of
that generator give equal passes, an echo the very noise of its forward pass. Parameters are looked up when `forward` is
called: `torch.func.functional_call` puts others in their place.

`benchbed.testing.supernet_suite` has the contract as checks.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .errors import BenchbedError
from .layers.plan import Plan


class Supernet(nn.Module):
    """Base of the supernets. `noise`: the generator of one that draws, handed over by the objective; else None.

    notice: takes a line for whoever waits, before a step compiles; None where nobody does.
    """

    noise: torch.Generator | None = None
    notice: Callable[[str], None] | None = None

    @property
    def draws(self) -> bool:
        """Whether an operation draws, and so needs `noise`. Default: no."""
        return False

    @abstractmethod
    def forward(
        self, images: Float[Tensor, "n c h w"], gates: Float[Tensor, "P O"], plan: Plan
    ) -> Float[Tensor, "n classes"]:
        """The logits of images, at gates on the images' device, by a plan of these gates (`benchbed.layers.plan`)."""

    def forward_once(
        self, images: Float[Tensor, "n c h w"], gates: Float[Tensor, "P O"], plan: Plan
    ) -> Float[Tensor, "n classes"]:
        """`forward` for a step, which is differentiated once and watches no batch norm. Default: `forward`."""
        return self.forward(images, gates, plan)

    def layered(self, gates: Float[Tensor, "P O"]) -> Float[Tensor, "L Q O"] | None:
        """The gates of each of the L cells that are built by them, from the image on; None where there are no such."""
        return None

    def forward_layers(
        self, images: Float[Tensor, "n c h w"], gates: Float[Tensor, "L Q O"], plan: Plan
    ) -> Float[Tensor, "n classes"]:
        """`forward` where each cell has gates of its own, by a plan of all L Q rows; where `layered` gives some."""
        raise NotImplementedError(f"{type(self).__name__} has no cells that take gates of their own")

    def compile_steps(self) -> bool:
        """Lets `forward_once` go through torch.compile from now on; False where it cannot. Default: False."""
        return False

    @abstractmethod
    def candidate_weights(self, position: int, column: int) -> Iterator[nn.Parameter]:
        """The parameters that belong to one operation of one position alone, wherever the network has it.

        None for an operation without weights. What no pair has belongs to all architectures.
        """


def compile_steps(network: nn.Module) -> None:
    """Raises BenchbedError where the network's steps are not compiled, or there is no C++ compiler."""
    if not (isinstance(network, Supernet) and network.compile_steps()):
        raise BenchbedError("supernet option compile=true: steps of this space are not compiled; give compile=false")
    from torch._inductor.cpp_builder import get_cpp_compiler  # slow to import
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        raise BenchbedError("supernet option compile=true: needs a C++ compiler such as g++, and finds none") from None
