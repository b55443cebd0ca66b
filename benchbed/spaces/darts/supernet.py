"""The DARTS supernet: every edge of every cell holds all operations of its position.

Liu et al., ICLR 2019, section 3.1: stem, L cells of which those at L//3 and 2L//3 are reductions, global average
pooling, linear. C=16, L=8 and ten classes have 1,930,618 parameters. Inside cells batch norm has no affine parameters,
and a pooling is followed by one; it uses the batch's own statistics always and keeps no running ones.

Speed: one ReLU and one pooling of each kind per source (not per edge: a source's edges share a stride), each with its
batch norm where it has one; one Parameter a convolution of a candidate; the gate folded into a candidate's last batch
norm. All operations but noise give zero on zero, so a source without input is not run through any.

Noise (S4) is drawn per forward pass from one seed, a draw of the generator `noise` that the objective hands over, and
not drawn where its gate is 0 and not asked for. An echo thus repeats the very noise of its forward pass.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ...layers.mixed import Candidate, Echo, echo, ones
from ...layers.partial import check_partial, flow, joined, split
from ...layers.plan import Plan, Run
from ...layers.sums import Sum
from ...streams import derive
from ...supernet import Supernet
from ..nb201.pooling import pool
from ..nb201.supernet import kernel_of, normalise
from .costs import KERNELS, MULTIPLIER, CellShape, cell_shapes
from .genotype import INPUTS, NODES
from .network import ALL, Operations, check_sizes, preprocessing_of, shifted, stem_of, through_stem
from .space import EDGES

affine = partial(nn.BatchNorm2d, track_running_stats=False)  # hence the batch's own, in any mode
plain = partial(nn.BatchNorm2d, affine=False, track_running_stats=False)
POOLS = ("max_pool_3x3", "avg_pool_3x3")
Shape = tuple[int, ...]  # of a node's tensor


class Convolutions(nn.Module):
    """A separable or dilated convolution, from a rectified input to before its last batch norm."""

    def __init__(self, name: str, channels: int, stride: int):
        super().__init__()
        kernel, self.stride = KERNELS[name], stride
        self.dilation = 1 if name.startswith("sep") else 2
        self.padding = self.dilation * (kernel // 2)
        times = 2 if name.startswith("sep") else 1
        self.depthwise = nn.ParameterList([kernel_of(channels, 1, kernel) for _ in range(times)])
        self.pointwise = nn.ParameterList([kernel_of(channels, channels, 1) for _ in range(times)])

    def weights(self) -> list[Tensor]:
        """As they are now: `functional_call` may have put others in their place."""
        return [w for pair in zip(self.depthwise, self.pointwise, strict=True) for w in pair]

    def apply_to(self, x: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """x: rectified."""
        stride, groups = self.stride, x.shape[1]
        for i in range(0, len(weights), 2):
            if i:
                x, stride = F.relu(normalise(x, None)), 1
            x = F.conv2d(x, weights[i], None, stride, self.padding, self.dilation, groups)
            x = F.conv2d(x, weights[i + 1])
        return x


class Reduction(nn.Module):
    """The skip connection of stride 2, from a rectified input to before its batch norm."""

    def __init__(self, channels: int):
        super().__init__()
        half = channels // 2
        self.kernels = nn.ParameterList([kernel_of(half, channels, 1), kernel_of(channels - half, channels, 1)])

    def weights(self) -> list[Tensor]:
        return list(self.kernels)

    def apply_to(self, x: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """x: rectified."""
        return torch.cat([F.conv2d(x, weights[0], stride=2), F.conv2d(shifted(x), weights[1], stride=2)], 1)


def candidate(name: str, channels: int, stride: int) -> Convolutions | Reduction | None:
    """The module of an operation that has weights; None for the others."""
    if name in KERNELS:
        return Convolutions(name, channels, stride)
    return Reduction(channels) if name == "skip_connect" and stride == 2 else None


def pooled(name: str, x: Tensor, stride: int) -> Tensor:
    """A pooling and the batch norm after it."""
    if name == "max_pool_3x3":
        return normalise(F.max_pool2d(x, 3, stride, 1), None)
    return normalise(pool(x) if stride == 1 else F.avg_pool2d(x, 3, stride, 1, count_include_pad=False), None)


class Source:
    """A node's value, None for zero, and what its outgoing edges share, each made on first use."""

    def __init__(self, value: Tensor | None, stride: int):
        self.value, self.stride = value, stride
        self._shared: dict[tuple[str, bool], Tensor] = {}

    def get(self, kind: str, detached: bool) -> Tensor:
        """kind: 'relu', 'identity' or a pooling."""
        assert self.value is not None
        if kind == "identity":
            return self.value.detach() if detached else self.value
        if (kind, False) in self._shared and detached:
            return self._shared[kind, False].detach()
        if (kind, detached) not in self._shared:
            x = self.value.detach() if detached else self.value
            self._shared[kind, detached] = F.relu(x) if kind == "relu" else pooled(kind, x, self.stride)
        return self._shared[kind, detached]


class DartsCellSupernet(nn.Module):
    """14 mixed edges between two inputs and four nodes: two tensors to (n, 4C, h, w). `operations`: of each edge."""

    def __init__(self, shape: CellShape, operations: Operations, partial: int = 1):
        super().__init__()
        self.shape, self.operations, self.partial = shape, operations, partial
        self.mixing = shape.channels // partial  # channels that go through operations
        self.preprocessing = preprocessing_of(shape, plain)
        self.edges = nn.ModuleList()
        for (source, _), names in zip(EDGES, operations, strict=True):
            made = {name: candidate(name, self.mixing, self.stride(source)) for name in names}
            self.edges.append(nn.ModuleDict({name: module for name, module in made.items() if module is not None}))

    def stride(self, source: int) -> int:
        return 2 if self.shape.reduction and source < INPUTS else 1

    def forward(self, before: Tensor, previous: Tensor, gates: list[list[Tensor]], plan: Plan, seed: int) -> Tensor:
        """gates: a scalar tensor per edge and column; plan: of the 14 edges; seed: of this cell's noise."""
        inputs = (before, previous)
        states = [module(x) for module, x in zip(self.preprocessing, inputs, strict=True)]
        halves = [(x, None) if self.partial == 1 else split(x, self.partial) for x in states]
        sources = [Source(own, self.stride(i)) for i, (own, _) in enumerate(halves)]
        rests: list[Tensor | None] = [rest for _, rest in halves]
        sides = [-(-side // (1 + self.shape.reduction)) for side in states[1].shape[2:]]
        like = states[1].new_empty(0), (len(previous), self.mixing, *sides)
        values: list[Tensor | None] = []
        for node in NODES:
            total, echoes = Sum(), list[Echo]()
            for edge, (source, target) in enumerate(EDGES):
                if target == node:
                    self._mix(total, echoes, sources[source], edge, gates[edge], plan[edge], like, seed)
            value = total.value
            if echoes:
                value = echo(like[0].new_zeros(like[1]) if value is None else value, echoes)
            if self.partial > 1:
                value, own, rest = self._joined(value, node, rests, gates, plan, like)
                rests.append(rest)
                sources.append(Source(own, 1))
            else:
                sources.append(Source(value, 1))
            values.append(value)
        whole = (len(previous), self.shape.channels, *sides)
        return torch.cat([like[0].new_zeros(whole) if value is None else value for value in values], 1)

    def _joined(
        self,
        mixed: Tensor | None,
        node: int,
        rests: list[Tensor | None],
        gates: list[list[Tensor]],
        plan: Plan,
        like: tuple[Tensor, Shape],
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """A node's value and both parts of it, from what was mixed and its inputs' rests by the sums of their gates."""
        passing = Sum()
        for edge, (source, target) in enumerate(EDGES):
            rest = rests[source] if target == node else None
            if rest is not None and (weight := flow(gates[edge], plan[edge])) is not None:
                passing.add_gated(F.max_pool2d(rest, 2, ceil_mode=True) if self.stride(source) == 2 else rest, weight)
        if mixed is None and passing.value is None:
            return None, None, None
        others = (like[1][0], self.shape.channels - self.mixing, *like[1][2:])
        own = like[0].new_zeros(like[1]) if mixed is None else mixed
        by = like[0].new_zeros(others) if passing.value is None else passing.value
        value = joined(own, by, self.partial)
        return value, *split(value, self.partial)

    def _mix(
        self,
        total: Sum,
        echoes: list[Echo],
        origin: Source,
        edge: int,
        gates: list[Tensor],
        row: Sequence[tuple[int, Run]],
        like: tuple[Tensor, Shape],
        seed: int,
    ) -> None:
        """total += sum of gate * operation(origin) over the row; what is echoed joins `echoes`."""
        for column, run in row:
            name = self.operations[edge][column]
            if run is Run.ONES:
                echoes.append(Echo(gates[column], like[0], ones))
            elif name == "noise":
                if run is Run.ECHOED:
                    x = like[0] if origin.value is None else origin.value
                    echoes.append(Echo(gates[column], x, partial(_noise, like, seed, edge)))
                else:
                    noise = _noise(like, seed, edge)
                    total.add(noise, own=True) if run is Run.UNIT else total.add_gated(noise, gates[column])
            elif name == "none" or origin.value is None:
                continue
            elif run is Run.ECHOED:
                echoes.append(Echo(gates[column], origin.value, self._operation(edge, name, origin.stride)))
            else:
                self._add(total, origin, edge, name, run, gates[column])

    def _operation(self, edge: int, name: str, stride: int) -> Candidate:
        """One operation by itself, on the weights of now."""
        module = self.module(edge, name)
        if module is not None:
            weights = module.weights()
            return lambda x: normalise(module.apply_to(F.relu(x), weights), None)
        return (lambda x: x) if name == "skip_connect" else partial(pooled, name, stride=stride)

    def _add(self, total: Sum, origin: Source, edge: int, name: str, run: Run, gate: Tensor) -> None:
        """total += gate * operation(origin)."""
        detached = run is Run.PROBED
        module = self.module(edge, name)
        if module is not None:
            convolved = module.apply_to(origin.get("relu", detached), module.weights())
            # contiguous: torch's batch norm backward reads an expanded scale as if it were dense, past its memory
            scale = None if run is Run.UNIT else gate.expand(convolved.shape[1]).contiguous()
            total.add(normalise(convolved, scale), own=True)
            return
        shared = origin.get("identity" if name == "skip_connect" else name, detached)
        if run is Run.UNIT:
            total.add(shared, own=False)
        else:
            total.add_gated(shared, gate)

    def module(self, edge: int, name: str) -> Convolutions | Reduction | None:
        """What holds the weights of an operation; None where it has none."""
        held = self.edges[edge]
        assert isinstance(held, nn.ModuleDict)
        module = dict(held).get(name)
        assert module is None or isinstance(module, Convolutions | Reduction)
        return module


def _noise(like: tuple[Tensor, Shape], seed: int, edge: int, x: Tensor | None = None) -> Tensor:
    """N(0, 1) of an edge of a cell, the same for the same seed; the input is not looked at."""
    generator = torch.Generator().manual_seed(derive(seed, f"edge-{edge}"))
    return torch.randn(like[1], generator=generator).to(like[0]).contiguous(memory_format=torch.channels_last)


class DartsSupernet(Supernet):
    """`forward(images, gates, plan)`: logits (n, classes) for gates (28, O) on the images' device.

    `operations`: of each position by name, normal cell first. `partial`: K, 1/K of a cell's channels go through its
    operations (`benchbed.layers.partial`). `noise`: the generator that S4 draws its noise from;
    None in the other spaces. Raises BenchbedError for a size out of range.
    """

    def __init__(
        self,
        channels: int = 16,
        cells: int = 8,
        classes: int = 10,
        in_channels: int = 3,
        stem: str = "cifar",
        operations: Operations = ALL,
        partial: int = 1,
    ):
        super().__init__()
        check_sizes(channels, cells, classes, in_channels, stem)
        check_partial(partial, channels)
        shapes = cell_shapes(channels, cells, stem)
        self.operations = operations
        self.stem = stem_of(stem, in_channels, channels, affine)
        self.cells = nn.ModuleList(DartsCellSupernet(s, operations[self.rows(s.reduction)], partial) for s in shapes)
        self.classifier = nn.Linear(MULTIPLIER * shapes[-1].channels, classes)

    @property
    def draws(self) -> bool:
        """Whether it has an operation that draws, and so needs `noise`."""
        return any("noise" in names for names in self.operations)

    def forward(
        self, images: Float[Tensor, "n c h w"], gates: Float[Tensor, "P O"], plan: Plan
    ) -> Float[Tensor, "n classes"]:
        scalars = [list(row.unbind()) for row in gates.unbind()]
        seed = self._seed(plan)
        before, previous = through_stem(self.stem, images)
        for number, cell in enumerate(self.cells):
            assert isinstance(cell, DartsCellSupernet)
            rows = self.rows(cell.shape.reduction)
            own = derive(seed, f"cell-{number}")
            before, previous = previous, cell(before, previous, scalars[rows], plan[rows], own)
        logits: Tensor = self.classifier(previous.mean((2, 3)))
        return logits

    def _seed(self, plan: Plan) -> int:
        """Of this forward pass' noise; nothing is drawn where no noise runs."""
        runs = any(names[k] == "noise" for names, row in zip(self.operations, plan, strict=True) for k, _ in row)
        return int(torch.randint(2**62, (), generator=self.noise)) if runs else 0

    @staticmethod
    def rows(reduction: bool) -> slice:
        """Which positions are the edges of a cell of this kind."""
        return slice(len(EDGES) * reduction, len(EDGES) * (reduction + 1))

    def candidate_weights(self, position: int, column: int) -> Iterator[nn.Parameter]:
        """The weights that belong to one operation of one position, over all cells of its kind."""
        reduction, edge = divmod(position, len(EDGES))
        name = self.operations[position][column]
        for cell in self.cells:
            assert isinstance(cell, DartsCellSupernet)
            module = cell.module(edge, name)
            if cell.shape.reduction == bool(reduction) and module is not None:
                yield from module.parameters()
