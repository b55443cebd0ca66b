"""The plan: what is left, from finished runs or measured ones, and the seeds for an effect."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchbed.pipeline.record import Record
from benchbed.pipeline.resolve import expand
from benchbed.runtime.options import RunOptions
from benchbed.stats.paired import seeds_needed
from benchbed.sweep import plan as plan_module
from benchbed.sweep.plan import counts, greatest_deviation, plan, seeds_in_words
from benchbed.sweep.study import Study, expand_study

BASE = {"objective": "table", "table": "mine", "dataset": "cifar10", "epochs": 3}


@pytest.fixture
def study(make_table: Callable[..., Any]) -> Callable[..., Study]:
    make_table("mine")

    def make(**more: Any) -> Study:
        grid = {"searcher": ["darts", "random"], "selector": ["magnitude", "random"], "seeds": "0:4", **more}
        return expand_study("s", BASE, grid)

    return make


def records(study: Study, seeds: int, accuracy: Callable[[Any], float] = lambda run: 90.0) -> dict[str, Record]:
    """Of the first seeds: a darts search takes 100 s, a random one 10; a selection 3, a score 1."""
    seconds = {"darts": 100.0, "random": 10.0}
    return {
        run.id: Record.model_construct(
            **{
                "search": run.search,
                "test_accuracy": accuracy(run),
                "seconds": {"search": seconds[run.config.searcher.name], "selection": 3.0, "scoring": 1.0},
                "peak_memory_bytes": 2**31,
            }
        )
        for run in study.runs
        if run.config.seed < seeds
    }


def test_what_is_left_takes_what_finished_runs_took(study: Callable[..., Study]) -> None:
    """Three of four seeds left: 3 x (100 + 10 + 4 x 4) seconds, a search counted once for its two selections."""
    whole = study()
    found = plan(whole, records(whole, 1), 2)
    assert (found.searches, found.selections, found.searches_left, found.selections_left) == (8, 16, 6, 12)
    assert found.hours == pytest.approx(3 * (100 + 10 + 4 * 4) / 3600)
    assert found.peak_gib == 2.0
    assert "left: 6 searches, 12 selections" in found.lines
    assert "time: about 6 min with one worker, 3 min with 2; by finished runs" in found.lines
    assert counts(whole, whole.runs) == "study s: 8 searches, 16 selections"


def test_a_search_whose_other_selection_is_done_costs_nothing(study: Callable[..., Study]) -> None:
    whole = study()
    known = {id_: r for id_, r in records(whole, 4).items() if "magnitude" in id_} | records(whole, 1)
    assert plan(whole, known, 1).hours == pytest.approx(6 * 4 / 3600)


def test_a_finished_search_of_the_folder_costs_nothing(study: Callable[..., Study], tmp_path: Path) -> None:
    """Of eight searches six are left; two of those are in the folder, put there by another study."""
    whole = study()
    for run in whole.runs:
        if run.config.seed == 3:
            (tmp_path / "searches" / run.search).mkdir(parents=True, exist_ok=True)
            (tmp_path / "searches" / run.search / "record.json").write_text("{}")
    found = plan(whole, records(whole, 1), 8, tmp_path)
    assert (found.searches_left, found.selections_left) == (4, 12)
    assert found.hours == pytest.approx((2 * (100 + 10) + 3 * 4 * 4) / 3600)
    assert "time: about 4 min with one worker, 45 s with 6; by finished runs" in found.lines  # a worker a search


def test_without_records_each_method_is_measured(study: Callable[..., Study]) -> None:
    found = plan(study(seeds="0:2"), {}, 1)
    assert 0 < found.hours < 1
    assert "extrapolated from measured steps" in found.lines[1]
    assert found.peak_gib > 0


def test_the_measured_hours_grow_with_the_epochs(tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """One epoch, the selection and one epoch of training are walked; nothing but their seconds is read."""
    from benchbed.sweep import plan as module

    walked = []

    def run(config: Any, task: Any, options: Any) -> Record:
        walked.append((config.epochs, config.scoring.epochs, len(task.train)))
        seconds = {"search": 10.0, "selection": 2.0, "scoring": 1.0}
        return Record.model_construct(seconds=seconds, peak_memory_bytes=2**30)

    monkeypatch.setattr(module, "run", run)
    tiny["scoring"]["epochs"] = 7
    small = {"batch": 10, "valid_batch": 5}
    grid = {"searcher": ["darts"], "selector": ["magnitude"], "seeds": "0:3"}
    whole = expand_study("s", {**tiny, "epochs": 5, "supernet": {**tiny["supernet"], **small}}, grid)
    images = len(module.task_in({}, whole.runs[0].config).train)
    found = plan(whole, {}, 1)
    assert walked == [(1, 1, 40)]  # 4 batches of 10
    assert found.hours == pytest.approx(3 * (10 * 5 + 2 + 1 * 7) * images / 40 / 3600)


def test_the_seeds_for_an_effect(study: Callable[..., Study]) -> None:
    """Against `seeds_needed` on differences worked out here; 4 methods are 3 comparisons with the best."""
    whole = study(effect=1.0)
    rng = np.random.default_rng(0)
    drawn = {run.id: float(90 + rng.normal()) for run in whole.runs}
    found = records(whole, 4, lambda run: drawn[run.id])
    by_method: dict[Any, list[float]] = {}
    for run in whole.runs:
        by_method.setdefault((run.point["searcher"], run.point["selector"]), []).append(drawn[run.id])
    columns = np.array(list(by_method.values()))
    greatest = max(np.std(a - b, ddof=1) for i, a in enumerate(columns) for b in columns[:i])
    assert greatest_deviation(whole, found) == pytest.approx(greatest)
    (line,) = seeds_in_words(whole, found)
    assert line.startswith(f"seeds: {seeds_needed(1.0, float(greatest), comparisons=3):,} for a difference of 1 points")


def test_the_seeds_by_a_given_deviation_or_not_yet(study: Callable[..., Study]) -> None:
    (line,) = seeds_in_words(study(effect=1.0, deviation=2.0), {})
    assert line.startswith(f"seeds: {seeds_needed(1.0, 2.0, comparisons=3)} for")
    (line,) = seeds_in_words(study(effect=1.0), {})
    assert "is known once two methods have 3 seeds" in line
    assert seeds_in_words(study(), {}) == []


def test_methods_on_different_data_are_not_compared(study: Callable[..., Study]) -> None:
    whole = study(steps=[10, 20], selector=["magnitude"], effect=1.0, deviation=2.0)
    (line,) = seeds_in_words(whole, {})
    assert "over 1 comparison(s)" in line


def test_a_budget_cuts_what_a_search_is_planned_to_take(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Four epochs of 250 steps: 500 steps are half of it, and seconds are those of search and selection together."""
    seconds = {"search": 1.0, "selection": 2.0, "scoring": 0.0}
    monkeypatch.setattr(plan_module, "run", lambda *_: Record.model_construct(seconds=seconds, peak_memory_bytes=1))
    raw = {"task": "digits", "epochs": 4, "task_options": {"train": 16000, "valid": 2000, "test": 2000}}

    def cost(budget: str | None) -> plan_module.Cost:
        (config,) = expand({**raw, **({"budget": budget} if budget else {})}, ["darts"], ["perturb"], [0])
        return plan_module._walk(config, {}, RunOptions(tmp_path, torch.device("cpu")))

    free = cost(None)
    assert cost("steps=100000").search == free.search
    assert cost("steps=500").search == pytest.approx(free.search / 2)
    assert cost("epochs=1").search == pytest.approx(free.search / 4)
    cut = cost(f"seconds={free.search + 1}")
    assert (cut.search, cut.selection) == (pytest.approx(free.search), pytest.approx(1.0))
