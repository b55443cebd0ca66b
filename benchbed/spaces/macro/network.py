"""The network of one NAS-Bench-Macro chain (Su et al., CVPR 2021): eight blocks in three stages.

Weights start from torch's defaults, as in the benchmark's own code, which calls no initialiser.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import BenchbedError
from ...layers.inverted import InvertedResidual, Norm
from .space import HEAD, KERNELS, OPERATIONS, Block, blocks


def operation(block: Block, k: int, norm: Norm = nn.BatchNorm2d) -> nn.Module:
    """Operation number k at a block of the chain."""
    if k in KERNELS:
        kernel, expansion = KERNELS[k]
        return InvertedResidual(block.in_channels, block.out_channels, kernel, expansion, block.stride, norm)
    if block.stride == 1:
        return nn.Identity()
    conv = nn.Conv2d(block.in_channels, block.out_channels, 1, block.stride, bias=False)
    return nn.Sequential(conv, norm(block.out_channels))


def stem(in_channels: int, channels: int, norm: Norm = nn.BatchNorm2d) -> nn.Sequential:
    """3x3 convolution, norm, ReLU."""
    return nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), norm(channels), nn.ReLU())


def head(width: int, channels: int, norm: Norm = nn.BatchNorm2d) -> nn.Sequential:
    """1x1 convolution from the last block's width, norm, ReLU."""
    return nn.Sequential(nn.Conv2d(width, HEAD * channels, 1, bias=False), norm(HEAD * channels), nn.ReLU())


class MacroNetwork(nn.Module):
    """Images (n, in_channels, h, w) to logits (n, classes).

    `choices`: the operation of each block, as numbers of identity, k3e3, k5e6; `channels` is C (32 in the benchmark).
    Raises BenchbedError where a choice is no operation or a size is not positive.
    """

    def __init__(self, choices: tuple[int, ...], channels: int = 32, classes: int = 10, in_channels: int = 3):
        super().__init__()
        for name, value in {"channels": channels, "classes": classes, "in_channels": in_channels}.items():
            if value < 1:
                raise BenchbedError(f"{name} of {value}: a NAS-Bench-Macro network needs at least 1")
        chain = blocks(channels)
        if len(choices) != len(chain) or not all(0 <= k < len(OPERATIONS) for k in choices):
            raise BenchbedError(f"choices {tuple(choices)} name no NAS-Bench-Macro chain: eight numbers from 0 to 2")
        self.stem = stem(in_channels, channels)
        self.blocks = nn.Sequential(*(operation(block, k) for block, k in zip(chain, choices, strict=True)))
        self.head = head(chain[-1].out_channels, channels)
        self.classifier = nn.Linear(HEAD * channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(self.blocks(self.stem(x)))
        logits: Tensor = self.classifier(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits
