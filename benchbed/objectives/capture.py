"""Forward and backward of a step that repeats, captured in a CUDA graph: one launch in place of thousands.

At 16 channels the supernet's dense step is some thousand small kernels, and launching them costs more than running
them. A step whose plan (which operations run, and how) stays the same from call to call does the same work on the
same memory each time once its inputs lie in static buffers: images, labels and gates are copied in, the recorded work
is replayed, loss and gradients are read out. A searcher's mixture repeats its plan, and so does what is left of it
after a selector has fixed a row; sampled paths do not, and go on running eagerly.

In the graph: forward and backward, one graph for weight gradients and one for gate gradients. Outside of it: clipping
and SGD. They are a dozen foreach launches for all weights together, and the learning rate of each step, a fresh
optimiser for each tuning phase and its saved state are plain Python numbers and tensors there, which a captured
optimiser would bake in.

The recorder is an argument, so that everything but the recording itself also runs, and is tested, on a CPU.
The network must draw no random numbers and keep its weights in place (optimisers and `load_state_dict` do). Buffers
that it writes are written by the runs before the recording too (`benchbed.training.recorded` puts them back). **The
recording itself has not been run on a GPU yet**; it follows the CUDA graphs section of torch's notes and the sources of
torch 2.13.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..layers.plan import Plan

Inputs = tuple[Tensor, ...]  # images (n, c, h, w), labels (n,), gates (P, O): all on the network's device
Outputs = tuple[Tensor, list[Tensor | None]]  # the loss, detached, and gradients
Precision = Callable[[], AbstractContextManager[Any]]  # autocast, or nothing. Never with autocast's cache of weights
Step = Callable[[nn.Module, Precision, Plan, Inputs], Outputs]
Recorder = Callable[[Callable[[], Outputs]], Callable[[], Outputs]]

REPEATS = 3  # eager calls in a row with the same plan before it is recorded
KEPT = 4  # recordings held: each keeps its own activations. Both kinds of step, at this plan and the one before
WARM_UP = 3  # runs on the side stream before recording: libraries choose algorithms and take their workspaces


def _loss(network: nn.Module, precision: Precision, plan: Plan, inputs: Inputs) -> Tensor:
    images, labels, gates = inputs
    with torch.enable_grad(), precision():
        logits = getattr(network, "forward_once", network)(images, gates, plan)
        return F.cross_entropy(logits.float(), labels)


def weight_gradients(network: nn.Module, precision: Precision, plan: Plan, inputs: Inputs) -> Outputs:
    """Gradients of all weights, also left in `.grad`; None where a weight took no part."""
    network.zero_grad(set_to_none=True)  # backward then writes new gradients instead of adding to old ones
    images, labels, gates = inputs
    loss = _loss(network, precision, plan, (images, labels, gates.detach()))
    loss.backward()
    return loss.detach(), [weight.grad for weight in network.parameters()]


def added(steps: Iterator[Outputs]) -> Outputs:
    """The mean loss of several steps on the same weights, and the sum of their gradients: of one, what it gave."""
    loss, total = next(steps)
    losses = [loss]
    for loss, gradients in steps:
        if len(losses) == 1:  # what a recording gave is overwritten by its next run
            total = [None if g is None else g.clone() for g in total]
        losses.append(loss)
        for k, g in enumerate(gradients):
            if g is not None:
                total[k] = g.clone() if (held := total[k]) is None else held + g
    return losses[0] if len(losses) == 1 else torch.stack(losses).mean(), total


def gate_gradients(network: nn.Module, precision: Precision, plan: Plan, inputs: Inputs) -> Outputs:
    """The gradient (P, O) of the gates; None where no gate reaches the output. The weights' `.grad` is not touched."""
    images, labels, gates = inputs
    leaf = gates.detach().requires_grad_()
    learned = [weight for weight in network.parameters() if weight.requires_grad]
    try:
        for weight in learned:  # so that nothing is kept for gradients that nobody asks for
            weight.requires_grad_(False)
        loss = _loss(network, precision, plan, (images, labels, leaf))
    finally:
        for weight in learned:
            weight.requires_grad_(True)
    if not loss.requires_grad:  # no gate reaches the output
        return loss.detach(), [None]
    return loss.detach(), list(torch.autograd.grad(loss, [leaf], allow_unused=True))


def cuda_graph(body: Callable[[], Outputs]) -> Callable[[], Outputs]:
    """Records `body` and gives its replay, whose outputs are the same tensors each time, overwritten."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            body()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=side):
        outputs = body()

    def replay() -> Outputs:
        graph.replay()
        return outputs

    return replay


class StaticStep:
    """One step at one plan, over buffers that stay where they are."""

    def __init__(self, body: Callable[[Inputs], Outputs], inputs: Inputs, record: Recorder):
        self.buffers: Inputs = tuple(torch.empty_like(t).copy_(t) for t in inputs)  # empty_like keeps channels-last
        self._replay = record(lambda: body(self.buffers))

    def __call__(self, inputs: Inputs) -> Outputs:
        for buffer, value in zip(self.buffers, inputs, strict=True):
            buffer.copy_(value)
        return self._replay()


class Recordings:
    """Runs steps: from a recording where one kind of step keeps coming with the same plan and shapes, else eagerly.

    Gradients are valid until the next call: a recording overwrites its own.
    """

    def __init__(self, network: nn.Module, precision: Precision, record: Recorder = cuda_graph):
        self.network, self.precision, self.record = network, precision, record
        self.kept: OrderedDict[tuple[Any, ...], StaticStep] = OrderedDict()  # the one used last stands last
        self._row: dict[Step, tuple[tuple[Any, ...], int]] = {}  # per kind: the latest key, and its calls in a row

    def run(self, step: Step, plan: Plan, inputs: Inputs) -> Outputs:
        network, precision = self.network, self.precision
        key = (step, plan, *((t.shape, t.dtype) for t in inputs))
        if key not in self.kept:
            latest, calls = self._row.get(step, (key, 0))
            self._row[step] = (key, calls + 1 if latest == key else 1)
            if self._row[step][1] <= REPEATS:
                return step(network, precision, plan, inputs)
            while len(self.kept) >= KEPT:
                self.kept.popitem(last=False)
            self.kept[key] = StaticStep(lambda held: step(network, precision, plan, held), inputs, self.record)
        self.kept.move_to_end(key)
        loss, gradients = self.kept[key](inputs)
        return loss.clone(), gradients
