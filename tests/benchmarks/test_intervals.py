"""The benchmark of intervals compares equal answers, its check can fail, and its ratio is that of its times."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "intervals" / "run.py"


@pytest.fixture(scope="module")
def intervals() -> ModuleType:
    spec = spec_from_file_location("intervals_run", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command(
    intervals: ModuleType, make_table: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    make_table("mine")
    rng = np.random.default_rng(0)
    monkeypatch.setattr(intervals, "pairs", lambda table: (x := rng.normal(size=200), x + rng.normal(size=200)))
    out = tmp_path / "o.json"
    monkeypatch.setattr(
        "sys.argv", ["run.py", "--table", "mine", "--resamples", "20", "--rounds", "2", "--out", str(out)]
    )
    intervals.main()
    found = json.loads(out.read_text())
    rounds = found["rounds"]
    ratios = [b / a for a, b in zip(rounds["ours"], rounds["scipy"], strict=True)]
    assert found["scipy_over_ours"] == pytest.approx(np.median(ratios))
    assert f"ratio {found['scipy_over_ours']:.2f}" in capsys.readouterr().out


def test_pairs_are_the_short_and_the_full_training(intervals: ModuleType, make_table: Any) -> None:
    short = np.full((5,) * 6, np.nan)
    short[0] = 1.0
    x, y = intervals.pairs(make_table("mine", short=short))
    assert len(x) == len(y) == 5**5
    assert (x == 1).all()


def test_the_check_tells_other_intervals(intervals: ModuleType) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=100)
    a, b = intervals.ours(x, x + rng.normal(size=100), 50), intervals.ours(x, rng.normal(size=100), 50)
    intervals.check(a, a)
    with pytest.raises(SystemExit, match="the two intervals differ"):
        intervals.check(a, b)
