"""A cell's training step by hand: what leaves a node is convolved at once, and one batch norm serves several edges.

`CellSupernet.nodes` by autograd is the reference: the same function, one operation of one edge after the other. Here a
plan becomes a program, once, and a program is run forward and backward without a graph in between. The kernels of a
node's outgoing edges are merged into one of more output channels; gates come as rows that batch norm takes as its
scale; gradients are added where they lie. That is half of the launches on a GPU, where launching is what a step costs
at these widths. It can be differentiated once. A CPU keeps to the reference, whose bits published figures have.

Plans of which entries are echoed or taken for ones go through the reference, and so do those of one operation an edge:
they have little to merge.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from ...layers.plan import Plan, Run
from ...layers.sums import Sum
from .pooling import pool, pool_backward
from .space import CONV1, CONV3, EDGES, NONE, POOL, SKIP

aten = torch.ops.aten
EPSILON = 1e-5  # of batch norm
ORDER = tuple(sorted(range(len(EDGES)), key=lambda edge: EDGES[edge]))  # a node's outgoing edges side by side
PLACE = {edge: place for place, edge in enumerate(ORDER)}
CONVOLUTIONS, PLAIN = (CONV1, CONV3), (SKIP, POOL)


class Gates(NamedTuple):
    """A cell's gates, edges in `ORDER`: of `PLAIN` as they are, of `CONVOLUTIONS` once for every channel."""

    plain: Float[Tensor, "2 6"]
    convolutions: Float[Tensor, "2 6 C"]


class Bundle(NamedTuple):
    """Operations of one kind from one node. probed: their gates get gradients, and nothing else of them counts.

    gated: False where every gate is exactly one and nobody asks for its gradient. back: whether a gradient arrives at
    their targets; what has none is run for the sake of operations that are probed.
    """

    column: int
    edges: tuple[int, ...]
    gated: bool
    probed: bool
    back: bool

    @property
    def targets(self) -> tuple[int, ...]:
        return tuple(EDGES[edge][1] for edge in self.edges)


class Program(NamedTuple):
    """By source node 0, 1, 2: what leaves it. Where nothing leaves any, the output is zero."""

    leaving: tuple[tuple[Bundle, ...], ...]

    def merged(self) -> list[Bundle]:
        """The convolutions, in the order in which `run_program` takes their kernels."""
        return [b for bundles in self.leaving for b in bundles if b.column in CONVOLUTIONS]


@lru_cache(maxsize=20_000)  # more than there are cells: a search that samples paths makes each once
def program(rows: Plan) -> Program | None:
    """Of the six rows of a cell; None where an entry is echoed or taken for ones, or nothing is to be merged."""
    hows = {how for row in rows for _, how in row}
    if hows & {Run.ECHOED, Run.ONES} or hows <= {Run.UNIT}:
        return None
    alive = {0}
    for edge, (source, target) in enumerate(EDGES):  # edges come by target
        if source in alive and any(column != NONE for column, _ in rows[edge]):
            alive.add(target)
    if 3 not in alive:
        return Program(((), (), ()))
    needed, back, leaving = {3}, {3}, [tuple[Bundle, ...]()] * 3
    for source in (2, 1, 0):
        if source not in alive:
            continue
        kinds: dict[tuple[int, bool, bool], list[tuple[int, Run]]] = {}
        for edge in (e for e in ORDER if EDGES[e][0] == source):
            target = EDGES[edge][1]
            for column, how in rows[edge]:
                if column != NONE and (target in back or (how is not Run.PROBED and target in needed)):
                    kinds.setdefault((column, how is Run.PROBED, target in back), []).append((edge, how))
        if kinds:
            needed.add(source)
        if any(arrives and not probed for _, probed, arrives in kinds):
            back.add(source)
        leaving[source] = tuple(
            Bundle(column, tuple(e for e, _ in found), any(how is not Run.UNIT for _, how in found), probed, arrives)
            for (column, probed, arrives), found in sorted(kinds.items())
        )
    return Program(tuple(leaving))


def gates_of(gates: Float[Tensor, "6 5"], channels: int) -> Gates:
    """The gates of a cell as `run_program` takes them; the same for all cells of a width."""
    ordered = gates[_order(gates.device)].t()
    rows = ordered[CONV1 : CONV3 + 1, :, None].expand(-1, -1, channels)
    return Gates(ordered[SKIP : POOL + 1 : POOL - SKIP], rows.contiguous())


@lru_cache
def _order(device: torch.device) -> Tensor:
    return torch.tensor(ORDER, device=device)


def run_program(x: Tensor, gates: Gates, steps: Program, kernels: Sequence[Tensor]) -> Tensor:
    """A cell's output (n, C, h, w). kernels: one of `steps.merged()` each, (K C, C, k, k), in the type of x."""
    apply: Callable[..., Tensor] = _Cell.apply
    return apply(x, *gates, steps, *kernels)


class _Node:
    """What the operations that leave a node share, and what the convolutions need for their backward passes."""

    def __init__(self, value: Tensor, bundles: Sequence[Bundle]):
        self.value = value
        self.relu = F.relu(value) if any(b.column in CONVOLUTIONS for b in bundles) else None
        self.pool = pool(value) if any(b.column == POOL for b in bundles) else None
        self.convolved: list[tuple[Tensor, ...]] = []  # before batch norm; mean; reciprocal deviation

    def plain(self, column: int) -> Tensor:
        found = self.value if column == SKIP else self.pool
        assert found is not None
        return found


def _value(total: Sum, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if total.value is None else total.value


def _layout(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format


class _Cell(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, plain: Tensor, rows: Tensor, steps: Program, *kernels: Tensor) -> Tensor:
        gates, sums, taken = Gates(plain, rows), [Sum(x), Sum(), Sum(), Sum()], iter(kernels)
        ctx.steps, ctx.layout, ctx.nodes = steps, _layout(x), [None] * 3
        for source, bundles in enumerate(steps.leaving):
            if bundles:
                node = ctx.nodes[source] = _Node(_value(sums[source], x), bundles)
                convolved = [(b, _convolve(node, next(taken), gates, b)) for b in bundles if b.column in CONVOLUTIONS]
                _add(sums, node, bundles, convolved, gates)
        ctx.save_for_backward(plain, rows, *kernels)
        return _value(sums[3], x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        plain, rows, *kernels = ctx.saved_tensors
        needs_x, needs_plain, needs_rows, _, *needs = ctx.needs_input_grad
        gradient = gradients[0].contiguous(memory_format=ctx.layout)
        back = _Backward(Gates(plain, rows), gradient, needs_plain or needs_rows, any(needs))
        left = len(kernels)
        for source in (2, 1, 0):
            bundles, node = ctx.steps.leaving[source], ctx.nodes[source]
            left -= sum(b.column in CONVOLUTIONS for b in bundles)
            if bundles:
                back.leave(source, bundles, node, kernels[left:], source > 0 or needs_x)
        ctx.nodes = None  # the graph may outlive its backward pass
        of_gates = back.of_gates() if needs_plain or needs_rows else (None, None)
        return (back.arriving.get(0), *of_gates, None, *reversed(back.of_kernels))


def _convolve(node: _Node, kernel: Tensor, gates: Gates, bundle: Bundle) -> Tensor:
    """(n, K C, h, w): normalised and gated; what the backward pass needs goes to the node."""
    assert node.relu is not None
    before = F.conv2d(node.relu, kernel, padding=kernel.shape[-1] // 2)
    scale = _scale(gates, bundle)
    out, mean, deviation = torch.native_batch_norm(before, scale, None, None, None, True, 0.0, EPSILON)
    node.convolved.append((before, mean, deviation))
    return out


def _scale(gates: Gates, bundle: Bundle) -> Tensor | None:
    """(K C,): batch norm's scale; None for ones."""
    if not bundle.gated or bundle.probed:
        return None
    return _of_edges(gates.convolutions[CONVOLUTIONS.index(bundle.column)], bundle.edges).flatten()


def _plain_gates(gates: Gates, bundle: Bundle) -> Tensor:
    """(K,): the gates of skips or poolings."""
    return _of_edges(gates.plain[PLAIN.index(bundle.column)], bundle.edges)


def _of_edges(rows: Tensor, edges: Sequence[int]) -> Tensor:
    """Those of the rows (6, ...), a view where the edges lie side by side."""
    places = [PLACE[edge] for edge in edges]
    if places[-1] - places[0] == len(places) - 1:
        return rows[places[0] : places[-1] + 1]
    return torch.stack([rows[place] for place in places])


def _gate(gates: Gates, column: int, edge: int) -> Tensor:
    return gates.plain[PLAIN.index(column), PLACE[edge]]


def _add(
    sums: Sequence[Sum],
    node: _Node,
    bundles: Sequence[Bundle],
    convolved: Sequence[tuple[Bundle, Tensor]],
    gates: Gates,
) -> None:
    """What leaves a node to the sums of its targets. What has the same targets is added up first."""
    together: dict[tuple[int, ...], Sum] = {}
    for bundle, out in convolved:
        if not bundle.probed:
            together.setdefault(bundle.targets, Sum()).add(out, own=True)
    for bundle in bundles:
        if bundle.column not in PLAIN or bundle.probed:
            continue
        value, held = node.plain(bundle.column), together.get(bundle.targets)
        if bundle.gated and held is not None and held.value is not None:
            several = held.value.unflatten(1, (len(bundle.edges), -1))
            several.addcmul_(value.unsqueeze(1), _plain_gates(gates, bundle).view(1, -1, 1, 1, 1))
            continue
        for edge, target in zip(bundle.edges, bundle.targets, strict=True):
            if bundle.gated:
                sums[target].add_gated(value, _gate(gates, bundle.column, edge))
            else:
                sums[target].add(value, own=False)
    for targets, total in together.items():
        assert total.value is not None
        for target, part in zip(targets, total.value.chunk(len(targets), 1), strict=True):
            if sums[target].value is None:
                sums[target].add(part.contiguous(memory_format=_layout(node.value)), own=True)
            else:  # a part of several is no memory to go on with
                sums[target].add(part, own=len(targets) == 1)


class _Backward:
    """The backward pass of a cell, from its last node to its first. `arriving`: the gradient at each node."""

    def __init__(self, gates: Gates, gradient: Tensor, by_gates: bool, by_kernels: bool):
        self.gates, self.by_gates, self.by_kernels = gates, by_gates, by_kernels
        self.arriving = {3: gradient}
        self.of_kernels: list[Tensor | None] = []  # the last kernel's first
        self.pieces: dict[tuple[int, int], Tensor] = {}  # by column and place

    def leave(
        self, source: int, bundles: Sequence[Bundle], node: _Node, kernels: Sequence[Tensor], by_value: bool
    ) -> None:
        """All that left a node has its gradients; the node itself where anything arrived that flows."""
        together: dict[tuple[int, ...], Tensor] = {}
        for bundle in bundles:
            if bundle.back and bundle.targets not in together:
                parts = [self.arriving[target] for target in bundle.targets]
                together[bundle.targets] = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
        convolutions = [b for b in bundles if b.column in CONVOLUTIONS]
        by_relu = Sum()
        for bundle, kernel, kept in reversed(list(zip(convolutions, kernels, node.convolved, strict=False))):
            by_input, by_kernel = None, None
            if bundle.back:
                by_input, by_kernel = self._convolution(bundle, together[bundle.targets], node, kernel, kept, by_value)
            if by_input is not None:
                by_relu.add(by_input, own=True)
            self.of_kernels.append(by_kernel)
        total = Sum() if by_relu.value is None else Sum(aten.threshold_backward(by_relu.value, node.relu, 0), own=True)
        for bundle in bundles:
            if bundle.back and bundle.column in PLAIN:
                if self.by_gates and bundle.gated:
                    self._gates_of_plain(bundle, together[bundle.targets], node)
                if by_value and not bundle.probed:
                    self._plain(bundle, node, total)
        if total.value is not None:
            self.arriving[source] = total.value

    def _convolution(
        self,
        bundle: Bundle,
        gradient: Tensor,
        node: _Node,
        kernel: Tensor,
        kept: tuple[Tensor, ...],
        by_value: bool,
    ) -> tuple[Tensor | None, Tensor | None]:
        """The gradients of the rectified value and of the kernel; that of the gates is put aside."""
        before, mean, deviation = kept
        flows, by_gates = not bundle.probed, self.by_gates and bundle.gated
        if not (flows and (by_value or self.by_kernels)) and not by_gates:
            return None, None
        scale = _scale(self.gates, bundle)
        if by_gates and scale is None:
            scale = before.new_ones(before.shape[1], dtype=mean.dtype)
        mask = [flows, by_gates, False]
        by_before, by_scale, _ = aten.native_batch_norm_backward(
            gradient, before, scale, None, None, mean, deviation, True, EPSILON, mask
        )
        if by_gates:
            parts = by_scale.view(len(bundle.edges), -1)
            self.pieces.update({(bundle.column, PLACE[e]): p for e, p in zip(bundle.edges, parts, strict=True)})
        if not flows:
            return None, None
        pad = kernel.shape[-1] // 2
        by_relu, by_kernel, _ = aten.convolution_backward(
            by_before, node.relu, kernel, None, [1, 1], [pad, pad], [1, 1], False, [0, 0], 1,
            [by_value, self.by_kernels, False],
        )  # fmt: skip
        return by_relu, by_kernel

    def _gates_of_plain(self, bundle: Bundle, gradient: Tensor, node: _Node) -> None:
        """<gradient, output> of each edge."""
        edges = len(bundle.edges)
        products = gradient.unflatten(1, (edges, -1)) * node.plain(bundle.column).unsqueeze(1)
        sums = products.sum((0, 2, 3, 4), dtype=self.gates.plain.dtype)
        self.pieces.update({(bundle.column, PLACE[e]): s for e, s in zip(bundle.edges, sums.unbind(), strict=True)})

    def _plain(self, bundle: Bundle, node: _Node, total: Sum) -> None:
        """Adds to `total` the gradient that a skip or a pooling gives its input."""
        found = total if bundle.column == SKIP else Sum()
        for edge, target in zip(bundle.edges, bundle.targets, strict=True):
            if bundle.gated:
                found.add_gated(self.arriving[target], _gate(self.gates, bundle.column, edge))
            else:
                found.add(self.arriving[target], own=False)
        if bundle.column == POOL:
            assert found.value is not None
            total.add(pool_backward(found.value, node.value), own=True)

    def of_gates(self) -> tuple[Tensor, Tensor]:
        """The gradients of `Gates`, zero where nothing was asked for."""
        places, channels = len(ORDER), self.gates.convolutions.shape[2]
        none = self.gates.convolutions.new_zeros(channels)
        plain = torch.stack([self.pieces.get((c, place), none[0]) for c in PLAIN for place in range(places)])
        rows = torch.cat([self.pieces.get((c, place), none) for c in CONVOLUTIONS for place in range(places)])
        return plain.view(len(PLAIN), places), rows.view(len(CONVOLUTIONS), places, channels)


def merged(groups: Sequence[Sequence[Sequence[Tensor]]], dtype: torch.dtype) -> list[list[Tensor]]:
    """By cell and bundle, kernels (C, C, k, k) to one (K C, C, k, k) in `dtype`: all are copied at once."""
    found = [[group[0] for group in cell] for cell in groups]
    late = [
        (number, place)
        for number, cell in enumerate(groups)
        for place, group in enumerate(cell)
        if len(group) > 1 or group[0].dtype != dtype
    ]
    several = [groups[number][place] for number, place in late]
    flat = [kernel for own in several for kernel in own]
    apply: Callable[..., tuple[Tensor, ...]] = _Merge.apply
    copies = apply([len(own) for own in several], dtype, *flat) if flat else ()
    for (number, place), copy in zip(late, copies, strict=True):
        found[number][place] = copy
    return found


class _Merge(torch.autograd.Function):
    """Kernels to groups of them, one behind the other; backward: to gradients that are parts of the groups'."""

    @staticmethod
    def forward(ctx: Any, sizes: Sequence[int], dtype: torch.dtype, *kernels: Tensor) -> tuple[Tensor, ...]:
        ctx.sizes, ctx.dtype = sizes, kernels[0].dtype
        groups, places, start = [], list[Tensor](), 0
        for size in sizes:
            first = kernels[start]
            shape = (size * first.shape[0], *first.shape[1:])
            groups.append(torch.empty(shape, dtype=dtype, device=first.device, memory_format=_layout(first)))
            places += groups[-1].chunk(size)
            start += size
        torch._foreach_copy_(places, list(kernels))
        return tuple(groups)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        parts: list[Tensor | None] = []
        for size, gradient in zip(ctx.sizes, gradients, strict=True):
            parts += [None] * size if gradient is None else gradient.chunk(size)
        other = {k: part for k, part in enumerate(parts) if part is not None and part.dtype != ctx.dtype}
        cast = [torch.empty_like(part, dtype=ctx.dtype) for part in other.values()]
        if cast:
            torch._foreach_copy_(cast, list(other.values()))
        for k, part in zip(other, cast, strict=True):
            parts[k] = part
        return (None, None, *parts)
