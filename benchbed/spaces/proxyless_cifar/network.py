"""The network of one architecture of ProxylessNAS' CIFAR-10 space, with DropPath as an option.

DropPath (path-level EAS, ICML 2018; NASNet's, one draw a batch): in training each path of a tree is left out with
probability r; in evaluation it is multiplied by 1 - r. The draws follow from a seed that the initial weights' generator
gives and from the number of forward passes, both part of the network's state, so a training that goes on draws what
it would have drawn.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ...errors import BenchbedError
from ...streams import derive
from .pyramid import Path, Tail, TreeBlock, operation, stem, whole
from .space import BRANCHES, OPERATIONS, branch_edges, shapes


class ProxylessCifarNetwork(nn.Module):
    """Images (n, in_channels, h, w) to logits (n, classes).

    `choices`: the operation of each edge in the space's order of positions; the sizes are the space's options. Raises
    BenchbedError where the choices do not fit them.
    """

    def __init__(
        self,
        choices: tuple[int, ...],
        blocks: int = 18,
        start: int = 16,
        widening: int = 84,
        bottleneck: int = 4,
        depth: int = 3,
        drop_path: float = 0.0,
        classes: int = 10,
        in_channels: int = 3,
    ):
        super().__init__()
        chain, per_block = shapes(blocks, start, widening, bottleneck), BRANCHES * len(branch_edges(depth))
        if len(choices) != len(chain) * per_block or not all(0 <= k < len(OPERATIONS) for k in choices):
            raise BenchbedError(
                f"{len(choices)} choices name no network of {len(chain)} trees: {per_block} numbers from 0 to 6 each"
            )
        self.stem = stem(in_channels, start, nn.BatchNorm2d)
        self.blocks = nn.ModuleList()
        for number, shape in enumerate(chain):
            own = choices[number * per_block : (number + 1) * per_block]
            edges = nn.ModuleList(operation(k, shape.channels, nn.BatchNorm2d) for k in own)
            self.blocks.append(TreeBlock(shape, depth - 1, edges, nn.BatchNorm2d))
        self.tail = Tail(chain[-1].out_channels, classes, nn.BatchNorm2d)
        self.drop = DropPath(drop_path) if drop_path else None
        self.draws = self.drop is not None  # which paths run at all is decided in a pass

    def forward(self, x: Tensor) -> Tensor:
        path: Path = whole if self.drop is None else self.drop.begin()
        x = self.stem(x)
        for block in self.blocks:
            assert isinstance(block, TreeBlock)
            edges = block.edges
            x = block(x, lambda i, y, edges=edges: edges[i](y), path)
        logits: Tensor = self.tail(x)
        return logits


class DropPath(nn.Module):
    """Leaves out paths with probability `rate` while training. Its state is the seed and the forward passes so far."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate
        self.seed, self.passes = int(torch.randint(2**31, ())), 0

    def begin(self) -> Path:
        """What the paths of the next forward pass go through."""
        if not self.training:
            return lambda x, path: path() * (1 - self.rate)
        generator = torch.Generator().manual_seed(derive(self.seed, f"drop-path-{self.passes}"))
        self.passes += 1

        def dropped(x: Tensor, path: Callable[[], Tensor]) -> Tensor:
            return torch.zeros_like(x) if float(torch.rand((), generator=generator)) < self.rate else path()

        return dropped

    def get_extra_state(self) -> Tensor:
        return torch.tensor([self.seed, self.passes])

    def set_extra_state(self, state: Tensor) -> None:
        self.seed, self.passes = state.tolist()
