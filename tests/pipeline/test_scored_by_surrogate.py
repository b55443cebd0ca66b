"""Runs that a surrogate scores, on a grid and on a list: what the record says, and what reports say of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import benchbed
from benchbed.builder.fit import fit
from benchbed.errors import BenchbedError
from benchbed.spaces.classes import drawn
from benchbed.spaces.darts.space import Darts
from benchbed.spaces.nb201.space import NB201, all_strings
from benchbed.tables import Table
from benchbed.tables.importing import import_table

Command = Callable[..., Any]
BASE = ("run", "--objective", "table", "--dataset", "mine", "--selector", "magnitude", "--epochs", "2", "--quiet",
        "--steps", "5", "--seeds", "0:2")  # fmt: skip
BOX = ("--searcher", "random-search", "--set", "searcher.fidelity=9", "--set", "searcher.budget=60")


def truth(choices: tuple[int, ...]) -> float:
    return 30 + sum((k + 1) * (i + 1) ** 1.5 / 100 for i, k in enumerate(choices) if k >= 0)


def imported(folder: Path, name: str, space: str, cells: list[Any]) -> None:
    lines = ["arch,mine_valid_9,mine_test_9,mine_train_seconds_9"]
    lines += [f'"{one.text}",{truth(one.choices)!r},{truth(one.choices) + 1!r},10' for one in cells]
    (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    import_table([folder / f"{name}.csv"], name, space=space, partial=True)


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The table 'part' of eighty cells and its surrogate 's'."""
    monkeypatch.setenv("BENCHBED_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    space, chosen = NB201(), np.random.default_rng(0).choice(15625, 80, replace=False)
    imported(tmp_path, "part", "nb201", [space.parse(all_strings()[i]) for i in chosen])
    fit("part", "s", None, None, "random-forest:trees=10", 4, 0, False)
    return tmp_path


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The surrogate 'd' of forty DARTS cells."""
    monkeypatch.setenv("BENCHBED_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    imported(tmp_path, "few", "darts", drawn(Darts(), 40))
    fit("few", "d", None, None, "random-forest:trees=10", 4, 0, False)
    return tmp_path


def test_the_record_says_that_it_is_predicted_and_by_whom(grid: Path, command: Command) -> None:
    done = command(*BASE, "--table", "s", "--searcher", "darts", "--out", "runs")
    assert done.status == 0, done.err
    table = Table.open("s")
    for result in benchbed.load("runs"):
        assert result.predicted == table.is_predicted(result.architecture, table.figures[0])
        assert result.test_accuracy == pytest.approx(table.query(result.architecture, "mine", "test", 9))
        assert (result.n_seeds, result.noise_floor, result.cells) == (None, None, 15625)
        assert result.surrogate is not None
        assert (result.surrogate["predictor"], result.surrogate["table"]) == ("random-forest:trees=10", "part")


def test_a_report_says_it_in_its_first_lines_and_in_every_table(grid: Path, command: Command) -> None:
    assert command(*BASE, "--table", "s", *BOX, "--out", "runs").status == 0
    assert command("report", "runs", "--out", "report").status == 0
    page = Path("report/report.md").read_text()
    assert "All of them are scored by a surrogate: their accuracies are predicted, not trained." in page.splitlines()[2]
    assert "PREDICTED, not trained: accuracies are those of surrogate s" in page
    assert "predicted, not trained" in Path("report/report.html").read_text()
    (latex,) = Path("report/tables").glob("*.tex")
    assert "PREDICTED, not trained" in latex.read_text()
    assert "predicted by surrogate s" in latex.read_text()
    header, row, *_ = Path("report/report.csv").read_text().splitlines()
    assert "predicted" in header.split(",")
    assert ",surrogate," in row
    assert "Published by others" not in page


def test_predicted_and_trained_are_never_paired(grid: Path, command: Command) -> None:
    imported(grid, "whole", "nb201", [NB201().parse(text) for text in all_strings()])
    for table in ("s", "whole"):
        assert command(*BASE, "--table", table, *BOX, "--out", "runs").status == 0
    found = benchbed.load("runs")
    guessed, real = (found.where(predicted=value) for value in (True, None))
    assert (len(guessed), len(real)) == (2, 2)
    with pytest.raises(BenchbedError, match="several spaces, tasks or ways of scoring"):
        found.compare(guessed, real)
    assert "predicted by a surrogate and not trained" in str(found.compare(guessed, guessed))
    assert "predicted" not in str(found.compare(real, real))
    assert len(found.summary()["group"].unique()) == 2


def test_a_record_that_hides_it_does_not_verify(grid: Path, command: Command) -> None:
    assert command(*BASE, "--table", "s", *BOX, "--out", "runs").status == 0
    record = min(Path("runs").glob("random-search*/record.json"))
    assert command("verify", record).status == 0
    raw = json.loads(record.read_text())
    del raw["predicted"]
    record.write_text(json.dumps(raw))
    done = command("verify", record)
    assert done.status == 1
    assert "predicted None, now True" in done.out + done.err


def test_on_a_list_searchers_ask_it_one_by_one_and_mixtures_are_refused(listed: Path, command: Command) -> None:
    done = command(*BASE, "--space", "darts", "--table", "d", *BOX, "--out", "runs")
    assert done.status == 0, done.err
    table, found = Table.open("d"), benchbed.load("runs")
    for one in found:
        assert one.test_accuracy == pytest.approx(table.query(one.architecture, "mine", "test", 9))
        assert one.valid_accuracy == pytest.approx(one.supernet_accuracy, abs=1e-4)
        assert one.simulated_seconds == pytest.approx(60)  # six of ten seconds each
    done = command(*BASE, "--space", "darts", "--table", "d", "--searcher", "darts", "--out", "other")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "searcher 'darts' mixes architectures, and table d predicts single ones" in done.err
    assert not Path("other").exists()
