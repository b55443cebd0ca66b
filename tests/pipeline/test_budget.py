"""A budget: the steps of search and tuning together, search first; what is counted is what was really made."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbed import registry
from benchbed.errors import BenchbedError
from benchbed.pipeline import budget as room
from benchbed.pipeline import search as search_module
from benchbed.pipeline.again import select_again
from benchbed.pipeline.budget import Budget, Meter, repeatable
from benchbed.pipeline.build import search_id
from benchbed.pipeline.record import Record
from benchbed.pipeline.resolve import resolve
from benchbed.pipeline.run import run_all
from benchbed.runtime.options import RunOptions
from benchbed.tasks.load import load_task


def options(out: Path) -> RunOptions:
    return RunOptions(out, torch.device("cpu"))


@pytest.fixture
def made(tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Record, int]]:
    """made(budget=..., epochs=...): the record of darts x perturb, and how many weight steps were really made."""
    count = itertools.count()
    darts = registry.load("searcher", "darts")
    gates = darts.weight_gates

    def counted(self: Any, *given: Any) -> Any:
        next(count)
        return gates(self, *given)

    monkeypatch.setattr(darts, "weight_gates", counted)

    def run(out: str = "runs", **more: Any) -> tuple[Record, int]:
        before = next(count)
        config = resolve(tiny | {"table": "none"} | more, "darts", "perturb", 0)
        (record,) = run_all([config], options(tmp_path / out))
        return record, next(count) - before - 1

    return run


@pytest.fixture
def epoch(tiny: dict[str, Any]) -> int:
    """The weight steps of an epoch."""
    return len(load_task(tiny["task"]).train) // int(tiny["supernet"]["batch"])


def test_search_and_tuning_share_the_budget_and_the_search_comes_first(made: Any, epoch: int) -> None:
    whole, steps = made(epochs=2)
    tuning = whole.notes["tuning_epochs"]
    assert (steps, "budget" in whole.notes) == ((2 + tuning) * epoch, False)
    assert tuning > 2
    record, steps = made("cut", epochs=2, budget="epochs=3")
    assert steps == 3 * epoch
    said = record.notes["budget"]
    assert (said["limit"], said["steps"], said["untuned"]) == ("epochs=3", 3 * epoch, tuning - 1)
    assert record.state_sha256["search"] == whole.state_sha256["search"]  # the search was not cut


def test_a_search_that_takes_all_leaves_nothing_to_tune_with(made: Any, epoch: int) -> None:
    record, steps = made(epochs=3, budget=f"steps={epoch + 1}")
    assert steps == epoch + 1
    assert record.notes["budget"]["untuned"] == record.notes["tuning_epochs"]
    assert record.state_sha256["search"] == record.state_sha256["selection"]


def test_what_is_not_spent_is_not_missed(made: Any) -> None:
    whole, free = made(epochs=1)
    record, steps = made("limited", epochs=1, budget="steps=100000")
    assert (steps, record.notes["budget"]["untuned"]) == (free, 0)
    assert (record.architecture, record.state_sha256) == (whole.architecture, whole.state_sha256)


def test_a_killed_search_goes_on_with_what_was_left(made: Any, epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = made("once", epochs=3, budget=f"steps={2 * epoch + 1}")
    train = search_module.train_epoch

    def killed(problem: Any, searcher: Any, number: int, *rest: Any, **more: Any) -> Any:
        if number == 1:
            raise KeyboardInterrupt
        return train(problem, searcher, number, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(search_module, "train_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            made("twice", epochs=3, budget=f"steps={2 * epoch + 1}")
    again, steps = made("twice", epochs=3, budget=f"steps={2 * epoch + 1}")
    assert steps == epoch + 1
    assert (again.state_sha256, again.notes["budget"]["steps"]) == (whole.state_sha256, 2 * epoch + 1)


def test_another_selector_on_the_search_gets_the_same_rest(made: Any, epoch: int, tmp_path: Path) -> None:
    record, _ = made(epochs=2, budget="epochs=3")
    other = select_again(tmp_path / "runs/searches" / record.search, {}, "perturb-magnitude", options(tmp_path))
    assert other.notes["budget"]["steps"] == 3 * epoch


def test_a_search_that_ends_itself_has_not_spent_its_budget(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    ended: list[int] = []
    monkeypatch.setattr("benchbed.searcher.Searcher.end_epoch", lambda self, *_: ended.append(1))
    monkeypatch.setattr("benchbed.searcher.Searcher.done", lambda self: bool(ended))
    monkeypatch.setattr("benchbed.runtime.progress.Reporter.line", lambda self, text: said.append(text))
    made(epochs=3, budget="steps=100000")
    assert any("ended itself after epoch 1 of 3" in line for line in said)
    assert not any("is spent" in line for line in said)


def test_seconds_are_those_of_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count(0.0, 1.0)
    monkeypatch.setattr(room.time, "perf_counter", lambda: next(ticks))
    meter = Meter("seconds=2.5", 4)
    meter.begin()
    assert [meter.go_on() for _ in range(3)] == [True, True, False]
    next(ticks)  # a look at validation, which no step is
    meter.begin()
    assert not meter.go_on()
    assert (meter.seconds, meter.steps) == (4.0, 4)
    assert (repeatable("seconds=2.5"), repeatable("steps=3"), repeatable(None)) == (False, True, True)


def test_a_search_cut_by_the_clock_ends_with_a_record(made: Any) -> None:
    record, steps = made(epochs=3, budget="seconds=0.000001")
    assert steps == 1
    assert record.notes["budget"]["steps"] == 1


def test_a_budget_is_part_of_the_identity(tiny: dict[str, Any]) -> None:
    task = load_task(tiny["task"])
    free, one, same, two = (
        resolve(tiny | more, "darts", "magnitude", 0)
        for more in ({}, {"budget": "steps=5"}, {"budget": " steps = 5"}, {"budget": "epochs=5"})
    )
    assert len({search_id(config, task) for config in (free, one, two)}) == 3
    assert search_id(one, task) == search_id(same, task)
    assert "budget" not in free.search_key()  # ids of searches without one stay


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("step=5", "unknown unit of a budget 'step': did you mean 'steps'"),
        ("5", "budget = '5': expected steps=N, epochs=N or seconds=S"),
        ("steps=0", "budget = 'steps=0'"),
        ("steps=1.5", "budget = 'steps=1.5'"),
        ("epochs=-1", "budget = 'epochs=-1'"),
        ("seconds=inf", "budget = 'seconds=inf'"),
        ("seconds=", "budget = 'seconds='"),
        ("steps=1000000000000000", "a whole number above 0 and below 1e\\+15"),
        (f"steps={'9' * 400}", "a whole number above 0 and below 1e\\+15"),
    ],
)
def test_unknown_forms_are_refused(text: str, said: str, refused: Callable[..., str]) -> None:
    with pytest.raises(BenchbedError, match=said):
        Budget.parse(text)
    assert said.replace("\\", "") in refused("run", "--searcher", "darts", "--selector", "magnitude", "--budget", text)
