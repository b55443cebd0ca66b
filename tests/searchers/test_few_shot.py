"""Few-shot: the one supernet's steps until the split, then each part's own; what they cost, and what is refused."""

from math import ceil
from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from benchbed.cost import without_cost
from benchbed.errors import BenchbedError
from benchbed.objective import Decisions
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.objectives.table import TableObjective
from benchbed.searcher import Clock
from benchbed.searchers.few_shot import FewShot, splittable
from benchbed.searchers.random import RandomSampling
from benchbed.space import Space
from benchbed.spaces.darts.space import Darts
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task
from benchbed.testing.searcher_suite import Traced
from benchbed.testing.toys import ToyCell, ToySpace
from benchbed.testing.tree import require_same
from benchbed.training.search_loop import train_epoch

MASK = torch.from_numpy(ToySpace().mask)
STEPS = 3  # of an epoch of the toy


def made(space: type[Space] = ToySpace, **options: Any) -> FewShot:
    return FewShot(space(), FewShot.Options(**options), Streams(0))


def searched(epochs: int, of: int, space: type[Space] = ToySpace, **options: Any) -> tuple[FewShot, Traced]:
    searcher, objective = made(space, **options), Traced(space)
    for epoch in range(epochs):
        train_epoch(without_cost(objective), searcher, epoch, of)
    return searcher, objective


def supernet() -> SupernetObjective:
    drawn = torch.Generator().manual_seed(1)
    train, valid = (
        Split(torch.randn(16, 3, 8, 8, generator=drawn), torch.randint(4, (16,), generator=drawn)) for _ in range(2)
    )
    task = Task("noise", 4, (3, 8, 8), train, valid, Seal(lambda: train), "noise")
    small = SupernetOptions(channels=4, cells=1, batch=8, valid_batch=8, eval_batch=16)
    return SupernetObjective(NB201(), task, small, Streams(0), epochs=3)


# -- steps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", ["uniform", "fair"])
def test_until_the_split_it_is_random_bit_for_bit_and_cells_score_the_same_just_after(sampling: str) -> None:
    """Split after the last epoch, so that no part is trained on."""
    found = []
    for kind, options in ((FewShot, {"warmup": 1.0}), (RandomSampling, {})):
        objective, searcher = supernet(), kind(NB201(), kind.Options(sampling=sampling, **options), Streams(3))
        for epoch in range(3):
            train_epoch(without_cost(objective), searcher, epoch, 3)
        cells = searcher.sample(40, torch.Generator().manual_seed(5))
        found.append((objective.measure(cells), len(objective.split_at)))
    assert [split for _, split in found] == [1, 0]
    assert torch.equal(found[0][0].loss, found[1][0].loss)
    assert torch.equal(found[0][0].accuracy, found[1][0].accuracy)


@pytest.mark.parametrize(("warmup", "of", "first"), [(0.5, 6, 3), (0.5, 1, 1), (0.0, 4, 1), (0.3, 10, 3), (1.0, 4, 4)])
def test_it_splits_after_its_share_of_the_epochs(warmup: float, of: int, first: int) -> None:
    searcher, objective = made(warmup=warmup), Traced()
    split = []
    for epoch in range(of):
        train_epoch(without_cost(objective), searcher, epoch, of)
        split.append(bool(objective.split_at))
    assert split == [epoch + 1 >= first for epoch in range(of)]
    assert [step.dim() for step in objective.trace] == [2] * STEPS * first + [3] * STEPS * (of - first)


def parts(steps: list[Tensor], positions: list[int]) -> list[list[tuple[int, ...]]]:
    return [[tuple(path.argmax(1)[positions].tolist()) for path in step] for step in steps]


@pytest.mark.parametrize(("splits", "ways"), [(1, [(0,), (1,), (2,)]), (2, [(a, b) for a in range(3) for b in (0, 1)])])
def test_then_every_batch_trains_a_path_of_every_part_uniform_within_it(splits: int, ways: list[Any]) -> None:
    searcher, objective = searched(1, 2, splits=splits)
    steps = [searcher.weight_gates(objective, None, Clock(1, 0, 2, STEPS)) for _ in range(400)]
    assert parts(steps, list(range(splits))) == [ways] * len(steps)
    rest = torch.stack([step.argmax(2)[:, splits:] for step in steps])  # (steps, K, the other positions)
    for k in range(len(ways)):
        values = (rest[:, k] * torch.tensor([4, 1])[-rest.shape[2] :]).sum(1)
        sizes = int(MASK[splits:].sum(1).prod())
        counts = torch.bincount(values, minlength=sizes)
        assert len(counts) == sizes
        assert chisquare(counts.numpy()).pvalue > 1e-3
    assert all(bool((step.sum(2) == 1).all()) and bool((step[:, ~MASK] == 0).all()) for step in steps)


def test_fair_paths_are_fair_within_each_part() -> None:
    searcher, objective = FewShot(NB201(), FewShot.Options(sampling="fair"), Streams(0)), supernet()
    searcher.end_epoch(objective, Clock(0, 1, 1, 2))
    step = searcher.weight_gates(objective, None, Clock(1, 0, 2, 2)).reshape(5, 5, 6, 5)
    for k, paths in enumerate(step):
        assert torch.equal(paths[:, 0], torch.eye(5)[k].expand(5, 5))
        assert torch.equal(paths[:, 1:].sum(0), torch.ones(5, 5))
    assert searcher.passes == 25


def test_the_cost_is_k_times_the_steps_of_the_parts() -> None:
    """Three epochs by one supernet, then three by each of 3, or of 6."""
    for splits, k in ((1, 3), (2, 6)):
        searcher, objective = searched(6, 6, splits=splits)
        trained = parts([step for step in objective.trace if step.dim() == 3], list(range(splits)))
        each = {part: sum(part in step for step in trained) for part in trained[0]}
        assert list(each.values()) == [3 * STEPS] * k
        assert searcher.progress() == {"supernets": k, "passes": 3 * STEPS + sum(each.values())}
        assert searcher.passes == sum(ceil(step.numel() / MASK.numel()) for step in objective.trace)


def test_one_part_a_batch_costs_what_one_supernet_does() -> None:
    searcher, objective = searched(6, 6, train="one")
    plain, reference = RandomSampling(ToySpace(), RandomSampling.Options(), Streams(0)), Traced()
    for epoch in range(6):
        train_epoch(without_cost(reference), plain, epoch, 6)
    require_same(objective.trace, reference.trace, "it trains other paths")
    assert objective.split_at == (0,)
    assert searcher.progress() == {"supernets": 3, "passes": 6 * STEPS}


def test_where_decisions_leave_one_part_a_step_trains_that_one_once() -> None:
    """The tuning of a selector, which has decided the position that is split."""
    searcher, objective = searched(6, 6)
    decided = objective.decided(Decisions.none(ToySpace()).decide(0, 2))
    gates = searcher.weight_gates(decided, None, Clock(5, 0, 6, 4))
    assert gates.shape == (1, *MASK.shape)
    assert gates[0, 0].tolist() == [0, 0, 1, 0]
    free = objective.decided(Decisions.none(ToySpace()).decide(1, 0))
    assert len(searcher.weight_gates(free, None, Clock(5, 0, 6, 4))) == 3


def test_tuning_splits_nothing() -> None:
    """A search that a budget cut before its split is measured and tuned as the one supernet that it is."""
    searcher, objective = searched(1, 6)
    train_epoch(without_cost(objective), searcher, 5, 6, tuning=True)
    assert not objective.split_at
    assert {step.dim() for step in objective.trace} == {2}


# -- where -------------------------------------------------------------------------------------------------------------


NO_MORE = "of the space's positions hold one of several operations in every architecture, and no more can be split"


def test_positions_are_those_that_every_architecture_holds() -> None:
    assert splittable(NB201()) == (0, 1, 2, 3, 4, 5)
    assert splittable(ToyCell()) == (0, 1)
    space = Darts()
    names = [space.positions[i].name for i in splittable(space)]
    assert len(names) == 4  # the two inputs of the first node of each cell: the others keep two of more
    for _ in range(5):
        member = space.random(Streams(0).numpy("selection"))
        assert all(member.choices[i] >= 0 for i in splittable(space))


@pytest.mark.parametrize(
    ("space", "options", "said"),
    [
        (NB201(), {"splits": 7}, "searcher.splits=7: 6 " + NO_MORE),
        (ToyCell(), {"splits": 3}, "searcher.splits=3: 2 " + NO_MORE),
        (NB201(), {"splits": 4}, "searcher.splits=4 makes 625 sub-supernets, more than 128: give fewer"),
        (ToySpace(), {"sampling": "fair"}, "searcher.sampling=fair takes as many operations at every position, and '1' "
         "has 2 where '2' has 4: use uniform"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_line(space: Space, options: dict[str, Any], said: str) -> None:
    with pytest.raises(BenchbedError) as error:
        FewShot.check(FewShot.Options(**options), space, None)
    names = [p.name for p in space.positions]
    assert str(error.value) == said.replace("'1'", f"'{names[1]}'").replace("'2'", f"'{names[2]}'")
    FewShot.check(FewShot.Options(), space, None)


def test_a_network_of_which_there_is_one_alone_is_refused() -> None:
    objective = supernet()
    FewShot.check(FewShot.Options(), NB201(), objective)
    objective.provides = objective.provides - {"splits"}
    with pytest.raises(BenchbedError, match=r"^searcher 'few-shot' needs splits, and the supernet of this "):
        FewShot.check(FewShot.Options(), NB201(), objective)


def test_it_needs_what_a_table_has_not() -> None:
    assert FewShot.needed(FewShot.Options()) - TableObjective.provides == {"weights", "splits"}
