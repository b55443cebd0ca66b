"""Forward and backward of a training from a CUDA graph, as a supernet's step is (`benchbed.objectives.capture`).

In the graph: forward, backward, and what batch norm adds to its running statistics, which a replay adds as a step does.
The runs before a recording add to them too: they are put back after it. Outside of it: what a network draws, the mean
over processes, clipping, SGD and the moving average. A network draws outside where it has a method `drawn(images)`, a
tensor on the CPU, that its forward takes as a second argument (DARTS' drop path). One that draws within is refused:
nobody has tried that what a replay draws is what a step would have drawn.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from ..errors import BenchbedError
from ..images.mix import Examples
from ..layers.plan import Plan
from ..objectives.capture import Inputs, Outputs, Precision, Recorder, Recordings, cuda_graph
from .loss import Loss


def check_graph(network: nn.Module) -> None:
    """Raises BenchbedError for a network that draws while it runs."""
    dropouts = [module for module in network.modules() if isinstance(module, _DropoutNd) and module.p > 0]
    if dropouts or getattr(network, "draws", False):
        what = f"dropout of {dropouts[0].p:g}" if dropouts else "drop path or noise"
        raise BenchbedError(f"scoring.graph = true: this network draws as it runs ({what}), and no graph does; set it "
                            "to false")  # fmt: skip


def leaving_statistics(network: nn.Module, record: Recorder) -> Recorder:
    """The recorder, after which the network's buffers hold what they held before it."""

    def recorded(body: Callable[[], Outputs]) -> Callable[[], Outputs]:
        before = [buffer.clone() for buffer in network.buffers()]
        replay = record(body)
        with torch.no_grad():
            for buffer, value in zip(network.buffers(), before, strict=True):
                buffer.copy_(value)
        return replay

    return recorded


class Recorded:
    """A training's loss and gradients: from a recording where batches of a size keep coming, else eagerly.

    Gradients are valid until the next call. `network` is in training mode, on the device of the batches.
    """

    def __init__(self, network: nn.Module, precision: Precision, loss: Loss, record: Recorder = cuda_graph):
        self.network, self.loss, self.paths = network, loss, 0
        self.recordings = Recordings(network, precision, leaving_statistics(network, record))

    def __call__(self, batch: Examples) -> Outputs:
        """The batch's mean loss, detached, and the gradient of each weight, None where it took no part."""
        inputs = [batch.images, batch.labels]
        if batch.others is not None:  # filled by kernels: nothing is copied from the host
            shares = torch.stack([batch.images.new_full((), share) for share in (batch.share, 1 - batch.share)])
            inputs += [batch.others, shares]
        if hasattr(self.network, "drawn"):
            drawn = cast("Callable[[int], Tensor]", self.network.drawn)(len(batch.images))
            if len(drawn) != self.paths:  # from the first epoch on that drops paths no step is as before
                self.recordings.kept.clear()
            self.paths = len(drawn)
            inputs.append(drawn.to(batch.images.device, non_blocking=True))
        return self.recordings.run(self._step, (), tuple(inputs))

    def _step(self, network: nn.Module, precision: Precision, plan: Plan, inputs: Inputs) -> Outputs:
        images, labels, *more = inputs
        drawn = [more.pop()] if len(more) % 2 else []
        network.zero_grad(set_to_none=True)  # backward then writes new gradients instead of adding to old ones
        with torch.enable_grad():
            with precision():
                logits = network(images, *drawn)
            loss = self.loss(logits, labels, *more)
        loss.backward()
        return loss.detach(), [weight.grad for weight in network.parameters()]
