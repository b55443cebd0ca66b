"""Partial channels: the shuffle, cells written out edge by edge as the paper has them, and the supernet's contract."""

import pytest
import torch
from torch.nn import functional as F

from benchbed.errors import BenchbedError
from benchbed.layers.partial import joined, shuffled, split
from benchbed.layers.plan import full_plan
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.spaces.darts.costs import cell_shapes
from benchbed.spaces.darts.space import EDGES as DARTS_EDGES
from benchbed.spaces.darts.supernet import DartsCellSupernet
from benchbed.spaces.load import load_space
from benchbed.spaces.nb201 import supernet
from benchbed.spaces.nb201.space import EDGES, NB201
from benchbed.spaces.nb201.supernet import CellSupernet, NB201Supernet, PartialCell
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task
from benchbed.testing.supernet_suite import CHECKS, made


def images(channels: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(3, channels, 6, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_shuffling_by_k_and_then_by_the_rest_is_the_identity():
    x = images(12)
    assert shuffled(x, 4)[0, :, 0, 0].tolist() == x[0, [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11], 0, 0].tolist()
    assert torch.equal(shuffled(shuffled(x, 4), 3), x)
    assert torch.equal(joined(*split(x, 4), 4), shuffled(x, 4))
    assert [part.shape[1] for part in split(x, 4)] == [3, 9]


def edge_by_edge(x: torch.Tensor, mixture: torch.Tensor, weight: float, partial: int) -> torch.Tensor:
    """One edge as the authors write it: mixed and passed channels, shuffled, times the edge's weight."""
    rest = x[:, x.shape[1] // partial :]
    rest = F.max_pool2d(rest, 2) if mixture.shape[2] != x.shape[2] else rest
    n, c, h, w = (len(x), x.shape[1], *mixture.shape[2:])
    whole = torch.cat([mixture, rest], 1).view(n, partial, c // partial, h, w).transpose(1, 2).reshape(n, c, h, w)
    return weight * whole


def test_a_cell_of_nas_bench_201_is_the_sum_of_its_edges():
    torch.manual_seed(0)
    cell, x = PartialCell(8, 4).double(), images(8)
    p = torch.randn(6, 5, dtype=torch.float64).softmax(1)
    b = torch.rand(6, dtype=torch.float64)
    gates = p * b[:, None]
    found = cell(x, [list(row) for row in gates], full_plan(torch.ones(6, 5, dtype=torch.bool)))
    nodes = [x, 0, 0, 0]
    for edge, (source, target) in enumerate(EDGES):
        own = nodes[source][:, :2]
        mixture = sum(p[edge, k] * cell.operation(edge, k)(own) for k in range(1, 5))
        nodes[target] = nodes[target] + edge_by_edge(nodes[source], mixture, b[edge], 4)
    torch.testing.assert_close(found, nodes[3])


@pytest.mark.parametrize("reduction", [False, True])
def test_a_cell_of_darts_is_the_sum_of_its_edges(reduction):
    torch.manual_seed(0)
    shape = next(s for s in cell_shapes(8, 6, "cifar") if s.reduction == reduction)
    operations = tuple(position.operations for position in load_space("darts", {}).positions)[:14]
    cell = DartsCellSupernet(shape, operations, partial=4).double()
    widths = [next(m.parameters()).shape[1] for m in cell.preprocessing]
    inputs = [images(width, seed) for seed, width in enumerate(widths)]
    p = torch.randn(14, 8, dtype=torch.float64).softmax(1)
    b = torch.rand(14, dtype=torch.float64)
    steps = full_plan(torch.ones(14, 8, dtype=torch.bool))
    found = cell(*inputs, [list(row) for row in p * b[:, None]], steps, 0)
    nodes = [module(x) for module, x in zip(cell.preprocessing, inputs, strict=True)]
    values = {target: 0 for _, target in DARTS_EDGES}
    for edge, (source, target) in enumerate(DARTS_EDGES):
        x = nodes[source] if source < 2 else values[source]
        own, stride, mixture = x[:, : shape.channels // 4], cell.stride(source), 0
        for k, name in enumerate(operations[edge]):
            if name != "none":
                mixture = mixture + p[edge, k] * cell._operation(edge, name, stride)(own)
        values[target] = values[target] + edge_by_edge(x, mixture, b[edge], 4)
    torch.testing.assert_close(found, torch.cat(list(values.values()), 1))


SPACES = ("nb201", "nb201-untied", "darts-s2", "darts-s4")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", SPACES)
def test_supernets_of_partial_channels_keep_the_contract(name, check, small_space, monkeypatch):
    space = small_space(name)
    sizes = space.sizes
    monkeypatch.setattr(type(space), "sizes", lambda self, channels, cells: {**sizes(channels, cells), "partial": 2})
    check(made(space, channels=4, cells=3 if space.nodes else 1))


def test_what_passes_by_has_no_weights_and_all_channels_are_the_cell_of_before():
    whole, part = NB201Supernet(8, 1), NB201Supernet(8, 1, partial=4)
    assert all(type(block) is not PartialCell for block in whole.blocks)
    count = {kind: sum(w.numel() for w in net.parameters()) for kind, net in (("whole", whole), ("part", part))}
    of_cells = sum(w.numel() for cell in whole.blocks if isinstance(cell, CellSupernet) for w in cell.parameters())
    assert count["whole"] - count["part"] == of_cells * 15 // 16


def _sealed():
    raise AssertionError("the test split was touched")


@pytest.mark.parametrize(
    ("space", "partial", "text"),
    [
        ("nb201", 3, r"supernet.partial = 3 does not divide the 4 channels of a cell: give a divisor of it"),
        ("darts-s2", 3, r"supernet.partial = 3 does not divide the 4 channels"),
        ("macro", 2, r"supernet.partial = 2: operations of this space see all channels; give supernet.partial=1"),
    ],
)
def test_what_does_not_divide_or_is_not_built_is_refused(space, partial, text):
    split = Split(torch.randn(6, 3, 8, 8), torch.arange(6) % 3)
    task = Task("random", 3, (3, 8, 8), split, split, Seal(_sealed), "0")
    options = SupernetOptions(channels=4, cells=3, batch=6, valid_batch=6, partial=partial)
    with pytest.raises(BenchbedError, match=text):
        SupernetObjective(load_space(space, {}).for_images((3, 8, 8), 3), task, options, Streams(0), epochs=1)


def test_merged_programs_are_not_asked_for(monkeypatch):
    """On an accelerator a step runs a program of whole channels; a partial supernet runs its own forward there."""
    monkeypatch.setattr(supernet, "MERGED", {"cpu"})
    torch.manual_seed(0)
    network, x = NB201Supernet(8, 1, partial=4), torch.randn(4, 3, 8, 8)
    gates = torch.from_numpy(NB201().mask).float() / 5
    steps = full_plan(gates > 0)
    assert torch.equal(network.forward_once(x, gates, steps), network(x, gates, steps))
