"""What a power cut may leave: every command goes on from it and ends with the undisturbed result.

A command's system calls are recorded once by strace and replayed, call by call, onto a disk that keeps for sure only
what an fsync has covered (`disk`). Whatever image of it is laid out, the same command on it ends as without the cut;
and what the command had said was finished is there. By default some images of a run, with -m slow of every command.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from benchbed.runtime.folder import load_checkpoint

from ..steady import CHANGES, steady
from .disk import KINDS, Disk, record, states

Command = Callable[..., Any]
ALSO = CHANGES | {"started", "date", "made_with", "time", "cpu"}
TABLE = ("--objective", "table", "--table", "nb201-digits", "--epochs", "3", "--quiet")
GRID = """
objective = "table"
table = "nb201-digits"
epochs = 2
[grid]
searcher = ["darts", "random"]
selector = ["magnitude"]
seeds = "0:2"
"""
TUNE = """
objective = "table"
table = "nb201-digits"
epochs = 2
searcher = "darts"
selector = "magnitude"
[tune]
trials = 3
[tune.space]
"searcher.alpha_lr" = [0.01, 0.1]
"""


class Case(NamedTuple):
    """A command on an output folder; its inputs lie beside, in `place`. kept: which files it must have said to keep."""

    arguments: Callable[[Path, Path], list[str]]
    kept: tuple[str, ...]


def _study(text: str, place: Path) -> str:
    """A study's file, which every start of the command is given."""
    file = place / "study.toml"
    file.write_text(text)
    return str(file)


ROOT = Path(__file__).parents[2]
CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|none~2|"
SMALL = ("supernet.channels=2", "supernet.batch=40", "supernet.valid_batch=40", "supernet.eval_batch=40",
         "scoring.channels=2", "scoring.epochs=2")  # fmt: skip


def _run(place: Path, out: Path) -> list[str]:
    return ["run", "--searcher", "darts", "--selector", "perturb", *TABLE, "--out", str(out)]


def _score(place: Path, out: Path) -> list[str]:
    names = ["--searcher", "random", "--selector", "magnitude", "--task", f"npz:{place / 'tiny.npz'}", "--epochs", "2"]
    return ["run", *names, *(f"--set={one}" for one in SMALL), "--quiet", "--out", str(out)]


def _train(place: Path, out: Path) -> list[str]:
    names = ["--arch", CELL, "--task", f"npz:{place / 'tiny.npz'}", "--epochs", "3", "--set=scoring.channels=2"]
    return ["train", *names, "--quiet", "--out", str(out)]


def _sweep(place: Path, out: Path) -> list[str]:
    return ["sweep", _study(GRID, place), "--out", str(out), "--quiet"]


def _tune(place: Path, out: Path) -> list[str]:
    return ["tune", _study(TUNE, place), "--storage", f"journal:{out / 'tune.log'}", "--out", str(out), "--quiet"]


def _build(place: Path, out: Path) -> list[str]:
    sizes = ["--sample", "3", "--epochs", "1", "--channels", "2", "--cells", "1", "--workers", "1", "--quiet"]
    return ["table", "build", "--task", f"npz:{place / 'tiny.npz'}", *sizes, "--out", str(out / "own.npz")]


def _report(place: Path, out: Path) -> list[str]:
    if not (runs := place / "runs").exists():  # made once, before anything is recorded
        made = [sys.executable, "-m", "benchbed", *_run(place, runs), "--quiet"]
        subprocess.run(made, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return ["report", str(runs), "--out", str(out)]


CASES = {
    "run": Case(_run, ("*/record.json", "searches/*/record.json", "searches/*/history.jsonl")),
    "score": Case(_score, ("*/record.json", "scores/*/record.json")),
    "train": Case(_train, ("*/record.json",)),
    "sweep": Case(_sweep, ("study.json", "*/record.json")),
    "tune": Case(_tune, ("tune.log",)),
    "table build": Case(_build, ("own.npz",)),
    "report": Case(_report, ("report.csv", "report.md", "report.html")),
}


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))


@pytest.fixture(scope="module")
def strace(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where strace is missing, or may not trace."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    done = record(["true"], tmp_path_factory.mktemp("strace") / "log")
    if done.returncode != 0:
        pytest.skip(f"strace may not trace here: {done.stderr.strip()[:100]}")


def left(out: Path) -> dict[str, Any]:
    """The results below a folder: records, histories and last states by name; of tables the figures."""
    found: dict[str, Any] = {}
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        name = path.relative_to(out).as_posix()
        if path.name in ("record.json", "study.json"):
            found[name] = steady(json.loads(path.read_text()), ALSO)
        elif path.name == "history.jsonl":
            found[name] = [steady(json.loads(line), ALSO) for line in path.read_text().splitlines()]
        elif path.name == "checkpoint.pt":
            found[name] = steady(load_checkpoint(path)["tree"], ALSO)
        elif path.suffix == ".npz" and ".build" not in name:
            with np.load(path) as table:
                found[name] = {key: table[key].tobytes() for key in table if key.startswith("accuracy")}
        elif name == "report.csv":  # of a sweep it lies deeper, and its seconds change
            found[name] = path.read_text()
    return found


def go_through(
    name: str, count: int, place: Path, tiny_file: Path, child_env: dict[str, str], command: Command
) -> None:
    """Records the command once, cuts the power `count` times, goes on each time, and compares."""
    case, work = CASES[name], place / "work"
    work.mkdir()
    shutil.copy(tiny_file, place / "tiny.npz")
    out = work / "out"
    env = {**child_env, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    arguments = [sys.executable, "-m", "benchbed", *case.arguments(place, out)]
    done = record(arguments, place / "log", cwd=place, env=env)
    assert done.returncode == 0, done.stderr
    wanted, rng = left(out), np.random.default_rng(0)
    total = sum(1 for _ in states(place / "log", work, place))
    chosen = sorted({int(k) for k in rng.integers(1, total, count)} | {total - 1})
    for at, disk in states(place / "log", work, place):
        if at not in chosen:
            continue
        kind = KINDS[int(rng.integers(len(KINDS)))] if at < total - 1 else "none"
        _resume(case, disk, place / f"cut-{at}", kind, rng, command, wanted, finished=at == total - 1)


def _resume(
    case: Case, disk: Disk, to: Path, kind: str, rng: np.random.Generator, command: Command, wanted: dict[str, Any],
    finished: bool,
) -> None:  # fmt: skip
    disk.image(to, kind, rng)
    out = to / "out"
    if finished:
        for pattern in case.kept:
            assert list(out.glob(pattern)), f"{pattern}: lost although the command had ended"
            assert all(path.stat().st_size for path in out.glob(pattern))
    done = command(*case.arguments(to.parent, out))
    assert done.status == 0, f"cut after call {to.name}, {kind}: {done.err}"
    assert left(out).keys() == wanted.keys(), to.name
    for name, value in left(out).items():
        assert value == wanted[name], f"{to.name}, {kind}: {name}"
    shutil.rmtree(to)


def test_a_run_survives_a_power_cut_anywhere(
    strace: None, tmp_path: Path, tiny_file: Path, child_env: dict[str, str], command: Command
) -> None:
    go_through("run", 4, tmp_path, tiny_file, child_env, command)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_command_survives_a_power_cut_anywhere(
    strace: None, name: str, tmp_path: Path, tiny_file: Path, child_env: dict[str, str], command: Command
) -> None:
    go_through(name, 40, tmp_path, tiny_file, child_env, command)


def test_the_model_ends_as_the_disk_did(strace: None, tmp_path: Path, child_env: dict[str, str]) -> None:
    """All calls replayed give the folder that the command left; without an fsync nothing is there for sure."""
    work = tmp_path / "work"
    work.mkdir()
    text = (
        "import os; os.makedirs('work/a/b'); f = open('work/a/b/x', 'w'); f.write('one' * 50000); f.close()\n"
        "f = open('work/a/b/x', 'a'); f.write('end'); f.flush(); os.rename('work/a/b/x', 'work/a/y'); f.write('more')\n"
        "f.close(); open('work/z', 'w').write('zz'); os.unlink('work/z'); f = open('work/w', 'r+' if 0 else 'w+')\n"
        "f.write('12345'); f.seek(1); f.write('x'); f.flush(); os.fsync(f.fileno()); os.truncate('work/w', 3)\n"
        "d = os.open('work', os.O_RDONLY); os.fsync(d)\n"
    )
    done = record([sys.executable, "-c", text], tmp_path / "log", cwd=tmp_path, env=child_env)
    assert done.returncode == 0, done.stderr
    *_, (_, disk) = states(tmp_path / "log", work, tmp_path)
    rng = np.random.default_rng(0)
    disk.image(tmp_path / "all", "all", rng)
    subprocess.run(["diff", "-r", work, tmp_path / "all"], check=True)
    assert sorted(os.listdir(work)) == ["a", "w"]
    disk.image(tmp_path / "none", "none", rng)
    assert (tmp_path / "none" / "w").read_bytes() == b"1x345"
    assert os.listdir(tmp_path / "none" / "a") == []
    disk.image(tmp_path / "names", "names", rng)
    assert (tmp_path / "names" / "a" / "y").read_bytes() == bytes(150007)
