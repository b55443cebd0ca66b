"""The benchmark of look-ups compares equal answers, its check can fail, and its ratios are those of its times."""

import json
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "lookup" / "run.py"


@pytest.fixture(scope="module")
def lookup() -> ModuleType:
    spec = spec_from_file_location("lookup_run", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_prints_ratios_and_writes_them(
    lookup: ModuleType, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("BENCHBED_HOME", str(tmp_path / "home"))
    out = tmp_path / "lookup.json"
    assert lookup.main(["--data", str(shared_data), "--rounds", "2", "--repeats", "5", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    result = json.loads(out.read_text())
    assert {row["what"] for row in result["ratios"]} == {what for what, _, _ in lookup.RATIOS}
    assert {"numpy", "benchbed"} <= set(result["versions"])
    for row in result["ratios"]:  # above one: ours takes less time
        ours, theirs = (result["seconds"][row[side]] for side in ("ours", "theirs"))
        assert len(ours) == len(theirs) == 2
        assert min(ours + theirs) > 0
        found = [b / a for a, b in zip(ours, theirs, strict=True)]
        assert row["median"] == pytest.approx(sum(found) / 2)
        assert any(line.startswith(row["what"]) for line in lines)
    assert not (tmp_path / "home").exists()  # its tables lie in a home of its own


def test_nothing_is_timed_where_answers_differ(
    lookup: ModuleType, shared_data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchbed.dropin import NATStopology
    from benchbed.tables import Table

    query, info = Table.query, NATStopology.get_more_info
    monkeypatch.setattr(Table, "query", lambda self, *words: query(self, *words) + 1e-5)
    assert lookup.main(["--data", str(shared_data), "--rounds", "2", "--repeats", "1"]) == 1
    first = capsys.readouterr()
    assert first.out == ""
    assert first.err.count("in the table, ") == 9
    monkeypatch.setattr(Table, "query", query)
    monkeypatch.setattr(NATStopology, "get_more_info", lambda self, *a, **b: {**info(self, *a, **b), "train-loss": 0.0})
    assert lookup.main(["--data", str(shared_data), "--rounds", "2", "--repeats", "1"]) == 1
    assert capsys.readouterr().err.count("the drop-in's answer is another") == 9


def test_without_the_data_it_says_so_in_one_line(
    lookup: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lookup.main(["--data", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"{tmp_path / 'nb201' / 'table.csv'} is missing: nothing to measure\n"


@pytest.mark.parametrize("lacks", ["package", "sample"])
def test_without_nats_bench_our_own_times_are_printed(
    lookup: ModuleType, shared_data: Path, tmp_path: Path, lacks: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import sys

    (tmp_path / "nb201").symlink_to(shared_data / "nb201")
    if lacks == "package":
        monkeypatch.setitem(sys.modules, "nats_bench", None)
        (tmp_path / "nats-tss-sample").symlink_to(shared_data / "nats-tss-sample")
    assert lookup.main(["--data", str(tmp_path), "--rounds", "2", "--repeats", "1"]) == 0
    captured = capsys.readouterr()
    said = "nats_bench is missing (pip install" if lacks == "package" else "nats-tss-sample is missing: no ratios"
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert "table: scalar query" in captured.out
    assert "nats: " not in captured.out
    assert ("drop-in: " in captured.out) == (lacks == "package")


def test_rounds_take_turns(lookup: ModuleType) -> None:
    ran: list[str] = []

    def act(name: str) -> Callable[[], float]:
        return lambda: ran.append(name) or float(len(ran))

    times: Any = lookup.rounds_of({name: act(name) for name in "abc"}, 3)
    assert "".join(ran) == "bcacababcbcacab"  # two before the first that counts
    assert {len(seconds) for seconds in times.values()} == {3}
    assert times["a"] == [7.0, 12.0, 14.0]


def test_too_few_rounds_are_refused(lookup: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        lookup.parse(["--rounds", "1"])
    assert "--rounds 1 --repeats 300: a spread needs 2 rounds" in capsys.readouterr().err
