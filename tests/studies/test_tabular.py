"""Many seeds on a table: the searches of `run`, whatever the number of processes; the table's clock; the command."""

import bz2
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.objectives.table import trainings_of
from benchbed.pipeline.resolve import expand
from benchbed.pipeline.run import run_all
from benchbed.runtime.options import RunOptions
from benchbed.studies import tabular
from benchbed.tables.table import Table

MINE = {"table": "timed", "dataset": "cifar10", "searcher": ["random-search"], "seeds": [0]}
RAW = {"objective": "table", "table": "timed", "dataset": "cifar10"}
NAMES = ["random-search", "regularised-evolution", "local-search", "reinforce-search", "optuna"]


@pytest.fixture
def timed(make_table: Any) -> Table:
    """Accuracies that grow with 3x3 convolutions, and so does the time: 600 s for 12 epochs, and 120 s each."""
    count = (np.indices((5,) * 6) == 3).sum(0)
    noise = np.random.default_rng(0).uniform(0, 1, (5,) * 6)
    return make_table(
        "timed",
        valid=20.0 + 10 * count + noise,
        test=20.0 + 10 * count + noise[::-1],
        short=10.0 + 10 * count + noise,
        seconds=(600.0 + 120 * count) / 0.06,
    )


def test_the_seconds_of_a_short_training_are_its_share_of_the_full_one(timed: Table) -> None:
    accuracy, seconds = trainings_of(timed, "cifar10", 12)
    assert (accuracy == timed.values("cifar10", "valid", 12)).all()
    assert seconds[3, 3, 0, 0, 0, 0] == pytest.approx(840.0)
    assert trainings_of(timed, "cifar10", 200)[1][0, 0, 0, 0, 0, 0] == pytest.approx(10_000.0)


def test_so_it_is_in_the_benchmarks_own_files(shared_data: Path) -> None:
    """Each of the three sample cells, each of its trials; one validation pass adds 2.4 to 4.1 % to 12 epochs."""
    for number in (0, 11, 284):
        file = shared_data / "nats-tss-sample" / f"{number:06}.pickle.pbz2"
        cell = pickle.loads(bz2.decompress(file.read_bytes()))
        spent = {}
        for hp in ("12", "200"):
            trials = [t for (name, _), t in cell[hp]["all_results"].items() if name == "cifar10-valid"]
            spent[hp] = [sum(t["train_times"].values()) for t in trials]
            assert np.ptp(spent[hp]) < 1e-6 * spent[hp][0]
        assert spent["12"][0] == pytest.approx(spent["200"][0] * 12 / 200, rel=1e-6)
        passes = [t["eval_times"]["x-valid@11"] for t in cell["12"]["all_results"].values() if "x-valid@11" in
                  t["eval_times"] and t["eval_names"] == ["x-valid", "ori-test"]]  # fmt: skip
        assert 0.024 < passes[0] / spent["12"][0] < 0.042


def test_a_table_without_what_is_needed_is_refused_in_one_line(
    make_table: Any, timed: Table, made: Callable[..., Any], tmp_path: Path
) -> None:
    make_table("bare")
    short = np.full((5,) * 6, 50.0)
    make_table("unclocked", short=short)
    make_table("instant", short=short, seconds=np.zeros((5,) * 6))
    for name, text in (
        ("bare", "has no cifar10 valid accuracy after 12 epochs: nearest 200"),
        ("unclocked", "has no training seconds of cifar10_valid_200"),
        ("instant", "are not all above 0"),
    ):
        for refused in (
            lambda name=name: run_all(expand(RAW | {"table": name}, ["random-search"], ["magnitude"], [0]), NOWHERE),
            lambda name=name: made("tabular", tmp_path, **MINE | {"table": name, "fidelity": 12}),
        ):
            with pytest.raises(BenchbedError, match=text) as caught:
                refused()
            assert str(caught.value).startswith("searcher.fidelity = 12: ")
            assert "\n" not in str(caught.value)


NOWHERE = RunOptions(Path("/nonexistent"), torch.device("cpu"))


@pytest.mark.parametrize("name", ["random-search", "optuna"])
def test_on_a_supernet_they_are_refused(name: str) -> None:
    text = f"^searcher '{name}' needs fidelity, which objective 'supernet' does not provide$"
    with pytest.raises(BenchbedError, match=text):
        run_all(expand({}, [name], ["magnitude"], [0]), NOWHERE)


@pytest.mark.parametrize("name", [*NAMES, "regularised-evolution+proxy-warmup"])
def test_a_run_makes_the_same_search_and_its_history_is_the_curve(
    name: str, timed: Table, made: Callable[..., Any], tmp_path: Path
) -> None:
    (record,) = run_all(expand(RAW, [name], ["magnitude"], [3]), RunOptions(tmp_path, torch.device("cpu")))
    (found,) = made("tabular", tmp_path, **MINE | {"searcher": [name], "seeds": [3]}).rows
    assert (record["architecture"], record["test_accuracy"]) == (found.architecture, found.test)
    folder = tmp_path / "searches" / record["search"]
    searched = json.loads((folder / "record.json").read_text())
    assert [tuple(point) for point in searched["anytime"]] == [(s, a, n) for s, a, _, n in found.anytime]
    assert searched["evaluations"] == found.evaluations
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [line["simulated_seconds"] <= 1200 * line["epoch"] for line in lines] == [True] * 10
    for line in lines:
        seconds, accuracy, _ = tabular.at(found.anytime, line["simulated_seconds"])
        assert (line["incumbent_accuracy"], seconds <= line["simulated_seconds"]) == (accuracy, True)


def test_figures_of_a_run_are_the_tables(timed: Table, made: Callable[..., Any], tmp_path: Path) -> None:
    found = made("tabular", tmp_path, **MINE | {"seeds": range(4)})
    best = timed.values("cifar10", "test", 200).max()
    for run in found.rows:
        assert run.test == timed.query(run.architecture, "cifar10", "test", 200)
        assert run.accuracy == timed.query(run.architecture, "cifar10", "valid", 12)
        assert run.regret == pytest.approx(best - run.test)
        assert run.seconds <= 12_000
        assert run.distinct <= run.evaluations <= 20


def test_the_command_writes_its_files(timed: Table, command: Callable[..., Any], tmp_path: Path) -> None:
    ask = ("study", "tabular", "--table", "timed", "--dataset", "cifar10", "--seeds", "0:3", "--budget", "6000")
    some = ("--searcher", "random-search", "--searcher", "regularised-evolution:population=3,sample=2")
    outcome = command(*ask, *some, "--out", tmp_path / "out")
    assert outcome.status == 0, outcome.err
    runs = [json.loads(line) for line in (tmp_path / "out" / "tabular.jsonl").read_text().splitlines()]
    assert [(run["searcher"], run["seed"]) for run in runs[:4]] == [
        *(("random-search", seed) for seed in range(3)),
        ("regularised-evolution:population=3,sample=2", 0),
    ]
    *rows, control = map(json.loads, (tmp_path / "out" / "tabular-summary.jsonl").read_text().splitlines())
    assert (control["control"], control["epochs"]) == ("ceiling of 12 epochs", 12)
    assert f"| ceiling of 12 epochs | {control['test']:.2f} |" in (tmp_path / "out" / "tabular.md").read_text()
    assert rows[0]["test"]["mean"] == pytest.approx(np.mean([run["test"] for run in runs[:3]]))
    assert rows[0]["budget"] == 6000.0
    assert (tmp_path / "out" / "tabular.svg").read_bytes().startswith(b"<?xml")
    assert "| random-search |" in (tmp_path / "out" / "tabular.md").read_text()


def test_what_an_incumbent_was_chosen_after_is_said_and_has_its_ceiling(
    timed: Table, command: Callable[..., Any], tmp_path: Path
) -> None:
    """A first rung that takes the whole budget: nothing is ever looked at after 200 epochs."""
    ask = ("study", "tabular", "--table", "timed", "--dataset", "cifar10", "--seeds", "0:2", "--budget", "6000")
    done = command(*ask, "--searcher", "successive-halving:configurations=1000", "--out", tmp_path)
    assert done.status == 0, done.err
    row, control = map(json.loads, (tmp_path / "tabular-summary.jsonl").read_text().splitlines())
    assert row["chosen_after"] == [12]
    assert control["control"] == "ceiling of 12 epochs"
    page = (tmp_path / "tabular.md").read_text()
    assert "training epochs: 12;" in page
    runs = [json.loads(line) for line in (tmp_path / "tabular.jsonl").read_text().splitlines()]
    assert [run["fidelity"] for run in runs] == [12, 12]
    mixed = [tabular.Run(**{**runs[0], "anytime": []}), tabular.Run(**{**runs[1], "anytime": [], "fidelity": 200})]
    assert tabular._chosen_after(mixed, row["searcher"]) == [12, 200]


def test_a_table_of_one_number_of_epochs_is_searched_at_it(
    make_table: Any, command: Callable[..., Any], tmp_path: Path
) -> None:
    full = make_table("full", seconds=np.full((5,) * 6, 1000.0))
    ask = ("study", "tabular", "--table", "full", "--dataset", "cifar10", "--seeds", "0:1", "--budget", "6000")
    done = command(*ask, "--searcher", "random-search", "--out", tmp_path)
    assert done.status == 0, done.err
    (run,) = (json.loads(line) for line in (tmp_path / "tabular.jsonl").read_text().splitlines())
    assert run["evaluations"] == 6
    assert run["valid"] in full.values("cifar10", "valid", 200)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (["darts"], "searcher 'darts' trains no single architectures"),
        (["random-serch"], "unknown searcher 'random-serch'"),
        (["random-search", "random-search"], "random-search is given twice"),
        (["random-search:population=3"], "population"),
        (["random-search:budget=10"], "no evaluation ends within its budget"),
        (["random-search:budget=-1"], "budget = -1"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    asked: list[str], text: str, timed: Table, command: Callable[..., Any], tmp_path: Path
) -> None:
    flags = [word for name in asked for word in ("--searcher", name)]
    ask = ("study", "tabular", "--table", "timed", "--dataset", "cifar10", "--seeds", "0:2", "--out", tmp_path / "out")
    outcome = command(*ask, *flags)
    assert outcome.status == 2
    assert text in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_option_may_be_a_list() -> None:
    entry = tabular.parse_entry("hyperband:lower=[1, 4],fidelity=12", {})
    assert (entry.options["lower"], entry.options["fidelity"]) == ((1, 4), 12)


def test_options_of_a_modifier_go_by_its_name() -> None:
    entry = tabular.parse_entry("asha+proxy-warmup:proxy-warmup.pool=7,eta=2,modifiers.proxy-warmup.first=5", {})
    options = entry.options["modifiers"]["proxy-warmup"]
    assert (options["pool"], options["first"], entry.options["eta"]) == (7, 5, 2)
    with pytest.raises(BenchbedError, match=r"searcher .darts\+oles. trains no single architectures"):
        tabular.parse_entry("darts+oles", {})


def test_a_result_that_is_not_the_best_seen_is_refused(refused: Callable[..., str]) -> None:
    words = ("--table", "nb201-digits", "--dataset", "digits", "--budget", "40", "--seeds", "0:1")
    said = refused("study", "tabular", *words, "--searcher", "reinforce-search:result=policy")
    assert "result = policy, and the study follows the best that was seen: leave it out, or use 'run'" in said
