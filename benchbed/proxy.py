"""The contract of a proxy: a number that is to rank untrained networks by what they will come to. Greater is better.

A proxy sees one architecture at a time, as a `Case`, and gives its score, a float. What a case holds is the same for
every architecture of a run:

- **the network** is the space's discrete one at the size of the run, untrained, float32, in training mode (batch norm
  takes the batch's own statistics), on the case's device, in channels-last, as the images are. `network(0)` starts from
  the very weights that a training of the same seed starts from (`scoring`); `network(k)` is the k-th other draw. A
  proxy may change what it is given: each call makes a new one.
- **the batches** are of the task's training split, unaugmented and normalised: one permutation of it, cut into batches
  of the size that the proxy asks for. They depend on the run's seed alone; the test split stays sealed.
- **what else is random** comes from `generator(name)`: the same draws for every architecture, on the CPU.

So a score follows from the architecture, the task, the size, the seed and the proxy's options, and from nothing else;
torch's global generator is left as it was. A score that is not a number or infinite is returned as it is: runs count
and name such scores, and never put another number in their place. What cannot be scored at all raises BenchbedError,
one line.

A proxy whose score is a rank among the networks that it is compared with measures several `parts` of each, and
`combine` makes the scores of all of them; `score` then gives a number a part.

A plug-in of kind proxy is a file of benchbed/proxies/, a user's own file (`--plugin`), or an entry point of the group
`benchbed.proxies`. `benchbed.testing.proxy_suite` holds the contract as checks.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import torch
from jaxtyping import Float, Float64, Int64
from numpy import ndarray
from pydantic import BaseModel, Field
from torch import Tensor, nn

from .errors import BenchbedError
from .objective import Batch
from .searcher import Options as PluginOptions
from .searcher import OptionsT, Plugin
from .space import Architecture, Space
from .streams import Streams, derive, seeded
from .task import AnySplit


class Options(PluginOptions):
    """Of a proxy that looks at nothing but the network: none."""


class BatchOptions(PluginOptions):
    """Of a proxy that looks at images."""

    batch: int = Field(64, ge=2, description="images of a batch")

    @property
    def images(self) -> int:
        """How many training images it looks at."""
        return self.batch


@dataclass(frozen=True)
class Case:
    """One architecture that is to be scored, and what it is scored on.

    architecture: None where the network is a supernet at gates, for proxies that are `of_gates`. shape: of an image,
    (channels, height, width). channels and cells: C and N as `Space.counts` takes them. build: the architecture's
    network, its weights drawn from torch's global generator, which `network` seeds.
    """

    space: Space
    architecture: Architecture | None
    shape: tuple[int, int, int]
    classes: int
    channels: int
    cells: int
    seed: int
    train: AnySplit
    build: Callable[[], nn.Module]
    device: torch.device

    def network(self, draw: int = 0) -> nn.Module:
        """A new untrained network in training mode, images (n, c, h, w) to logits (n, classes). draw: which weights."""
        streams = Streams(derive(self.seed, "scoring"))  # those of a training of this seed
        with seeded(streams.generator("initialisation"), draw):
            network: nn.Module = self.build().to(self.device)
        return network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload,no-any-return]

    def batch(self, size: int, number: int = 0) -> Batch:
        """The batch of this number: `size` training images and their labels, on the device.

        Raises BenchbedError where the task has not so many training images.
        """
        if (number + 1) * size > len(self.train):
            raise BenchbedError(
                f"batch {number + 1} of {size} images: there are {len(self.train):,} training images; take a smaller "
                "batch, or a task of more images"
            )
        order = _order(self.seed, len(self.train))[number * size : (number + 1) * size]
        images, labels = next(iter(self.train.batches([order])))
        return Batch(images.to(self.device, memory_format=torch.channels_last), labels.to(self.device))

    def noise(self, name: str, images: int) -> Float[Tensor, "n c h w"]:
        """`images` images of independent N(0, 1) pixels, of the stream `name`."""
        drawn = torch.randn(images, *self.shape, generator=self.generator(name))
        return drawn.to(self.device, memory_format=torch.channels_last)

    def generator(self, name: str) -> torch.Generator:
        """The stream `name` from its beginning, on the CPU: the same for every architecture."""
        return torch.Generator().manual_seed(derive(self.seed, f"proxy {name}"))


@cache
def _order(seed: int, images: int) -> Int64[Tensor, " n"]:
    """The permutation of the training split, once for all cases."""
    return torch.randperm(images, generator=torch.Generator().manual_seed(derive(seed, "proxy images")))


class Proxy(Plugin[OptionsT]):
    """Base of every proxy. `class Mine(Proxy[MyOptions])` has its options as `self.options`.

    parts: the names of what `score` measures, where it is several numbers. of_function: whether architectures of one
    network but for what reaches no output (`Space.network_form`) have one score but for the draw of the weights, so
    that one of them stands for all; a count of the parameters has not. of_gates: whether it can score a supernet at
    gates, as a criterion of selection: it then reads nothing but what goes through ReLUs and what comes out, no layers,
    and changes no weight.
    """

    Options: ClassVar[type[BaseModel]] = Options
    parts: ClassVar[tuple[str, ...]] = ()
    of_function: ClassVar[bool] = True
    of_gates: ClassVar[bool] = False

    def __init__(self, options: OptionsT):
        self.options = options

    @abstractmethod
    def score(self, case: Case) -> float | tuple[float, ...]:
        """The architecture's score, greater is better; of a proxy with `parts` a number for each, in their order."""

    def combine(self, measured: Float64[ndarray, "n parts"]) -> Float64[ndarray, " n"]:
        """The scores of n networks that are compared with each other, from their parts. Only where there are `parts`.

        A part may be NaN or infinite. Where such a network ranks is up to the proxy; in benchbed's NaN is the lowest.
        """
        raise NotImplementedError(f"{type(self).__name__} has no parts")
