"""Runs scored by a table, and runs on the table objective: figures by hand, what is shared, what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from benchbed import registry
from benchbed.errors import BenchbedError
from benchbed.objectives.table import STEPS
from benchbed.pipeline.again import select_again
from benchbed.pipeline.dry import dry_run
from benchbed.pipeline.resolve import expand
from benchbed.pipeline.run import run_all
from benchbed.runtime.folder import load_checkpoint
from benchbed.runtime.options import RunOptions
from benchbed.searchers.command import Command
from benchbed.spaces.nb201.space import NB201
from benchbed.tables import store
from benchbed.tables.score import noise_floor, score
from benchbed.tables.table import Table

SPACE = NB201()
TABLE = {"objective": "table", "table": "mine", "dataset": "cifar10"}
NOT_ON_TABLES = ("darts-minus", "fair-darts", "few-shot")  # whose rows do not sum to 1, and which splits weights
SEARCHERS = [p.name for p in registry.plugins("searcher") if p.name not in NOT_ON_TABLES]
SELECTORS = [p.name for p in registry.plugins("selector") if not registry.load("selector", p.name).needs]


def on_cpu(out: Path, force: str | None = None) -> RunOptions:
    return RunOptions(out, torch.device("cpu"), force)


def cell(*choices: int) -> Any:
    return SPACE.architecture_of(choices)


# -- one cell's figures ------------------------------------------------------------------------------------------------


def test_rank_percentile_and_regret_by_hand(make_table: Any) -> None:
    test = np.full((5,) * 6, 50.0)
    test[0, 0, 0, 0, 0, 0], test[1, 1, 1, 1, 1, 1], test[2, 2, 2, 2, 2, 2] = 90.0, 80.0, 80.0
    table = make_table("mine", test=test, valid=test - 3)
    best, tied, rest = (score(table, "cifar10", cell(*[k] * 6)) for k in (0, 1, 3))
    assert (best.rank, best.percentile, best.regret, best.valid_accuracy) == (1, 100.0, 0.0, 87.0)
    assert (tied.rank, tied.regret, tied.test_accuracy, tied.best_test_accuracy) == (2, 10.0, 80.0, 90.0)
    assert tied.percentile == pytest.approx(100 * 15624 / 15625)
    assert score(table, "cifar10", cell(2, 2, 2, 2, 2, 2)).rank == 2
    assert (rest.rank, rest.cells) == (4, 15625)
    assert (best.n_seeds, best.test_spread, best.noise_floor) == (None, None, None)


def test_a_missing_cell_of_a_partial_table_is_one_line_and_no_cell_of_it_is_counted(make_table: Any) -> None:
    test = np.full((5,) * 6, np.nan)
    test[0, 0, 0, 0, 0, 0], test[1, 1, 1, 1, 1, 1] = 90.0, 80.0
    table = make_table("mine", test=test)
    assert score(table, "cifar10", cell(1, 1, 1, 1, 1, 1))[4:7] == (2, 50.0, 2)
    with pytest.raises(BenchbedError, match=r"^table mine has no cifar10 test accuracy after 200 epochs of \|nor"):
        score(table, "cifar10", cell(3, 3, 3, 3, 3, 3))


def test_the_noise_floor_by_hand(make_table: Any) -> None:
    """Best: 90 with deviation 1 over 3 runs. Others without spread of their own: pooled sqrt(2 * 1 / 4), so within
    2 * 0.7071 * sqrt(2/3) = 1.1547 points; one of a single run: pooled 1, within 2 * sqrt(1/3 + 1) = 2.3094."""
    seeds = np.full((5,) * 6 + (3,), 10.0)
    seeds[0, 0, 0, 0, 0, 0] = 89, 90, 91
    seeds[0, 0, 0, 0, 0, 1] = 90 - 1.15
    seeds[0, 0, 0, 0, 0, 2] = 90 - 1.16
    seeds[0, 0, 0, 0, 0, 3] = 90 - 2.30, np.nan, np.nan
    seeds[0, 0, 0, 0, 0, 4] = 90 - 2.32, np.nan, np.nan
    table = make_table("mine", test=np.nanmean(seeds, -1), seeds=seeds)
    assert noise_floor(table, "cifar10") == 3
    single, best = (score(table, "cifar10", cell(0, 0, 0, 0, 0, k)) for k in (3, 0))
    assert (single.n_seeds, single.test_spread) == (1, None)
    assert (best.n_seeds, best.test_spread) == (3, 1.0)
    alone = seeds.copy()
    alone[0, 0, 0, 0, 0, 0] = 90, np.nan, np.nan
    assert noise_floor(make_table("other", test=np.nanmean(alone, -1), seeds=alone), "cifar10") is None


def test_the_real_tables_figures_are_those_of_the_file(real_table: Table, shared_data: Path) -> None:
    frame = pd.read_csv(shared_data / "nb201" / "table.csv").set_index("arch")
    for dataset, column in (("cifar10", "cifar10"), ("imagenet16-120", "imagenet16")):
        test = frame[f"{column}_test_200"]
        for arch in ("|" + "|+|".join("|".join(f"nor_conv_3x3~{j}" for j in range(n)) for n in (1, 2, 3)) + "|",
                     test.idxmax()):  # fmt: skip
            found = score(real_table, dataset, SPACE.parse(arch))
            assert found.test_accuracy == test[arch]
            assert found.valid_accuracy == frame[f"{column}_valid_200"][arch]
            assert found.rank == test.rank(ascending=False, method="min")[arch]
            assert found.regret == test.max() - test[arch]
    assert score(real_table, "imagenet16-120", cell(3, 3, 3, 3, 3, 3)).rank == 2833  # as published beside the data


# -- the table objective -----------------------------------------------------------------------------------------------


def test_darts_reaches_a_good_cell_in_300_steps(real_table: Table, tmp_path: Path) -> None:
    raw = {"objective": "table", "table": "nb201", "dataset": "cifar10"}
    (record,) = run_all(expand(raw, ["darts"], ["magnitude"], [0]), on_cpu(tmp_path))
    assert record["test_accuracy"] >= 94.2
    assert record["test_accuracy"] == real_table.query(record["architecture"], "cifar10", "test", 200)
    assert record["config"]["epochs"] * STEPS == 300
    assert record["n_seeds"] == 3
    assert record["test_spread"] == real_table.answer(record["architecture"], "cifar10", "test", 200).spread
    assert 1 <= record["noise_floor"] < 15625


@pytest.mark.parametrize("searcher", ["darts", "proxyless", "reinforce"])
def test_a_budget_of_ten_steps_is_ten_steps(searcher: str, climbing: Table, tmp_path: Path) -> None:
    raw = TABLE | {"epochs": 1, "steps": 10}
    (record,) = run_all(expand(raw, [searcher], ["magnitude"], [0]), on_cpu(tmp_path))
    saved = load_checkpoint(tmp_path / "searches" / record["search"] / "checkpoint.pt")["tree"]
    assert int(saved["parts"]["searcher"]["optimiser"]["state"][0]["step"]) == 10
    (usual,) = run_all(expand(TABLE | {"epochs": 1}, [searcher], ["magnitude"], [0]), on_cpu(tmp_path))
    assert usual["search"] != record["search"]
    again = select_again(tmp_path / "searches" / record["search"], {}, "magnitude", on_cpu(tmp_path))
    assert again["id"] == record["id"]


def test_a_table_names_its_own_full_training(climbing: Table, make_table: Any, tmp_path: Path) -> None:
    """A table of another training than 200 epochs scores by it, and its objective descends it."""
    arrays = {f"accuracy/digits_{split}_2": climbing.values("cifar10", split, 200) for split in ("valid", "test")}
    meta = {**climbing.meta, "figures": [["digits", "valid", 2], ["digits", "test", 2]], "full_epochs": 2}
    meta["fingerprint"] = store.fingerprint("nb201", arrays)
    store.write(tmp_path / "own.npz", meta, arrays, compressed=True)
    raw = {"objective": "table", "table": str(tmp_path / "own.npz"), "dataset": "digits"}
    (record,) = run_all(expand(raw, ["darts"], ["magnitude"], [0]), on_cpu(tmp_path / "out"))
    assert (record["test_accuracy"], record["regret"], record["table"]["epochs"]) == (85.0, 0.0, 2)
    meta["full_epochs"] = 3
    store.write(tmp_path / "own.npz", meta, arrays)
    with pytest.raises(BenchbedError, match="has no digits valid accuracy after 3 epochs: nearest 2"):
        expand(raw, ["darts"], ["magnitude"], [0])


@pytest.fixture
def climbing(make_table: Any) -> Table:
    """A table in which every 3x3 convolution is worth 10 points, on test data another 5 for the last edge."""
    count = (np.indices((5,) * 6) == 3).sum(0)
    return make_table("mine", valid=20.0 + 10 * count, test=20.0 + 10 * count + 5 * (np.indices((5,) * 6)[5] == 3))


DRAWN = ("blank", "random", "random-search", "reinforce-search")  # they learn nothing, or not within so few steps
DRAWN += ("successive-halving", "hyperband", "asha", "bohb", "command")


@pytest.mark.parametrize("all_pairs", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_every_pairing_whose_needs_are_met_completes(
    all_pairs: bool, climbing: Table, make_table: Any, tmp_path: Path
) -> None:
    """In the default lane every searcher with two selectors, and every selector on DARTS."""
    valid, test = (climbing.values("cifar10", split, 200) for split in ("valid", "test"))
    make_table("timed", valid=valid, test=test, short=valid - 5, seconds=np.full((5,) * 6, 500.0))
    raw = TABLE | {"table": "timed", "selector": {"name": ",".join(SELECTORS), "samples": 8}}
    quick = {"program": Command.suite_options["program"], "predictor": "random-forest:trees=10", "batch": 20}
    raw["searcher"] = {"name": ",".join(SEARCHERS), **quick}
    configs = expand(raw, SEARCHERS, SELECTORS, [0])
    assert len(configs) == len(SEARCHERS) * len(SELECTORS)
    few = ("magnitude", "perturb")
    configs = [c for c in configs if all_pairs or c.searcher.name == "darts" or c.selector.name in few]
    records = run_all(configs, on_cpu(tmp_path))
    assert len(records) == len(configs)
    for record in records:
        found = cell(*SPACE.parse(record["architecture"]).choices)
        threes = found.choices.count(3)
        assert record["scored_by"] == "table"
        assert record["valid_accuracy"] == 20 + 10 * threes
        assert record["regret"] == 85 - record["test_accuracy"]
        if record["searcher"] not in DRAWN and record["selector"] in ("magnitude", "perturb"):
            assert threes == 6, record["id"]  # the landscape has one top
    assert not (tmp_path / "scores").exists()


def test_tuning_does_nothing(climbing: Table, tmp_path: Path) -> None:
    raw = TABLE | {"selector": {"interval": 2}}
    (record,) = run_all(expand(raw, ["darts"], ["perturb"], [0]), on_cpu(tmp_path))
    assert record["state_sha256"]["selection"] == record["state_sha256"]["search"]


def test_the_objective_holds_no_test_accuracy(climbing: Table, make_table: Any, tmp_path: Path) -> None:
    """With other test accuracies the search and the selection are the same, and only the score differs."""
    valid = climbing.values("cifar10", "valid", 200)
    make_table("other", valid=valid, test=np.full((5,) * 6, 1.0))
    configs = [expand(TABLE | {"table": name}, ["darts"], ["best-of"], [0])[0] for name in ("mine", "other")]
    runs = run_all(configs, on_cpu(tmp_path))
    for key in ("architecture", "state_sha256", "scores", "valid_accuracy", "supernet"):
        assert runs[0][key] == runs[1][key], key
    assert runs[1]["test_accuracy"] == 1.0
    assert runs[0]["search"] != runs[1]["search"]
    assert runs[0]["task_facts"]["fingerprint"] == climbing.fingerprint != runs[1]["task_facts"]["fingerprint"]


def test_test_accuracy_is_read_after_the_selection(
    climbing: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    values = Table.values

    def noted(self: Table, dataset: str, split: str, epochs: int) -> Any:
        if split == "test":
            asked.append(" ".join(sorted(p.name for p in tmp_path.glob("darts-*/checkpoint.pt"))))
        return values(self, dataset, split, epochs)

    monkeypatch.setattr(Table, "values", noted)
    run_all(expand(TABLE, ["darts"], ["magnitude"], [0]), on_cpu(tmp_path))
    assert asked
    assert set(asked) == {"checkpoint.pt"}  # the finished selection


def test_the_content_of_a_table_is_its_identity(climbing: Table, make_table: Any, tmp_path: Path) -> None:
    again = make_table("copy", **{s: climbing.values("cifar10", s, 200) for s in ("valid", "test")})
    assert again.fingerprint == climbing.fingerprint
    first, second = (
        run_all(expand(TABLE | {"table": name}, ["darts"], ["magnitude"], [0]), on_cpu(tmp_path))[0]
        for name in ("mine", "copy")
    )
    assert first == second  # found done


def test_select_finds_the_table_again(climbing: Table, tmp_path: Path) -> None:
    both = run_all(expand(TABLE, ["darts"], ["magnitude", "perturb"], [0]), on_cpu(tmp_path / "a"))
    (made,) = run_all(expand(TABLE, ["darts"], ["magnitude"], [0]), on_cpu(tmp_path / "b"))
    search = tmp_path / "b" / "searches" / made["search"]
    record = select_again(search, {"selector": {"name": "perturb"}}, "perturb", on_cpu(tmp_path / "b"))
    assert (record["id"], record["architecture"]) == (both[1]["id"], both[1]["architecture"])
    with pytest.raises(BenchbedError, match="'dataset' was fixed by the search"):
        select_again(search, {"dataset": "cifar100"}, "random", on_cpu(tmp_path / "b"))


def test_a_dry_run_on_a_table(climbing: Table, tmp_path: Path) -> None:
    assert len(dry_run(expand(TABLE, ["darts"], ["magnitude"], [0, 1]), on_cpu(tmp_path / "out"))) == 1
    assert not (tmp_path / "out").exists()


# -- a supernet scored by a table --------------------------------------------------------------------------------------


def test_a_supernets_cell_is_scored_without_training(climbing: Table, tiny: dict[str, Any], tmp_path: Path) -> None:
    trained = expand(tiny, ["random"], ["constant"], [0])
    del tiny["scoring"]
    looked_up = expand(tiny | {"table": "mine", "dataset": "cifar10"}, ["random"], ["constant"], [0])
    one, other = (run_all(configs, on_cpu(tmp_path))[0] for configs in (trained, looked_up))
    assert one["search"] == other["search"]  # the table belongs to the run alone
    assert one["id"] != other["id"]
    assert (other["scored_by"], other["test_accuracy"], other["rank"], other["percentile"]) == ("table", 85.0, 1, 100.0)
    assert other["table"] == {"name": "mine", "fingerprint": climbing.fingerprint, "dataset": "cifar10", "epochs": 200}
    assert one["table"] is None
    search = tmp_path / "searches" / one["search"]
    again = select_again(search, {"table": "mine", "dataset": "cifar10"}, "constant", on_cpu(tmp_path))
    assert again["id"] == other["id"]


def test_the_terminal_shows_it(
    climbing: Table, command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("--objective", "table", "--table", "mine", "--dataset", "cifar10", "--selector", "magnitude", "--quiet")
    outcome = command("run", *flags, "--searcher", "darts", "--out", tmp_path)
    assert (outcome.status, outcome.err) == (0, "")
    for words in ("85.00 %, cifar10 in table mine after 200 epochs", "rank 1 of 15,625, percentile 100.00",
                  "regret 0.00 points below 85.00 %", "not known: the table has no per-seed"):  # fmt: skip
        assert words in outcome.out
    (file,) = tmp_path.glob("darts-*/config.json")
    assert json.loads(file.read_text())["table"]["name"] == "mine"
    grid = command("run", *flags, "--searcher", "darts", "--seeds", "0:2", "--out", tmp_path).out
    assert "regret: the median, in points" in grid
    assert "cifar10 in table mine" in grid


# -- what is refused ---------------------------------------------------------------------------------------------------

GOOD = ("run", "--searcher", "darts", "--selector", "magnitude")
CIFAR = ("--task", "cifar10", "--protocol", "generic-paper")
ON_TABLE = ("--objective", "table", "--table", "mine", "--dataset", "cifar10")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--dataset", "cifar10"), ("dataset 'cifar10' is of a table", "--table NAME")),
        (("--table", "mien", "--dataset", "cifar10"), ("unknown table 'mien'", "'mine'")),
        (("--table", "mine", "--dataset", "cifar"), ("unknown data set of table mine 'cifar'", "cifar10")),
        (("--table", "mine", "--dataset", "cifar10-valid"), ("ask for data set cifar10 with split valid",)),
        (("--table", "mine", "--dataset", "cifar10", "--set", "scoring.epochs=3"), ("scoring.epochs", "table mine")),
        ((*ON_TABLE, "--set", "searcher.order=2"), ("'darts' with order = 2 needs weights", "objective 'table'")),
        ((*ON_TABLE, "--set", "supernet.lr=1"), ("supernet.lr", "has no supernet")),
        ((*ON_TABLE, "--task", "digits"), ("'task' is of objective 'supernet'", "no images")),
        ((*ON_TABLE, "--steps", "0"), ("steps = 0", "at least 1")),
        ((*ON_TABLE, "--steps", "9" * 20), ("at most 100,000",)),
        (
            (*ON_TABLE, "--protocol", "small-digits"),
            ("protocol 'small-digits' is for objective supernet", "--protocol table would fit"),
        ),
        (("--objective", "tabel"), ("unknown objective 'tabel'", "'table'")),
        (("--protocol", "tabel"), ("unknown protocol 'tabel'", "did you mean 'table'")),
        ((*CIFAR,), ("task 'cifar10' needs its images", "data=DIR")),
        ((*CIFAR, "--data", "nowhere"), ("nowhere", "cifar-10-batches-py")),
        (("--data", "nowhere"), ("unknown digits option 'data'",)),
        ((*CIFAR, "--set", "task_options.split=ofical"), ("unknown cifar10 split 'ofical'", "'official'")),
        (("--set", "task_options.splits=x"), ("task_options.splits", "--splits")),
    ],
)
def test_refusals(make_table: Any, refused: Callable[..., str], arguments: tuple[str, ...], words: Any) -> None:
    make_table("mine")
    line = refused(*GOOD, *arguments)
    assert [word for word in words if word not in line] == [], line


def test_another_space_is_refused_before_the_search(make_table: Any, refused: Callable[..., str]) -> None:
    make_table("mine")
    chain = Path(__file__).resolve().parents[2] / "examples" / "chain.py"
    line = refused(*GOOD, "--plugin", chain, "--space", "chain", "--table", "mine", "--dataset", "cifar10")
    assert "table mine is of the space nb201: it cannot score space 'chain'" in line


def test_a_partial_table_is_no_objective(make_table: Any, refused: Callable[..., str]) -> None:
    valid = np.full((5,) * 6, 50.0)
    valid[3, 3, 3, 3, 3, 3] = np.nan
    make_table("mine", valid=valid)
    line = refused(*GOOD, *ON_TABLE)
    assert "objective 'table' needs every cell" in line
    assert "lacks 1 of 15,625" in line


# -- tasks with options ------------------------------------------------------------------------------------------------


def test_a_tasks_options_reach_it_and_select_makes_it_again(tmp_path: Path) -> None:
    sizes = {"train": 80, "valid": 40, "test": 40}
    raw = {
        "task_options": sizes,
        "epochs": 1,
        "supernet": {"channels": 2, "batch": 40, "valid_batch": 40},
        "scoring": {"channels": 2, "epochs": 1, "batch": 40},
    }
    (made,) = run_all(expand(raw, ["random"], ["random"], [0]), on_cpu(tmp_path))
    assert made["task_facts"]["images"] == sizes
    search = tmp_path / "searches" / made["search"]
    assert json.loads((search / "config.json").read_text())["task_options"] == sizes
    assert select_again(search, {}, "constant", on_cpu(tmp_path))["search"] == made["search"]
    assert "task_options" not in json.loads((search / "record.json").read_text())["config"]  # no part of the identity


def test_two_sizes_of_a_task_in_one_call_are_two_tasks(tmp_path: Path) -> None:
    small = {"epochs": 1, "supernet": {"channels": 2, "batch": 20, "valid_batch": 20}}
    small["scoring"] = {"channels": 2, "epochs": 1, "batch": 20}
    configs = [
        expand(small | {"task_options": {"train": n, "valid": 20, "test": 20}}, ["random"], ["constant"], [0])[0]
        for n in (40, 60)
    ]
    records = run_all(configs, on_cpu(tmp_path))
    assert [r["task_facts"]["images"]["train"] for r in records] == [40, 60]
    assert records[0]["search"] != records[1]["search"]


def test_where_the_data_lie_is_absolute_and_can_be_given_anew(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchbed.tasks.load import load_task

    asked: list[dict[str, Any]] = []

    def load(name: str, **options: Any) -> Any:
        asked.append({"name": name, **options})
        return load_task(tiny["task"])

    monkeypatch.setattr("benchbed.pipeline.config.load_task", load)
    monkeypatch.chdir(tmp_path)
    given = tiny | {"task": "cifar10", "protocol": "small-digits", "data": "here", "splits": "lists"}
    given["task_options"] = {"split": "official", "cutout": 16}
    (made,) = run_all(expand(given, ["random"], ["random"], [0]), on_cpu(tmp_path))
    wanted = {"name": "cifar10", "data": str(tmp_path / "here"), "splits": str(tmp_path / "lists")}
    assert asked == [wanted | given["task_options"]]
    search = tmp_path / "searches" / made["search"]
    select_again(search, {}, "constant", on_cpu(tmp_path))
    select_again(search, {"data": "there"}, "constant", on_cpu(tmp_path))
    assert [a["data"] for a in asked] == [str(tmp_path / "here")] * 2 + [str(tmp_path / "there")]
    dry_run(expand(given, ["random"], ["random"], [0]), on_cpu(tmp_path))
    assert asked[-1] == asked[0]
