"""Peak memory of a step: flat for echo, two paths at most for two, linear for the others (oracle 10)."""

import json
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "memory"
SIZE = {"positions": 3, "channels": 4, "batch": 8, "image": 8}
CPU = torch.device("cpu")


@pytest.fixture
def run(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import run

    yield run
    for name in ("run", "chain", "live"):
        sys.modules.pop(name, None)


def _peaks(run, mode, counts=(2, 4, 8, 16)):
    return [run.measure(mode, n, SIZE, CPU)[0] for n in counts]


def test_one_path_two_and_echo_do_not_grow(run):
    for mode in ("one path", "two", "echo"):
        peaks = _peaks(run, mode)
        assert max(peaks) < 1.05 * min(peaks), mode


def test_two_takes_at_most_two_paths(run):
    assert _peaks(run, "two", (16,))[0] <= 2 * _peaks(run, "one path", (16,))[0]


def test_full_grows_by_one_output_an_operation_and_position(run):
    output = SIZE["batch"] * SIZE["channels"] * SIZE["image"] ** 2 * 4
    two, four, eight, sixteen = _peaks(run, "full")
    for more, peak, before in ((4, eight, four), (8, sixteen, eight)):
        assert peak - before == pytest.approx(more * output * SIZE["positions"], rel=0.1)
    assert two < four


def test_darts_grows_by_a_whole_path_an_operation(run):
    two, four, eight, sixteen = _peaks(run, "darts")
    assert (sixteen - eight) == pytest.approx(2 * (eight - four), rel=0.02)
    assert sixteen > 6 * two
    assert (sixteen - eight) > 5 * (_peaks(run, "full", (16,))[0] - _peaks(run, "full", (8,))[0])


@pytest.mark.parametrize(("mode", "runs"), [("one path", 3), ("two", 6), ("full", 48), ("echo", 48), ("darts", 48)])
def test_how_many_candidates_run(run, mode, runs):
    assert run.measure(mode, 16, SIZE, CPU)[1] == runs


def test_the_meter_counts_what_is_alive_and_views_once(run):
    def work():
        a = torch.ones(256)  # 1,024 bytes
        b = a.reshape(16, 16) + 1
        del a
        c = torch.ones(128)  # 512
        return b.sum() + c.sum()

    assert 2048 <= run.peak_bytes(work, CPU) <= 2048 + 64


def test_the_command_prints_a_table_and_writes_what_it_measured(run, tmp_path, capsys):
    out, plot = tmp_path / "memory.json", tmp_path / "memory.svg"
    words = ["--operations", "2,4", "--positions", "2", "--channels", "2", "--batch", "4", "--image", "6"]
    assert run.main([*words, "--device", "cpu", "--out", str(out), "--plot", str(plot)]) == 0
    assert "| echo |" in capsys.readouterr().out
    rows = json.loads(out.read_text())["rows"]
    assert len(rows) == 10
    assert plot.read_text().startswith("<?xml")
    with pytest.raises(SystemExit):
        run.main(["--operations", "1,2"])
