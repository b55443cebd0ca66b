"""Every registered space keeps the contract, and the suite notices when one does not."""

import numpy as np
import pytest

from benchbed import registry
from benchbed.space import Architecture, Node, Position, Space
from benchbed.testing.space_suite import CHECKS, check_canonical_is_stable, check_gates_lead_back
from benchbed.testing.space_suite import check_mask_and_selectable_agree as check_mask
from benchbed.testing.space_suite import check_neighbours_differ_in_one_decision as check_neighbours
from benchbed.testing.space_suite import check_nodes_agree_with_positions as check_nodes
from benchbed.testing.space_suite import check_random_members_are_selectable_and_repeat as check_random
from benchbed.testing.space_suite import check_size_is_no_less_than_what_is_seen as check_size
from benchbed.testing.space_suite import check_strings_lead_back as check_strings
from benchbed.testing.space_suite import check_strings_of_no_member_are_refused as check_bad_strings
from benchbed.testing.space_suite import check_topology_is_kept as check_topology
from benchbed.testing.space_suite import check_unit_costs_add_up_to_the_facts as check_costs
from benchbed.testing.toys import ToyCell, ToySpace

SPACES = {"toy": ToySpace, "toy cell": ToyCell} | {
    p.name: lambda p=p: registry.load("space", p.name)() for p in registry.plugins("space")
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", SPACES)
def test_the_space_keeps_the_contract(name, check):
    check(SPACES[name]())


class _ParsesBackwards(ToySpace):
    def parse(self, text: str) -> Architecture:
        return self.architecture_of((0, 0, super().parse(text).choices[2]))


class _AcceptsAnything(ToySpace):
    def parse(self, text: str) -> Architecture:
        return super().parse(text) if text in {"a-c-b"} else self.architecture_of((1, 1, 1))


class _GatesOfAnother(ToySpace):
    def gates(self, arch: Architecture) -> np.ndarray:
        return np.roll(super().gates(arch), 1, axis=1)


class _DrawsTheUnselectable(ToySpace):
    def random(self, rng: np.random.Generator) -> Architecture:
        return self.architecture_of((int(rng.integers(3)), 0, 3))


class _DrawsFromNowhere(ToySpace):
    def random(self, rng: np.random.Generator) -> Architecture:
        return super().random(np.random.default_rng())


class _FarNeighbours(ToySpace):
    def neighbours(self, arch):
        yield from (a for n in super().neighbours(arch) for a in super(_FarNeighbours, self).neighbours(n))


class _FormOfItsOwn(ToySpace):
    def canonical(self, arch: Architecture):
        return id(self)


class _Small(ToySpace):
    def size(self) -> int:
        return 2


class _ShortSelectable(ToySpace):
    positions = (Position("only", ("a", "b"), (True,)),)


class _CostsOnThePadding(ToySpace):
    def unit_costs(self, kind: str) -> tuple[float, np.ndarray]:
        return 0.0, np.ones(self.mask.shape)


class _CostsOfAnother(ToySpace):
    def unit_costs(self, kind: str) -> tuple[float, np.ndarray]:
        return 1.0, self.mask.astype(np.float64)

    def facts(self, arch: Architecture) -> dict[str, int]:
        return {"params": 5}  # 1 + 3


class _KeepsAnyNumber(ToyCell):
    def check_topology(self, choices) -> None:
        return None


class _KeepsTheWeakest(ToyCell):
    def keep_strongest(self, choices, strength):
        return super().keep_strongest(choices, [-s for s in strength])


class _DropsAtWill(ToyCell):
    nodes = ToyCell.nodes[:2]


class _SharesAnInput(ToyCell):
    nodes = (*ToyCell.nodes, Node("reduce", (5, 6, 7), 2))


class _RewiresTwice(ToyCell):
    def neighbours(self, arch):
        *_, last = super().neighbours(arch)
        yield from list(super().neighbours(last))[-1:]


@pytest.mark.parametrize(
    ("space", "check"),
    [
        (_KeepsAnyNumber, check_topology),
        (_KeepsTheWeakest, check_topology),
        (_DropsAtWill, check_nodes),
        (_SharesAnInput, check_nodes),
        (_RewiresTwice, check_neighbours),
        (_CostsOnThePadding, check_costs),
        (_CostsOfAnother, check_costs),
        (_ParsesBackwards, check_strings),
        (_AcceptsAnything, check_bad_strings),
        (_GatesOfAnother, check_gates_lead_back),
        (_DrawsTheUnselectable, check_random),
        (_DrawsFromNowhere, check_random),
        (_FarNeighbours, check_neighbours),
        (_FormOfItsOwn, check_canonical_is_stable),
        (_Small, check_size),
        (_ShortSelectable, check_mask),
    ],
)
def test_the_suite_notices_a_broken_space(space: type[Space], check):
    with pytest.raises(AssertionError):
        check(space())
