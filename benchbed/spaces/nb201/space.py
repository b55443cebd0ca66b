"""NAS-Bench-201: a cell of six edges with five operations each, 15,625 networks.

Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020, section 2;
the same cells are the topology space of NATS-Bench. A cell is the complete directed acyclic graph on nodes 0 (input)
to 3 (output). Every edge carries one operation, and a node is the sum of what arrives at it.

Four notions of "the same cell" are kept apart here: the string itself (15,625), the benchmark's own isomorphism
string `unique_string` (6,466), the network without what reaches no output, `NB201.network_form` (5,260), and the
function that the cell computes, `NB201.canonical` (4,930).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, permutations, product
from typing import Any

import numpy as np

from ...errors import BenchbedError, unknown
from ...space import Architecture, Position, Space
from ..formulas import counts_by

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NONE, SKIP, CONV1, CONV3, POOL = range(5)
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # (source, target), in the order of the published files
FORM = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"


class NB201(Space):
    """The cell space of NAS-Bench-201: 6 edges, 5 operations, 15,625 networks.

    All five operations may be chosen on every edge, `none` included, as published; no edge is ever dropped.
    """

    positions = tuple(Position(f"{a}->{b}", OPERATIONS, (True,) * len(OPERATIONS)) for a, b in EDGES)
    supernet = "benchbed.spaces.nb201.supernet:NB201Supernet"
    network = "benchbed.spaces.nb201.network:NB201Network"

    def parse(self, text: str) -> Architecture:
        """The cell of an official string, `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`, and of nothing else.

        Raises BenchbedError, one line that names the offending token, for any other string.
        """
        if not text:
            raise BenchbedError(f"empty nb201 architecture: expected the form {FORM}")
        nodes = text.split("+")
        if len(nodes) != 3:
            raise BenchbedError(f"nb201 architecture {_show(text)} has {_nodes(len(nodes))}, not 3: expected {FORM}")
        return self.architecture_of(tuple(k for i, node in enumerate(nodes, 1) for k in _parse_node(i, node)))

    def architecture_of(self, choices: tuple[int, ...]) -> Architecture:
        """The cell with operation number `choices[i]` on edge i. Raises BenchbedError unless six numbers of 0 to 4."""
        if len(choices) != len(EDGES):
            raise BenchbedError(f"nb201 choices {_show(choices)}: {len(choices)} numbers where the cell has 6 edges")
        for position, k in zip(self.positions, choices, strict=True):
            if not 0 <= k < len(OPERATIONS):
                raise BenchbedError(f"nb201 edge {position.name}: operation number {k} is not one of 0 to 4")
        nodes = ("|" + "".join(f"{OPERATIONS[choices[e]]}~{a}|" for e, a in _inputs(node)) for node in (1, 2, 3))
        return Architecture("+".join(nodes), choices)

    def canonical(self, arch: Architecture) -> str:
        """The function that the cell computes, as text: `x` is the input, `0` a cell whose output is dead.

        Two cells share it exactly if they are equal up to the order and grouping of sums, with convolutions and
        poolings as opaque functions that map zero to zero: `none` and dead sources vanish, and a skip connection
        passes on the terms of its source. 4,930 values. (No law of pooling is used, such as that it is linear.)
        Convolutions of one kind and input count as equal, whether the cell has one and uses it twice, or two.
        """
        return _terms(arch, {})

    def network_form(self, arch: Architecture) -> str:
        """As `canonical`, but no two convolutions are one: 5,260 values; 326 of `canonical`'s are two or more."""
        numbered = _terms(arch, {e: f"#{e}" for e in range(len(EDGES))})
        live = [e for e in range(len(EDGES)) if f"#{e}(" in numbered]
        names = (dict(zip(live, map("#{}".format, order), strict=True)) for order in permutations(range(len(live))))
        return min(_terms(arch, one) for one in names)  # whatever they are called

    def unit_costs(self, kind: str) -> tuple[float, np.ndarray]:
        """Of the published CIFAR-10 network: see `flops` and `parameters`, which are additive over the six edges."""
        if kind not in COSTS:
            raise unknown("cost of nb201", kind, COSTS)
        count = COSTS[kind]
        bare = count(self.architecture_of((NONE,) * len(EDGES)))
        alone = [count(self.architecture_of((k, *(NONE,) * (len(EDGES) - 1)))) - bare for k in range(len(OPERATIONS))]
        return float(bare), np.tile(np.array(alone, dtype=np.float64), (len(EDGES), 1))

    def counts(
        self, arch: Architecture, images: tuple[int, int, int], classes: int, *, channels: int, cells: int
    ) -> dict[str, int]:
        """`parameters`, and `flops` where the network halves the images evenly; `Space.counts`."""
        return counts_by(parameters, flops, arch, images, 4, channels=channels, cells=cells, classes=classes)

    def facts(self, arch: Architecture) -> dict[str, Any]:
        """Counts of the published CIFAR-10 network (16 channels, 5 cells a stage), and what kind of cell this is.

        `params`, `flops`: ints, see `parameters` and `flops`. `unique`: the benchmark's isomorphism string.
        `canonical`: the function of the cell. `parameter_free`: the share of the six edges, 0 to 1, that hold
        `none`, `skip_connect` or `avg_pool_3x3`.
        """
        free = sum(k not in (CONV1, CONV3) for k in arch.choices)
        return {
            "params": parameters(arch),
            "flops": flops(arch),
            "connected": is_connected(arch),
            "parameter_free": free / len(EDGES),
            "unique": unique_string(arch),
            "canonical": self.canonical(arch),
        }


def all_architectures() -> Iterator[Architecture]:
    """All 15,625 cells, in lexicographic order of their six operation numbers.

    This is not the order of the official index: that one was drawn once, is stored in the benchmark file as
    `meta_archs`, and cannot be computed. Without that file, key by the architecture's string.
    """
    space = NB201()
    return (space.architecture_of(choices) for choices in product(range(len(OPERATIONS)), repeat=len(EDGES)))


def all_strings() -> list[str]:
    """The strings of `all_architectures`, in its order, in milliseconds."""
    nodes = []
    for node in (1, 2, 3):
        choices = product(OPERATIONS, repeat=node)
        nodes.append(["|" + "".join(f"{name}~{j}|" for j, name in enumerate(names)) for names in choices])
    return ["+".join(three) for three in product(*nodes)]


def _terms(arch: Architecture, names: Mapping[int, str]) -> str:
    """What arrives at the output, as sums of operations on sums; names: edge -> what its convolution is called."""
    terms: list[list[str]] = [["x"]]
    for node in (1, 2, 3):
        arriving: list[str] = []
        for e, source in _inputs(node):
            k = arch.choices[e]
            if k == SKIP:
                arriving += terms[source]
            elif k != NONE and terms[source]:
                name = OPERATIONS[k] if k == POOL else f"{OPERATIONS[k]}{names.get(e, '')}"
                arriving.append(f"{name}({' + '.join(terms[source])})")
        terms.append(sorted(arriving))
    return " + ".join(terms[3]) or "0"


def unique_string(arch: Architecture) -> str:
    """The isomorphism string of the official API (NATS-Bench 1.8, `get_unique_str`): 6,466 values.

    From the input up: a `none` edge, or one that leaves a node whose string is `#`, is the term `#`; a skip
    connection is the string of its source verbatim; any other is `(source)@operation`. A node is its sorted terms
    joined by `+`. The benchmark's convention, not an exact equivalence, and kept so on purpose: a dead node 2 reads
    `#+#`, not `#`, so its death goes unnoticed, and a skip connection does not merge its source's sum into the
    next. `NB201.canonical` does both.
    """
    strings = ["0"]
    for node in (1, 2, 3):
        terms = []
        for e, source in _inputs(node):
            k, origin = arch.choices[e], strings[source]
            if k == NONE or origin == "#":
                terms.append("#")
            else:
                terms.append(origin if k == SKIP else f"({origin})@{OPERATIONS[k]}")
        strings.append("+".join(sorted(terms)))
    return strings[3]


def is_connected(arch: Architecture) -> bool:
    """Whether a path of operations other than `none` leads from the input to the output (15,284 cells)."""
    reached = {0}
    for (source, target), k in zip(EDGES, arch.choices, strict=True):
        if k != NONE and source in reached:
            reached.add(target)
    return 3 in reached


def parameters(arch: Architecture, channels: int = 16, cells: int = 5, classes: int = 10, in_channels: int = 3) -> int:
    """Trainable parameters of the network that stacks the cell, as the benchmark records them.

    The network: 3x3 stem; `cells` cells at C channels, a residual block of stride 2, `cells` at 2C, another block,
    `cells` at 4C; batch norm; linear. Convolutions have no bias, batch norms are affine (2 a channel), a block's
    shortcut is a bare 1x1 convolution. Raises BenchbedError where an argument is below 1.
    """
    _check_positive(channels=channels, cells=cells, classes=classes, in_channels=in_channels)
    n1, n3 = arch.choices.count(CONV1), arch.choices.count(CONV3)
    stem = 9 * in_channels * channels + 2 * channels
    stages = (channels, 2 * channels, 4 * channels)
    stacked = sum(cells * (n3 * (9 * c * c + 2 * c) + n1 * (c * c + 2 * c)) for c in stages)
    blocks = sum(9 * c * d + 2 * d + 9 * d * d + 2 * d + c * d for c, d in pairwise(stages))
    head = 2 * stages[2] + stages[2] * classes + classes
    return stem + stacked + blocks + head


def flops(
    arch: Architecture, channels: int = 16, cells: int = 5, classes: int = 10, in_channels: int = 3, size: int = 32
) -> int:
    """Cost of one image of `size` x `size` pixels by the benchmark's convention; its files give it in millions.

    The multiply-accumulates of all convolutions and of the linear layer, plus one for each bias of the latter
    (`classes`); batch norm, activation, pooling and sums are free. The network is that of `parameters`. Raises
    BenchbedError where an argument is below 1, or where `size`, which the network halves twice, is not a multiple of 4.
    """
    _check_positive(channels=channels, cells=cells, classes=classes, in_channels=in_channels, size=size)
    if size % 4:
        raise BenchbedError(f"nb201 image size {size} is not a multiple of 4: the network halves it twice")
    n1, n3 = arch.choices.count(CONV1), arch.choices.count(CONV3)
    total = 9 * in_channels * channels * size**2
    for stage in range(3):
        c, area = channels * 2**stage, (size // 2**stage) ** 2
        if stage:
            total += (9 * (c // 2) * c + 9 * c * c + (c // 2) * c) * area  # the residual block before this stage
        total += cells * (9 * n3 + n1) * c * c * area
    return total + 4 * channels * classes + classes


COSTS = {"flops": flops, "params": parameters}  # what `unit_costs` knows


def _inputs(node: int) -> list[tuple[int, int]]:
    """(edge number, source) of every edge into a node, by source."""
    return [(e, source) for e, (source, target) in enumerate(EDGES) if target == node]


def _parse_node(node: int, text: str) -> Sequence[int]:
    """The operation numbers of `|op~0|...|op~node-1|`."""
    form = "|" + "".join(f"op~{j}|" for j in range(node))
    head, bar, rest = text.partition("|")
    inner, end, tail = rest.rpartition("|")
    if not bar or not end:
        raise BenchbedError(f"nb201 node {node}: {_show(text)} is not enclosed in '|', expected {form}")
    if head or tail:
        raise BenchbedError(f"nb201 node {node}: {_show(head or tail)} stands outside the '|', expected {form}")
    tokens = inner.split("|")
    numbers = [_parse_token(node, source, token) for source, token in enumerate(tokens[:node])]
    if len(tokens) > node:
        raise BenchbedError(f"nb201 node {node}: one input too many, {_show(tokens[node])}, expected {form}")
    if len(tokens) < node:
        raise BenchbedError(f"nb201 node {node}: no input after {_show(tokens[-1])}, expected {form}")
    return numbers


def _parse_token(node: int, source: int, token: str) -> int:
    """The operation number of `op~source`."""
    name, tilde, number = token.partition("~")
    if not tilde:
        raise BenchbedError(f"nb201 node {node}: input {_show(token)} names no source, expected 'op~{source}'")
    if name not in OPERATIONS:
        raise unknown(f"nb201 operation at node {node}", _show(name)[1:-1], OPERATIONS)
    if number != str(source):
        seen = "source given twice" if number in map(str, range(source)) else "wrong source"
        raise BenchbedError(f"nb201 node {node}: {seen} in {_show(token)}, expected '{name}~{source}'")
    return OPERATIONS.index(name)


def _show(value: object) -> str:
    """A value quoted on one line, whatever it holds, shortened where long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]}...{text[-1]}"


def _nodes(count: int) -> str:
    return f"{count} node" if count == 1 else f"{count} nodes"


def _check_positive(**arguments: int) -> None:
    for name, value in arguments.items():
        if value < 1:
            raise BenchbedError(f"nb201 network: {name}={value}, expected a positive integer")
