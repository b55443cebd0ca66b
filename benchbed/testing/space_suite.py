"""The contract of a space, as checks that a plug-in's author can run.

    from benchbed.testing.space_suite import CHECKS

    @pytest.mark.parametrize("check", CHECKS)
    def test_contract(check):
        check(MySpace())

Each raises AssertionError where the contract is broken. They look at random members, never at all of them, so that
a space of any size can be checked.
"""

from collections.abc import Callable
from functools import partial
from itertools import islice

import numpy as np

from ..errors import BenchbedError
from ..space import Architecture, Space
from .tree import require

DRAWS = 30
NEIGHBOURS = 200  # looked at per member: a chain of many positions has thousands


def members(space: Space, count: int = DRAWS) -> list[Architecture]:
    rng = np.random.default_rng(0)
    return [space.random(rng) for _ in range(count)]


def check_mask_and_selectable_agree(space: Space) -> None:
    """Rows are as long as their positions' operations; every position leaves at least one operation to choose."""
    require(bool(space.positions), "a space without positions")
    names = [p.name for p in space.positions]
    require(len(set(names)) == len(names), f"two positions share a name: {names}")
    longest = max(len(p.operations) for p in space.positions)
    require(space.mask.shape == space.selectable.shape == (len(names), longest), "mask or selectable is not (P, O)")
    require(space.mask.dtype == space.selectable.dtype == np.bool_, "mask and selectable are bool")
    require(bool(not (space.selectable & ~space.mask).any()), "a padded entry is selectable")
    for position, mask, selectable in zip(space.positions, space.mask, space.selectable, strict=True):
        operations = position.operations
        require(len(set(operations)) == len(operations), f"{position.name}: an operation twice in {operations}")
        require(len(position.selectable) == len(operations), f"{position.name}: selectable has another length")
        require(mask.tolist() == [k < len(operations) for k in range(longest)], f"{position.name}: wrong mask")
        require(selectable[: len(operations)].tolist() == list(position.selectable), f"{position.name}: selectable")
        require(bool(selectable.any()), f"{position.name}: nothing may be selected")


def check_names_its_networks(space: Space) -> None:
    """`supernet` and `network` read 'module:Class'."""
    for path in (space.supernet, space.network):
        require(len(path.split(":")) == 2 and all(path.split(":")), f"'{path}' is not of the form 'module:Class'")


def check_strings_lead_back(space: Space) -> None:
    """parse is the exact inverse of an architecture's text, which is one line."""
    for arch in members(space):
        require(space.parse(arch.text) == arch, f"'{arch.text}' parses to another architecture")
        require(arch.text.isprintable(), f"{arch.text!r} is no single line")
        require(space.architecture_of(arch.choices) == arch, f"choices {arch.choices} lead to another architecture")


def check_gates_lead_back(space: Space) -> None:
    """gates are one-hot or zero rows inside the mask, and `architecture` is their exact inverse."""
    for arch in members(space):
        gates = space.gates(arch)
        require(gates.shape == space.mask.shape, f"gates {gates.shape} where the space has {space.mask.shape}")
        require(gates.dtype == np.float32, f"gates are {gates.dtype}, not float32")
        require(bool(not gates[~space.mask].any()), "a gate on the padding")
        for row, k in zip(gates, arch.choices, strict=True):
            require(np.flatnonzero(row).tolist() == ([k] if k >= 0 else []), "the gates contradict the choices")
            require(bool(row.sum() == (k >= 0)), "a chosen gate is not 1")
        require(space.architecture(gates) == arch, f"the gates of '{arch}' lead to another architecture")


def check_gates_of_no_member_are_refused(space: Space) -> None:
    """A mixture and gates of another shape raise BenchbedError."""
    mixture = (space.mask / (space.mask.sum(1, keepdims=True) + 1)).astype(np.float32)
    for gates in (mixture, np.zeros((len(space.positions) + 1, space.mask.shape[1]), dtype=np.float32)):
        _refused(partial(space.architecture, gates), f"gates {gates.shape} that name no member")


def check_strings_of_no_member_are_refused(space: Space) -> None:
    """Whatever is no member raises BenchbedError in one line that says what it was about."""
    good = members(space, 1)[0].text
    for text in ("", "no such architecture", good + good, good[:-1], "\n" + good):
        if _parses(space, text):  # a cut-off name may still be one
            require(space.parse(text).text == text, f"{text!r} parses to an architecture that prints otherwise")
            continue
        _refused(partial(space.parse, text), f"the string {text!r}")


def check_choices_out_of_range_are_refused(space: Space) -> None:
    """Each position refuses one past its last operation; so do too few and too many choices."""
    choices = members(space, 1)[0].choices
    wrong = [(*choices, 0), choices[:-1]]
    wrong += [(*choices[:i], len(p.operations), *choices[i + 1 :]) for i, p in enumerate(space.positions)]
    for bad in wrong:
        _refused(partial(space.architecture_of, bad), f"choices {bad}")


def check_random_members_are_selectable_and_repeat(space: Space) -> None:
    """Draws use selectable operations alone, are not all the same, and follow from the generator."""
    drawn, allowed = members(space), space.selectable
    require(drawn == members(space), "random draws from something besides its generator")
    require(bool(len(set(drawn)) > 1 or space.size() == 1), "every random draw is the same")
    for arch in drawn:
        kept = [(i, k) for i, k in enumerate(arch.choices) if k >= 0]
        require(bool(all(allowed[i, k] for i, k in kept)), f"'{arch}' uses what may not be selected")


def check_neighbours_differ_in_one_position(space: Space) -> None:
    """Exactly one position differs, the new operation is selectable, no neighbour comes twice."""
    allowed = space.selectable
    for arch in members(space, 5):
        found = list(islice(space.neighbours(arch), NEIGHBOURS))
        require(bool(found or space.size() == 1), f"'{arch}' has no neighbour")
        require(len({n.choices for n in found}) == len(found), f"'{arch}' has a neighbour twice")
        for n in found:
            changed = [i for i, (a, b) in enumerate(zip(arch.choices, n.choices, strict=True)) if a != b]
            require(len(changed) == 1, f"'{n}' differs from '{arch}' in {len(changed)} positions")
            new = n.choices[changed[0]]
            require(bool(new < 0 or allowed[changed[0], new]), f"'{n}' holds what may not be selected")
            require(space.parse(n.text) == n, f"the neighbour '{n}' is no member")


def check_canonical_is_stable(space: Space) -> None:
    """The canonical form is hashable and a function of the architecture alone, in any instance."""
    for arch in members(space):
        form = space.canonical(arch)
        hash(form)
        require(form == space.canonical(space.parse(arch.text)), f"'{arch}' has two canonical forms")
        require(form == type(space)().canonical(arch), f"'{arch}' has another form in another instance")


def check_size_is_no_less_than_what_is_seen(space: Space) -> None:
    """size is at least the number of members that a walk over neighbours meets."""
    seen = set(members(space, 5))
    for arch in list(seen):
        seen |= set(islice(space.neighbours(arch), NEIGHBOURS))
    require(isinstance(space.size(), int), "size is an int: spaces outgrow floats")
    allowed = space.selectable
    kept = {a for a in seen if all(k < 0 or allowed[i, k] for i, k in enumerate(a.choices))}
    require(space.size() >= len(kept), f"size {space.size()}, seen {len(seen)}")


def check_unit_costs_add_up_to_the_facts(space: Space) -> None:
    """Where costs by operation are known: float64 (P, O), finite, 0 on the padding, and their sums are the facts."""
    for kind in ("flops", "params"):
        try:
            fixed, costs = space.unit_costs(kind)
        except BenchbedError:
            continue
        require(costs.shape == space.mask.shape and costs.dtype == np.float64, f"{kind}: not float64 (P, O)")
        require(bool(np.isfinite(costs).all()), f"{kind}: not finite")
        require(not costs[~space.mask].any(), f"{kind}: a cost on the padding")
        for arch in members(space, 5):
            facts, total = space.facts(arch), fixed + float((costs * space.gates(arch)).sum())
            require(
                facts.get(kind, total) == total, f"'{arch}' has {facts.get(kind)} {kind} and costs add up to {total}"
            )


CHECKS: tuple[Callable[[Space], None], ...] = (
    check_mask_and_selectable_agree,
    check_names_its_networks,
    check_strings_lead_back,
    check_gates_lead_back,
    check_gates_of_no_member_are_refused,
    check_strings_of_no_member_are_refused,
    check_choices_out_of_range_are_refused,
    check_random_members_are_selectable_and_repeat,
    check_neighbours_differ_in_one_position,
    check_canonical_is_stable,
    check_size_is_no_less_than_what_is_seen,
    check_unit_costs_add_up_to_the_facts,
)


def _parses(space: Space, text: str) -> bool:
    try:
        space.parse(text)
    except BenchbedError:
        return False
    return True


def _refused(call: Callable[[], object], what: str) -> None:
    try:
        call()
    except BenchbedError as error:
        require("\n" not in str(error), f"{what}: the error has several lines")
        require(bool(str(error).strip()), f"{what}: the error is empty")
    else:
        raise AssertionError(f"{what} was accepted")
