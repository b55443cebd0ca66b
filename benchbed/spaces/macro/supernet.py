"""The NAS-Bench-Macro supernet: every block of the chain holds all three operations.

Batch norm uses the batch's own statistics always and keeps no running ones. Unlike NAS-Bench-201's candidates these
have affine batch norms, as the published network: between two convolutions they matter.
"""

from collections.abc import Iterator

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ...layers.choice import Choice
from ...layers.plan import Plan
from ...supernet import Supernet
from ..nb201.supernet import BatchNorm
from .network import head, operation, stem
from .space import HEAD, OPERATIONS, blocks


class MacroSupernet(Supernet):
    """`forward(images, gates, plan)`: logits (n, classes) for gates (8, 3) on the images' device."""

    def __init__(self, channels: int = 32, classes: int = 10, in_channels: int = 3):
        super().__init__()
        chain = blocks(channels)
        self.stem = stem(in_channels, channels, BatchNorm)
        self.blocks = nn.ModuleList(
            Choice(
                (operation(block, k, BatchNorm) for k in range(len(OPERATIONS))),
                block.out_channels,
                block.stride,
            )
            for block in chain
        )
        self.head = head(chain[-1].out_channels, channels, BatchNorm)
        self.classifier = nn.Linear(HEAD * channels, classes)

    def forward(
        self, images: Float[Tensor, "n c h w"], gates: Float[Tensor, "P O"], plan: Plan
    ) -> Float[Tensor, "n classes"]:
        x = self.stem(images)
        for block, row, steps in zip(self.blocks, gates.unbind(), plan, strict=True):
            x = block(x, row.unbind(), steps)
        logits: Tensor = self.classifier(F.adaptive_avg_pool2d(self.head(x), 1).flatten(1))
        return logits

    def candidate_weights(self, position: int, column: int) -> Iterator[nn.Parameter]:
        """The weights that belong to one operation of one position."""
        block = self.blocks[position]
        assert isinstance(block, Choice)
        yield from block.candidates[column].parameters()
