"""The community's notation of a DARTS cell, `Genotype(normal=[('sep_conv_3x3', 0), ...], ...)`, to lists and back.

It is Python's, and written by tools in several ways: ranges, lists or tuples, with and without spaces. It is read here
as a literal; nothing of it is run.
"""

import ast
import warnings
from collections.abc import Sequence
from typing import Any

from ...errors import BenchbedError, unknown

Pairs = list[tuple[str, int]]  # (operation, source), node by node
GROUPS = ("normal", "reduce")
INPUTS = 2  # of a cell, and of each of its nodes
NODES = (2, 3, 4, 5)
FORM = "Genotype(normal=[('OPERATION', SOURCE), ...], normal_concat=[2, 3, 4, 5], reduce=[...], reduce_concat=[...])"
LONGEST = 4000  # characters


def read_genotype(text: str) -> dict[str, Pairs]:
    """'normal' and 'reduce', each as eight (operation, source) pairs, two a node, sorted by source.

    Raises BenchbedError, one line, for what is no such text: the node or pair is named. Names of operations are not
    looked up here.
    """
    fields = _fields(text)
    for name in ("normal", "normal_concat", "reduce", "reduce_concat"):
        if name not in fields:
            raise BenchbedError(f"darts genotype without '{name}': expected {FORM}")
    found = {}
    for group in GROUPS:
        concat = _value(fields[f"{group}_concat"])
        if (
            not isinstance(concat, list | tuple)
            or any(type(node) is not int for node in concat)
            or sorted(concat) != list(NODES)
        ):
            raise BenchbedError(f"darts {group}_concat {show(concat)}: the output of a cell joins nodes 2, 3, 4 and 5")
        found[group] = _pairs(group, _value(fields[group]))
    return found


def write_genotype(cells: dict[str, Pairs]) -> str:
    """The text of 'normal' and 'reduce', as the authors print it."""
    parts = (f"{group}={cells[group]!r}, {group}_concat={list(NODES)!r}" for group in GROUPS)
    return f"Genotype({', '.join(parts)})"


def show(value: object) -> str:
    """A value quoted on one line, shortened where long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]}...{text[-1]}"


def _fields(text: str) -> dict[str, ast.expr]:
    """The arguments of the call by name."""
    if not text.isprintable() or text != text.strip() or len(text) > LONGEST:
        raise BenchbedError(f"darts genotype {show(text)}: expected one line of the form {FORM}")
    try:
        with warnings.catch_warnings(action="ignore"):
            call = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise BenchbedError(f"darts genotype {show(text)} cannot be read: expected {FORM}") from None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id != "Genotype":
        raise BenchbedError(f"darts genotype {show(text)}: expected the form {FORM}")
    if call.args or any(keyword.arg is None for keyword in call.keywords):
        raise BenchbedError(f"darts genotype: an argument without a name, expected {FORM}")
    known = [f"{group}{end}" for group in GROUPS for end in ("", "_concat")]
    for keyword in call.keywords:
        if keyword.arg not in known:
            raise unknown("part of a darts genotype", keyword.arg, known)
    names = [str(keyword.arg) for keyword in call.keywords]
    if twice := [name for name in names if names.count(name) > 1]:
        raise BenchbedError(f"darts genotype: '{twice[0]}' stands in it twice")
    return {str(keyword.arg): keyword.value for keyword in call.keywords}


def _value(node: ast.expr) -> Any:
    """A literal, or a range of two numbers as a list."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        ends = [_value(arg) for arg in node.args]
        if len(ends) == 2 and all(type(end) is int and 0 <= end < 100 for end in ends):
            return list(range(*ends))
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise BenchbedError(f"darts genotype: {show(ast.unparse(node))} is not a list of values") from None


def _pairs(group: str, found: object) -> Pairs:
    """The pairs of one cell, checked against the nodes that they stand for."""
    if not isinstance(found, list | tuple):
        raise BenchbedError(f"darts {group} cell {show(found)}: expected a list of ('OPERATION', SOURCE)")
    if len(found) == len(NODES) and all(isinstance(node, list | tuple) and not _is_pair(node) for node in found):
        for node, inputs in zip(NODES, found, strict=True):  # a list a node, as some tools write it
            if len(inputs) != INPUTS:
                raise BenchbedError(f"darts {group} cell, node {node}: {len(inputs)} inputs where each node has two")
        found = [pair for node in found for pair in node]
    for pair in found:
        if not _is_pair(pair):
            raise BenchbedError(f"darts {group} cell: {show(pair)} is no ('OPERATION', SOURCE)")
    if len(found) > INPUTS * len(NODES):
        raise BenchbedError(
            f"darts {group} cell: more than two inputs a node, {len(found)} where its four nodes have two each"
        )
    if len(found) < INPUTS * len(NODES):
        missing = NODES[len(found) // INPUTS]
        raise BenchbedError(f"darts {group} cell: node {missing} is missing {INPUTS - len(found) % INPUTS} of its two "
                            f"inputs, {len(found)} where eight are expected")  # fmt: skip
    pairs: Pairs = []
    for i, node in enumerate(NODES):
        inputs = [(op, source) for op, source in found[INPUTS * i : INPUTS * (i + 1)]]
        pairs += sorted(_checked(group, node, inputs), key=lambda pair: pair[1])
    return pairs


def _is_pair(found: object) -> bool:
    return isinstance(found, list | tuple) and [type(x) for x in found] == [str, int]


def _checked(group: str, node: int, inputs: Sequence[tuple[str, int]]) -> Sequence[tuple[str, int]]:
    for pair in inputs:
        if not 0 <= pair[1] < node:
            what = "comes from itself or a later node" if pair[1] >= node else "has no such source"
            raise BenchbedError(f"darts {group} cell, node {node}: {show(pair)} {what}, expected 0 to {node - 1}")
    if inputs[0][1] == inputs[1][1]:
        raise BenchbedError(f"darts {group} cell, node {node}: both inputs come from node {inputs[0][1]}")
    return inputs
