"""The network of five widths in NATS-Bench's size space (Dong et al., TPAMI 2021, section 3.2).

A stem, then cell, reduction, cell, reduction, cell. Weights start from torch's defaults, as in the benchmark's own
code, which calls no initialiser for these networks.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import BenchbedError
from ..nb201.network import conv_bn
from .space import BLOCKS, CANDIDATES, CHANNELS


class Cell(nn.Module):
    """The fixed cell at a width of its own: (n, before, h, w) to (n, width, h, w).

    Nodes 1, 2, 3 are sums of: conv(0); conv(0), conv(1); skip(0), conv(1), conv(2). A convolution is ReLU, 3x3, batch
    norm. Where the width changes the skip connection is a 1x1 convolution and batch norm, without ReLU.
    """

    def __init__(self, before: int, width: int):
        super().__init__()
        self.conv_01, self.conv_02 = conv_bn(before, width, 3), conv_bn(before, width, 3)
        self.conv_12, self.conv_13, self.conv_23 = (conv_bn(width, width, 3) for _ in range(3))
        self.skip = nn.Identity() if before == width else conv_bn(before, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        relu = F.relu(x)
        first = self.conv_01(relu)
        relu_first = F.relu(first)
        second = self.conv_02(relu) + self.conv_12(relu_first)
        out: Tensor = self.skip(x) + self.conv_13(relu_first) + self.conv_23(F.relu(second))
        return out


class Reduction(nn.Module):
    """Residual block that halves the size: (n, before, h, w) to (n, width, ceil(h/2), ceil(w/2)).

    Pooling rounds up where the size is odd, as the convolutions do; on the benchmark's even sizes it is theirs.
    """

    def __init__(self, before: int, width: int):
        super().__init__()
        self.conv_a, self.conv_b = conv_bn(before, width, 3, stride=2), conv_bn(width, width, 3)
        self.shortcut = nn.Conv2d(before, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.conv_b(F.relu(self.conv_a(F.relu(x))))
        shortcut: Tensor = self.shortcut(F.avg_pool2d(x, 2, stride=2, ceil_mode=True))
        return residual + shortcut


class NatsSssNetwork(nn.Module):
    """Images (n, in_channels, h, w) to logits (n, classes).

    `choices`: the width of each of the five layers, as numbers of the candidates C, 2 C, ..., 8 C; `channels` is C
    (8 in the benchmark). Raises BenchbedError where a choice is no candidate or a size is not positive.
    """

    def __init__(self, choices: tuple[int, ...], channels: int = CHANNELS, classes: int = 10, in_channels: int = 3):
        super().__init__()
        for name, value in {"channels": channels, "classes": classes, "in_channels": in_channels}.items():
            if value < 1:
                raise BenchbedError(f"{name} of {value}: a network of nats-sss needs at least 1")
        if len(choices) != len(BLOCKS) or not all(0 <= k < len(CANDIDATES) for k in choices):
            raise BenchbedError(f"choices {tuple(choices)} name no network of nats-sss: five numbers from 0 to 7")
        widths = [channels * (k + 1) for k in choices]
        self.stem = conv_bn(in_channels, widths[0], 3)
        blocks: list[nn.Module] = []
        for block, before, width in zip(BLOCKS, [widths[0], *widths], widths, strict=False):
            blocks.append(Reduction(before, width) if block.reduces else Cell(before, width))
        self.blocks = nn.Sequential(*blocks)
        self.last_bn = nn.BatchNorm2d(widths[-1])
        self.classifier = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(x))
        logits: Tensor = self.classifier(F.relu(self.last_bn(x)).mean((2, 3)))
        return logits
