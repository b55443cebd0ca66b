"""The NAS-Bench-201 supernet: every edge of every cell holds all five operations.

Macro structure of NAS-Bench-201 (Dong and Yang, ICLR 2020): 3x3 stem, N cells at C channels, a residual block that
halves the image, N cells at 2C, another, N cells at 4C, BN-ReLU, global average pooling, linear. C=16, N=5 and ten
classes have 1,686,106 parameters. Batch norm uses the batch's own statistics always and keeps no running ones;
inside candidates it has no affine parameters.

Speed: one ReLU and one pooling per source node (not per edge), one Parameter a candidate, and the gate folded into
batch norm's scale, so that a gated convolution costs no pass over memory for its gate.
"""

from collections.abc import Callable, Hashable, Iterator
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ...layers.mixed import Candidate, Echo, echo, ones
from ...layers.partial import check_partial, flow, joined, split
from ...layers.plan import Plan, Run
from ...layers.sums import Sum
from ...supernet import Supernet
from .merged import Bundle, gates_of, merged, program, run_program
from .pooling import pool
from .space import CONV1, CONV3, EDGES, NONE, POOL, SKIP

NODES = 4
COMPILED = 1024  # cells that are kept
COMPILING = "compiling the step of a new mixture of operations: a minute or more, once"
NOTICED: set[Hashable] = set()  # what this process was told that it compiles: what it has compiled is kept
MERGED = {"cuda"}  # where a step costs what its launches cost


def normalise(x: Tensor, weight: Tensor | None, bias: Tensor | None = None) -> Tensor:
    """Batch norm by the batch's own statistics."""
    return F.batch_norm(x, None, None, weight, bias, training=True)


class BatchNorm(nn.Module):
    """Affine batch norm without running statistics."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return normalise(x, self.weight, self.bias)


def kernel_of(out_channels: int, in_channels: int, size: int) -> nn.Parameter:
    weight = torch.empty(out_channels, in_channels, size, size)
    nn.init.kaiming_uniform_(weight, a=5**0.5)  # what nn.Conv2d does, as published supernets start
    return nn.Parameter(weight)


class ResidualBlock(nn.Module):
    """(ReLU, conv 3x3 stride 2, BN), (ReLU, conv 3x3, BN), plus average pooling and a 1x1 conv as shortcut."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv_a = kernel_of(2 * channels, channels, 3)
        self.norm_a = BatchNorm(2 * channels)
        self.conv_b = kernel_of(2 * channels, 2 * channels, 3)
        self.norm_b = BatchNorm(2 * channels)
        self.shortcut = kernel_of(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.norm_a(F.conv2d(F.relu(x), self.conv_a, stride=2, padding=1))
        h = self.norm_b(F.conv2d(F.relu(h, inplace=True), self.conv_b, padding=1))
        return h.add_(F.conv2d(F.avg_pool2d(x, 2, 2, ceil_mode=True), self.shortcut))


class Source:
    """A node's value and what its outgoing edges share: one ReLU, one pooling, each made on first use."""

    def __init__(self, value: Tensor):
        self.value = value
        self._shared: dict[tuple[str, bool], Tensor] = {}

    def relu(self, detached: bool) -> Tensor:
        return self._get("relu", detached)

    def pool(self, detached: bool) -> Tensor:
        return self._get("pool", detached)

    def _get(self, kind: str, detached: bool) -> Tensor:
        if (kind, False) in self._shared and detached:
            return self._shared[kind, False].detach()
        if (kind, detached) not in self._shared:
            x = self.value.detach() if detached else self.value
            self._shared[kind, detached] = F.relu(x) if kind == "relu" else pool(x)
        return self._shared[kind, detached]


class CellSupernet(nn.Module):
    """Four nodes, six edges, five operations an edge; a node is the sum of its gated inputs."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.ParameterList([kernel_of(channels, channels, 1) for _ in EDGES])
        self.conv3 = nn.ParameterList([kernel_of(channels, channels, 3) for _ in EDGES])

    def forward(self, x: Tensor, gates: list[list[Tensor]], plan: Plan) -> Tensor:
        """x: (n, C, h, w); gates: one scalar tensor per position and column."""
        last = self.nodes(x, gates, plan)[-1]
        return torch.zeros_like(x) if last is None else last

    def nodes(self, x: Tensor, gates: list[list[Tensor]], plan: Plan) -> list[Tensor | None]:
        """The values of the nodes from the input, `x`, to the output; None where nothing arrives."""
        sources: list[Source | None] = [Source(x)]
        for node in range(1, NODES):
            value = self.mixed(node, sources, gates, plan, x)
            sources.append(None if value is None else Source(value))
        return [None if source is None else source.value for source in sources]

    def mixed(
        self, node: int, sources: list[Source | None], gates: list[list[Tensor]], plan: Plan, like: Tensor
    ) -> Tensor | None:
        """What flows into a node through its operations, shaped as `like`; None where nothing arrives."""
        total = Sum()
        echoes: list[Echo] = []
        for edge, (source, target) in enumerate(EDGES):
            if target != node:
                continue
            origin = sources[source]
            for column, run in plan[edge]:
                if run is Run.ONES:
                    echoes.append(Echo(gates[edge][column], like, ones))
                elif origin is None or column == NONE:  # from a dead source zero passes as zero
                    continue
                elif run is Run.ECHOED:
                    echoes.append(Echo(gates[edge][column], origin.value, self.operation(edge, column)))
                else:
                    self._add(total, origin, edge, column, run, gates[edge][column])
        value = total.value
        if echoes:
            value = echo(torch.zeros_like(like) if value is None else value, echoes)
        return value

    def kernels(self, column: int) -> nn.ParameterList:
        """Of the 1x1 or of the 3x3 convolutions, by edge."""
        return self.conv1 if column == CONV1 else self.conv3

    def of(self, bundle: Bundle) -> list[Tensor]:
        """The kernels of a program's convolutions."""
        return [self.kernels(bundle.column)[edge] for edge in bundle.edges]

    def operation(self, edge: int, column: int) -> Candidate:
        """One operation by itself, on the weights of now."""
        if column == SKIP:
            return lambda x: x
        if column == POOL:
            return pool
        kernel = self.kernels(column)[edge]
        return lambda x: normalise(F.conv2d(F.relu(x), kernel, padding=kernel.shape[-1] // 2), None)

    def _add(self, total: Sum, origin: Source, edge: int, column: int, run: Run, gate: Tensor) -> None:
        """total += gate * operation(origin)."""
        detached = run is Run.PROBED
        if column in (CONV1, CONV3):
            kernel = self.kernels(column)[edge]
            convolved = F.conv2d(origin.relu(detached), kernel, padding=kernel.shape[-1] // 2)
            # contiguous: torch's batch norm backward reads an expanded scale as if it were dense, past its memory
            scale = None if run is Run.UNIT else gate.expand(kernel.shape[0]).contiguous()
            total.add(normalise(convolved, scale), own=True)
            return
        plain = origin.pool(detached) if column == POOL else (origin.value.detach() if detached else origin.value)
        if run is Run.UNIT:
            total.add(plain, own=False)
        else:
            total.add_gated(plain, gate)


class PartialCell(CellSupernet):
    """A cell of which 1/K of the channels go through the operations: see `benchbed.layers.partial`."""

    def __init__(self, channels: int, partial: int):
        super().__init__(channels // partial)
        self.partial = partial

    def nodes(self, x: Tensor, gates: list[list[Tensor]], plan: Plan) -> list[Tensor | None]:
        values: list[Tensor | None] = [x]
        own, rest = split(x, self.partial)
        sources: list[Source | None] = [Source(own)]
        rests: list[Tensor | None] = [rest]
        for node in range(1, NODES):
            value, passing = self.mixed(node, sources, gates, plan, own), Sum()
            for edge, (source, target) in enumerate(EDGES):
                origin = rests[source] if target == node else None
                if origin is not None and (weight := flow(gates[edge], plan[edge])) is not None:
                    passing.add_gated(origin, weight)
            if value is None and passing.value is None:
                whole, half, others = None, None, None
            else:
                by = torch.zeros_like(rest) if passing.value is None else passing.value
                whole = joined(torch.zeros_like(own) if value is None else value, by, self.partial)
                half, others = split(whole, self.partial)
            values.append(whole)
            sources.append(None if half is None else Source(half))
            rests.append(others)
        return values


CellForward = Callable[[CellSupernet, Tensor, list[list[Tensor]], Plan], Tensor]


def mixes(plan: Plan) -> bool:
    """Whether a position mixes operations: such plans repeat from step to step, and paths that are drawn do not."""
    gated = [sum(how is Run.GATED for _, how in row) for row in plan]
    return max(gated) > 1 and not any(how in (Run.ECHOED, Run.ONES) for row in plan for _, how in row)


@lru_cache
def compiled() -> CellForward:
    """A cell through torch.compile: once for each plan, each width and what gradients are asked for, then kept."""
    import torch._dynamo

    limits = torch._dynamo.config
    limits.recompile_limit = max(limits.recompile_limit, COMPILED)  # else it goes on eagerly from the ninth on
    limits.accumulated_recompile_limit = max(limits.accumulated_recompile_limit, COMPILED)
    made: CellForward = torch.compile(CellSupernet.forward, fullgraph=True, dynamic=False)
    return made


class NB201Supernet(Supernet):
    """`forward(images, gates, plan)`: logits (n, classes) for gates (6, 5) on the images' device.

    `partial`: K, 1/K of a cell's channels go through its operations. Raises BenchbedError where K does not divide them.
    """

    compiles = False

    def __init__(
        self, channels: int = 16, cells: int = 5, classes: int = 10, in_channels: int = 3, partial: int = 1
    ):
        super().__init__()
        check_partial(partial, channels)
        self.partial = partial
        self.stem = kernel_of(channels, in_channels, 3)
        self.stem_norm = BatchNorm(channels)
        stages: list[nn.Module] = []
        for stage in range(3):
            if stage:
                stages.append(ResidualBlock(channels * 2 ** (stage - 1)))
            width = channels * 2**stage
            stages += [CellSupernet(width) if partial == 1 else PartialCell(width, partial) for _ in range(cells)]
        self.blocks = nn.ModuleList(stages)
        self.last_norm = BatchNorm(4 * channels)
        self.classifier = nn.Linear(4 * channels, classes)

    def forward(
        self, images: Float[Tensor, "n c h w"], gates: Float[Tensor, "P O"], plan: Plan
    ) -> Float[Tensor, "n classes"]:
        return self._each(images, gates, plan, CellSupernet.forward)

    def layered(self, gates: Float[Tensor, "P O"]) -> Float[Tensor, "L Q O"]:
        cells = sum(isinstance(block, CellSupernet) for block in self.blocks)
        return torch.stack([gates[self.rows(number)] for number in range(cells)])

    def forward_layers(
        self, images: Float[Tensor, "n c h w"], gates: Float[Tensor, "L Q O"], plan: Plan
    ) -> Float[Tensor, "n classes"]:
        return self._each(images, gates.flatten(0, 1), plan, CellSupernet.forward, apart=True)

    def _each(
        self, images: Tensor, gates: Tensor, plan: Plan, cell_forward: CellForward, apart: bool = False
    ) -> Tensor:
        scalars = [list(row.unbind()) for row in gates.unbind()]

        def through(number: int, cell: CellSupernet, x: Tensor) -> Tensor:
            rows = slice(number * len(EDGES), (number + 1) * len(EDGES)) if apart else self.rows(number)
            return cell_forward(cell, x, scalars[rows], plan[rows])

        return self._logits(images, through)

    def compile_steps(self) -> bool:
        self.compiles = True
        return True

    def forward_once(
        self, images: Float[Tensor, "n c h w"], gates: Float[Tensor, "P O"], plan: Plan
    ) -> Float[Tensor, "n classes"]:
        """On devices of `MERGED` by programs of merged convolutions, where the plan has one; see `merged`.

        Elsewhere, once `compile_steps` was called, by compiled cells where the plan mixes operations.
        """
        kind = images.device.type
        if kind not in MERGED or self.partial > 1:
            if not (self.compiles and mixes(plan) and self.partial == 1):
                return self._each(images, gates, plan, CellSupernet.forward)
            if (key := (plan, self.stem.shape, torch.is_autocast_enabled(kind))) not in NOTICED:
                NOTICED.add(key)
                if self.notice is not None:
                    self.notice(COMPILING)
            return self._each(images, gates, plan, compiled())
        cells = [block for block in self.blocks if isinstance(block, CellSupernet)]
        programs = [program(plan[self.rows(number)]) for number in range(len(cells))]
        if None in programs:
            return self.forward(images, gates, plan)
        autocast = torch.is_autocast_enabled(kind)
        steps = [found for found in programs if found is not None]
        dtype = torch.get_autocast_dtype(kind) if autocast else self.stem.dtype
        own = [[cell.of(bundle) for bundle in found.merged()] for cell, found in zip(cells, steps, strict=True)]
        kernels = merged(own, dtype)
        by_width = {}

        def through(number: int, cell: CellSupernet, x: Tensor) -> Tensor:
            rows, width = self.rows(number), x.shape[1]
            if (rows.start, width) not in by_width:
                by_width[rows.start, width] = gates_of(gates[rows], width)
            with torch.autocast(kind, enabled=False):
                return run_program(x.to(dtype), by_width[rows.start, width], steps[number], kernels[number])

        return self._logits(images, through)

    def _logits(self, images: Tensor, through: Callable[[int, CellSupernet, Tensor], Tensor]) -> Tensor:
        """`through`: number of a cell, the cell and its input to its output."""
        x = self.stem_norm(F.conv2d(images, self.stem, padding=1))
        number = 0
        for block in self.blocks:
            if isinstance(block, CellSupernet):
                x, number = through(number, block, x), number + 1
            else:
                x = block(x)
        x = F.relu(self.last_norm(x), inplace=True)
        logits: Tensor = self.classifier(x.mean((2, 3)))
        return logits

    def rows(self, cell: int) -> slice:
        """Which rows of the gates are the six edges of cell number `cell`: here the same for all."""
        return slice(0, len(EDGES))

    def candidate_weights(self, position: int, column: int) -> Iterator[nn.Parameter]:
        """The weights that belong to one operation of one position, over all cells that have it."""
        for number, cell in enumerate(block for block in self.blocks if isinstance(block, CellSupernet)):
            edge = position - self.rows(number).start
            if column in (CONV1, CONV3) and 0 <= edge < len(EDGES):
                yield cell.kernels(column)[edge]
