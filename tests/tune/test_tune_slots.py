"""The claims of a study: each slot is run by one worker at a time and counted once, whatever workers do."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from benchbed.tune.report import counts
from benchbed.tune.slots import ERROR, SLOT, STOPPED, SUPERSEDED, Locks, Queue, slots
from benchbed.tune.storage import journal_file, open_storage

LOW = {"x": optuna.distributions.FloatDistribution(0, 1)}


def attempt(number: int, slot: int, state: str, **attributes: Any) -> FrozenTrial:
    value = 1.0 if state == "COMPLETE" else None
    trial = create_trial(state=TrialState[state], value=value, user_attrs={SLOT: slot, **attributes})
    trial.number = number
    return trial


def test_a_slot_is_done_once_and_failures_leave_it_open() -> None:
    trials = [
        attempt(0, 0, "FAIL"), attempt(1, 1, "COMPLETE"), attempt(2, 2, "FAIL", error="nan"), attempt(3, 0, "RUNNING"),
        attempt(4, 2, "FAIL", stopped=True), attempt(5, 0, "WAITING"), attempt(6, 3, "PRUNED"), attempt(7, 9, "FAIL"),
        attempt(8, 3, "FAIL", superseded=True),
    ]  # fmt: skip
    found = slots(trials, 5)
    assert [s.done.number if s.done else None for s in found] == [None, 1, None, 6, None]
    assert [s.live.number if s.live else None for s in found] == [3, None, None, None, None]
    assert [[t.number for t in s.failed] for s in found] == [[0], [], [2, 4], [], []]
    assert [[t.number for t in s.more] for s in found] == [[5], [], [], [], []]
    assert [s.failures for s in found] == [1, 0, 1, 0, 0]  # Ctrl-C is nobody's failure
    assert [s.open(0) for s in found] == [True, False, False, False, True]
    assert [s.open(1) for s in found] == [True, False, True, False, True]
    how_many = ("running", "waiting", "given up")
    assert [counts(found, 0)[state] for state in how_many] == [1, 1, 1]
    assert [counts(found, 1)[state] for state in how_many] == [1, 2, 0]


def test_two_studies_in_one_journal_share_no_lock(tmp_path: Path, keep: Callable[..., BaseStorage]) -> None:
    """The first trial of each is number 0."""
    name = f"journal:{tmp_path}/j"
    taken = []
    for study in ("one", "other"):
        storage = keep(name, 1, 2)
        queue = Queue(optuna.create_study(study_name=study, storage=storage), storage, 1, 1, journal_file(name))
        taken.append((queue, queue.take()))
    assert [trial.number if trial else None for _, trial in taken] == [0, 0]
    for queue, trial in taken:
        assert trial is not None
        complete(queue, trial)


@pytest.fixture(params=["journal", "sqlite", "postgres"])
def storage_name(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres").url)
    return f"journal:{tmp_path}/j" if request.param == "journal" else f"sqlite:///{tmp_path}/s.db"


@pytest.fixture
def queues(storage_name: str, keep: Callable[..., BaseStorage]) -> Callable[..., list[Queue]]:
    """`queues(workers, count)`: as many views of a new study, each as another process has it."""
    name = f"study {time.monotonic_ns()}"

    def make(workers: int, count: int, grace: int = 2) -> list[Queue]:
        found = []
        for _ in range(workers):
            storage = keep(storage_name, 1, grace)
            study = optuna.create_study(study_name=name, storage=storage, load_if_exists=True)
            found.append(Queue(study, storage, count, 1, journal_file(storage_name)))
        return found

    return make


def complete(queue: Queue, trial: FrozenTrial, value: float = 1.0) -> None:
    queue.storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [value])
    queue.finish(trial)


def states(queue: Queue) -> dict[str, int]:
    found: dict[str, int] = {}
    for trial in queue.study.trials:
        found[trial.state.name] = found.get(trial.state.name, 0) + 1
    return found


def test_many_workers_end_with_exactly_the_count(queues: Callable[..., list[Queue]]) -> None:
    """Four threads, each with a connection of its own, all filling and taking at once."""
    taken: list[int] = []
    errors: list[BaseException] = []

    def work(queue: Queue) -> None:
        try:
            while True:
                trial = queue.take()
                if trial is not None:
                    taken.append(trial.number)
                    complete(queue, trial)
                elif not any(slot.open(1) for slot in queue.look()):
                    return
        except BaseException as error:
            errors.append(error)

    found = queues(4, 12, grace=120)
    threads = [threading.Thread(target=work, args=(queue,)) for queue in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(taken) == len(set(taken)) == 12
    trials = found[0].study.trials
    done = sorted(t.user_attrs[SLOT] for t in trials if t.state == TrialState.COMPLETE)
    assert done == list(range(12))
    assert all(SUPERSEDED in t.user_attrs for t in trials if t.state != TrialState.COMPLETE)


def test_a_dead_workers_trial_is_taken_over_with_its_parameters(queues: Callable[..., list[Queue]]) -> None:
    dead, live = queues(2, 1)
    lost = dead.take()
    assert lost is not None
    dead.storage.set_trial_param(lost._trial_id, "x", 0.25, LOW["x"])
    assert live.take() is None  # it lives
    _die(dead)
    deadline = time.monotonic() + 30
    while (again := live.take()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert again.system_attrs["fixed_params"] == {"x": 0.25}
    assert again.system_attrs["retry_of"] == lost.number
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):  # the dead one was only slow
        complete(dead, lost)
    complete(live, again)
    assert states(live) == {"FAIL": 1, "COMPLETE": 1}
    assert live.take() is None


def _die(queue: Queue) -> None:
    """As SIGKILL does: the system takes the locks, and nothing beats any more."""
    if queue.locks is not None:
        for lease in queue.locks._held.values():
            os.close(lease._handle)
        queue.locks._held.clear()
    if queue._pulse is not None:
        queue._pulse.stop()


def test_a_failed_trial_is_tried_again_anew_and_then_given_up(tmp_path: Path) -> None:
    storage = open_storage("memory", 1, 2)
    queue = Queue(optuna.create_study(storage=storage), storage, 2, 1, None)
    first = queue.take()
    assert first is not None
    storage.set_trial_param(first._trial_id, "x", 0.25, LOW["x"])
    queue.fail(first, STOPPED)  # by Ctrl-C: not counted, same parameters
    queue.fill()
    retried = slots(queue.study.trials, 2)[0].live
    assert retried is not None
    assert retried.system_attrs["fixed_params"] == {"x": 0.25}
    for _ in range(4):
        trial = queue.take()
        assert trial is not None
        queue.fail(trial, ERROR, "nan")
    assert queue.take() is None
    assert [slot.failures for slot in queue.look()] == [2, 2]
    assert not any(slot.open(1) for slot in queue.look())
    later = [t for t in queue.study.trials if t.number > retried.number]
    assert all("fixed_params" not in t.system_attrs for t in later)  # new parameters after an error


def test_of_two_replacements_the_higher_is_never_run(tmp_path: Path) -> None:
    storage = open_storage(f"journal:{tmp_path}/j", 1, 2)
    study = optuna.create_study(storage=storage)
    for _ in range(2):
        study.add_trial(create_trial(state=TrialState.WAITING, user_attrs={SLOT: 0}))
    queue = Queue(study, storage, 1, 1, tmp_path / "j")
    trial = queue.take()
    assert trial is not None
    assert trial.number == 0
    complete(queue, trial)
    assert queue.take() is None
    assert [t.state.name for t in study.trials] == ["COMPLETE", "FAIL"]
    assert study.trials[1].user_attrs[SUPERSEDED]


def test_a_lock_is_held_by_one_and_leaves_no_file(tmp_path: Path) -> None:
    mine, theirs = Locks(tmp_path / "locks"), Locks(tmp_path / "locks")
    assert mine.take(3)
    assert not mine.take(3)
    assert not theirs.take(3)
    assert theirs.take(4)
    mine.give(3)
    assert theirs.take(3)
    theirs.give(3)
    theirs.give(4)
    assert not (tmp_path / "locks").exists()


def test_no_instant_of_a_claim_is_without_a_heartbeat(
    postgres: Any, monkeypatch: pytest.MonkeyPatch, keep: Callable[..., BaseStorage]
) -> None:
    """Optuna never calls a running trial dead that has no heartbeat: it must be there before the claim."""
    storage = keep(postgres.url, 1, 2)
    study = optuna.create_study(storage=storage)
    queue = Queue(study, storage, 1, 1, None)

    real = storage.set_trial_state_values

    def claim_and_die(*arguments: Any) -> bool:
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(storage, "set_trial_state_values", claim_and_die)
    with pytest.raises(KeyboardInterrupt):
        queue.take()
    monkeypatch.setattr(storage, "set_trial_state_values", real)
    assert [t.state.name for t in study.trials] == ["RUNNING"]
    deadline = time.monotonic() + 30
    while queue.take() is None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert [t.state.name for t in study.trials] == ["FAIL", "RUNNING"]
    _die(queue)
