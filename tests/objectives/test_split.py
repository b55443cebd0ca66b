"""A split supernet: the same scores until its parts are trained, each part as if it were alone, and what is refused."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from benchbed.errors import BenchbedError
from benchbed.layers.plan import plan
from benchbed.objective import Decisions, Objective, View
from benchbed.objectives.split import SplitSupernet, choices_at, split_network, twin
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.space import Space
from benchbed.spaces.darts.space import Darts
from benchbed.spaces.darts.space_s4 import DartsS4
from benchbed.spaces.mbconv.space import MBConv
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task
from benchbed.testing import supernet_suite
from benchbed.testing.objective_suite import dense_gates
from benchbed.testing.supernet_suite import CHECKS, Subject, made
from benchbed.testing.toy_network import ToyNetwork
from benchbed.testing.toys import ToySpace, random_table
from benchbed.testing.tree import require_same, through_file


def supernet(space: Space | None = None, **options: Any) -> SupernetObjective:
    """Of random images, clipped hard, with momentum and decay."""
    drawn = torch.Generator().manual_seed(1)
    train, valid = (
        Split(torch.randn(24, 3, 8, 8, generator=drawn), torch.randint(4, (24,), generator=drawn)) for _ in range(2)
    )
    task = Task("noise", 4, (3, 8, 8), train, valid, Seal(lambda: train), "noise")
    sizes = {"channels": 4, "cells": 1, "batch": 8, "valid_batch": 8, "eval_batch": 12, "clip": 0.5, **options}
    return SupernetObjective(space or NB201(), task, SupernetOptions(**sizes), Streams(0), epochs=3)


def chain() -> SupernetObjective:
    sizes = {"stage_widths": [8, 16], "stage_depths": [2, 1], "stage_strides": [1, 2], "head_width": 8}
    return supernet(MBConv("small", stem_width=8, **sizes).for_images((3, 8, 8), 4))


def toy() -> ToyNetwork:
    return ToyNetwork(ToySpace(), random_table(ToySpace(), 0).losses, Streams(0))


DARTS = partial(supernet, Darts(), channels=2, cells=3)
SLOW = {"partial": partial(supernet, partial=2), "chain": chain, "darts": DARTS}
OF = pytest.mark.parametrize(
    "make",
    [
        pytest.param(toy, id="toy"),
        pytest.param(supernet, id="nb201"),
        *(pytest.param(make, id=name, marks=pytest.mark.slow) for name, make in SLOW.items()),
    ],
)


def paths(objective: Objective, choices: Tensor, seed: int = 0) -> Tensor:
    """A random path in each of the parts, (K, P, O)."""
    mask = torch.from_numpy(objective.space.mask)
    drawn = torch.multinomial(mask.float(), len(choices), True, generator=torch.Generator().manual_seed(seed)).T
    return torch.where(choices.any(2, keepdim=True), choices, torch.nn.functional.one_hot(drawn, mask.shape[1]).float())


def trained(make: Callable[[], Objective]) -> Objective:
    """Some steps at mixtures, so that there is momentum."""
    objective = make()
    for seed in range(3):
        objective.weight_step(dense_gates(objective, seed), objective.batch("train"))
    return objective


# -- the parts ---------------------------------------------------------------------------------------------------------


@OF
@pytest.mark.parametrize("positions", [(0,), (1,), (0, 1)])
def test_until_a_part_is_trained_every_path_measures_as_before_to_the_bit(
    make: Callable[[], Objective], positions: tuple[int, ...]
) -> None:
    objective = trained(make)
    drawn = torch.cat([paths(objective, choices_at(objective.space, positions), seed) for seed in range(2)])
    batch = objective.batch("valid")
    before = [objective.measure(drawn), torch.stack([objective.loss(path, batch) for path in drawn]).detach()]
    choices = objective.split(positions)
    assert torch.equal(choices, choices_at(objective.space, positions))
    after = [objective.measure(drawn), torch.stack([objective.loss(path, batch) for path in drawn]).detach()]
    for was, now in zip([*before[0], before[1]], [*after[0], after[1]], strict=True):
        assert torch.equal(torch.as_tensor(was), torch.as_tensor(now))
    assert torch.equal(choices.sum((1, 2)), torch.full((len(choices),), float(len(positions))))


@OF
def test_a_step_in_one_part_moves_the_scores_of_that_part_alone(make: Callable[[], Objective]) -> None:
    objective = trained(make)
    choices = objective.split((0,))
    drawn = paths(objective, choices)
    before = objective.measure(drawn).loss
    for k in range(len(choices)):
        objective.weight_step(drawn[k], objective.batch("train"))
        now = objective.measure(drawn).loss
        assert (now != before).tolist() == [j == k for j in range(len(choices))]
        before = now


@OF
def test_a_part_trains_as_a_supernet_of_its_own_would(make: Callable[[], Objective]) -> None:
    """One step of all parts, clipped each by itself, beside a supernet a part that begins at the same weights."""
    objective = trained(make)
    start = through_file(objective.state())
    choices = objective.split((0,))
    batches = [objective.batch("train") for _ in range(3)]
    for seed, batch in enumerate(batches):
        objective.weight_step(paths(objective, choices, seed), batch)
    for k in range(len(choices)):
        alone = make()
        alone.load_state(start)
        for state in alone.optimiser.state.values():  # type: ignore[attr-defined]
            state.clear()  # momentum begins anew
        for seed, batch in enumerate(batches):
            alone.weight_step(paths(objective, choices, seed)[k], batch)
        drawn = paths(objective, choices, 7)[k]
        assert torch.equal(alone.measure(drawn).loss, objective.measure(drawn).loss)


def test_rates_go_on_where_they_were() -> None:
    objective = trained(supernet)
    rate, steps = objective.learning_rate(), objective.steps
    assert rate < objective.options.lr or objective.steps < objective.steps_per_epoch
    objective.split((0,))
    assert (objective.learning_rate(), objective.steps) == (rate, steps)
    assert not any(objective.optimiser.state.values())


def test_a_mixture_is_the_gated_sum_of_the_parts() -> None:
    objective = trained(supernet)
    choices = objective.split((1, 3))
    for seed in range(3):
        objective.weight_step(paths(objective, choices, seed), objective.batch("train"))
    gates, images = dense_gates(objective), objective.batch("valid").images
    wanted = torch.zeros(len(images), 4)
    for choice in choices:
        inside = torch.where(choice.any(1, keepdim=True), choice, gates)
        share = (gates * choice).sum(1)[[1, 3]].prod()
        wanted += share * objective.network(images, inside, plan(inside))
    torch.testing.assert_close(objective.network(images, gates, plan(gates)), wanted)


@pytest.mark.parametrize("norm", ["batch", "eval", "recalibrated"])
def test_every_view_measures_it(norm: Any) -> None:
    objective = trained(supernet)
    gates, drawn = dense_gates(objective), paths(objective, objective.split((0,)))
    seen = objective.seen(View(norm=norm, gates=gates[None]))
    assert seen.measure(torch.cat([drawn, gates[None]])).loss.isfinite().all()


# -- a supernet like any other -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def subject() -> Subject:
    """NAS-Bench-201's supernet split at two edges, the parts at different weights."""
    found = made(NB201())
    network = split_network(found.network, found.space, (0, 4))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
    return found._replace(network=network)


APART = {supernet_suite.check_candidate_weights}  # an operation's copies in parts that do not flow have no gradient


@pytest.mark.parametrize("check", sorted({*CHECKS} - APART, key=CHECKS.index), ids=lambda c: c.__name__)
def test_contract(subject: Subject, check: Callable[[Subject], None]) -> None:
    check(subject)


def test_an_operation_has_weights_in_every_part_that_can_hold_it(subject: Subject) -> None:
    found, all_names = subject.candidates(), [name for name, _ in subject.network.named_parameters()]
    whole = made(NB201()).candidates()
    for (i, k), names in found.items():
        own = [name for name in names if name in all_names]
        assert len(own) == len(set(own)) == len(whole[i, k]) * (5 if i in (0, 4) else 25)
    flat = [name for names in found.values() for name in names]
    assert len(flat) == len(set(flat))
    _, _, gradients = subject.gradients(subject.member, plan(subject.member))
    first, second = (int(subject.member[i].argmax()) for i in (0, 4))
    inside = f"parts.{first}.parts.{second}."
    assert {name for name, g in gradients.items() if g is not None} <= {n for n in all_names if n.startswith(inside)}


def test_a_copy_draws_from_the_same_generator_and_tells_the_same_person() -> None:
    network = made(DartsS4(), channels=2, cells=3).network
    network.notice = [].append
    other = twin(network)
    assert other.noise is network.noise
    assert other.notice is network.notice
    assert not {id(w) for w in other.parameters()} & {id(w) for w in network.parameters()}


def test_operations_that_are_frozen_stay_so_in_every_part() -> None:
    objective = trained(supernet)
    frozen = torch.zeros_like(objective.everything)
    frozen[2, 3] = True
    objective.freeze(frozen)
    choices = objective.split((0,))
    held = [w.clone() for w in objective.operations.of[2, 3]]
    gates = torch.where(choices.any(2, keepdim=True), choices, dense_gates(objective))
    before = [w.clone() for w in objective.operations.of[3, 3]]
    objective.weight_step(gates, objective.batch("train"))
    assert len(held) == 3 * len(choices)  # a cell a stage
    assert all(torch.equal(a, b) for a, b in zip(held, objective.operations.of[2, 3], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(before, objective.operations.of[3, 3], strict=True))


# -- decisions, state, refusals ----------------------------------------------------------------------------------------


@OF
def test_decisions_close_the_parts_that_they_exclude(make: Callable[[], Objective]) -> None:
    objective = make()
    decided = objective.decided(Decisions.none(objective.space).decide(0, 1))
    assert torch.equal(decided.split((0, 1)), (every := objective.split((0, 1)))[every[:, 0, 1] == 1])
    assert (decided.network, decided.provides) == (objective.network, objective.provides)
    elsewhere = objective.decided(Decisions.none(objective.space).decide(2, 0))
    assert torch.equal(elsewhere.split((0, 1)), every)


@OF
def test_a_split_supernet_goes_on_from_its_state_to_the_bit(make: Callable[[], Objective]) -> None:
    objective = trained(make)
    whole = through_file(objective.state())
    choices = objective.split((0,))
    objective.weight_step(paths(objective, choices), objective.batch("train"))
    saved = through_file(objective.state())
    other = make()
    other.load_state(saved)
    assert other.provides == objective.provides
    for one in (objective, other):
        one.weight_step(paths(objective, choices, 1), one.batch("train"))
    require_same(objective.state(), other.state(), "it ends elsewhere")
    if isinstance(other, SupernetObjective):  # and back, to what it was before
        other.load_state(whole)
        assert "layers" in other.provides or "layers" not in make().provides
        require_same(whole, other.state(), "it is not what was saved")


def test_a_state_of_another_split_is_refused_in_one_line() -> None:
    objective = trained(supernet)
    objective.split((0,))
    tree = objective.state()
    del tree["split"]
    with pytest.raises(BenchbedError, match=r"^the saved supernet does not fit this one, is it of another space or"):
        supernet().load_state(tree)


@OF
def test_other_positions_are_refused_in_one_line(make: Callable[[], Objective]) -> None:
    objective = make()
    for positions in ((), (0, 0), (99,), (-1,)):
        with pytest.raises(BenchbedError, match=r"^a supernet is split at different positions of 0 to \d+, not at \("):
            objective.split(positions)
    objective.split((0,))
    first, second = (objective.space.positions[i].name for i in (0, 1))
    with pytest.raises(BenchbedError) as error:
        objective.split((1,))
    assert str(error.value) == f"the supernet is split at '{first}', and not at '{second}'"


def test_what_cannot_be_split_says_so() -> None:
    drawing = supernet(DartsS4(), channels=2, cells=3)
    assert "splits" not in drawing.provides
    assert "splits" in supernet(Darts(), channels=2, cells=3).provides
    with pytest.raises(NotImplementedError, match="ToyTable has no weights"):
        random_table(ToySpace(), 0).split((0,))
    assert isinstance(split_network(made(NB201()).network, NB201(), (2,)), SplitSupernet)
