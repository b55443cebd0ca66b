"""What a trained network costs, counted on it, is what every space's closed form says of a network of that size."""

import numpy as np
import pytest
import torch
from torch import nn

from benchbed import registry
from benchbed.spaces.load import load_space
from benchbed.spaces.nats_sss.space import CHANNELS
from benchbed.training.cell import network_of
from benchbed.training.counted import counted
from benchbed.training.train import Recipe

SHAPE, CLASSES = (2, 12, 12), 7
SIZE = {"channels": 4, "cells": 3}
BIASES = ("nb201", "nb201-untied", "nats-sss")  # whose benchmarks count one for each bias of the last layer


@pytest.mark.parametrize("name", [plugin.name for plugin in registry.plugins("space")])
def test_the_count_is_the_closed_form_of_the_space(name: str) -> None:
    space = load_space(name, {"preset": "small"} if name == "mbconv" else {}).for_images(SHAPE, CLASSES)
    rng = np.random.default_rng(3)
    arch = space.random(rng)
    if name.startswith("nb201"):  # no edge without an input, whose convolution would never run
        arch = space.architecture_of(tuple(rng.integers(1, 5, len(space.positions)).tolist()))
    built = {"classes": CLASSES, "in_channels": SHAPE[0], **space.sizes(**SIZE)}
    found = counted(network_of(space, arch, Recipe(epochs=1, batch=2, lr=0.1), built), SHAPE, CLASSES)
    known = space.counts(arch, SHAPE, CLASSES, **SIZE)
    biases = 0 if name in BIASES else CLASSES
    assert (found["params"], found["flops"]) == (known["params"], known["flops"] + biases)
    assert (found["images"], found["classes"]) == (list(SHAPE), CLASSES)


def test_at_the_published_size_the_counts_are_the_facts() -> None:
    """Of the spaces whose facts are always of a published network: they are the same formula."""
    for name, published in (("nb201", (16, 5)), ("nats-sss", (CHANNELS, 1)), ("macro", (32, 1)), ("darts", (36, 20))):
        space = load_space(name, {})
        arch, size = space.random(np.random.default_rng(0)), dict(zip(("channels", "cells"), published, strict=True))
        facts = space.facts(arch)
        assert space.counts(arch, (3, 32, 32), 10, **size) == {kind: facts[kind] for kind in ("params", "flops")}


def test_what_a_prediction_does_not_use_is_not_counted_and_nothing_changes() -> None:
    torch.manual_seed(0)
    body, head = nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.Flatten()), nn.Linear(12, 5)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head, self.auxiliary = body, head, nn.Linear(99, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.body(x))

    network = Network().train()
    network.body[1].eval()  # one part in another mode than the rest
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = torch.get_rng_state()
    found = counted(network, (1, 4, 4), 5)
    assert found["params"] == 27 + 6 + 65
    assert found["flops"] == 27 * 4 + 60 + 5
    assert [m.training for m in (network, network.body[1], network.auxiliary)] == [True, False, True]
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert not any(module._forward_pre_hooks for module in network.modules())
