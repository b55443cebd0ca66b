"""Every arm makes as many evaluations as asked for, and the command prints and writes their rates."""

import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "tabular"


@pytest.fixture
def run(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import run

    yield run
    sys.modules.pop("run", None)


def test_the_command_prints_and_writes_every_arm(run, tmp_path, capsys):
    out = tmp_path / "tabular.json"
    assert run.main(["--rounds", "2", "--evaluations", "12", "--out", str(out)]) == 0
    printed, found = capsys.readouterr().out, json.loads(out.read_text())["arms"]
    assert set(found) == set(run.ARMS)
    for name, row in found.items():
        assert name in printed
        low, high = row["interval"]
        assert 0 < low <= row["ratio"] <= high
    assert found["optuna alone"]["ratio"] == 1.0


def test_rates_are_of_means(run):
    found = run.summary({"optuna alone": [1.0, 3.0], "random-search": [0.5, 0.5]}, 100)
    assert (found["random-search"]["per_second"], found["random-search"]["ratio"]) == (200.0, 0.25)


def test_one_round_has_no_spread(run, capsys):
    with pytest.raises(SystemExit):
        run.main(["--rounds", "1"])
    assert "a spread needs at least 2" in capsys.readouterr().err
