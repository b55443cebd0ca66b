"""What section 3.2 of DARTS-PT says, measured on a trained NAS-Bench-201 supernet: edges swapped, errors on edges.

The edge-swap test is the paper's (table 1): where all edges of a cell estimate the same feature map, trading two of
them hurts little. There is no published measurement of the feature map m* itself; `edge_errors` puts the mean of the
cell's nodes in its place, every tensor standardised per channel over a batch. **That is our construction.**
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ...layers.plan import plan
from ...objectives.supernet import SupernetObjective
from ...spaces.nb201.space import CONV1, CONV3, EDGES, OPERATIONS, SKIP
from ...spaces.nb201.supernet import CellSupernet, NB201Supernet
from ...spaces.nb201_untied.supernet import NB201UntiedSupernet
from .skip_theory import Errors

Images = Sequence[tuple[Tensor, Tensor]]
CONVOLUTIONS = (CONV1, CONV3)
LEAST = 1e-5  # standard deviation below which a channel counts as constant


class Swaps(NamedTuple):
    """Validation accuracy in percent: as trained, and after each random swap of two edges in every cell."""

    before: float
    after: list[float]


def batches(objective: SupernetObjective, most: int | None = None) -> Images:
    """All of validation in nearly equal parts of at most `eval_batch` images, or the first `most` parts."""
    split = objective.splits["valid"]
    count = -(-len(split) // objective.options.eval_batch)
    chunks = torch.arange(len(split)).chunk(count)[:most]
    return list(split.in_order(slice(int(chunk[0]), int(chunk[-1]) + 1) for chunk in chunks))


def untied(network: NB201Supernet) -> NB201UntiedSupernet:
    """The same supernet, its weights copied, with gates of its own for every cell: (6 * cells, 5)."""
    stem, cells = network.stem, sum(isinstance(block, CellSupernet) for block in network.blocks)
    copy = NB201UntiedSupernet(stem.shape[0], cells // 3, network.classifier.out_features, stem.shape[1])
    copy.load_state_dict(network.state_dict())
    return copy.to(stem.device)


def swap(network: NB201UntiedSupernet, gates: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor:
    """Trades two edges in every cell: the weights of all their operations, in place, and their gates (6 * cells, 5).

    `pairs`: the two edges of each cell. All edges of a cell keep shape, so any two may be traded.
    """
    cells = [block for block in network.blocks if isinstance(block, CellSupernet)]
    order = torch.arange(len(gates))
    with torch.no_grad():
        for number, (cell, (one, other)) in enumerate(zip(cells, pairs, strict=True)):
            for kernels in (cell.conv1, cell.conv3):
                kept = kernels[one].clone()
                kernels[one].copy_(kernels[other])
                kernels[other].copy_(kept)
            start = network.rows(number).start
            order[start + one], order[start + other] = start + other, start + one
    return gates[order]


def accuracy(network: NB201Supernet, gates: Tensor, images: Images) -> float:
    """In percent, by each batch's own statistics."""
    device, steps, right = network.stem.device, plan(gates), 0
    with torch.no_grad():
        for x, labels in images:
            right += int((network(x, gates.to(device), steps).argmax(1) == labels).sum())
    return 100.0 * right / sum(len(labels) for _, labels in images)


def swap_test(
    network: NB201Supernet, gates: Float[Tensor, "6 5"], images: Images, count: int, generator: torch.Generator
) -> Swaps:
    """The accuracy of the mixture, and after each of `count` independent swaps of two random edges in every cell."""
    cells = sum(isinstance(block, CellSupernet) for block in network.blocks)
    tiled, after = gates.repeat(cells, 1), []
    for _ in range(count):
        chosen = [torch.randperm(len(EDGES), generator=generator)[:2].tolist() for _ in range(cells)]
        changed = untied(network)
        after.append(accuracy(changed, swap(changed, tiled, [(a, b) for a, b in chosen]), images))
    return Swaps(accuracy(untied(network), tiled, images), after)


def edge_errors(network: NB201Supernet, gates: Float[Tensor, "6 5"], images: Images) -> dict[tuple[int, int], Errors]:
    """(edge, column of a convolution) -> the errors of its output and of its input, means over cells and batches."""
    sums: dict[tuple[int, int], list[Tensor]] = {}
    rows, steps = [list(row.unbind()) for row in gates.to(network.stem.device).unbind()], plan(gates)
    with torch.no_grad():
        for x, _ in images:
            x = network.stem_norm(F.conv2d(x, network.stem, padding=1))
            for block in network.blocks:
                if not isinstance(block, CellSupernet):
                    x = block(x)
                    continue
                nodes = block.nodes(x, rows, steps)
                alive = [node for node in nodes[1:] if node is not None]
                if alive:
                    for key, found in _of_cell(block, nodes, sum(alive[1:], alive[0]) / len(alive)):
                        sums.setdefault(key, []).append(found)
                x = torch.zeros_like(x) if nodes[-1] is None else nodes[-1]
    return {key: Errors(*torch.stack(parts).mean(0).tolist()) for key, parts in sums.items()}


def _of_cell(
    cell: CellSupernet, nodes: Sequence[Tensor | None], goal: Tensor
) -> Iterable[tuple[tuple[int, int], Tensor]]:
    """(Va, Vb, c), (3,) in float64, of each edge that has an input, and each of its convolutions."""
    m = _standardised(goal)
    for edge, (source, _) in enumerate(EDGES):
        value = nodes[source]
        if value is None:
            continue
        b = _standardised(value) - m
        for column in CONVOLUTIONS:
            a = _standardised(cell.operation(edge, column)(value)) - m
            yield (edge, column), torch.stack([(a * a).mean(), (b * b).mean(), (a * b).mean()])


def _standardised(x: Tensor) -> Tensor:
    """Zero mean and unit variance per channel over batch and pixels, in float64; a constant channel is zero."""
    x = x.double() - x.double().mean((0, 2, 3), keepdim=True)
    return x / x.square().mean((0, 2, 3), keepdim=True).sqrt().clamp_min(LEAST)


def alpha_gaps(p: Float[Tensor, "6 5"]) -> dict[tuple[int, int], float]:
    """(edge, column of a convolution) -> alpha_skip - alpha_conv, from the probabilities."""
    logs = p.double().clamp_min(1e-30).log()
    return {(e, k): float(logs[e, SKIP] - logs[e, k]) for e in range(len(EDGES)) for k in CONVOLUTIONS}


def name(key: tuple[int, int]) -> str:
    """An edge and an operation in words: `0->1 nor_conv_3x3`."""
    edge, column = key
    return f"{EDGES[edge][0]}->{EDGES[edge][1]} {OPERATIONS[column]}"
