"""Worker processes of this machine: the same records as `run` makes, whatever happens to them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.pipeline.run import run_all
from benchbed.runtime import executor as module
from benchbed.runtime.executor import Needs, check_machine
from benchbed.runtime.lock import read_lease
from benchbed.runtime.options import RunOptions
from benchbed.sweep.state import read_study_file
from benchbed.sweep.study import read_study

STUDY = """
objective = "table"
table = "mine"
dataset = "cifar10"
epochs = {epochs}
[grid]
searcher = ["darts", "random"]
selector = ["magnitude", "random"]
seeds = "0:2"
"""
CHANGES = {"seconds", "peak_memory_bytes", "versions", "commit", "machine", "finished", "segments"}
PLUGIN = '''
"""Fails in three ways."""
from pydantic import BaseModel
from benchbed.errors import BenchbedError
from benchbed.selector import Selection, Selector

class Options(BaseModel):
    how: str = "well"

class Fails(Selector):
    Options = Options
    def steps(self, space):
        return 1
    def step(self, context):
        print("a plug-in prints what it likes")
        if self.options.how == "refused":
            raise BenchbedError("no such luck")
        if self.options.how == "crashed":
            raise ZeroDivisionError("by zero")
        best = context.space.keep_strongest([0] * 6, [1.0] * 6)
        chosen = context.space.architecture_of(best)
        return Selection(chosen, context.space.gates(chosen), {})
    def state(self):
        return {}
    def load_state(self, tree):
        pass
'''


def steady(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in CHANGES}


def records(out: Path) -> dict[str, dict[str, Any]]:
    return {path.parent.name: steady(json.loads(path.read_text())) for path in out.glob("*/record.json")}


WHOLE: dict[str, dict[str, Any]] = {}


def one_process(study: Path, out: Path) -> dict[str, dict[str, Any]]:
    """What `run` makes of the study's runs, all in this process; once for every test, the table is always the same."""
    if not WHOLE:
        made = run_all([run.config for run in read_study(study).runs], RunOptions(out, torch.device("cpu")))
        WHOLE.update({record["id"]: json.loads(json.dumps(steady(record.dump()))) for record in made})
    return WHOLE


@pytest.fixture
def study(tmp_path: Path, make_table: Callable[..., Any]) -> Callable[[int], Path]:
    make_table("mine")

    def write(epochs: int) -> Path:
        (tmp_path / "study.toml").write_text(STUDY.format(epochs=epochs))
        return tmp_path / "study.toml"

    return write


def start(study: Path, out: Path, env: dict[str, str], *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchbed", "sweep", str(study), "--out", str(out), *more]
    env = {**env, "BENCHBED_HOME": os.environ["BENCHBED_HOME"]}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def search_at_work(out: Path, process: "subprocess.Popen[str]", timeout: float = 120) -> int:
    """Waits for a search that has saved an epoch and is not done; the process that makes it."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        for path in out.glob("searches/*/checkpoint.pt"):
            if not (path.parent / "record.json").exists():
                owner = read_lease(path.parent / ".lock")
                if owner is not None:
                    return owner.process
        time.sleep(0.05)
    raise AssertionError("no search began")


def test_a_worker_killed_with_sigkill_loses_nothing(
    tmp_path: Path, study: Callable[[int], Path], child_env: dict[str, str]
) -> None:
    file, out = study(8), tmp_path / "out"
    sweep = start(file, out, child_env, "--workers", "2")
    os.kill(search_at_work(out, sweep), signal.SIGKILL)
    printed, said = sweep.communicate(timeout=300)
    assert sweep.returncode == 0, said
    assert "its worker died (signal 9)" in said
    assert "8 of 8 runs done" in said
    assert records(out) == one_process(file, tmp_path / "whole")
    assert "test accuracy in percent, cifar10 in table mine" in printed


@pytest.mark.slow
def test_ctrl_c_stops_and_the_same_command_goes_on(
    tmp_path: Path, study: Callable[[int], Path], child_env: dict[str, str], command: Callable[..., Any]
) -> None:
    file, out = study(8), tmp_path / "out"
    sweep = start(file, out, child_env)
    worker = search_at_work(out, sweep)
    sweep.send_signal(signal.SIGINT)
    _, said = sweep.communicate(timeout=60)
    assert sweep.returncode == 130
    assert said.splitlines()[-1].startswith("benchbed: interrupted:")
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    kept = len(records(out))
    assert kept < 8
    shown = command("sweep", "--status", "--out", out)
    assert f"done {kept}, at work 0, failed 0" in shown.out
    again = command("sweep", file, "--out", out)
    assert again.status == 0, again.err
    assert records(out) == one_process(file, tmp_path / "whole")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert command("sweep", file, "--out", out).status == 0  # nothing is made again, and no worker is started
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_failed_and_damaged_runs_are_named_and_the_rest_goes_on(
    tmp_path: Path, study: Callable[[int], Path], command: Callable[..., Any]
) -> None:
    """A plug-in file goes to the workers, where it prints, is refused, and crashes."""
    plugin = tmp_path / "fails.py"
    plugin.write_text(PLUGIN)
    file, out = study(1), tmp_path / "out"
    text = file.read_text().replace(
        '"random"]\nseeds', '"fails"]\n"selector.how" = ["well", "refused", "crashed"]\nseeds'
    )
    file.write_text(text.replace('"darts", ', "").replace("0:2", "0:1"))
    arguments = ("sweep", file, "--out", out, "--plugin", plugin, "--retries", "1")
    made = command(*arguments)
    assert made.status == 1
    assert len(records(out)) == 2  # magnitude, and fails where it does well
    failed = [line for line in made.err.splitlines() if line.startswith("benchbed: failed: ")]
    assert len(failed) == 2
    assert failed[0].endswith(": no such luck")
    assert "ZeroDivisionError: by zero (fails.py, line " in failed[1]
    assert "2 of 4 runs done, 2 failed" in made.err
    damaged = next(out.glob("random-magnitude-*/record.json"))
    damaged.write_text("{")
    again = command(*arguments)
    assert again.status == 1
    assert f"failed: {damaged.parent.name}: {damaged} is not valid JSON" in again.err
    assert damaged.read_text() == "{"
    assert "fails" in again.out  # the good run is still reported
    assert damaged.parent.name in (out / "report" / "report.md").read_text()
    shown = command("sweep", "--status", "--out", out)
    assert shown.status == 1
    assert "done 1, at work 0, failed 2, damaged 1, left 3" in shown.out
    assert "ZeroDivisionError" in shown.out


def test_a_dry_run_keeps_nothing(tmp_path: Path, study: Callable[[int], Path], command: Callable[..., Any]) -> None:
    walked = command("sweep", study(50), "--out", tmp_path / "out", "--dry-run")
    assert walked.status == 0, walked.err
    assert "dry run: 4 pairing(s) went from search to report; walked " in walked.out
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_shards_fill_one_folder(tmp_path: Path, study: Callable[[int], Path], command: Callable[..., Any]) -> None:
    file, out = study(1), tmp_path / "out"
    assert command("sweep", file, "--out", out, "--shard", "2/2").status == 0
    assert len(records(out)) == 4
    assert not (out / "report").exists()
    last = command("sweep", file, "--out", out, "--shard", "1/2")
    assert last.status == 0
    assert f"report: {out / 'report' / 'report.csv'}" in last.out
    assert records(out).keys() == {run["id"] for run in read_study_file(out)["runs"]}
    assert (out / "report" / "report.csv").read_text().count("\n") > 1


def test_what_this_machine_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    check_machine(Needs(gpus=1), 2)
    check_machine(Needs(gpus=0.5), 4)
    with pytest.raises(BenchbedError, match="3 workers need 3 GPUs, this machine has 2: at most --workers 2"):
        check_machine(Needs(gpus=1), 3)
    check_machine(Needs(gpus=0.75), 2)
    with pytest.raises(BenchbedError, match=r"3 workers need 2\.25 GPUs, this machine has 2: at most --workers 2"):
        check_machine(Needs(gpus=0.75), 3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(BenchbedError, match="this machine has 0: use --executor ray"):
        check_machine(Needs(gpus=1), 1)
    with pytest.raises(BenchbedError, match=r"2 workers need 2e\+06 GB"):
        check_machine(Needs(memory_gb=1e6), 2)
    with pytest.raises(BenchbedError, match="not even one; use --executor ray"):
        check_machine(Needs(memory_gb=1e6), 1)


def test_each_worker_sees_its_own_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    seen = [module._environment(Needs(gpus=2), slot)["CUDA_VISIBLE_DEVICES"] for slot in (0, 1)]
    assert seen == ["4,5", "6,7"]
    halves = [module._environment(Needs(gpus=0.5), slot)["CUDA_VISIBLE_DEVICES"] for slot in range(4)]
    assert halves == ["4", "4", "5", "5"]
    greater = [module._environment(Needs(gpus=0.75), slot)["CUDA_VISIBLE_DEVICES"] for slot in range(4)]
    assert greater == ["4", "5", "6", "7"], "two of these have no room on one"
    thirds = [module._environment(Needs(gpus=1 / 3), slot)["CUDA_VISIBLE_DEVICES"] for slot in range(4)]
    assert thirds == ["4", "4", "4", "5"]
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert module._environment(Needs(cpus=3), 0)["OMP_NUM_THREADS"] == "3"
