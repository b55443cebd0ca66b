"""Real engines and real kills: nothing lost, nothing counted twice, exactly the number of trials asked for."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from benchbed.tune.slots import SLOT, SUPERSEDED

DONE = (TrialState.COMPLETE, TrialState.PRUNED)
Keep = Callable[..., BaseStorage]


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`started("tune", ...)`: the command in a process of its own, which is not left behind."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        root = str(Path(__file__).resolve().parents[2])
        environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "benchbed", *map(str, arguments)]
        processes.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def trials_of(storage: BaseStorage) -> list[FrozenTrial]:
    try:
        return optuna.load_study(study_name="study", storage=storage).trials
    except KeyError:
        return []


def until(condition: Callable[[], Any], process: subprocess.Popen[str], limit: float) -> Any:
    deadline = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    return found


def at_work(storage: BaseStorage) -> list[int]:
    """The processes whose trial has its parameters: in the middle of a run."""
    running = [t for t in trials_of(storage) if t.state == TrialState.RUNNING and t.params]
    return [int(t.user_attrs["worker"].rpartition(":")[2]) for t in running if "worker" in t.user_attrs]


def assert_exact(storage: BaseStorage, count: int, out: Path) -> list[FrozenTrial]:
    """Every slot done once, by a trial whose value is its own run's; nothing left waiting. The lost attempts."""
    trials = trials_of(storage)
    done = [t for t in trials if t.state in DONE]
    assert sorted(t.user_attrs[SLOT] for t in done) == list(range(count))
    assert {t.state for t in trials} <= {*DONE, TrialState.FAIL}
    for trial in done:
        (run,) = trial.user_attrs["runs"]
        record = json.loads((out / run["run"] / "record.json").read_text())
        assert record["config"]["searcher"]["options"]["alpha_lr"] == trial.params["searcher.alpha_lr"]
        assert trial.value == pytest.approx(np.mean([record["valid_accuracy"]]), abs=1e-9)
    assert len((out / "trials.csv").read_text().splitlines()) == 1 + len(trials)
    return [t for t in trials if t.state == TrialState.FAIL and SUPERSEDED not in t.user_attrs]


def test_a_killed_worker_is_replaced_by_another_command(
    study_file: Callable[..., Path], tmp_path: Path, keep: Keep, started: Any, command: Callable[..., Any]
) -> None:
    """Another machine's: it finds the killed one's trial, and makes it again with the same parameters."""
    file = study_file(f"journal:{tmp_path}/j")
    storage = keep(f"journal:{tmp_path}/j")
    first = started("tune", file)
    until(lambda: at_work(storage), first, 120)
    first.kill()
    first.communicate()
    counted = sum(t.state in DONE for t in trials_of(storage))
    outcome = command("tune", file)
    assert outcome.status == 0, outcome.err
    lost = assert_exact(storage, 3, tmp_path / "out")
    assert len(lost) <= 1  # none, if it was killed between two trials
    for trial in lost:
        assert trial.params
        (again,) = [t for t in trials_of(storage) if t.system_attrs.get("retry_of") == trial.number]
        assert again.params == trial.params
        assert f"lost attempts {len(lost)}" in outcome.out
    assert outcome.err.count("accuracy") == 3 - counted


def test_ctrl_c_hands_the_trial_back(
    study_file: Callable[..., Path], tmp_path: Path, keep: Keep, command: Callable[..., Any], monkeypatch: Any
) -> None:
    from benchbed.tune import trial as tune_trial

    file = study_file(f"journal:{tmp_path}/j")
    real, calls = tune_trial.run, []

    def interrupted(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(tune_trial, "run", interrupted)
    outcome = command("tune", file)
    assert outcome.status == 130
    assert "the same command goes on" in outcome.err
    assert command("tune", file, "--trials", 3).status == 0
    lost = assert_exact(keep(f"journal:{tmp_path}/j"), 3, tmp_path / "out")
    assert [t.number for t in lost] == [1]


def test_runs_that_fail_are_named_and_given_up(
    study_file: Callable[..., Path], tmp_path: Path, keep: Keep, command: Callable[..., Any], monkeypatch: Any
) -> None:
    from benchbed.errors import BenchbedError
    from benchbed.tune import trial as tune_trial

    def diverges(config: Any, *rest: Any) -> Any:
        raise BenchbedError("the loss is not finite")

    monkeypatch.setattr(tune_trial, "run", diverges)
    outcome = command("tune", study_file(f"journal:{tmp_path}/j", "retries = 0"))
    assert outcome.status == 1
    assert "3 of 3 trials were given up after 1 attempts each" in outcome.err
    assert (tmp_path / "out" / "trials.csv").read_text().count("the loss is not finite") == 3
    many = study_file(f"journal:{tmp_path}/k")
    outcome = command("tune", many, "--trials", 20)
    assert outcome.status == 1
    assert "5 trials in a row failed, the last with: the loss is not finite" in outcome.err
    assert (tmp_path / "out" / "trials.csv").read_text().count("the loss is not finite") == 5


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["journal", "postgres"])
def test_eight_workers_three_killed(
    kind: str, request: pytest.FixtureRequest, study_file: Callable[..., Path], tmp_path: Path, keep: Keep, started: Any
) -> None:
    """PostgreSQL besides crashes once in the middle, and is back two seconds later."""
    server = request.getfixturevalue("postgres") if kind == "postgres" else None
    name = server.url if server else f"journal:{tmp_path}/j"
    file = study_file(name, "heartbeat = 2\ngrace = 20")
    file.write_text(file.read_text().replace("trials = 3", "trials = 40"))
    storage = keep(name, 2, 20)
    parent = started("tune", file, "--workers", 8)
    killed: list[int] = []
    while len(killed) < 3:
        worker = until(lambda: [w for w in at_work(storage) if w not in killed], parent, 240)[0]
        os.kill(worker, signal.SIGKILL)
        killed.append(worker)
    if server is not None:
        server.stop()
        time.sleep(2)
        server.start()
    until(lambda: sum(t.state in DONE for t in trials_of(storage)) >= 20 or parent.poll() is not None, parent, 240)
    text, _ = parent.communicate(timeout=480)
    assert parent.returncode == 0, text
    assert text.count("its worker died (signal 9); the others go on") == 3, text
    lost = assert_exact(storage, 40, tmp_path / "out")
    if server is None:  # a lock says for certain who is dead; a heartbeat may also be late
        assert {int(t.user_attrs["worker"].rpartition(":")[2]) for t in lost} <= set(killed)
        assert len(lost) <= 3
    print(f"{kind}: 40 trials, {len(lost)} lost attempts")
