"""What benchmarks/table_build compares computes the same values: networks stepped together, and each alone."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from benchbed.spaces.classes import classes
from benchbed.spaces.nb201.network import NB201Network
from benchbed.spaces.nb201.space import NB201


@pytest.fixture
def grouped(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks" / "table_build"))
    yield import_module("grouped")
    del sys.modules["grouped"]


def test_twenty_steps_together_are_twenty_steps_alone(grouped: Any) -> None:
    choices = sorted([*(g.trained.choices for g in classes(NB201())[:12]), (0,) * 6, (3,) * 6, (0, 0, 3, 0, 0, 3)])
    torch.manual_seed(0)
    networks = [NB201Network(c, 2, 1, 4, 1).double() for c in choices]
    net = grouped.Grouped(choices, networks)
    images, labels = torch.randn(20, 8, 1, 8, 8).double(), torch.randint(0, 4, (20, 8))

    def steps(network: torch.nn.Module) -> list[torch.Tensor]:
        sgd = torch.optim.SGD(network.parameters(), 0.1, 0.9, nesterov=True, weight_decay=5e-4)
        seen = []
        for batch, target in zip(images, labels, strict=True):
            logits = network(batch)
            seen.append(logits.detach())
            each = F.cross_entropy(logits.reshape(-1, 4), target.repeat(logits.numel() // (8 * 4)), reduction="sum")
            sgd.zero_grad()
            (each / len(target)).backward()
            sgd.step()
        return seen

    together = torch.stack(steps(net))  # (20, K, 8, 4)
    for k, network in enumerate(networks):
        alone = torch.stack(steps(network))
        assert (together[:, k] - alone).abs().max() < 1e-8, choices[k]
