"""The yardstick computes what the supernet computes, its check can fail, and the command prints ratios."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.layers.plan import full_plan
from benchbed.spaces.nb201 import supernet as nb201

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "supernet_step"
TINY = {"channels": 2, "cells": 1}


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The benchmark's module `check`; it finds its neighbour as it does when the script is run."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import check

    yield check
    for name in ("check", "reference", "peers"):
        sys.modules.pop(name, None)


def _found(check: ModuleType) -> dict[str, list[float]]:
    draw = torch.Generator().manual_seed(3)
    images, labels = torch.randn(4, 3, 8, 8, generator=draw), torch.randint(10, (4,), generator=draw)
    gates = torch.softmax(torch.randn(6, 5, generator=draw), 1)
    return check.distances(TINY, images, labels, gates, full_plan(torch.ones(6, 5, dtype=torch.bool)))


def test_logits_and_gradients_are_equal(check: ModuleType) -> None:
    found = _found(check)
    assert check.failures(found) == []
    assert max(found["float64"]) < 1e-10
    assert max(found["float32, SiLU for ReLU"]) < 1e-5
    assert found["float32"][0] < 1e-5


def test_the_reference_has_the_published_count_of_parameters(check: ModuleType) -> None:
    """1,686,106 at C=16, N=5 and ten classes; every weight is paired with exactly one of ours."""
    reference, ours = check.ReferenceSupernet(), nb201.NB201Supernet()
    pairs = check.weight_pairs(reference, ours)
    assert sum(w.numel() for w in reference.parameters()) == 1_686_106
    assert {id(a) for a, _ in pairs} == {id(w) for w in reference.parameters()}
    assert {id(b) for _, b in pairs} == {id(w) for w in ours.parameters()}
    assert len(pairs) == len(list(ours.parameters()))


def test_a_pooling_that_counts_the_border_is_found(check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nb201, "pool", lambda x: torch.nn.functional.avg_pool2d(x, 3, 1, 1))
    lines = check.failures(_found(check))
    assert any(line.startswith("float64: gate gradient off by") for line in lines)
    assert any(line.startswith("float32: logits off by") for line in lines)


def test_a_value_that_is_no_number_fails(check: ModuleType) -> None:
    rows = {name: [0.0, 0.0, 0.0] for name in check.LIMITS}
    assert check.failures(rows) == []
    rows["float64"][1] = float("nan")
    assert len(check.failures(rows)) == 1


@pytest.fixture
def run(check: ModuleType) -> Iterator[ModuleType]:
    import run  # beside `check`, whose fixture put the folder on the path

    yield run
    sys.modules.pop("run", None)


def test_the_command_prints_ratios_and_writes_them(
    run: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tiny.json"
    sizes = {"channels": 2, "cells": 1, "batch": 4, "image": 8, "repeats": 2, "threads": 1}
    assert run.main([*(f"--{name}={value}" for name, value in sizes.items()), "--device=cpu", f"--out={out}"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if " ratio " in line]
    assert len(lines) == 12  # three steps, each variant of ours against each of the reference
    result = json.loads(out.read_text())
    assert set(result["steps"]) == {"weight_step", "gate_step", "darts_step"}
    assert {"torch", "benchbed"} <= set(result["versions"])
    assert (result["weights"], result["peers"]) == (sum(w.numel() for w in nb201.NB201Supernet(2, 1).parameters()), {})
    for step in result["steps"].values():
        times = step["seconds"]
        assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in times.values())
        for row in step["ratios"]:  # a ratio above one means that ours is the faster
            found = sorted(b / a for a, b in zip(times[row["ours"]], times[row["against"]], strict=True))
            assert row["median"] == pytest.approx(sum(found) / 2)
            assert found[0] <= row["quartiles"][0] <= row["median"] <= row["quartiles"][1] <= found[1]


def test_nothing_is_timed_where_values_differ(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nb201, "pool", lambda x: torch.nn.functional.avg_pool2d(x, 3, 1, 1))
    assert run.main(["--channels=2", "--cells=1", "--batch=4", "--image=8", "--threads=1", "--device=cpu"]) == 1
    captured = capsys.readouterr()
    assert "ratio" not in captured.out
    assert "float64: weight gradient off by" in captured.err


@pytest.mark.parametrize(("words", "line"), [
    (["--threads=0"], "--threads 0: expected a whole number of at least 1"),
    (["--channels=0"], "--channels 0: expected a whole number of at least 1"),
    (["--out=/nope/dir/x.json"], "--out '/nope/dir/x.json' cannot be written: there is no folder '/nope/dir'"),
    (["--machine=/nope.json"], "--machine '/nope.json' cannot be read: No such file or directory"),
    (["--machine=FILE"], "--machine 'FILE' has no rates of convolutions in float32: expected a file that "
                         "benchmarks/machine/run.py wrote with --out"),
    (["--machine=RATES", "--threads=2"], "--machine RATES was measured with 1 thread(s), not 2"),
])  # fmt: skip
def test_bad_input_is_refused_in_a_line(
    run: ModuleType, words: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "FILE").write_text("{}")
    (tmp_path / "RATES").write_text('{"rates": {"float32": {"convolution": {"gflops": 50.0, "threads": 1}}}}')
    for name in ("FILE", "RATES"):
        words = [word.replace(f"={name}", f"={tmp_path / name}") for word in words]
        line = re.sub(rf"(--machine '?){name}", rf"\g<1>{tmp_path / name}", line)
    with pytest.raises(SystemExit) as refused:
        run.main(words)
    assert refused.value.code == 2
    said = capsys.readouterr()
    assert said.err.partition(": ")[2] == f"{line}\n"
    assert said.out == ""


def test_a_device_that_is_not_there_is_refused(run: ModuleType) -> None:
    with pytest.raises(BenchbedError, match="device 'meta' cannot be used"):
        run.main(["--device=meta"])


def test_what_was_timed_of_a_peer_is_written(
    run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its weights and its clone's commit, or that it has none."""
    weights = [torch.nn.Parameter(torch.zeros(3, 2)), torch.nn.Parameter(torch.zeros(5))]
    peer = run.loaded.__globals__["Peer"](torch.nn.Linear(1, 1), lambda images: images, weights, [torch.zeros(1)])
    monkeypatch.setattr(run, "loaded", lambda *_: peer)
    monkeypatch.setattr(run.machine, "commit_of", lambda clone: {"a": "123"}.get(clone.name))
    options = run.parse(["--autodl", str(tmp_path / "a"), "--confopt", str(tmp_path / "b")])
    _, said = run.peer_arms(options, (torch.zeros(1, 3, 8, 8), torch.zeros(1), torch.zeros(6, 5)))
    assert said == {"autodl": {"weights": 11, "commit": "123"}, "confopt": {"weights": 11, "commit": "no git"}}
    assert "confopt: 11 weights, commit no git" in capsys.readouterr().out


def test_too_few_repeats_are_refused(run: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.parse(["--repeats", "1"])
    assert "--repeats 1: a spread needs at least 2" in capsys.readouterr().err
