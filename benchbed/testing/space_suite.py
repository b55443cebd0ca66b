"""The contract of a space, as checks that a plug-in's author can run.

    from benchbed.testing.space_suite import CHECKS

    @pytest.mark.parametrize("check", CHECKS)
    def test_contract(check):
        check(MySpace())

Each raises AssertionError where the contract is broken. They look at random members, never at all of them, so that
a space of any size can be checked.
"""

from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import partial
from itertools import islice

import numpy as np

from ..errors import BenchbedError
from ..space import Architecture, Space
from .tree import checks_in, require

DRAWS = 30
NEIGHBOURS = 200  # looked at per member: a chain of many positions has thousands
FIXED = 8  # positions that may not be dropped, tried per member


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


def check_nodes_agree_with_positions(space: Space) -> None:
    """Inputs belong to one node each, of their own group; they are droppable where a node has more than it keeps."""
    seen: set[int] = set()
    for node in space.nodes:
        where = f"node with inputs {node.incoming}"
        require(all(0 <= i < len(space.positions) for i in node.incoming), f"{where}: no such position")
        require(list(node.incoming) == sorted(set(node.incoming)), f"{where}: not in the order of the positions")
        require(not seen & set(node.incoming), f"{where}: shares an input with another node")
        require(1 <= node.keep <= len(node.incoming), f"{where} cannot keep {node.keep}")
        seen |= set(node.incoming)
        for i in node.incoming:
            position = space.positions[i]
            require(position.group == node.group, f"{position.name} is of group '{position.group}', {where} is not")
            require(
                position.droppable == (len(node.incoming) > node.keep), f"{position.name}: wrongly droppable or not"
            )
    free = [p.name for i, p in enumerate(space.positions) if p.droppable and i not in seen]
    require(not free, f"droppable without a node that says how many to keep: {free}")


def check_topology_is_kept(space: Space) -> None:
    """Members keep what each node keeps; one input more, one fewer, and a drop elsewhere are refused."""
    rng = np.random.default_rng(1)
    for arch in members(space):
        wrong = []
        for node in space.nodes:
            kept = [i for i in node.incoming if arch.choices[i] >= 0]
            require(len(kept) == node.keep, f"'{arch}' keeps {len(kept)} of the inputs {node.incoming}")
            wrong += [(kept[0], -1), *[(i, 0) for i in node.incoming if arch.choices[i] < 0][:1]]
        fixed = [i for i, position in enumerate(space.positions) if not position.droppable]
        wrong += [(i, -1) for i in fixed[:: max(1, len(fixed) // FIXED)]]
        for i, k in wrong:
            bad = (*arch.choices[:i], k, *arch.choices[i + 1 :])
            _refused(partial(space.architecture_of, bad), f"choices {bad}")
            gates = space.gates(arch)
            gates[i] = 0
            gates[i, :1] = k >= 0
            _refused(partial(space.architecture, gates), f"gates that keep other inputs than '{arch}'")
        choices = [max(k, 0) for k in arch.choices]
        strength = rng.random(len(choices)).tolist()
        by_strength = space.keep_strongest(choices, strength)
        space.architecture_of(by_strength)
        for node in space.nodes:
            weak = [strength[i] for i in node.incoming if by_strength[i] < 0]
            strong = [strength[i] for i in node.incoming if by_strength[i] >= 0]
            require(not weak or max(weak) < min(strong), "keep_strongest kept a weaker input")


def check_names_its_networks(space: Space) -> None:
    """`supernet` and `network` read 'module:Class'."""
    for path in (space.supernet, space.network):
        require(len(path.split(":")) == 2 and all(path.split(":")), f"'{path}' is not of the form 'module:Class'")


def check_strings_lead_back(space: Space) -> None:
    """parse is the exact inverse of an architecture's text, which is one line."""
    for arch in members(space):
        require(space.parse(arch.text) == arch, f"'{arch.text}' parses to another architecture")
        require(arch.text.isprintable(), f"{arch.text!r} is not a single line")
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
    """Whatever is not a member raises BenchbedError in one line that says what it was about."""
    good = members(space, 1)[0].text
    for text in ("", "no such architecture", good + good, good[:-1], "\n" + good):
        with suppress(BenchbedError):  # a cut-off name may still be one
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


def check_neighbours_differ_in_one_decision(space: Space) -> None:
    """One kept position with another operation, or one input of a node for another; selectable; none comes twice."""
    allowed = space.selectable
    for arch in members(space, 5):
        found = list(islice(space.neighbours(arch), NEIGHBOURS))
        require(bool(found or space.size() == 1), f"'{arch}' has no neighbour")
        require(len({n.choices for n in found}) == len(found), f"'{arch}' has a neighbour twice")
        for n in found:
            changed = [i for i, (a, b) in enumerate(zip(arch.choices, n.choices, strict=True)) if a != b]
            moved = [i for i in changed if arch.choices[i] < 0 or n.choices[i] < 0]
            one_node = any(set(moved) <= set(node.incoming) for node in space.nodes)
            require(
                len(changed) == 1 if not moved else len(changed) == len(moved) == 2 and one_node,
                f"'{n}' differs from '{arch}' in more than one decision",
            )
            kept = [i for i in changed if n.choices[i] >= 0]
            require(bool(all(allowed[i, n.choices[i]] for i in kept)), f"'{n}' holds what may not be selected")
            require(space.parse(n.text) == n, f"the neighbour '{n}' is not a member")


def check_canonical_is_stable(space: Space) -> None:
    """The canonical form is hashable and a function of the architecture alone, in any instance; so is the network's,
    and what shares that shares the function."""
    function_of: dict[Hashable, Hashable] = {}
    for arch in members(space):
        form, network = space.canonical(arch), space.network_form(arch)
        require(function_of.setdefault(network, form) == form, f"'{arch}' is a network that computes two functions")
        again = space.parse(arch.text)
        require(form == space.canonical(again), f"'{arch}' has two canonical forms")
        require(network == space.network_form(again), f"'{arch}' has two forms of its network")
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


CHECKS: tuple[Callable[[Space], None], ...] = checks_in(globals())


def _refused(call: Callable[[], object], what: str) -> None:
    try:
        call()
    except BenchbedError as error:
        require("\n" not in str(error), f"{what}: the error has several lines")
        require(bool(str(error).strip()), f"{what}: the error is empty")
    else:
        raise AssertionError(f"{what} was accepted")
