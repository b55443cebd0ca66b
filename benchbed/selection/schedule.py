"""When each decision falls: DARTS-PT's schedules, for any number of positions, nodes and groups.

Wang et al., ICLR 2021 (DARTS-PT), section 4 and the released code: tuning epochs with a decision every few of them,
first the operation of every position, then the inputs of every node that has more than it keeps. A decision *event*
decides one position (or one node) of each group, so that a normal and a reduction cell are decided side by side.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from ..space import Node, Space

Kind = Literal["operation", "inputs"]
Rule = Literal["even", "official"]


class Decision(NamedTuple):
    """One decision: the operation of position number `of`, or which inputs node number `of` keeps."""

    event: int
    kind: Kind
    of: int


class Schedule(NamedTuple):
    """epochs: of tuning in all. starts[i]: the epochs done before event i falls."""

    epochs: int
    starts: tuple[int, ...]


def schedule_of(operations: int, inputs: int, interval: int, rule: Rule) -> Schedule:
    """`operations` + `inputs` events, one every `interval` epochs.

    even: I * (events - 1) epochs, the last event after all of them.
    official, without topology (the released NAS-Bench-201 script): the same number of epochs, but the last event one
    epoch early: six positions at I = 5 are decided before epochs 0, 5, 10, 15, 20, 24 of 25.
    official, with topology (the released DARTS script): one epoch more, after the last event: 14 positions and three
    nodes at I = 5 take 81 epochs with events before 0, 5, ..., 80, the nodes' before 70, 75, 80.
    An interval of 0 decides at once, without an epoch.
    """
    events = operations + inputs
    starts, epochs = [interval * i for i in range(events)], interval * (events - 1)
    if rule == "official" and epochs > 0:
        if inputs:
            epochs += 1
        else:
            starts[-1] = epochs - 1
    return Schedule(epochs, tuple(starts))


def contested(space: Space) -> list[int]:
    """The nodes, by index, that have more inputs than they keep."""
    return [n for n, node in enumerate(space.nodes) if len(node.incoming) > node.keep]


def by_group(space: Space) -> tuple[list[list[int]], list[list[int]]]:
    """(positions, contested nodes) of each group, both in the space's order; groups by their first position."""
    groups = list(dict.fromkeys(position.group for position in space.positions))
    positions = [[i for i, p in enumerate(space.positions) if p.group == group] for group in groups]
    nodes = [[n for n in contested(space) if space.nodes[n].group == group] for group in groups]
    return positions, [found for found in nodes if found]


def agenda_of(positions: Sequence[Sequence[int]], nodes: Sequence[Sequence[int]]) -> list[Decision]:
    """Every decision in turn. Event i has the i-th of each group that goes so far; operations come before inputs."""
    agenda: list[Decision] = []
    kinds: tuple[tuple[Kind, Sequence[Sequence[int]]], ...] = (("operation", positions), ("inputs", nodes))
    for kind, groups in kinds:
        first = agenda[-1].event + 1 if agenda else 0
        for i in range(max(map(len, groups), default=0)):
            agenda += [Decision(first + i, kind, group[i]) for group in groups if i < len(group)]
    return agenda


def schedule_on(space: Space, interval: int, rule: Rule) -> Schedule:
    """The schedule of a space: as many events as its largest group has positions, and contested nodes."""
    positions, nodes = by_group(space)
    return schedule_of(max(map(len, positions)), max(map(len, nodes), default=0), interval, rule)


def name_of(space: Space, node: Node) -> str:
    """A node in words: by the target of its inputs where their names end in one (`normal:0->5`), else by its place."""
    ends = {space.positions[i].name.rpartition("->")[2] for i in node.incoming}
    place = [other for other in space.nodes if other.group == node.group].index(node) + 1
    return f"{node.group} node {ends.pop() if len(ends) == 1 else place}".strip()
