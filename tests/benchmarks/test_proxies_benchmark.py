"""The plain scores are the same at a tiny size, a wrong one is told, and the command prints and writes every ratio."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "proxies"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    import run

    yield run
    for name in ("run", "plain"):
        sys.modules.pop(name, None)


def test_both_score_alike_and_the_command_says_how_fast(run: Any, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "proxies.json"
    words = ["--rounds", "2", "--cells", "3", "--channels", "3", "--size", "1", "--batch", "6", "--out", str(out)]
    assert run.main(words) == 0  # it compares them first
    found = json.loads(out.read_text())
    assert set(found["proxies"]) == {"synflow", "snip", "nwot", "jacov"}
    assert found["networks"] == 5260
    printed = capsys.readouterr().out
    for name, row in found["proxies"].items():
        assert f"{name} " in printed
        assert row["quartiles"][0] <= row["ratio"] <= row["quartiles"][1]


def test_another_score_is_not_timed(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(run.plain.SCORES, "snip", lambda network, batch: 1.0)
    with pytest.raises(RuntimeError, match="snip of "):
        run.main(["--rounds", "2", "--cells", "1", "--channels", "3", "--size", "1", "--batch", "6"])
