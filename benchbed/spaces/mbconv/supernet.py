"""The MBConv supernet: every searched block of the chain holds all of its operations.

ProxylessNAS (Cai, Zhu and Han, ICLR 2019), section 3.1. A block's output is its shortcut, where it has one, plus the
gated sum of its operations. `zero` adds nothing: at a one-hot gate the block is the identity, and its gate's gradient
is <dL/dm, 0> = 0 like any other gate's would be, so it takes part in every step (the authors' code leaves the mixed
operation where `zero` is drawn, and loses the block's whole architecture gradient). Batch norm uses the batch's own
statistics always and keeps no running ones.
"""

from collections.abc import Iterator
from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from ...layers.mixed import mixed, nothing
from ...layers.plan import Plan, Run
from ...supernet import Supernet
from .network import Norm, classifier_of, first_of, head_of, operation_of, stem_of
from .space import ZERO, Block, Geometry

norm: Norm = partial(nn.BatchNorm2d, eps=1e-3, track_running_stats=False)  # hence the batch's own, in any mode


class MixedBlock(nn.Module):
    """One searched block: (n, width, h, w) to (n, out_width, h', w'). `operations`: by word, without `zero`."""

    def __init__(self, block: Block):
        super().__init__()
        self.block = block
        self.operations = nn.ModuleDict(
            {word: operation_of(block, word, norm) for word in block.operations if word != ZERO}
        )

    def forward(self, x: Tensor, gates: list[Tensor], steps: tuple[tuple[int, Run], ...]) -> Tensor:
        """gates: a scalar tensor a column; steps: this position's part of the plan."""
        words = self.block.operations
        running = [
            (how, gates[column], self.operations[words[column]])
            for column, how in steps
            if column < len(words) and words[column] != ZERO
        ]
        if not running and self.block.has_shortcut:
            return x
        total = mixed(x, running, lambda: nothing(x, self.block.out_width, self.block.stride))
        return x + total if self.block.has_shortcut else total


class MBConvSupernet(Supernet):
    """`forward(images, gates, plan)`: logits (n, classes) for gates (P, O) on the images' device."""

    def __init__(self, geometry: Geometry, classes: int = 1000, in_channels: int = 3):
        super().__init__()
        self.stem = stem_of(geometry.stem, in_channels, norm)
        self.first = first_of(geometry, norm)
        self.blocks = nn.ModuleList([MixedBlock(block) for block in geometry.searched])
        self.head = head_of(geometry.head, norm)
        self.classifier = classifier_of(geometry.head.out_width, classes)

    def forward(
        self, images: Float[Tensor, "n c h w"], gates: Float[Tensor, "P O"], plan: Plan
    ) -> Float[Tensor, "n classes"]:
        scalars = [list(row.unbind()) for row in gates.unbind()]
        x = self.first(self.stem(images))
        for block, row, steps in zip(self.blocks, scalars, plan, strict=True):
            x = block(x, row, steps)
        logits: Tensor = self.classifier(self.head(x).mean((2, 3)))
        return logits

    def candidate_weights(self, position: int, column: int) -> Iterator[nn.Parameter]:
        """The weights that belong to one operation of one position; none for `zero`."""
        block = self.blocks[position]
        assert isinstance(block, MixedBlock)
        word = block.block.operations[column]
        if word != ZERO:
            yield from block.operations[word].parameters()
