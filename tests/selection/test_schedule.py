"""When decisions fall, against the schedules of the released scripts (darts-pt.md, oracle 10)."""

import pytest

from benchbed.selection.schedule import agenda_of, by_group, name_of, schedule_of, schedule_on
from benchbed.space import Node, Position
from benchbed.spaces.darts.space_s1 import DartsS1
from benchbed.spaces.nb201.space import NB201
from benchbed.testing.toys import ToyCell, ToySpace


@pytest.mark.parametrize(
    ("operations", "inputs", "interval", "rule", "epochs", "starts"),
    [
        (6, 0, 5, "official", 25, [0, 5, 10, 15, 20, 24]),
        (6, 0, 5, "even", 25, [0, 5, 10, 15, 20, 25]),
        (14, 3, 5, "official", 81, [*range(0, 81, 5)]),
        (14, 3, 5, "even", 80, [*range(0, 81, 5)]),
        (14, 0, 5, "even", 65, [*range(0, 66, 5)]),
        (6, 0, 1, "official", 5, [0, 1, 2, 3, 4, 4]),
        (2, 1, 3, "official", 7, [0, 3, 6]),
        (6, 0, 0, "official", 0, [0] * 6),
        (2, 1, 0, "official", 0, [0] * 3),
        (6, 0, 0, "even", 0, [0] * 6),
        (1, 0, 5, "official", 0, [0]),
    ],
)
def test_the_schedule(operations, inputs, interval, rule, epochs, starts):
    assert schedule_of(operations, inputs, interval, rule) == (epochs, tuple(starts))


def darts_like(operations: int) -> ToySpace:
    """Fourteen edges and four nodes in each of two cells, as DARTS has them: node i has 2 + i inputs and keeps two."""
    space, blocks = ToySpace(), [range(0, 2), range(2, 5), range(5, 9), range(9, 14)]
    names = tuple("abcdefg"[:operations])
    space.positions = tuple(
        Position(f"{group} {i}", names, (True,) * operations, droppable=i > 1, group=group)
        for group in ("normal", "reduce")
        for i in range(14)
    )
    space.nodes = tuple(
        Node(group, tuple(first + i for i in block), 2)
        for group, first in (("normal", 0), ("reduce", 14))
        for block in blocks
    )
    return space


def test_the_darts_space_has_seventeen_events_and_the_nodes_come_at_epochs_70_75_and_80():
    space = darts_like(7)
    plan = schedule_on(space, 5, "official")
    agenda = agenda_of(*by_group(space))
    assert (plan.epochs, len(plan.starts), len(agenda)) == (81, 17, 34)
    assert [d.of for d in agenda[:4]] == [0, 14, 1, 15]  # an edge of the normal cell, then one of the reduction cell
    nodes = [(plan.starts[d.event], d.of) for d in agenda if d.kind == "inputs"]
    assert nodes == [(70, 1), (70, 5), (75, 2), (75, 6), (80, 3), (80, 7)]
    assert {plan.starts[d.event] for d in agenda if d.kind == "operation"} == set(range(0, 70, 5))


def test_groups_of_different_size_share_events_as_far_as_they_go():
    agenda = agenda_of(*by_group(ToyCell()))
    assert [(d.event, d.of) for d in agenda if d.kind == "operation"] == [
        (0, 0), (0, 5), (1, 1), (1, 6), (2, 2), (2, 7), (3, 3), (4, 4)
    ]  # fmt: skip
    assert [(d.event, d.of) for d in agenda if d.kind == "inputs"] == [(5, 1), (5, 2)]


def test_a_space_without_topology_has_one_decision_an_event():
    assert [(d.event, d.kind, d.of) for d in agenda_of(*by_group(NB201()))] == [(i, "operation", i) for i in range(6)]
    assert schedule_on(NB201(), 5, "official").starts == (0, 5, 10, 15, 20, 24)


def test_nodes_are_named_by_their_number_in_their_group():
    space = ToyCell()
    assert [name_of(space, node) for node in space.nodes] == ["normal node 1", "normal node 2", "reduce node 1"]
    darts = DartsS1()  # as its genotypes and edges name them
    assert [name_of(darts, node) for node in darts.nodes if node.group == "normal"] == [
        f"normal node {n}" for n in (2, 3, 4, 5)
    ]
