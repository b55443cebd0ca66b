"""What several proxies read of a network: its weights' gradients, its ReLUs and who reads them, its last map."""

import weakref
from collections.abc import Callable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..objective import Batch
from ..proxy import Case
from ..streams import seeded

T = TypeVar("T")
RELUS = (F.relu, F.relu6, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_)
READERS = (F.conv2d, F.linear)


def layers(network: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    """The convolutions and linear layers, whose weights the pruning scores are sums over."""
    return [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def weights(network: nn.Module) -> list[Tensor]:
    """Of the `layers`."""
    return [layer.weight for layer in layers(network)]


def loss(network: nn.Module, batch: Batch) -> Float[Tensor, ""]:
    """The mean cross entropy of a batch."""
    return F.cross_entropy(network(batch.images), batch.labels)


def gradients(value: Tensor, of: list[Tensor], create_graph: bool = False, again: bool = False) -> list[Tensor]:
    """d value / d each; zero where nothing that was run depends on it, such as an edge that reaches no output.

    again: the graph is kept, for another value of it.
    """
    some = [x for x in of if x.requires_grad] if value.requires_grad else []
    found = (
        torch.autograd.grad(value, some, None, again or create_graph, create_graph, allow_unused=True) if some else ()
    )
    by = {id(x): g for x, g in zip(some, found, strict=True) if g is not None}
    return [by.get(id(x), torch.zeros_like(x)) for x in of]


def image_gradients(network: nn.Module, batch: Batch) -> Float[Tensor, "n pixels"]:
    """d (sum of an image's logits) / d its pixels, a row an image."""
    images = batch.images.clone().requires_grad_()
    return gradients(network(images).sum(), [images])[0].flatten(1)


def gaussian(case: Case, stream: str, draw: int = 0) -> nn.Module:
    """The case's network with weights of convolutions and linear layers from N(0, 1)."""
    return drawn(case, stream, nn.init.normal_, draw)


def drawn(case: Case, stream: str, fill: Callable[[Tensor], object], draw: int = 0) -> nn.Module:
    """The case's network with other weights of convolutions and linear layers, biases zero; batch norm as it starts.

    Each layer's are drawn by its name: architectures share those of the layers that they share, and a layer that
    reaches no output moves no other's.
    """
    network = case.network()
    with torch.no_grad():
        for name, layer in network.named_modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                with seeded(case.generator(f"{stream} {draw} {name}")):
                    fill(weight := torch.empty(layer.weight.shape))
                layer.weight.copy_(weight)
                if layer.bias is not None:
                    layer.bias.zero_()
    return network


class Activation(NamedTuple, Generic[T]):
    """One call of a ReLU: what was made of its input, and how many convolutions and linear layers read its output.

    In the authors' networks each of those has a ReLU of its own. Here the edges of a node share one, so that a score
    that counts ReLUs counts it once a reader; one that a pooling alone reads counts once.
    """

    seen: T
    readers: int


class Activations(TorchFunctionMode, Generic[T]):
    """While it is on, `look` is called with the input of every ReLU, before anything is done in place."""

    def __init__(self, look: Callable[[Tensor], T]):
        super().__init__()
        self._look = look
        self._seen: list[T] = []
        self._readers: list[int] = []
        self._outputs: dict[int, tuple[weakref.ref[Tensor], int]] = {}  # id -> the output, and which ReLU's it is

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in READERS and (found := self._outputs.get(id(args[0]))) is not None and found[0]() is args[0]:
            self._readers[found[1]] += 1
        if not is_relu(func, args, kwargs):
            return func(*args, **kwargs)
        self._seen.append(self._look(args[0].detach()))
        self._readers.append(0)
        out = func(*args, **kwargs)
        self._outputs[id(out)] = (weakref.ref(out), len(self._seen) - 1)
        return out

    def __iter__(self) -> Iterator[Activation[T]]:
        """Every call, in their order."""
        for seen, readers in zip(self._seen, self._readers, strict=True):
            yield Activation(seen, max(1, readers))


def is_relu(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether the call is a ReLU's; torch's ReLU6 is a hard tanh from 0 on."""
    low = args[1] if len(args) > 1 else kwargs.get("min_val")
    return func in RELUS or (func is F.hardtanh and low == 0)


class LastMap(TorchFunctionMode):
    """While it is on, `found` is the last tensor (n, c, h, w) of more than one pixel: what is pooled and classified."""

    found: Tensor | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and out.ndim == 4 and (self.found is None or out.shape[2:].numel() > 1):
            self.found = out
        return out
