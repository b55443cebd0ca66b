"""Runs, selections, studies and costs on tables of other spaces, and on further figures; what they refuse."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import benchbed
from benchbed.errors import BenchbedError
from benchbed.latency.load import content_of, load_cost
from benchbed.objectives.table import TableObjective
from benchbed.spaces.load import load_space
from benchbed.studies.correlate import predictor, truth_of
from benchbed.tables import Table
from benchbed.tables.importing import import_table
from benchbed.tables.places import Grid

Command = Callable[..., Any]
OWN = '''"""Three layers of a user's own."""

from benchbed.testing.toys import ToySpace


class Mine(ToySpace):
    pass
'''


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plug-in space, and `mine.csv`, all of it: valid and test accuracies, and two further figures."""
    monkeypatch.setattr("benchbed.registry._USER_FILES", {})
    monkeypatch.setenv("BENCHBED_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    plugin = tmp_path / "mine.py"
    plugin.write_text(OWN)
    benchbed.registry.add_file(plugin)
    rng = np.random.default_rng(0)
    with (tmp_path / "mine.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["arch", "toys_valid_9", "toys_test_9", "toys_valid_3", "watts", "other"])
        for i, text in enumerate(Grid(load_space("mine")).strings):
            writer.writerow([text, 40 + i, 41 + i, 50 - i, rng.uniform(1, 5), 90 - i])
    return plugin


def test_a_plugin_space_is_searched_selected_studied_and_queried(mine: Path, command: Command) -> None:
    plug = ("--plugin", mine)
    done = command("table", "import", "mine.csv", "--name", "t", "--space", "mine", *plug)
    assert (done.status, done.err) == (0, "")
    on_table = ("--objective", "table", "--space", "mine", "--table", "t", *plug)
    done = command("run", "--searcher", "darts", "--selector", "magnitude", *on_table, "--epochs", "2", "--quiet")
    assert done.status == 0, done.err
    (record,) = (json.loads(p.read_text()) for p in Path("runs").glob("*/record.json"))
    table = Table.open("t")
    assert record["test_accuracy"] == table.query(record["architecture"], "toys", "test", 9)
    assert record["rank"] == 1 + int((table.values("toys", "test", 9) > record["test_accuracy"]).sum())
    (search,) = Path("runs").glob("searches/*")
    done = command("select", search, "--selector", "perturb", *plug, "--quiet")
    assert done.status == 0, done.err
    done = command("study", "correlate", "--table", "t", "--dataset", "toys", "--predictor", "valid@3",
                   "--predictor", "figure:other", *plug)  # fmt: skip
    assert done.status == 0, done.err
    assert done.out.count("-1.000") >= 4
    asked = command("query", "t", "--arch", record["architecture"], "--dataset", "toys", "--split", "test",
                    "--epochs", "9", *plug)  # fmt: skip
    assert asked.out.startswith(f"{record['test_accuracy']:.4f} %")


def test_a_further_figure_is_climbed_and_scored_by_accuracy(mine: Path) -> None:
    import_table([Path("mine.csv")], "t", space="mine")
    given = {"space": "mine", "objective": "table", "table": "t", "epochs": 30, "out": "runs", "quiet": True}
    climbed = benchbed.run("darts", "magnitude", figure="other", **given)[0]
    plain = benchbed.run("darts", "magnitude", **given)[0]
    assert climbed.id != plain.id
    assert climbed.test_accuracy < plain.test_accuracy  # `other` falls where accuracy rises
    with pytest.raises(BenchbedError, match=r"unknown further figure of table t 'othr'.*did you mean 'other'"):
        benchbed.run("darts", "magnitude", figure="othr", **given)
    with pytest.raises(BenchbedError, match="a further figure is of no number of epochs"):
        benchbed.run("darts", "magnitude", figure="other", fidelity=3, **given)
    with pytest.raises(BenchbedError, match="figure = 'other': of objective 'table'"):
        benchbed.run("darts", "magnitude", figure="other", seed=0)


def test_a_further_figure_that_is_no_percentage_is_not_climbed(mine: Path) -> None:
    text = Path("mine.csv").read_text().replace(",90\n", ",900\n")
    Path("mine.csv").write_text(text)
    table = import_table([Path("mine.csv")], "t", space="mine")
    with pytest.raises(BenchbedError, match=r"figure 'other' of table t goes from [\d.]+ to 900: .* percent"):
        TableObjective.of_further(table, "other")


def test_a_further_figure_is_a_cost(mine: Path) -> None:
    table, space = import_table([Path("mine.csv")], "t", space="mine"), load_space("mine")
    cost = load_cost("table:t:watts", space, "mine")
    cell = space.random(np.random.default_rng(0))
    assert cost.of(cell) == pytest.approx(float(table.further("watts")[cell.choices]))
    assert content_of("table:t:watts", space, "mine") == cost.fingerprint
    for source, said in (
        ("table:t", "expected table:NAME:FIGURE"),
        ("table:t:wats", "unknown further figure of table t 'wats'"),
        ("table:u:watts", "unknown table 'u'"),
    ):
        with pytest.raises(BenchbedError, match=said):
            load_cost(source, space, "mine")
    with pytest.raises(BenchbedError, match="table t is of space 'mine', not 'nb201'"):
        load_cost("table:t:watts", load_space("nb201"), "nb201")


def test_a_list_of_architectures_scores_and_correlates_but_is_no_objective(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHBED_HOME", str(tmp_path / "home"))
    space, rng = load_space("darts"), np.random.default_rng(0)
    texts = [space.random(rng).text for _ in range(30)]
    with (tmp_path / "a.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["arch", "cifar10_valid_50", "cifar10_test_50", "watts"])
        writer.writerows([text, 80 + i / 10, 81 + i / 10, 30 - i] for i, text in enumerate(texts))
    with (tmp_path / "b.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["arch", "cifar10_test_10"])
        writer.writerows([text, 60 + i] for i, text in enumerate(texts[:20]))
    table = import_table([tmp_path / "a.csv"], "a", space="darts", partial=True)
    import_table([tmp_path / "b.csv"], "b", space="darts", partial=True)
    truth = truth_of("a", "cifar10")
    assert np.corrcoef(predictor("figure:watts", truth), truth.values)[0, 1] == pytest.approx(-1)
    other = predictor("b:test@10", truth)  # by architecture, not by row
    assert np.isfinite(other).sum() == 20
    assert np.corrcoef(other[np.isfinite(other)], truth.values[np.isfinite(other)])[0, 1] == pytest.approx(1)
    with pytest.raises(BenchbedError, match=r"objective 'table' needs every architecture: .* holds 30 of the"):
        TableObjective.of(table, "cifar10")
    with pytest.raises(BenchbedError, match="the table lists some architectures of 'darts', a cost needs all"):
        load_cost("table:a:watts", space, "darts")
