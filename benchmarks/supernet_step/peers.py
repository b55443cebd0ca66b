"""The NAS-Bench-201 supernets of three published codes, from clones that the user fetched, each with its own step.

    AutoDL-Projects  github.com/D-X-Y/AutoDL-Projects, exps/NAS-Bench-201-algos/DARTS-V1.py    (read at f46486e)
    darts-pt         github.com/ruocwang/darts-pt, nasbench201/train_search.py                 (read at 4ec3149)
    confopt          github.com/automl/ConfigurableOptimizer                                   (read at 13bde40)

Nothing of them is copied: their modules are imported from the clone. What is put beside them so that they import on a
CPU is in the loaders below. Their steps differ from ours in one thing: both halves compute the gradients of weights
and of alpha, and use one of them. That is part of what is timed.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchbed.errors import BenchbedError


class Peer(NamedTuple):
    """network: theirs; logits: of images (n, 3, h, w); weights, alphas: what their two optimisers step."""

    network: nn.Module
    logits: Callable[[Tensor], Tensor]
    weights: list[nn.Parameter]
    alphas: list[Tensor]


@contextmanager
def importable(folder: Path, *stand_ins: tuple[str, ModuleType]) -> Iterator[None]:
    """Imports look into `folder` first, and find the stand-ins."""
    with patch.dict(sys.modules, dict(stand_ins)), patch.object(sys, "path", [str(folder), *sys.path]):
        yield


def autodl(clone: Path, channels: int, cells: int) -> Peer:
    with importable(clone):
        from xautodl.models.cell_operations import NAS_BENCH_201  # type: ignore[import-not-found]
        from xautodl.models.cell_searchs.search_model_darts import TinyNetworkDarts  # type: ignore[import-not-found]

        network = TinyNetworkDarts(channels, cells, 4, 10, NAS_BENCH_201, False, False)
    return Peer(network, lambda images: network(images)[1], network.get_weights(), network.get_alphas())


def darts_pt(clone: Path, channels: int, cells: int) -> Peer:
    """Its alpha is placed by `.cuda()`, which stays where it is here."""
    with importable(clone), patch.object(torch.Tensor, "cuda", lambda self: self):
        from nasbench201.cell_operations import NAS_BENCH_201  # type: ignore[import-not-found]
        from nasbench201.search_model_darts import TinyNetworkDarts  # type: ignore[import-not-found]

        rates = argparse.Namespace(learning_rate=0.025, momentum=0.9, weight_decay=3e-4)
        network = TinyNetworkDarts(channels, cells, 4, 10, nn.CrossEntropyLoss(), NAS_BENCH_201, rates)
    return Peer(network, network, network.get_weights(), network.arch_parameters())


def confopt(clone: Path, channels: int, cells: int) -> Peer:
    """Only its NAS-Bench-201 is imported: its other spaces need packages that play no part in a step, as does thop."""
    source = clone / "src"
    packages = []
    for name in ("confopt.searchspace", "confopt.searchspace.nb201", "confopt.searchspace.nb201.core"):
        package = ModuleType(name)
        package.__path__ = [str(source / name.replace(".", "/"))]
        packages.append((name, package))
    thop = ModuleType("thop")
    thop.profile = lambda *_, **__: (0, 0)  # type: ignore[attr-defined]
    with importable(source, ("thop", thop), *packages):
        from confopt.searchspace.nb201.core.model_search import NB201SearchModel  # type: ignore[import-not-found]

        network = NB201SearchModel(C=channels, N=cells, num_classes=10)
    return Peer(network, lambda images: network(images)[1], network.get_weights(), network.get_alphas())


PEERS: dict[str, Callable[[Path, int, int], Peer]] = {"autodl": autodl, "darts-pt": darts_pt, "confopt": confopt}


CODES = {"autodl": "D-X-Y/AutoDL-Projects", "darts-pt": "ruocwang/darts-pt", "confopt": "automl/ConfigurableOptimizer"}


def loaded(name: str, clone: Path, channels: int, cells: int) -> Peer:
    """The peer of a clone. Raises BenchbedError for a folder that is none, or lacks what it needs to be imported."""
    try:
        return PEERS[name](clone, channels, cells)
    except ImportError as error:
        raise BenchbedError(
            f"--{name} {clone}: expected a clone of github.com/{CODES[name]} that can be imported ({error})"
        ) from None


def count(weights: list[nn.Parameter]) -> int:
    return sum(weight.numel() for weight in weights)


class PeerArm:
    """A peer's network with its own two half-steps, on one batch. layout: channels-last, or contiguous as it comes."""

    def __init__(self, peer: Peer, layout: str, batch: tuple[Tensor, Tensor, Tensor]):
        images, labels, _ = batch
        memory = torch.channels_last if layout == "channels-last" else torch.contiguous_format
        self.peer = peer
        peer.network.to(memory_format=memory)  # type: ignore[call-overload]
        self.images, self.labels = images.contiguous(memory_format=memory), labels
        self.weights: Any = torch.optim.SGD(peer.weights, lr=0.025, momentum=0.9, weight_decay=3e-4)
        self.alphas: Any = torch.optim.Adam(peer.alphas, lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3)

    def _backward(self) -> None:
        F.cross_entropy(self.peer.logits(self.images), self.labels).backward()

    def weight_step(self) -> None:
        self.weights.zero_grad()
        self._backward()
        nn.utils.clip_grad_norm_(self.peer.network.parameters(), 5.0)
        self.weights.step()

    def gate_step(self) -> None:
        self.alphas.zero_grad()
        self._backward()
        self.alphas.step()

    def darts_step(self) -> None:
        self.weight_step()
        self.gate_step()
