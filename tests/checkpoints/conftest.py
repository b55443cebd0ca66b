"""Supernets of the official structure, for no real checkpoint is at hand: their key names, in code of our own.

Names from the reference, sections 2.1 and 3.5, and read in darts-pt (commit 4ec3149) and AutoDL-Projects (f46486e).
Every operation is run by itself, none shares a ReLU or a pooling, batch norms keep running statistics.
"""

import argparse
import sys
from types import ModuleType

import pytest
import torch
from torch import nn

NODES, COLUMNS = 4, 5  # none, skip, 1x1, 3x3, pool


class Wrapped(nn.Module):
    """ReLU, convolution, batch norm under the name `op`."""

    def __init__(self, c_in, c_out, size, stride, affine):
        super().__init__()
        conv = nn.Conv2d(c_in, c_out, size, stride, size // 2, bias=False)
        self.op = nn.Sequential(nn.ReLU(), conv, nn.BatchNorm2d(c_out, affine=affine))

    def forward(self, x):
        return self.op(x)


class Times(nn.Module):
    """Skip connection and zero: a multiple of the input."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


class Pool(nn.Module):
    def __init__(self):
        super().__init__()
        self.op = nn.AvgPool2d(3, 1, 1, count_include_pad=False)

    def forward(self, x):
        return self.op(x)


class SearchCell(nn.Module):
    def __init__(self, channels, affine):
        super().__init__()
        self.edges = nn.ModuleDict()
        for node in range(1, NODES):
            for source in range(node):
                convolutions = [Wrapped(channels, channels, size, 1, affine) for size in (1, 3)]
                self.edges[f"{node}<-{source}"] = nn.ModuleList([Times(0.0), Times(1.0), *convolutions, Pool()])

    def forward(self, x, weights):
        rows, nodes = dict(zip(sorted(self.edges), weights, strict=True)), [x]
        for node in range(1, NODES):
            total = 0
            for source in range(node):
                key = f"{node}<-{source}"
                total = total + sum(w * op(nodes[source]) for w, op in zip(rows[key], self.edges[key], strict=True))
            nodes.append(total)
        return nodes[-1]


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv_a = Wrapped(channels, 2 * channels, 3, 2, True)
        self.conv_b = Wrapped(2 * channels, 2 * channels, 3, 1, True)
        self.downsample = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(channels, 2 * channels, 1, bias=False))

    def forward(self, x):
        return self.downsample(x) + self.conv_b(self.conv_a(x))


class Official(nn.Module):
    """`layout`: 'darts-pt', 'AutoDL', or 'NATS' for AutoDL's later script, each with its own names."""

    def __init__(self, layout, channels=4, cells=1, classes=4, in_channels=1, affine=False):
        super().__init__()
        blocks = []
        for stage in range(3):
            blocks += [Residual(channels * 2 ** (stage - 1))] if stage else []
            blocks += [SearchCell(channels * 2**stage, affine) for _ in range(cells)]
        self.layout, mark = layout, "_" if layout == "NATS" else ""
        self.add_module(f"{mark}stem", nn.Sequential(nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False),
                                                     nn.BatchNorm2d(channels)))  # fmt: skip
        self.add_module(f"{mark}cells", nn.ModuleList(blocks))
        self.lastact = nn.Sequential(nn.BatchNorm2d(4 * channels, affine=layout != "NATS"), nn.ReLU())
        self.classifier = nn.Linear(4 * channels, classes)
        alpha = torch.randn(6, COLUMNS)
        if layout == "darts-pt":
            self.alpha = alpha.requires_grad_()  # no parameter there
        else:
            self.arch_parameters = nn.Parameter(alpha)

    @property
    def alphas(self):
        return self.alpha if self.layout == "darts-pt" else self.arch_parameters

    def forward(self, images, weights=None):
        weights = self.alphas.softmax(1) if weights is None else weights
        mark = "_" if self.layout == "NATS" else ""
        x = getattr(self, f"{mark}stem")(images)
        for block in getattr(self, f"{mark}cells"):
            x = block(x, weights) if isinstance(block, SearchCell) else block(x)
        return self.classifier(self.lastact(x).mean((2, 3)))


class Structure:
    """Under AutoDL's name: the cell that a checkpoint holds for every epoch."""

    def __init__(self, nodes):
        self.nodes = nodes
        self.node_num = len(nodes) + 1


@pytest.fixture
def official(monkeypatch):
    """`official(layout, **sizes)`: the module of seed 5, some of its batch norms' weights moved off one and zero."""

    def make(layout, **sizes):
        with torch.random.fork_rng():
            torch.manual_seed(5)
            module = Official(layout, **sizes)
            for name, p in module.named_parameters():
                if p.ndim == 1:
                    nn.init.normal_(p, float("weight" in name), 0.3)
        return module.train()

    for name in ("xautodl", "xautodl.models", "xautodl.models.cell_searchs", "xautodl.models.cell_searchs.genotypes"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    home = sys.modules["xautodl.models.cell_searchs.genotypes"]
    monkeypatch.setattr(Structure, "__module__", home.__name__)
    home.Structure = Structure
    return make


@pytest.fixture
def saved(official, tmp_path):
    """`saved(layout, **sizes)`: (file, module), as the official scripts write it after a step of alpha."""

    def make(layout, name="checkpoint_100.pth.tar", change=None, **sizes):
        module = official(layout, **sizes)
        adam = torch.optim.Adam([module.alphas], lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3)
        in_channels = sizes.get("in_channels", 1)
        module(torch.randn(8, in_channels, 8, 8, generator=torch.Generator().manual_seed(1))).square().mean().backward()
        adam.step()
        if layout == "darts-pt":
            tree = {"epoch": 100, "state_dict": module.state_dict(), "alpha": [module.alphas],
                    "arch_optimizer": adam.state_dict(), "optimizer": {}, "scheduler": {}}  # fmt: skip
        else:
            cell = Structure([(("none", 0),), (("none", 0), ("none", 1))])
            tree = {"epoch": 50, "args": argparse.Namespace(arch_lr=3e-4), "search_model": module.state_dict(),
                    "a_optimizer": adam.state_dict(), "genotypes": {-1: cell, 0: cell},
                    "valid_accuracies": {"best": -1, 0: 41.5}}  # fmt: skip
        if change is not None:
            change(tree)
        torch.save(tree, tmp_path / name)
        return tmp_path / name, module

    return make
