"""The steps that are timed are the searchers' own, and the command prints and writes their ratios."""

import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "proxyless_step"
TINY = ["--channels", "2", "--batch", "4", "--image", "8", "--rounds", "2", "--device", "cpu"]


@pytest.fixture
def run(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import run

    yield run
    sys.modules.pop("run", None)


def test_the_command_prints_and_writes_a_ratio_for_every_step(run, tmp_path, capsys):
    out = tmp_path / "steps.json"
    assert run.main([*TINY, "--out", str(out)]) == 0
    printed, found = capsys.readouterr().out, json.loads(out.read_text())["ratios"]
    for name in run.STEPS:
        assert name in printed
        low, high = found[name]["interval"]
        assert 0 < low <= found[name]["ratio"] <= high


def test_a_ratio_is_of_means(run):
    seconds = {"one path": [1.0, 3.0], **{step: [2.0, 6.0] for step in run.STEPS}}
    assert run.ratios(seconds)["two"]["ratio"] == 2.0


def test_one_round_has_no_spread(run, capsys):
    with pytest.raises(SystemExit):
        run.main([*TINY, "--rounds", "1"])
    assert "a spread needs at least 2" in capsys.readouterr().err
