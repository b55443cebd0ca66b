"""RobustDARTS: the eigenvalue against a dense Hessian, the rule on hand-made series, and a search that ends."""

import itertools
import json

import pytest
import torch

from benchbed import api, registry
from benchbed.cost import without_cost
from benchbed.errors import BenchbedError
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.objectives.table import TableObjective
from benchbed.searcher import Clock, masked_softmax
from benchbed.searchers.darts import DARTS
from benchbed.searchers.modifiers.robust import Options, Robust
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task
from benchbed.testing.toys import ToySpace, random_table


def _sealed():
    raise AssertionError("the test split was touched")


def supernet(**options) -> SupernetObjective:
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(2, 12, 3, 8, 8, generator=generator), torch.randint(3, (2, 12), generator=generator)
    task = Task("random", 3, (3, 8, 8), Split(images[0], labels[0]), Split(images[1], labels[1]), Seal(_sealed), "0")
    small = SupernetOptions(**{"channels": 2, "cells": 1, "batch": 12, "valid_batch": 12, "eval_batch": 12, **options})
    return SupernetObjective(NB201(), task, small, Streams(0), epochs=2)


def table() -> TableObjective:
    accuracy = 100 * torch.rand(3, 2, 4, generator=torch.Generator().manual_seed(0)).numpy()
    return TableObjective(ToySpace(), accuracy)


def robust(space, alpha_init: float = 1.0, **options) -> Robust:
    return Robust(DARTS(space, DARTS.Options(alpha_init=alpha_init), Streams(0)), Options(**options))


@pytest.mark.parametrize("make", [supernet, table])
def test_the_eigenvalue_is_that_of_the_dense_hessian(make):
    objective = make()
    modifier = robust(objective.space)
    mask, alpha, batch = modifier.searcher.mask, modifier.searcher.alpha.detach(), objective.batch("valid")

    def loss(point):
        return objective.loss(masked_softmax(torch.zeros_like(alpha).masked_scatter(mask, point), mask), batch)

    dense = torch.autograd.functional.hessian(loss, alpha[mask]).double()
    torch.testing.assert_close(dense, dense.T, atol=1e-4 * float(dense.abs().max()), rtol=0)
    wanted = float(torch.linalg.eigvalsh((dense + dense.T) / 2)[-1])
    before = {n: w.detach().clone() for n, w in objective.weights().items()}
    assert modifier.eigenvalue(objective, alpha, batch) == pytest.approx(wanted, rel=2e-3)
    official = robust(objective.space, decay="official")
    assert official.eigenvalue(objective, alpha, batch) == pytest.approx(wanted + 1e-3, rel=2e-3)
    assert all(torch.equal(w, before[n]) and w.grad is None for n, w in objective.weights().items())


def stop(series: list[float], epochs: int = 50, **options) -> tuple[int | None, int | None, Robust]:
    """The epoch in which it stops for these eigenvalues, and whose alpha, the epoch's number, it goes back to."""
    modifier = robust(ToySpace(), **{"every": 1, **options})
    objective, values = random_table(ToySpace(), 0), itertools.chain(series, itertools.repeat(series[-1]))
    modifier.eigenvalue = lambda *_: next(values)
    for epoch in range(epochs):
        modifier.seen = (None,)
        modifier.searcher.alpha.detach().fill_(float(epoch))
        modifier.end_epoch(objective, Clock(epoch, 0, epochs, 1))
        if modifier.done():
            return epoch, modifier.stopped, modifier
    return None, None, modifier


def test_a_constant_series_does_not_stop_and_a_jump_goes_back_to_the_alpha_of_before():
    assert stop([1.0])[0] is None
    # from epoch 20 on 1.4: the mean of 5 is 1.32 in epoch 23, the one of four values before is 1
    now, then, modifier = stop([1.0] * 20 + [1.4])
    assert (now, then) == (23, 23 - 2 - 4)
    assert (modifier.searcher.alpha == 17.0).all()
    assert modifier.progress() == {"eigenvalue": 1.4, "alpha_of_epoch": 18}
    assert stop([1.0] * 20 + [1.38])[0] == 23  # a mean of 1.304
    assert stop([1.0] * 20 + [1.37])[0] is None  # 1.296 there; a value later the mean before has risen, too


def test_nothing_is_decided_before_the_start_nor_after_the_last_epoch():
    assert stop([1.0] * 8 + [5.0])[0] is None  # the means are level again by the time that an end is allowed
    assert stop([1.0] * 8 + [5.0], start=0.0)[:2] == (8, 2)
    assert stop([1.0] * 49 + [9.0])[0] is None


def test_epochs_between_two_eigenvalues_count_as_the_official_code_has_them():
    now, then, modifier = stop([1.0] * 15 + [9.0], every=2)
    assert (now, then) == (30, 30 - 2 * 2 - 2 * 4)
    assert modifier.epochs == [*range(0, 31, 2)]


def test_the_rule_is_that_of_the_code_written_out():
    """EVLocalAvg's bookkeeping on 200 random walks: means from the third value on, a window of five, delta four."""

    def official(series, epochs=50, start=10, factor=1.3):
        means = []
        for epoch in range(epochs - 1):
            seen = series[: epoch + 1]
            if len(seen) >= 3:
                means.append(sum(seen[-5:]) / len(seen[-5:]))
            if epoch - 2 - 4 >= start and means[-1] / means[-5] > factor:
                return epoch, epoch - 6
        return None, None

    generator, ends = torch.Generator().manual_seed(0), set()
    for _ in range(200):
        series = (0.12 * torch.randn(50, generator=generator)).cumsum(0).exp().tolist()
        expected = official(series)
        assert stop(series)[:2] == expected
        ends.add(expected[0])
    assert None in ends
    assert len(ends) > 10


def test_a_ratio_to_what_is_not_above_zero_says_nothing():
    assert stop([-1.0] * 20 + [-5.0])[0] is None
    modifier = robust(ToySpace())
    for before, sharp in ((0.0, False), (-1.0, False), (1.0, True)):
        modifier.values = [before] * 10 + [20.0]
        assert modifier.sharp() is sharp


def test_an_epoch_without_a_step_on_alpha_has_no_eigenvalue():
    modifier, objective = robust(ToySpace(), every=1), random_table(ToySpace(), 0)
    modifier.end_epoch(objective, Clock(0, 0, 9, 1))
    assert modifier.values == []
    problem = modifier.problem(without_cost(objective), Clock(1, 0, 9, 1))
    modifier.searcher.arch_step(problem, None, Clock(1, 0, 9, 1))
    modifier.end_epoch(objective, Clock(1, 0, 9, 1))
    assert len(modifier.values) == 1


def test_a_search_ends_itself_and_its_record_says_so(tmp_path):
    settings = {"searcher.modifiers.robust.factor": 1e-6, "searcher.modifiers.robust.every": 1}
    (record,) = api.run(
        "darts+robust", "magnitude", objective="table", table="nb201-digits", dataset="digits", epochs=14, seed=0,
        set={**settings, "searcher.modifiers.robust.start": 0}, out=tmp_path, quiet=True,
    )  # fmt: skip
    (history,) = [path for path in tmp_path.rglob("*.jsonl") if "search" in str(path)]
    lines = [json.loads(line) for line in history.read_text().splitlines()]
    assert len(lines) < 14
    assert lines[-1]["alpha_of_epoch"] == len(lines) - 6
    assert all("eigenvalue" in line for line in lines)
    assert lines[-1]["probabilities"] == lines[len(lines) - 7]["probabilities"]
    assert record.architecture


def test_bfloat16_and_searchers_without_alpha_are_refused_in_one_line():
    kind = registry.load("searcher", "darts+robust")
    with pytest.raises(BenchbedError, match=r"supernet.bf16 = true.*give supernet.bf16=false"):
        kind.check(kind.Options(), NB201(), supernet(bf16=True))
    kind.check(kind.Options(), NB201(), supernet())
    kind = registry.load("searcher", "random+robust")
    with pytest.raises(BenchbedError, match="RandomSampling learns none"):
        kind.check(kind.Options(), NB201(), None)
    for name, said in (("pc-darts", "PCDARTS"), ("fair-darts", "FairDARTS"), ("darts-minus", "DARTSMinus")):
        kind = registry.load("searcher", f"{name}+robust")
        with pytest.raises(BenchbedError, match=rf"at softmax\(alpha\), where {said} is not trained"):
            kind.check(kind.Options(), NB201(), None)


def test_snapshots_of_epochs_that_were_not_reached_are_refused_in_one_line(command, tmp_path):
    settings = ("factor=1e-6", "every=1", "start=0")
    flags = [f"--set=searcher.modifiers.robust.{setting}" for setting in settings]
    flags += ["--objective=table", "--table=nb201-digits", "--dataset=digits", "--epochs=14", "--seeds=0:1"]
    said = command("study", "trajectory", "--searcher=darts+robust", "--at=2,12", *flags, f"--out={tmp_path}")
    assert said.status == 2
    assert said.err.endswith("ended before epoch 13: --at asks for what it was after 12\n")
