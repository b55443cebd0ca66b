"""MobileNetV2's inverted residual, the block of NAS-Bench-Macro: expand, depthwise, project.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, section 3.3.
"""

from collections.abc import Callable

from torch import Tensor, nn

Norm = Callable[[int], nn.Module]  # channels to a batch norm: with running statistics, or a supernet's


class InvertedResidual(nn.Module):
    """(n, c, h, w) to (n, d, ceil(h/stride), ceil(w/stride)), with a shortcut where the shape stays.

    A 1x1 convolution to `expansion` times c channels, norm, ReLU; a depthwise one of `kernel` and `stride`, norm, ReLU;
    a 1x1 one to d channels, norm. Convolutions have no bias.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        expansion: int,
        stride: int = 1,
        norm: Norm = nn.BatchNorm2d,
    ):
        super().__init__()
        hidden = in_channels * expansion
        depthwise = nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False)
        self.expand = nn.Sequential(nn.Conv2d(in_channels, hidden, 1, bias=False), norm(hidden), nn.ReLU())
        self.depthwise = nn.Sequential(depthwise, norm(hidden), nn.ReLU())
        self.project = nn.Sequential(nn.Conv2d(hidden, out_channels, 1, bias=False), norm(out_channels))
        self.shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(self.depthwise(self.expand(x)))
        return out + x if self.shortcut else out
