"""Which cells are trained, against the published counts of NAS-Bench-201."""

from itertools import product

import numpy as np
import pytest

from benchbed.errors import BenchbedError
from benchbed.space import Architecture, Position, Space
from benchbed.spaces.classes import classes, countable, drawn, sampled
from benchbed.spaces.darts.space import Darts
from benchbed.spaces.nb201.space import NB201, is_connected, parameters


@pytest.fixture(scope="module")
def groups() -> list:
    return classes(NB201())


def test_one_of_each_functional_class_and_every_cell_in_one(groups: list) -> None:
    assert len(groups) == 4930  # darts-pt.md 2.2: true functional identity
    places = np.concatenate([group.places for group in groups])
    assert np.array_equal(np.sort(places), np.arange(5**6))


def test_the_dead_cells_are_one_class(groups: list) -> None:
    space = NB201()
    dead = [g for g in groups if not is_connected(g.trained)]
    assert len(dead) == 1
    assert len(dead[0].places) == 341
    cells = [space.architecture_of(tuple(map(int, np.unravel_index(p, (5,) * 6)))) for p in dead[0].places]
    assert not any(map(is_connected, cells))


def test_members_compute_the_same_and_the_lightest_is_trained(groups: list) -> None:
    space = NB201()
    for group in groups[:200]:
        cells = [space.architecture_of(tuple(map(int, np.unravel_index(p, (5,) * 6)))) for p in group.places]
        assert {space.canonical(cell) for cell in cells} == {space.canonical(group.trained)}
        assert parameters(group.trained) == min(map(parameters, cells))
        assert parameters(group.trained, channels=4, cells=1) == min(parameters(c, channels=4, cells=1) for c in cells)


def test_the_order_is_fixed_and_a_beginning_of_it_is_no_corner_of_the_space(groups: list) -> None:
    assert [g.trained for g in classes(NB201())] == [g.trained for g in groups]
    numbers = np.array([g.trained.choices for g in groups])
    # Each operation's share on each edge, among the first 500 and among all: four standard errors of a proportion
    for edge, operation in product(range(6), range(5)):
        p = (numbers[:, edge] == operation).mean()
        assert abs((numbers[:500, edge] == operation).mean() - p) < 4 * np.sqrt(p * (1 - p) / 500)


class Large(Space):
    """A space that no table can be built of."""

    positions = tuple(Position(str(i), ("a", "b"), (True, True)) for i in range(20))

    def parse(self, text: str) -> Architecture:
        raise NotImplementedError

    def architecture_of(self, choices: tuple[int, ...]) -> Architecture:
        return Architecture(str(choices), choices)

    def canonical(self, arch: Architecture) -> str:
        return arch.text


def test_a_space_that_is_too_large_is_refused() -> None:
    with pytest.raises(BenchbedError, match="1,048,576 architectures: a table is built of at most 200,000"):
        classes(Large())


def test_draws_of_a_large_space_are_different_and_fewer_are_the_first_of_more() -> None:
    space = Darts()
    many = drawn(space, 40)
    assert drawn(space, 15) == many[:15]
    assert len({space.canonical(one) for one in many}) == 40
    assert not countable(space)
    assert countable(NB201())


def test_the_places_of_draws_are_those_of_their_sorted_strings() -> None:
    groups = sampled(Darts(), 20)
    texts = sorted(group.trained.text for group in groups)
    assert [texts[int(group.places[0])] for group in groups] == [group.trained.text for group in groups]


def test_more_draws_than_a_space_has_are_refused() -> None:
    with pytest.raises(BenchbedError, match="--sample 20: 2,000 draws gave 8 different"):
        drawn(Few(), 20)


class Few(Large):
    """A space of eight, whose draws are quick."""

    positions = Large.positions[:3]

    def random(self, rng: np.random.Generator) -> Architecture:
        return Architecture("", (int(rng.integers(8)),))

    def canonical(self, arch: Architecture) -> int:
        return arch.choices[0]
