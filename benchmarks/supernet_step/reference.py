"""The NAS-Bench-201 supernet op by op: the shape that the search codes published with the papers share.

One nn.Module per candidate operation, each with its own ReLU; a MixedOp runs all five and sums weight * operation(x);
`none` multiplies by zero; a node is the sum of its edges. Written for this benchmark from the description of the space
(Dong and Yang, ICLR 2020), as the yardstick of `benchbed.spaces.nb201.supernet`: nothing else uses it.
"""

import torch
from torch import Tensor, nn

from benchbed.layers.plan import Plan
from benchbed.spaces.nb201.space import EDGES, OPERATIONS
from benchbed.spaces.nb201.supernet import CellSupernet, NB201Supernet


def _norm(channels: int, affine: bool) -> nn.BatchNorm2d:
    """The batch's statistics, no running ones: what the compared network computes."""
    return nn.BatchNorm2d(channels, affine=affine, track_running_stats=False)


class ReLUConvBN(nn.Sequential):
    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, affine: bool = False):
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False),
            _norm(out_channels, affine),
        )


class Zero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mul(0.0)


def _operation(name: str, channels: int) -> nn.Module:
    if name == "none":
        return Zero()
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return ReLUConvBN(channels, channels, 3 if name == "nor_conv_3x3" else 1)


class MixedOp(nn.Module):
    """sum_o weight_o * o(x) over the five operations of one edge."""

    def __init__(self, channels: int):
        super().__init__()
        self.operations = nn.ModuleList(_operation(name, channels) for name in OPERATIONS)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        return sum(w * operation(x) for w, operation in zip(weights, self.operations, strict=True))


class Cell(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.edges = nn.ModuleList(MixedOp(channels) for _ in EDGES)

    def forward(self, x: Tensor, gates: Tensor) -> Tensor:
        nodes = [x]
        for node in range(1, 4):
            incoming = [e for e, (_, target) in enumerate(EDGES) if target == node]
            nodes.append(sum(self.edges[e](nodes[EDGES[e][0]], gates[e]) for e in incoming))
        return nodes[-1]


class ResidualBlock(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv_a = ReLUConvBN(channels, 2 * channels, 3, stride=2, affine=True)
        self.conv_b = ReLUConvBN(2 * channels, 2 * channels, 3, affine=True)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(channels, 2 * channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_b(self.conv_a(x)) + self.shortcut(x)


class ReferenceSupernet(nn.Module):
    """`forward(images, gates, plan)`: logits (n, classes) for gates (6, 5); every operation runs, whatever the plan."""

    def __init__(self, channels: int = 16, cells: int = 5, classes: int = 10, in_channels: int = 3):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), _norm(channels, True))
        blocks: list[nn.Module] = []
        for stage in range(3):
            if stage:
                blocks.append(ResidualBlock(channels * 2 ** (stage - 1)))
            blocks += [Cell(channels * 2**stage) for _ in range(cells)]
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Sequential(_norm(4 * channels, True), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(4 * channels, classes)

    def forward(self, images: Tensor, gates: Tensor, plan: Plan | None = None) -> Tensor:
        x = self.stem(images)
        for block in self.blocks:
            x = block(x, gates) if isinstance(block, Cell) else block(x)
        return self.classifier(self.head(x))


def weight_pairs(reference: ReferenceSupernet, ours: NB201Supernet) -> list[tuple[nn.Parameter, nn.Parameter]]:
    """(the reference's, ours) for every weight, each exactly once."""
    one, three = OPERATIONS.index("nor_conv_1x1"), OPERATIONS.index("nor_conv_3x3")
    modules = [(reference.stem[1], ours.stem_norm), (reference.head[0], ours.last_norm)]
    modules.append((reference.classifier, ours.classifier))
    pairs = [(reference.stem[0].weight, ours.stem)]
    for block, mine in zip(reference.blocks, ours.blocks, strict=True):
        if isinstance(mine, CellSupernet):
            for edge, mixed in enumerate(block.edges):
                pairs.append((mixed.operations[one][1].weight, mine.conv1[edge]))
                pairs.append((mixed.operations[three][1].weight, mine.conv3[edge]))
        else:
            pairs += [(block.conv_a[1].weight, mine.conv_a), (block.conv_b[1].weight, mine.conv_b)]
            pairs.append((block.shortcut[1].weight, mine.shortcut))
            modules += [(block.conv_a[2], mine.norm_a), (block.conv_b[2], mine.norm_b)]
    return pairs + [(getattr(a, name), getattr(b, name)) for a, b in modules for name in ("weight", "bias")]


@torch.no_grad()
def copy_weights(reference: ReferenceSupernet, ours: NB201Supernet) -> None:
    """The reference's weights, put into ours."""
    for theirs, mine in weight_pairs(reference, ours):
        mine.copy_(theirs)
