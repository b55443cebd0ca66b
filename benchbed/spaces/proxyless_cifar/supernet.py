"""The supernet of ProxylessNAS' CIFAR-10 space: every edge of every tree holds all seven operations.

Mixed operations nest here: what flows into an edge of the second level is the gated sum of the one above it. Batch norm
uses the batch's own statistics always and keeps no running ones.
"""

from collections.abc import Iterator

from jaxtyping import Float
from torch import Tensor, nn

from ...layers.choice import Choice
from ...layers.plan import Plan
from ...supernet import Supernet
from ..nb201.supernet import BatchNorm
from .pyramid import Tail, TreeBlock, operation, stem
from .space import BRANCHES, OPERATIONS, branch_edges, shapes


class ProxylessCifarSupernet(Supernet):
    """`forward(images, gates, plan)`: logits (n, classes) for gates (P, 7), P = 648 as published.

    `drop_path` is of the network found: in the search every path that is drawn runs.
    """

    def __init__(
        self,
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
        self.per_block = BRANCHES * len(branch_edges(depth))
        chain = shapes(blocks, start, widening, bottleneck)
        self.stem = stem(in_channels, start, BatchNorm)
        self.blocks = nn.ModuleList(
            TreeBlock(
                shape,
                depth - 1,
                nn.ModuleList(
                    Choice((operation(k, shape.channels, BatchNorm) for k in range(len(OPERATIONS))), shape.channels)
                    for _ in range(self.per_block)
                ),
                BatchNorm,
            )
            for shape in chain
        )
        self.tail = Tail(chain[-1].out_channels, classes, BatchNorm)

    def forward(
        self, images: Float[Tensor, "n c h w"], gates: Float[Tensor, "P O"], plan: Plan
    ) -> Float[Tensor, "n classes"]:
        scalars = [row.unbind() for row in gates.unbind()]
        x = self.stem(images)
        for number, block in enumerate(self.blocks):
            assert isinstance(block, TreeBlock)
            first = number * self.per_block

            def edge(i: int, y: Tensor, choices: nn.ModuleList = block.edges, first: int = first) -> Tensor:
                out: Tensor = choices[i](y, scalars[first + i], plan[first + i])
                return out

            x = block(x, edge)
        logits: Tensor = self.tail(x)
        return logits

    def candidate_weights(self, position: int, column: int) -> Iterator[nn.Parameter]:
        """The weights that belong to one operation of one position."""
        block = self.blocks[position // self.per_block]
        assert isinstance(block, TreeBlock)
        choice = block.edges[position % self.per_block]
        assert isinstance(choice, Choice)
        yield from choice.candidates[column].parameters()
