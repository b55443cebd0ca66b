"""A cell as nats_bench's `genotype_utils` has it: nodes with their (operation, source)."""

from collections.abc import Sequence
from typing import Any

from .refusals import DropinError

Node = tuple[tuple[str, int], ...]


def read_nodes(text: str) -> list[Node]:
    """The nodes from 1 of `|op~0|+|op~0|op~1|+...`; of whatever operations. DropinError for another form."""
    nodes = []
    for node in text.split("+"):
        inputs = [token.split("~") for token in node.split("|") if token]
        for parts in inputs:
            if len(parts) != 2:
                raise DropinError(f"invalid input '{'~'.join(parts)}': expected the form op~node")
        nodes.append(tuple((operation, int(source)) for operation, source in inputs))
    return nodes


class TopologyStructure:
    """A cell: `nodes` from 1 up, each a tuple of (operation, source)."""

    def __init__(self, genotype: Sequence[Sequence[Sequence[Any]]]) -> None:
        for i, node in enumerate(genotype):
            if not node or any(len(pair) != 2 or pair[1] > i for pair in node):
                raise DropinError(f"invalid inputs of node {i + 1}: {node}")
        self.node_num = len(genotype) + 1
        self.nodes: list[tuple[Sequence[Any], ...]] = [tuple(node) for node in genotype]
        self.node_N = [len(node) for node in genotype]

    def tolist(self, remove_str: str | None) -> tuple[list[Any] | None, bool]:
        """The nodes with sorted inputs, without the operation `remove_str`; (None, False) if a node loses all."""
        nodes = []
        for node in self.nodes:
            kept = tuple(pair for pair in sorted(node, key=lambda p: (p[1], p[0])) if pair[0] != remove_str)
            if not kept:
                return None, False
            nodes.append(kept)
        return nodes, True

    def node(self, index: int) -> tuple[Sequence[Any], ...]:
        if not 0 < index < len(self):
            raise DropinError(f"invalid node {index}: expected 1 to {len(self) - 1}")
        return self.nodes[index]  # as theirs: counted from 0, though node 0 is refused

    def tostr(self) -> str:
        return "+".join("|" + "|".join(f"{op}~{source}" for op, source in node) + "|" for node in self.nodes)

    def check_valid(self) -> bool:
        """Whether a path without `none` leads from the input to the output."""
        reached = [True]
        for node in self.nodes:
            reached.append(any(op != "none" and reached[source] for op, source in node))
        return reached[-1]

    def to_unique_str(self, consider_zero: bool | None = False) -> str:
        """The isomorphism string; None: no operation is special, False: skip_connect is, True: none is too."""
        strings = ["0"]
        for node in self.nodes:
            terms = []
            for op, source in node:
                origin = strings[source]
                if consider_zero and (op == "none" or origin == "#"):
                    terms.append("#")
                elif consider_zero is not None and op == "skip_connect":
                    terms.append(origin)
                else:
                    terms.append(f"({origin})@{op}")
            strings.append("+".join(sorted(terms)))
        return strings[-1]

    def check_valid_op(self, op_names: Sequence[str]) -> bool:
        return all(op in op_names for node in self.nodes for op, _ in node)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.node_num} nodes with {self.tostr()})"

    def __len__(self) -> int:
        return len(self.nodes) + 1

    def __getitem__(self, index: int) -> tuple[Sequence[Any], ...]:
        return self.nodes[index]

    @staticmethod
    def str2structure(xstr: "str | TopologyStructure") -> "TopologyStructure":
        return xstr if isinstance(xstr, TopologyStructure) else TopologyStructure(read_nodes(xstr))

    @staticmethod
    def str2fullstructure(xstr: str, default_name: str = "none") -> "TopologyStructure":
        """As `str2structure`, with `default_name` from every source that a node does not name."""
        nodes = []
        for i, node in enumerate(read_nodes(xstr)):
            named = {source for _, source in node}
            added = [(default_name, j) for j in range(i) if j not in named]
            nodes.append(tuple(sorted([*node, *added], key=lambda p: (p[1], p[0]))))
        return TopologyStructure(nodes)


def topology_str2structure(xstr: str | TopologyStructure) -> TopologyStructure:
    return TopologyStructure.str2structure(xstr)
