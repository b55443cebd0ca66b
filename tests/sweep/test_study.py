"""A study file stands for the runs that `run` would make, each once; what is wrong in it is one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbed.errors import BenchbedError
from benchbed.pipeline.build import run_id, search_id, task_of
from benchbed.pipeline.resolve import expand
from benchbed.runtime.workers import Pool
from benchbed.sweep.study import expand_study, in_words, place, read_study

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BASE = {"objective": "table", "table": "mine", "dataset": "cifar10"}


@pytest.fixture(autouse=True)
def mine(make_table: Callable[..., Any]) -> Any:
    return make_table("mine")


def study(grid: dict[str, Any], **base: Any) -> Any:
    return expand_study("s", {**BASE, **base}, {"searcher": ["darts"], "selector": ["magnitude"], **grid})


def test_the_example_is_15_searches_and_30_selections() -> None:
    found = read_study(EXAMPLES / "sweep-digits.toml")
    assert (len(found.searches), len(found.runs)) == (15, 30)
    assert all(len(runs) == 2 for runs in found.searches.values())
    assert found.effect == 2.0


def test_the_ids_are_those_of_run() -> None:
    """So that a folder can be filled by either."""
    found = study({"searcher": ["darts", "random"], "selector": ["magnitude", "random"], "seeds": "3:5"}, epochs=4)
    configs = expand({**BASE, "epochs": 4}, ["darts", "random"], ["magnitude", "random"], [3, 4])
    assert [r.id for r in found.runs] == [run_id(c, task_of(c)) for c in configs]
    assert [r.search for r in found.runs] == [search_id(c, task_of(c)) for c in configs]


def test_the_runs_of_a_search_follow_one_another() -> None:
    found = study({"selector": ["magnitude", "random"], "searcher.alpha_lr": [0.1, 0.2], "seeds": [5, 1]})
    searches = [run.search for run in found.runs]
    assert searches == [s for s in dict.fromkeys(searches) for _ in range(2)]
    assert [run.point["seed"] for run in found.runs] == [5] * 4 + [1] * 4


def test_an_option_goes_to_those_that_have_it() -> None:
    """random has no alpha_lr: it is there once, not once a value."""
    found = study({"searcher": ["darts", "random"], "searcher.alpha_lr": [0.1, 0.2]})
    points = [(r.point["searcher"], r.point.get("searcher.alpha_lr")) for r in found.runs]
    assert points == [("darts", 0.1), ("darts", 0.2), ("random", None)]
    assert [r.config.searcher.options["alpha_lr"] for r in found.runs[:2]] == [0.1, 0.2]


def test_a_modifiers_option_is_an_axis_of_those_that_are_under_it() -> None:
    found = study({"searcher": ["darts+sgas", "gdas"], "searcher.modifiers.sgas.warmup": [0.1, 0.3]})
    options = [run.config.searcher.options for run in found.runs]
    assert [run.point["searcher"] for run in found.runs] == ["darts+sgas", "darts+sgas", "gdas"]
    assert [o["modifiers"]["sgas"]["warmup"] for o in options[:2]] == [0.1, 0.3]
    assert "modifiers" not in options[2]
    with pytest.raises(BenchbedError, match=r"searchers darts\+sgas: 'modifiers\.sgas\.warmpu': did you mean"):
        study({"searcher": ["darts+sgas"], "searcher.modifiers.sgas.warmpu": [0.1]})


def test_a_base_option_of_one_searcher_is_no_other_ones() -> None:
    found = study({"searcher": ["darts", "random"]}, searcher={"alpha_lr": 0.3})
    assert found.runs[0].config.searcher.options["alpha_lr"] == 0.3


def test_names_above_the_grid_hold_where_it_has_none() -> None:
    found = expand_study("s", {**BASE, "searcher": "darts,random", "selector": "magnitude"}, {"seeds": "0:2"})
    assert [r.point["searcher"] for r in found.runs] == ["darts", "random"] * 2


def test_shards_share_no_search_and_leave_none_out() -> None:
    found = study({"searcher": ["darts", "random"], "selector": ["magnitude", "random"], "seeds": "0:4"})
    shards = [found.shard(Pool(shard=(i, 3))) for i in (1, 2, 3)]
    assert sorted(r.id for shard in shards for r in shard) == sorted(r.id for r in found.runs)
    searches = [{r.search for r in shard} for shard in shards]
    assert sum(map(len, searches)) == len(set().union(*searches)) == 8


def test_the_id_is_of_the_runs_not_of_the_file() -> None:
    assert study({"seeds": "0:2"}).id == study({"seeds": [1, 0], "effect": 1.0, "needs": {"cpus": 2}}).id
    assert study({"seeds": "0:2"}).id != study({"seeds": "0:3"}).id


def test_a_section_of_another_command_is_passed_over(tmp_path: Path) -> None:
    text = "objective = 'table'\ntable = 'mine'\n[grid]\nsearcher = ['darts']\nselector = ['magnitude']\n"
    (tmp_path / "a.toml").write_text(text)
    (tmp_path / "b.toml").write_text(text + "[tune]\ntrials = 3\n")
    assert read_study(tmp_path / "a.toml").id == read_study(tmp_path / "b.toml").id


def test_where_methods_can_be_compared() -> None:
    point = {"searcher": "darts", "selector": "perturb", "seed": 3, "searcher.alpha_lr": 0.1, "task": "digits"}
    assert place(point) == (("task", "digits"),)
    assert in_words(point) == "darts x perturb, seed 3, searcher.alpha_lr 0.1, task digits"


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"serchers": ["darts"]}, ("unknown key of [grid] 'serchers'", "'searcher'")),
        ({"searcher": []}, ("grid.searcher is an empty list",)),
        ({"searcher": "darts"}, ("grid.searcher = 'darts'", "expected a list")),
        ({"searcher": [["darts"]]}, ("grid.searcher holds ['darts']", "a list of names")),
        ({"selector": [{"name": "magnitude"}]}, ("grid.selector holds {'name': 'magnitude'}", "a list of names")),
        ({"epochs": [True]}, ("grid.epochs holds True", "a list of integers")),
        ({"searcher": ["darst"]}, ("unknown searcher 'darst'", "'darts'")),
        ({"selector": ["magnitude", "magnitude"]}, ("two runs of the grid have one id", "darts x magnitude, seed 0")),
        ({"seeds": [1, 1]}, ("two runs of the grid have one id", "seed 1")),
        ({"searcher.alpha_lr": [0.1, 0.10]}, ("two runs of the grid have one id",)),
        ({"searcher.alpha_lrr": [0.1]}, ("unknown option of searchers darts: 'alpha_lrr'", "'alpha_lr'")),
        ({"searcher.alpha_lr": [0.1, -1]}, ("alpha_lr = -1", "greater than 0")),
        ({"seeds": "3:3"}, ("seeds = '3:3'", "0:10")),
        ({"seeds": [-1]}, ("grid.seeds = [-1]", "from 0 on")),
        ({"seeds": []}, ("grid.seeds = []", "'0:5'")),
        ({"epochs": [2, "3"]}, ("'epochs' is '3'", "an integer")),
        ({"dataset": ["cifar10"]}, ("'dataset' is given both in [grid] and above it",)),
        ({"needs": {"gpu": 1}}, ("unknown option of grid.needs 'gpu'", "'gpus'")),
        ({"needs": {"gpus": -1}}, ("gpus = -1", "greater than or equal to 0")),
        ({"needs": {"gpus": 1.5}}, ("gpus = 1.5", "a share of one GPU, or a whole number of them")),
        ({"needs": 3}, ("grid.needs = 3", "[grid.needs]")),
        ({"effect": 0}, ("grid.effect = 0", "above 0")),
        ({"device": ["cpu"]}, ("unknown key of [grid] 'device'",)),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_a_bad_grid(grid: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(BenchbedError) as refused:
        study(grid)
    assert [word for word in words if word not in str(refused.value)] == [], refused.value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("task = 'digits'", ("has no [grid]",)),
        ("grid = 3", ("has no [grid]",)),
        ("[grid]", ("[grid] is empty",)),
        ("[gird]\nseeds = '0:2'", ("unknown key in", "'gird'", "'grid'")),
        ("serch = 1\n[grid]\nseeds = '0:2'", ("unknown key in", "'serch'", "'searcher'")),
        ("[grid]\nseeds = '0:2'", ("no searcher given",)),
        ("[grid]\nseeds = ", ("is not TOML",)),
        ("seeds = '0:2'\n[grid]\nsearcher = ['darts']\nselector = ['magnitude']\nseeds = '0:2'", ("keep one",)),
    ],
)
def test_a_bad_file(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(BenchbedError) as refused:
        read_study(tmp_path / "s.toml")
    assert [word for word in words if word not in str(refused.value)] == [], refused.value
