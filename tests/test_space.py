"""The base class, on a toy whose positions differ in length and in what may be selected."""

from collections.abc import Hashable
from itertools import product

import numpy as np
import pytest

from benchbed.errors import BenchbedError
from benchbed.space import Architecture, Position, Space
from benchbed.testing.toys import ToyCell


class Toy(Space):
    """Three positions of 2, 3 and 1 operations; the second may not choose `off`."""

    positions = (
        Position("stem", ("thin", "wide"), (True, True)),
        Position("body", ("off", "conv", "pool"), (False, True, True)),
        Position("head", ("linear",), (True,)),
    )
    supernet = "toy:Supernet"
    network = "toy:Network"

    def parse(self, text: str) -> Architecture:
        words = text.split("-")
        return self.architecture_of(tuple(p.operations.index(w) for p, w in zip(self.positions, words, strict=True)))

    def architecture_of(self, choices: tuple[int, ...]) -> Architecture:
        pairs = zip(self.positions, choices, strict=True)
        return Architecture("-".join(p.operations[k] if k >= 0 else "dropped" for p, k in pairs), choices)

    def canonical(self, arch: Architecture) -> Hashable:
        return arch.choices


TOY = Toy()
REACHABLE = [(a, b, 0) for a, b in product((0, 1), (1, 2))]


def test_mask_is_false_on_the_padding_alone():
    assert TOY.mask.tolist() == [[True, True, False], [True, True, True], [True, False, False]]


def test_selectable_leaves_out_padding_and_what_may_not_be_chosen():
    assert TOY.selectable.tolist() == [[True, True, False], [False, True, True], [True, False, False]]


def test_size_counts_what_a_selector_can_reach():
    assert TOY.size() == len(REACHABLE) == 4


@pytest.mark.parametrize("choices", list(product((0, 1), (0, 1, 2), (0,))))
def test_gates_are_one_hot_and_lead_back(choices):
    arch = TOY.architecture_of(choices)
    gates = TOY.gates(arch)
    assert gates.dtype == np.float32
    assert [np.flatnonzero(row).tolist() for row in gates] == [[k] for k in choices]
    assert TOY.architecture(gates) == arch


def test_a_dropped_position_is_an_all_zero_row_and_is_described_so():
    arch = Architecture("thin-dropped-linear", (0, -1, 0))
    assert TOY.gates(arch)[1].tolist() == [0, 0, 0]
    assert TOY.describe_choices(arch) == [("stem", "thin"), ("body", "dropped"), ("head", "linear")]


def _changed(row: int, values: list[float]) -> np.ndarray:
    gates = TOY.gates(TOY.architecture_of((0, 1, 0)))
    gates[row] = values
    return gates


@pytest.mark.parametrize(
    "gates",
    [
        _changed(0, [0, 0, 0]),  # a dropped row, where the space drops none
        _changed(1, [1, 1, 0]),  # two operations
        _changed(1, [0.5, 0.5, 0]),  # a mixture
        _changed(1, [2, -1, 0]),  # sums to one, but is no choice
        _changed(2, [0, 1, 0]),  # padding
        _changed(0, [np.nan, 1, 0]),
    ],
)
def test_gates_that_name_no_architecture_are_refused(gates):
    with pytest.raises(BenchbedError, match="one-hot"):
        TOY.architecture(gates)


def test_gates_of_another_shape_are_refused_with_both_shapes():
    with pytest.raises(BenchbedError, match=r"\(3, 2\).*\(3, 3\)"):
        TOY.architecture(np.zeros((3, 2)))


def test_neighbours_differ_in_one_position_and_are_all_there():
    for choices in REACHABLE:
        found = [n.choices for n in TOY.neighbours(TOY.architecture_of(choices))]
        expected = [c for c in REACHABLE if sum(x != y for x, y in zip(c, choices, strict=True)) == 1]
        assert sorted(found) == sorted(expected)
        assert len(found) == len(set(found)) == 2


def test_neighbours_of_a_dropped_position_fill_it():
    found = {n.choices for n in TOY.neighbours(Architecture("", (0, -1, 0)))}
    assert found == {(1, -1, 0), (0, 1, 0), (0, 2, 0)}


def test_random_draws_every_reachable_architecture_about_equally_and_no_other():
    rng = np.random.default_rng(0)
    drawn = [TOY.random(rng).choices for _ in range(2000)]
    counts = [drawn.count(c) for c in REACHABLE]
    assert sum(counts) == 2000
    assert sum((n - 500) ** 2 / 500 for n in counts) < 16.3  # chi-square, 3 degrees of freedom, p = 0.001


def test_random_repeats_with_its_generator():
    one, two = ([TOY.random(rng) for _ in range(20)] for rng in (np.random.default_rng(7), np.random.default_rng(7)))
    assert one == two


def test_an_architecture_prints_as_its_string_and_cannot_be_changed():
    arch = TOY.parse("wide-pool-linear")
    assert f"{arch}" == "wide-pool-linear"
    with pytest.raises(AttributeError):
        arch.text = "thin-pool-linear"


def test_facts_are_empty_unless_a_space_gives_some():
    assert TOY.facts(TOY.architecture_of((0, 1, 0))) == {}


def test_a_space_without_its_methods_cannot_be_made():
    class Partial(Space):
        positions = Toy.positions

    with pytest.raises(TypeError, match="abstract"):
        Partial()


def _cells() -> list[Architecture]:
    """Every member of the toy with topology, by brute force over all choices, dropped included."""
    space, found = ToyCell(), []
    options = [[k for k, allowed in enumerate(p.selectable) if allowed] + [-1] * p.droppable for p in space.positions]
    for choices in product(*options):
        if all(sum(choices[i] >= 0 for i in node.incoming) == node.keep for node in space.nodes):
            found.append(space.architecture_of(choices))
    return found


def test_size_counts_the_members_that_keep_the_topology_rule():
    assert ToyCell().size() == len(_cells()) == 1 * 2 * (3 * 2 + 3 * 2 + 2 * 2) * (4 + 4 + 4)


def test_random_draws_reach_every_choice_of_inputs_about_equally():
    space, rng = ToyCell(), np.random.default_rng(0)
    dropped = [tuple(i for i, k in enumerate(space.random(rng).choices) if k < 0) for _ in range(1800)]
    counts = [dropped.count((a, b)) for a in (2, 3, 4) for b in (5, 6, 7)]
    assert sum(counts) == 1800
    assert sum((n - 200) ** 2 / 200 for n in counts) < 26.1  # chi-square, 8 degrees of freedom, p = 0.001


def test_neighbours_with_topology_are_all_that_differ_in_one_decision():
    space, members = ToyCell(), _cells()
    for arch in members[::37]:
        expected = set()
        for other in members:
            pairs = [(a, b) for a, b in zip(arch.choices, other.choices, strict=True) if a != b]
            moves = sum(min(pair) < 0 for pair in pairs)
            one_node = any(
                sum(arch.choices[i] != other.choices[i] for i in node.incoming) == len(pairs) for node in space.nodes
            )
            if len(pairs) == 1 or (len(pairs) == moves == 2 and one_node):
                expected.add(other)
        found = list(space.neighbours(arch))
        assert set(found) == expected
        assert len(found) == len(expected)


def test_the_strongest_inputs_are_kept_and_ties_go_to_the_earlier_source():
    space, choices = ToyCell(), (1, 0, 0, 0, 0, 0, 0, 0)
    kept = space.keep_strongest(choices, [0, 0, 0.2, 0.5, 0.3, 0.4, 0.4, 0.4])
    assert kept == (1, 0, -1, 0, 0, 0, 0, -1)


@pytest.mark.parametrize(
    ("row", "values", "words"),
    [
        (0, [0, 0, 0], "one-hot"),  # not droppable
        (2, [0, 0, 0], "y<-0, y<-1, y<-x: 1 kept where an architecture keeps 2"),
        (4, [1, 0, 0], "y<-0, y<-1, y<-x: 3 kept"),
    ],
)
def test_gates_against_the_topology_rule_are_refused(row, values, words):
    gates = ToyCell().gates(ToyCell().architecture_of((1, 0, 0, 0, -1, 0, 0, -1)))
    gates[row] = values
    with pytest.raises(BenchbedError, match=words):
        ToyCell().architecture(gates)
