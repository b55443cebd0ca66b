"""A run from search to record, for real and small: every pairing, what is shared, what is found done."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbed import registry
from benchbed.errors import BenchbedError
from benchbed.pipeline import run as run_module
from benchbed.pipeline import score as scoring
from benchbed.pipeline import search as search_module
from benchbed.pipeline.again import select_again
from benchbed.pipeline.build import run_id, search_id
from benchbed.pipeline.dry import dry_run
from benchbed.pipeline.record import Record
from benchbed.pipeline.resolve import expand
from benchbed.pipeline.run import run_all
from benchbed.runtime.folder import Folder
from benchbed.runtime.options import RunOptions
from benchbed.selectors.perturb import Perturb
from benchbed.spaces.nb201.space import NB201
from benchbed.tasks.load import load_task
from benchbed.training.train import Training

SEARCHERS = ("darts", "proxyless", "reinforce")
SELECTORS = (
    "magnitude",
    "perturb",
    "perturb-magnitude",
    "discretize",
    "best-of",
    "shapley",
    "random",
    "constant",
    "zero-cost-pt",
)
OPTIONS = {"name": ",".join(SELECTORS), "samples": 12, "draws": 4, "epochs": 1, "min_epochs": 1, "permutations": 1,
           "pool": 2, "rounds": 2}  # fmt: skip
SCORED = (*SELECTORS[:4], "shapley", "zero-cost-pt")  # every operation has a score
KEYS = """searcher selector space objective task seed architecture supernet_accuracy valid_accuracy test_accuracy
    scored_by best_test_accuracy regret rank percentile seconds peak_memory_bytes versions commit machine"""
CHANGES = (
    "seconds",
    "peak_memory_bytes",
    "versions",
    "commit",
    "machine",
    "finished",
    "segments",
)  # from one making to the next

Run = Callable[..., list[Record]]


def on_cpu(out: Path, force: str | None = None) -> RunOptions:
    return RunOptions(out, torch.device("cpu"), force)


def lasting(record: Record) -> dict[str, Any]:
    found = {key: value for key, value in record.dump().items() if key not in CHANGES}
    return {**found, "config": {key: value for key, value in found["config"].items() if key != "origins"}}


def times(out: Path, pattern: str = "**/*.*") -> dict[Path, int]:
    """When each file was last written; locks aside."""
    return {p: p.stat().st_mtime_ns for p in out.glob(pattern) if p.is_file() and p.name != ".lock"}


@pytest.fixture(scope="module")
def grid(
    tmp_path_factory: pytest.TempPathFactory, tiny_file: Path
) -> tuple[Path, list[dict[str, Any]], dict[str, list[Any]]]:
    """{darts, proxyless, reinforce} x every selector on one seed: the folder, the records, and the trainings made."""
    out = tmp_path_factory.mktemp("grid")
    raw = {
        "task": f"npz:{tiny_file}",
        "epochs": 2,
        "supernet": {"channels": 2, "batch": 40, "valid_batch": 40, "eval_batch": 40},
        "selector": OPTIONS,
        "scoring": {"channels": 2, "epochs": 1, "batch": 40},
    }
    made: dict[str, list[Any]] = {"searches": [], "trainings": []}
    with pytest.MonkeyPatch.context() as patch:
        train_epoch, epoch = search_module.train_epoch, Training.epoch

        def counted_epoch(problem: Any, searcher: Any, number: int, *rest: Any, **more: Any) -> Any:
            if "on_step" in more:  # the search's; tuning has none
                made["searches"].append((type(searcher).__name__, number))
            return train_epoch(problem, searcher, number, *rest, **more)

        def counted_training(self: Any) -> Any:
            made["trainings"].append(self)
            return epoch(self)

        patch.setattr(search_module, "train_epoch", counted_epoch)
        patch.setattr(Training, "epoch", counted_training)
        records = run_all(expand(raw, list(SEARCHERS), list(SELECTORS), [0]), on_cpu(out))
    return out, records, made


def test_every_pairing_gives_a_member_of_the_space_and_its_figures(grid: Any) -> None:
    out, records, _ = grid
    assert [(r["searcher"], r["selector"]) for r in records] == [(s, t) for s in SEARCHERS for t in SELECTORS]
    for record in records:
        assert [key for key in KEYS.split() if key not in record] == []
        assert record.dump() == json.loads((out / record["id"] / "record.json").read_text())
        assert (record["space"], record["objective"], record["task"]) == ("nb201", "supernet", "npz:tiny.npz")
        assert str(NB201().parse(record["architecture"])) == record["architecture"]
        for figure in ("supernet_accuracy", "valid_accuracy", "test_accuracy"):
            assert 0 <= record[figure] <= 100
        assert sorted(record["seconds"]) == ["scoring", "search", "selection"]
        assert all(value >= 0 for value in record["seconds"].values())
        assert record["peak_memory_bytes"] > 1e7
        assert record["scored_by"] == "training"
        assert [record[key] for key in ("best_test_accuracy", "regret", "rank", "percentile")] == [None] * 4
        assert record["machine"]["device"] == "cpu"
        assert record["versions"]["torch"] == torch.__version__
        scores = record["scores"]
        assert [len(row) for row in scores] == [5] * 6
        measured = [value is not None for row in scores for value in row]
        expected = {name: all(measured) for name in SCORED} | {"best-of": any(measured)}
        assert expected.get(record["selector"], not any(measured))


def test_the_selection_follows_its_scores(grid: Any) -> None:
    """What a record's scores say by themselves: the kept operation scores highest."""
    _, records, _ = grid
    for record in records:
        if record["selector"] in SCORED:  # of a pool of proposals they are the last one's
            choices = NB201().parse(record["notes"].get("proposals", [record["architecture"]])[-1]).choices
            for row, choice in zip(record["scores"], choices, strict=True):
                assert row[choice] == max(row)
        if record["selector"] == "constant":
            assert set(NB201().parse(record["architecture"]).choices) == {3}


def test_a_search_is_made_once_for_all_its_selectors(grid: Any) -> None:
    out, records, made = grid
    assert made["searches"] == [(name, e) for name in ("DARTS", "ProxylessNAS", "Reinforce") for e in range(2)]
    assert len(list((out / "searches").iterdir())) == 3
    for searcher in SEARCHERS:
        mine = [r for r in records if r["searcher"] == searcher]
        assert len({r["search"] for r in mine}) == 1
        assert len({r["state_sha256"]["search"] for r in mine}) == 1
        assert len({(r["supernet_accuracy"], r["seconds"]["search"]) for r in mine}) == 1
    # only tuning moves what a search has left; discretize puts back what it trains
    for record in records:
        moved = record["state_sha256"]["selection"] != record["state_sha256"]["search"]
        assert moved == (record["selector"] in ("perturb", "perturb-magnitude"))


def test_a_cell_is_trained_once_a_seed(grid: Any) -> None:
    out, records, made = grid
    cells = {r["architecture"] for r in records}
    assert len(cells) < len(records)  # `constant` chose one cell three times
    assert len(made["trainings"]) == len(cells) == len(list((out / "scores").iterdir()))
    for cell in cells:
        figures = {(r["valid_accuracy"], r["test_accuracy"]) for r in records if r["architecture"] == cell}
        assert len(figures) == 1


def test_the_same_again_costs_nothing(grid: Any, tiny_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, records, _ = grid
    before = times(out)
    monkeypatch.setattr(run_module, "build_parts", None)  # nothing is even built
    monkeypatch.setattr(scoring, "score", None)
    again = json.loads((out / records[0]["id"] / "config.json").read_text())
    raw = {key: again[key] for key in ("task", "epochs", "supernet", "scoring")}
    raw["selector"] = OPTIONS
    assert run_all(expand(raw, list(SEARCHERS), list(SELECTORS), [0]), on_cpu(out)) == records
    assert times(out) == before


@pytest.mark.parametrize("selector", ["magnitude", "perturb"])
def test_select_gives_the_record_of_run(grid: Any, tiny: dict[str, Any], tmp_path: Path, selector: str) -> None:
    """A search of its own with one selector, then another by `select`: as if `run` had made it, and beside it."""
    _, records, _ = grid
    (wanted,) = [r for r in records if (r["searcher"], r["selector"]) == ("proxyless", selector)]
    raw = tiny | {"selector": {"name": "random"}}
    (made,) = run_all(expand(raw, ["proxyless"], ["random"], [0]), on_cpu(tmp_path))
    search = tmp_path / "searches" / made["search"]
    before = times(search)
    chosen = {"name": selector} | ({"draws": 4} if selector == "perturb" else {})
    again = {"selector": chosen, "scoring": tiny["scoring"]}
    record = select_again(search, again, selector, on_cpu(tmp_path))
    assert lasting(record) == lasting(wanted)
    assert times(search).keys() == before.keys()
    assert times(search, "record.json") == {search / "record.json": before[search / "record.json"]}
    # with force the selection is made again, the search never
    forced = select_again(search, again, selector, on_cpu(tmp_path, force="anew"))
    assert lasting(forced) == lasting(record)
    assert forced["seconds"]["selection"] != record["seconds"]["selection"]
    assert forced["seconds"]["search"] == record["seconds"]["search"]
    assert times(search, "record.json") == {search / "record.json": before[search / "record.json"]}


def test_force_makes_all_anew_once(tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = expand(tiny, ["random"], ["constant", "random"], [3])
    first = run_all(configs, on_cpu(tmp_path))
    searched = []
    search = run_module.run_search
    monkeypatch.setattr(run_module, "run_search", lambda *a: searched.append(a[1].record) or search(*a))
    again = run_all(configs, on_cpu(tmp_path, force="anew"))
    assert [lasting(r) for r in again] == [lasting(r) for r in first]
    assert again[0]["seconds"] != first[0]["seconds"]
    assert searched[0] is None  # thrown away
    assert searched[1] is not None  # and then shared, as ever
    assert len(list(tmp_path.glob("searches/*/history.jsonl"))) == 1
    (history,) = tmp_path.glob("searches/*/history.jsonl")
    assert len(history.read_text().splitlines()) == 2


def test_under_force_a_worker_goes_on_where_another_one_of_the_call_died(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config,) = expand({**tiny, "epochs": 3}, ["random"], ["constant"], [3])
    run_all([config], on_cpu(tmp_path))
    epochs, log = [], Folder.log

    def dies(self: Folder, line: dict[str, Any]) -> None:
        if self.path.parent.name == "searches":
            epochs.append(line["epoch"])
            if epochs == [1, 2, 3]:
                raise InterruptedError  # the third epoch is not in the history
        log(self, line)

    monkeypatch.setattr(Folder, "log", dies)
    with pytest.raises(InterruptedError):
        run_all([config], on_cpu(tmp_path, force="one"))
    run_all([config], on_cpu(tmp_path, force="one"))
    assert epochs == [1, 2, 3, 3]
    run_all([config], on_cpu(tmp_path, force="another"))
    assert epochs == [1, 2, 3, 3, 1, 2, 3]


def test_a_selection_does_not_go_on_upon_a_search_that_was_made_anew(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record would have the figures of one search and the cell of another."""
    (config,) = expand({**tiny, "selector": {"interval": 1}}, ["random"], ["perturb"], [3])
    step = Perturb.step
    stopped = [False, False, True]

    def cut(self: Any, context: Any) -> Any:
        if stopped.pop(0):
            raise KeyboardInterrupt
        return step(self, context)

    with monkeypatch.context() as patch:
        patch.setattr(Perturb, "step", cut)
        with pytest.raises(KeyboardInterrupt):
            run_all([config], on_cpu(tmp_path))
    (search,) = tmp_path.glob("searches/*/record.json")
    kept = json.loads(search.read_text())
    made_anew = {**kept, "state_sha256": "0" * 64}
    monkeypatch.setattr(run_module, "run_search", lambda *_: made_anew)
    with pytest.raises(BenchbedError, match="was begun on another state of its search, which was made anew since"):
        run_all([config], on_cpu(tmp_path))
    monkeypatch.setattr(run_module, "run_search", lambda *_: kept)
    assert run_all([config], on_cpu(tmp_path))[0]["selector"] == "perturb"


def test_what_does_not_change_a_result_does_not_change_its_name(tiny: dict[str, Any]) -> None:
    task = load_task(tiny["task"])
    (config,) = expand(tiny, ["darts"], ["magnitude"], [0])
    (elsewhere,) = expand(tiny | {"device": "cuda:1", "out": "x"}, ["darts"], ["magnitude"], [0])
    assert run_id(config, task) == run_id(elsewhere, task)
    others = {
        "seed": expand(tiny, ["darts"], ["magnitude"], [1]),
        "searcher": expand(tiny | {"searcher": {"alpha_lr": 1.0}}, ["darts"], ["magnitude"], [0]),
        "supernet": expand(tiny | {"supernet": {"channels": 3}}, ["darts"], ["magnitude"], [0]),
        "epochs": expand(tiny | {"epochs": 3}, ["darts"], ["magnitude"], [0]),
    }
    ids = {search_id(c[0], task) for c in others.values()} | {search_id(config, task)}
    assert len(ids) == 5
    # a selector and the scoring belong to the run, not to the search
    (third,) = expand(tiny | {"scoring": {"channels": 3}}, ["darts"], ["magnitude"], [0])
    assert search_id(third, task) == search_id(config, task)
    assert run_id(third, task) != run_id(config, task)


def test_other_data_under_the_same_name_is_another_run(tiny: dict[str, Any], tiny_file: Path, tmp_path: Path) -> None:
    import numpy as np

    arrays = dict(np.load(tiny_file))
    np.savez(tmp_path / tiny_file.name, images=arrays["images"] + 1, labels=arrays["labels"])
    (config,) = expand(tiny, ["darts"], ["magnitude"], [0])
    mine, other = load_task(tiny["task"]), load_task(f"npz:{tmp_path / tiny_file.name}")
    assert mine.name == other.name
    assert search_id(config, mine) != search_id(config, other)


def test_seeds_give_different_searches_and_one_seed_the_same(tiny: dict[str, Any], tmp_path: Path) -> None:
    zero, one = run_all(expand(tiny, ["darts"], ["magnitude"], [0, 1]), on_cpu(tmp_path / "a"))
    (again,) = run_all(expand(tiny, ["darts"], ["magnitude"], [1]), on_cpu(tmp_path / "b"))
    assert zero["state_sha256"] != one["state_sha256"]
    assert lasting(one) == lasting(again)


def test_a_dry_run_walks_everything_and_leaves_nothing(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    configs = expand(tiny, ["darts", "random"], ["perturb"], [0, 1, 2])
    records = dry_run(configs, on_cpu(tmp_path / "out"))
    assert [(r["searcher"], r["selector"]) for r in records] == [("darts", "perturb"), ("random", "perturb")]
    assert list(tmp_path.rglob("*")) == [tmp_path / "tmp"]


def test_what_can_be_refused_is_refused_before_the_first_run(tiny: dict[str, Any], tmp_path: Path) -> None:
    raw = tiny | {"selector": {"name": "magnitude,constant", "operation": "conv"}}
    configs = expand(raw, ["random"], ["magnitude", "constant"], [0])
    with pytest.raises(BenchbedError, match="'conv'"):
        run_all(configs, on_cpu(tmp_path / "out"))
    with pytest.raises(BenchbedError, match="'conv'"):
        dry_run(configs, on_cpu(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_the_supernet_of_a_run_learns(tiny: dict[str, Any], tmp_path: Path) -> None:
    """Four classes, 25 % by chance: after some epochs the mixture is far above it."""
    (record,) = run_all(expand(tiny | {"epochs": 12}, ["darts"], ["magnitude"], [0]), on_cpu(tmp_path))
    assert record["supernet_accuracy"] > 60
    history = [json.loads(x) for x in next(tmp_path.glob("searches/*/history.jsonl")).read_text().splitlines()]
    assert [line["epoch"] for line in history] == list(range(1, 13))
    assert history[-1]["loss"] < history[0]["loss"]


def test_every_registered_selector_is_in_this_grid() -> None:
    """The other searchers run in tests/searchers/test_every_space.py and in tests/test_poison.py."""
    assert {p.name for p in registry.plugins("selector")} == set(SELECTORS)
