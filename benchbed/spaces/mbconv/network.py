"""The discrete network of an MBConv chain (ProxylessNAS: Cai, Zhu and Han, ICLR 2019), and its layers.

Layers, batch norm (momentum 0.1, eps 1e-3) and initialisation follow the authors' code: kernels are normal with
variance 2 / (k^2 * channels out), also where they are depthwise; the classifier's weights are uniform within
1/sqrt(channels in) and its bias is 0. A `zero` block is the identity, and no module.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from ...errors import BenchbedError
from .space import ZERO, Block, Convolution, Geometry, kernel_and_expansion

Norm = Callable[[int], nn.Module]  # channels to a batch norm
norm: Norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.1)


class ConvNorm(nn.Module):
    """Convolution without bias, padded to keep the size at stride 1, batch norm, and ReLU6 where `act`."""

    def __init__(
        self, c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True, norm: Norm = norm
    ):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        nn.init.normal_(self.conv.weight, std=(2.0 / (kernel**2 * c_out)) ** 0.5)
        self.norm, self.act = norm(c_out), act

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return nn.functional.relu6(x, inplace=True) if self.act else x  # batch norm keeps its input, not its output


class InvertedBottleneck(nn.Module):
    """1x1 expansion (none at expansion 1), depthwise, 1x1 projection; (n, c_in, h, w) to (n, c_out, h', w').

    Without the shortcut, which belongs to the block.
    """

    def __init__(self, c_in: int, c_out: int, kernel: int, expansion: int, stride: int, norm: Norm = norm):
        super().__init__()
        wide = c_in * expansion
        self.expand = ConvNorm(c_in, wide, 1, norm=norm) if expansion > 1 else nn.Identity()
        self.depthwise = ConvNorm(wide, wide, kernel, stride, groups=wide, norm=norm)
        self.project = ConvNorm(wide, c_out, 1, act=False, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(self.depthwise(self.expand(x)))
        return out


class Residual(nn.Module):
    """x + operation(x)."""

    def __init__(self, operation: nn.Module):
        super().__init__()
        self.operation = operation

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.operation(x)
        return x + residual


def operation_of(block: Block, word: str, norm: Norm = norm) -> InvertedBottleneck:
    """The layers of an operation of a block, such as k5e3."""
    kernel, expansion = kernel_and_expansion(word)
    return InvertedBottleneck(block.width, block.out_width, kernel, expansion, block.stride, norm)


def stem_of(convolution: Convolution, in_channels: int, norm: Norm = norm) -> ConvNorm:
    return ConvNorm(in_channels, convolution.out_width, convolution.kernel, convolution.stride, norm=norm)


def first_of(geometry: Geometry, norm: Norm = norm) -> InvertedBottleneck:
    """The fixed first block: 3x3, expansion 1, no shortcut."""
    block = geometry.blocks[0]
    return InvertedBottleneck(block.width, block.out_width, 3, 1, block.stride, norm)


def head_of(convolution: Convolution, norm: Norm = norm) -> ConvNorm:
    return ConvNorm(convolution.width, convolution.out_width, convolution.kernel, convolution.stride, norm=norm)


def classifier_of(features: int, classes: int) -> nn.Linear:
    linear = nn.Linear(features, classes)
    nn.init.uniform_(linear.weight, -(features**-0.5), features**-0.5)
    nn.init.zeros_(linear.bias)
    return linear


class MBConvNetwork(nn.Module):
    """Images (n, in_channels, h, w) to logits (n, classes).

    `choices`: the number of each searched block's operation, in the order of `Block.operations`. `geometry`: the
    chain; its resolution is what it was counted for, images of any size pass. `dropout`: before the classifier (as
    published: gpu and mobile-14 0.3, cpu 0.2, mobile 0.1). Raises BenchbedError where a choice is no operation.
    """

    def __init__(
        self,
        choices: tuple[int, ...],
        geometry: Geometry,
        classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.0,
    ):
        super().__init__()
        if len(choices) != len(geometry.searched):
            raise BenchbedError(f"{len(choices)} mbconv choices where the chain has {len(geometry.searched)} positions")
        self.stem = stem_of(geometry.stem, in_channels)
        self.first = first_of(geometry)
        blocks: list[nn.Module] = []
        for block, k in zip(geometry.searched, choices, strict=True):
            if not 0 <= k < len(block.operations):
                raise BenchbedError(
                    f"mbconv choice {k} at position {block.position} is none of {len(block.operations)}"
                )
            if (word := block.operations[k]) != ZERO:
                operation = operation_of(block, word)
                blocks.append(Residual(operation) if block.has_shortcut else operation)
        self.blocks = nn.Sequential(*blocks)
        self.head = head_of(geometry.head)
        self.dropout = nn.Dropout(dropout)
        self.classifier = classifier_of(geometry.head.out_width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(self.blocks(self.first(self.stem(x))))
        logits: Tensor = self.classifier(self.dropout(x.mean((2, 3))))
        return logits
