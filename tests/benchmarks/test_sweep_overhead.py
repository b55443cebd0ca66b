"""Both ways of the comparison make the same runs, and the command prints and writes their ratio."""

import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "sweep"


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCHBED_HOME", str(tmp_path))  # put back after the command has set its own
    monkeypatch.syspath_prepend(str(FOLDER))
    import run

    yield run
    sys.modules.pop("run", None)


def test_the_command_prints_and_writes_the_ratio(run, tmp_path, capsys):
    out = tmp_path / "sweep.json"
    assert run.main(["--seeds", "2", "--epochs", "1", "--rounds", "1", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert f"in a sweep over that: {found['ratio'][1]:.2f}" in capsys.readouterr().out
    assert found["ratio"][1] == pytest.approx(found["seconds"]["sweep"][0] / found["seconds"]["one process"][0])


def test_one_run_has_no_rate(run, capsys):
    with pytest.raises(SystemExit):
        run.main(["--seeds", "1"])
    assert "at least 2 seeds" in capsys.readouterr().err
