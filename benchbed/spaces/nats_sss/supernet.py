"""The supernet of NATS-Bench's size space: every layer at its widest, a width is a mask over that.

Width w of a layer keeps the first w of its 8 C channels (64 in the benchmark) and zeroes the others: FBNetV2's channel
masking (Wan et al., CVPR 2020: candidates share one layer, and their mixture is that layer times the mixture of their
masks), which AutoDL-Projects has as `mask_gumbel` in `generic_size_tiny_cell_model.py` (at f46486e). So the mixture of
a row of gates costs one multiplication a channel, no candidate has weights of its own, and channel c flows with the sum
of the gates of all widths above c. (TAS, Dong and Yang, NeurIPS 2019, instead interpolates two sampled widths to one
size.)

Two decisions are ours. The mask also lies on the nodes inside a layer and on the stem, which has the first width: at
one-hot gates this is then the discrete network with the first channels of these weights. And a skip connection is the
identity throughout, as in the code above, where the discrete network has a 1x1 convolution if the width changes.

Batch norm uses the batch's own statistics always and keeps no running ones; it is affine, as in the network.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ...layers.mixed import Candidate, Echo, echo, ones
from ...layers.plan import Plan, Run
from ...supernet import Supernet
from ..nb201.supernet import BatchNorm
from .space import BLOCKS, CANDIDATES, CHANNELS


class ConvBN(nn.Module):
    """Convolution without bias, padded to keep the size at stride 1, then batch norm."""

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, bias=False)
        self.norm = BatchNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.conv(x))
        return out


class Widths:
    """The mixture of the widths of one layer in one forward pass: a row of gates, and what the plan says of it."""

    def __init__(self, masks: Tensor, gates: Sequence[Tensor], row: Sequence[tuple[int, Run]]):
        """masks: (8, channels), a row a width; gates: one scalar tensor a width."""
        # in the gates' type: a scalar times a mask of lower precision would be rounded to that
        self.masks, self.gates, self.row = masks.to(gates[0].dtype), gates, row
        self.flowing = self._sum(Run.UNIT, Run.GATED)
        self.probed = self._sum(Run.PROBED)

    def __call__(self, x: Tensor) -> Tensor:
        """x (n, channels, h, w), each channel times the gates of the widths that keep it."""
        total = torch.zeros_like(x) if self.flowing is None else x * _channels(self.flowing, x)
        if self.probed is not None:  # its gates are 0, so that this adds nothing and passes nothing to x
            total = total + x.detach() * _channels(self.probed, x)
        echoes = [
            Echo(self.gates[k], x, self._candidate(k, how)) for k, how in self.row if how in (Run.ECHOED, Run.ONES)
        ]
        return echo(total, echoes)

    def _sum(self, *hows: Run) -> Tensor | None:
        """(channels,): the sum of masks times gates over the widths that run so; None where there is none."""
        terms = [
            self.masks[k] if how is Run.UNIT else self.gates[k] * self.masks[k] for k, how in self.row if how in hows
        ]
        return torch.stack(terms).sum(0) if terms else None

    def _candidate(self, k: int, how: Run) -> Candidate:
        mask = self.masks[k]
        return ones if how is Run.ONES else lambda x: x * _channels(mask, x)


def _channels(factors: Tensor, x: Tensor) -> Tensor:
    """Factors (channels,) in the type of x, to be multiplied with it."""
    return factors.to(x.dtype).view(1, -1, 1, 1)


class CellSupernet(nn.Module):
    """The fixed cell at its widest; `widths` lies on each of its nodes."""

    def __init__(self, widest: int) -> None:
        super().__init__()
        convs = (ConvBN(widest, widest, 3) for _ in range(5))
        self.conv_01, self.conv_02, self.conv_12, self.conv_13, self.conv_23 = convs

    def forward(self, x: Tensor, widths: Widths) -> Tensor:
        relu = F.relu(x)
        relu_first = F.relu(widths(self.conv_01(relu)))
        second = widths(self.conv_02(relu) + self.conv_12(relu_first))
        return widths(x + self.conv_13(relu_first) + self.conv_23(F.relu(second)))


class ReductionSupernet(nn.Module):
    """The residual block of stride 2 at its widest; `widths` lies on both of its convolutions."""

    def __init__(self, widest: int) -> None:
        super().__init__()
        self.conv_a, self.conv_b = ConvBN(widest, widest, 3, stride=2), ConvBN(widest, widest, 3)
        self.shortcut = nn.Conv2d(widest, widest, 1, bias=False)

    def forward(self, x: Tensor, widths: Widths) -> Tensor:
        residual = self.conv_b(F.relu(widths(self.conv_a(F.relu(x)))))
        return widths(residual + self.shortcut(F.avg_pool2d(x, 2, 2, ceil_mode=True)))


class NatsSssSupernet(Supernet):
    """`forward(images, gates, plan)`: logits (n, classes) for gates (5, 8) on the images' device."""

    masks: Tensor

    def __init__(self, channels: int = CHANNELS, classes: int = 10, in_channels: int = 3):
        super().__init__()
        widths = torch.arange(1, len(CANDIDATES) + 1) * channels
        widest = int(widths[-1])
        self.stem = ConvBN(in_channels, widest, 3)
        kinds = (ReductionSupernet if block.reduces else CellSupernet for block in BLOCKS)
        self.blocks = nn.ModuleList(kind(widest) for kind in kinds)
        self.last_norm = BatchNorm(widest)
        self.classifier = nn.Linear(widest, classes)
        self.register_buffer("masks", (torch.arange(widest)[None] < widths[:, None]).float(), persistent=False)

    def forward(
        self, images: Float[Tensor, "n c h w"], gates: Float[Tensor, "P O"], plan: Plan
    ) -> Float[Tensor, "n classes"]:
        layers = [Widths(self.masks, row.unbind(), steps) for row, steps in zip(gates.unbind(), plan, strict=True)]
        x = layers[0](self.stem(images))
        for block, widths in zip(self.blocks, layers, strict=True):
            x = block(x, widths)
        logits: Tensor = self.classifier(F.relu(layers[-1](self.last_norm(x))).mean((2, 3)))
        return logits

    def candidate_weights(self, position: int, column: int) -> Iterator[nn.Parameter]:
        """None: all widths of a layer share its weights."""
        return iter(())
