"""Exactly the number of trials asked for, whoever works on them and whoever dies.

A study of n trials has n slots. Every trial in the storage carries the number of its slot; the first is the slot's
first attempt, and another is added only where all before it have failed. A slot is done by an attempt that is COMPLETE
or PRUNED, so a finished study has n of those, and as many FAIL as attempts were lost.

The claim is one write that the storage decides: WAITING -> RUNNING, which one worker alone succeeds at. A worker
tries it only on the lowest attempt of a slot that has not failed. Numbers are given in the order in which attempts
become visible, and a failed attempt stays failed, so none below it can come to life any more: no two attempts of a slot
ever run, or are counted, side by side. Two workers that both replace a lost attempt add two; the higher one is never
run, and marked as superseded.

A worker that died is known by its silence. In a database a live one renews its heartbeat (Optuna's), begun before the
claim so that no instant is without. In a journal file there are none: there a live worker holds the lock of a file
named after the trial, which the system takes from it when it ends.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState, create_trial

from ..errors import BenchbedError
from ..runtime.lock import Lease
from .samplers import experimental
from .storage import database

SLOT, ERROR, SUPERSEDED, STOPPED = "slot", "error", "superseded", "stopped"  # keys of a trial's user attributes
RETRIED = "retry_of"
DONE = (TrialState.COMPLETE, TrialState.PRUNED)


class Slot(NamedTuple):
    """What the storage holds of one slot.

    done: the attempt that counts. live: the lowest attempt that waits or runs. failed: those that ended otherwise, by
    an error or with their worker. more: what waits without need.
    """

    number: int
    done: FrozenTrial | None
    live: FrozenTrial | None
    failed: list[FrozenTrial]
    more: list[FrozenTrial]

    def open(self, retries: int) -> bool:
        """Whether it still gets, or is, an attempt."""
        return self.done is None and (self.live is not None or self.failures <= retries)

    @property
    def failures(self) -> int:
        """Attempts that count against the retries; one that Ctrl-C ended does not."""
        return sum(STOPPED not in trial.user_attrs for trial in self.failed)


def slots(trials: Sequence[FrozenTrial], count: int) -> list[Slot]:
    """The first `count` slots of a study."""
    by_slot: list[list[FrozenTrial]] = [[] for _ in range(count)]
    for trial in sorted(trials, key=lambda t: t.number):
        number = trial.user_attrs.get(SLOT, -1)
        if 0 <= number < count:
            by_slot[number].append(trial)
    found = []
    for number, attempts in enumerate(by_slot):
        done = next((t for t in attempts if t.state in DONE), None)
        unfinished = [t for t in attempts if not t.state.is_finished()]
        live = unfinished[0] if unfinished and done is None else None
        failed = [t for t in attempts if t.state == TrialState.FAIL and SUPERSEDED not in t.user_attrs]
        found.append(Slot(number, done, live, failed, [t for t in unfinished if t is not live]))
    return found


class Queue:
    """The slots of one study in its storage, as one worker sees and takes them."""

    def __init__(self, study: optuna.Study, storage: BaseStorage, count: int, retries: int, journal: Path | None):
        self.study, self.storage, self.count, self.retries = study, storage, count, retries
        self.locks = None if journal is None else Locks(journal.with_name(f"{journal.name}.running"))
        self._pulse: Pulse | None = None

    def look(self) -> list[Slot]:
        return slots(self.study.get_trials(deepcopy=False), self.count)

    def fill(self) -> None:
        """Adds the attempts that are missing: the first of each slot, and one for each that failed."""
        for slot in self.look():
            if slot.done is None and slot.live is None and slot.open(self.retries):
                self._add(slot)

    def _add(self, slot: Slot) -> None:
        """What was lost with its worker is tried with the same parameters, what failed by itself with new ones."""
        attributes: dict[str, Any] = {}
        if slot.failed:
            last = slot.failed[-1]
            attributes = {RETRIED: last.number}
            if ERROR not in last.user_attrs and last.params:
                attributes["fixed_params"] = last.params
        self.study.add_trial(
            create_trial(state=TrialState.WAITING, user_attrs={SLOT: slot.number}, system_attrs=attributes)
        )

    def take(self) -> FrozenTrial | None:
        """A trial that is now this worker's; None where all that is left is done, given up or another's."""
        self._bury()
        self.fill()
        for slot in self.look():
            for trial in slot.more:
                self._end(trial, SUPERSEDED)
            if slot.live is not None and slot.live.state == TrialState.WAITING and self._claim(slot.live):
                return slot.live
        return None

    def _claim(self, trial: FrozenTrial) -> bool:
        if self.locks is not None and not self.locks.take(trial._trial_id):
            return False
        backend = database(self.storage)
        pulse = None if backend is None else Pulse(backend, trial._trial_id)
        if pulse is not None:
            pulse.beat()
        try:
            claimed = self.storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
        except UpdateFinishedTrialError:
            claimed = False
        if claimed and pulse is not None:
            self._pulse = pulse
            pulse.start()
        elif not claimed and self.locks is not None:
            self.locks.give(trial._trial_id)
        return claimed

    def finish(self, trial: FrozenTrial) -> None:
        """The trial is over, or no longer ours: no more signs of life."""
        if self._pulse is not None:
            self._pulse.stop()
            self._pulse = None
        if self.locks is not None:
            self.locks.give(trial._trial_id)

    def fail(self, trial: FrozenTrial, key: str, value: object = True) -> None:
        """Ends a trial without a value, for the reason `key`; nothing where another has ended it."""
        self._end(trial, key, value)
        self.finish(trial)

    def _end(self, trial: FrozenTrial, key: str, value: object = True) -> None:
        with suppress(UpdateFinishedTrialError):
            self.storage.set_trial_user_attr(trial._trial_id, key, value)
            self.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)

    def _bury(self) -> None:
        """Ends the trials whose worker is dead, so that they are tried again."""
        if self.locks is None:
            with experimental():
                fail_stale_trials(self.study)
            return
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if self.locks.take(trial._trial_id):
                with suppress(UpdateFinishedTrialError):  # it has ended between the look and the lock
                    self.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
                self.locks.give(trial._trial_id)


class Locks:
    """A lock for each running trial, held by its worker and taken from it when it ends in whatever way.

    They are named by what is the trial's own in its storage, which may hold several studies.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._held: dict[int, Lease] = {}

    def take(self, number: int) -> bool:
        """Whether the lock is now held here, and was not before."""
        if number in self._held:
            return False
        lease = Lease(self.folder / str(number))
        if lease.take() is not None:
            return False
        self._held[number] = lease
        return True

    def give(self, number: int) -> None:
        """Lets go of the lock and removes its file.

        By then the trial waits no more, so whoever still locks the removed file can no longer claim it.
        """
        if (lease := self._held.pop(number, None)) is not None:
            lease.free(remove=True)
            with suppress(OSError):  # others run
                self.folder.rmdir()


class Pulse:
    """Renews a trial's heartbeat from a thread, until stopped. (Optuna's own ends at the first lost connection.)"""

    def __init__(self, storage: RDBStorage, trial_id: int):
        self.database, self.trial_id = storage, trial_id
        self._over = Event()
        self._thread = Thread(target=self._run, daemon=True)

    def beat(self) -> None:
        self.database.record_heartbeat(self.trial_id)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(timeout=5)  # it may be waiting for a database that is away

    def _run(self) -> None:
        while not self._over.wait(self.database.heartbeat_interval):
            try:
                self.beat()
            except BenchbedError:  # away for too long: the worker finds out by itself
                return
        self.database.remove_session()
