"""A chain of three layers, each a 3x3 or a 5x5 convolution or nothing at all."""

import torch
from torch import nn

from benchbed.errors import BenchbedError, unknown
from benchbed.layers.plan import Run
from benchbed.space import Architecture, Position, Space

LAYERS = ("conv3", "conv5", "skip")


class Chain(Space):
    supernet, network = f"{__name__}:Supernet", f"{__name__}:Network"
    positions = tuple(Position(f"layer{i}", LAYERS, (True, True, True)) for i in range(3))

    def parse(self, text):  # the native string: conv3-skip-conv5
        words = text.split("-")
        if len(words) != 3:
            raise BenchbedError(f"'{text}': {len(words)} layers where 3 are expected, such as conv3-skip-conv5")
        for word in words:
            if word not in LAYERS:
                raise unknown("layer", word, LAYERS)
        return self.architecture_of(tuple(LAYERS.index(word) for word in words))

    def architecture_of(self, choices):
        if len(choices) != 3 or not all(0 <= k < len(LAYERS) for k in choices):
            raise BenchbedError(f"choices {choices} name no chain")
        return Architecture("-".join(LAYERS[k] for k in choices), choices)

    def canonical(self, arch):
        return arch.choices


def layer(name, channels):
    if name == "skip":
        return nn.Identity()
    convolution = nn.Conv2d(channels, channels, int(name[-1]), padding="same", bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels, track_running_stats=False))  # the batch's own statistics


class Supernet(nn.Module):
    """Every layer holds every operation. `cells` has no meaning for a chain."""

    def __init__(self, channels, cells, classes, in_channels):
        super().__init__()
        self.stem = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.layers = nn.ModuleList(nn.ModuleList(layer(name, channels) for name in LAYERS) for _ in range(3))
        self.head = nn.Linear(channels, classes)

    def forward(self, images, gates, plan):
        x = self.stem(images)
        for position, operations in enumerate(self.layers):
            inputs = {how: x.detach() if how is Run.PROBED else x for _, how in plan[position]}
            parts = [
                gates[position, k] * operations[k](inputs[how]) for k, how in plan[position]
            ]  # what the plan names
            x = torch.relu(sum(parts))
        return self.head(x.mean((2, 3)))


class Network(nn.Sequential):
    """The discrete network of the chosen layers."""

    def __init__(self, choices, channels, cells, classes, in_channels):
        layers = [part for k in choices for part in (layer(LAYERS[k], channels), nn.ReLU())]
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
        super().__init__(nn.Conv2d(in_channels, channels, 3, padding=1), *layers, *head)
