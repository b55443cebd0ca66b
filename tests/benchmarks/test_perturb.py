"""The two arms select from the same supernet, and the command prints and writes their ratios."""

import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "perturb"


@pytest.fixture
def run(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import run

    yield run
    sys.modules.pop("run", None)


def test_the_command_prints_and_writes_what_both_arms_forwarded(run, tmp_path, capsys, tiny_file):
    out = tmp_path / "race.json"
    size = json.dumps({"channels": 2, "batch": 40, "valid_batch": 40, "eval_batch": 10})
    arguments = ["--task", f"npz:{tiny_file}", "--seeds", "0:2", "--epochs", "1", "--interval", "0", "--race", "0.4"]
    assert run.main([*arguments, "--supernet", size, "--out", str(out)]) == 0
    printed, found = capsys.readouterr().out, json.loads(out.read_text())
    assert f"decided alike on {found['decided_alike']} of 2 supernets" in printed
    for row in found["rows"]:
        assert row["plain"]["images"] == 30 * 40  # a fifth of the 200 images is for validation
        assert row["raced"]["images"] <= row["plain"]["images"]
        assert row["plain"]["order"] == row["raced"]["order"]
    assert found["images"]["ratio"] == pytest.approx(found["images"]["plain"] / found["images"]["raced"])


def test_ratios_are_of_totals_and_one_different_decision_is_not_alike(run):
    arm = {"images": 100, "measuring": 2.0, "seconds": 3.0}
    rows = [
        {"plain": arm, "raced": {**arm, "images": 20}, "same": 6, "decisions": 6},
        {"plain": {**arm, "images": 300}, "raced": {**arm, "images": 30}, "same": 5, "decisions": 6},
    ]
    found = run.summary(rows)
    assert found["images"] == {"plain": 400, "raced": 50, "ratio": 8.0}
    assert (found["decided_alike"], found["supernets"]) == (1, 2)
