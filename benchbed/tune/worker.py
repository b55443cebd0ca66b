"""A worker of a study: takes trials, runs them, tells their values, until no slot is left; and what starts workers."""

import json
import os
import platform
import time
import warnings
from collections.abc import Sequence
from typing import Any

import optuna
import torch
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from ..errors import BenchbedError
from ..runtime import pulse
from ..runtime.board import Board, Job
from ..runtime.digest import first_difference
from ..runtime.machine import pick_device
from ..runtime.options import RunOptions
from ..runtime.progress import Reporter
from ..runtime.worker import Place
from ..runtime.workers import Pool, Scheduler, hired
from .options import TuneOptions
from .report import short
from .samplers import make_pruner, make_sampler
from .slots import ERROR, SLOT, STOPPED, Queue, Slot
from .space import suggest
from .storage import StorageGone, journal_file, opened, shown
from .study import Study, checked
from .trial import Report, Runner

MADE_BY = "benchbed"  # the study's user attribute that says what it is a study of
OTHER = "give this one another name in [tune]"
RUNS, WORKER = "runs", "worker"  # user attributes of a trial
POLL = 2.0  # seconds between two looks at what others are doing
MOST_ERRORS = 5  # failed trials in a row after which a worker stops: something is wrong with all of them


class Unfinished(BenchbedError):
    """The command is over and the study is not."""

    status = 1


def prepare(study: Study, storage: BaseStorage) -> optuna.Study:
    """The study in its storage: made there with its slots, or found.

    Raises BenchbedError, naming what differs, where a study of another space or configuration has its name.
    """
    name = study.options.name
    try:
        found = optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        found = optuna.create_study(study_name=name, storage=storage, directions=study.directions, load_if_exists=True)
    if found.user_attrs.get(MADE_BY) is None and not found.get_trials(deepcopy=False):
        found.set_user_attr(MADE_BY, study.identity())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            found.set_metric_names(list(study.options.objectives))  # what optuna-dashboard shows
    _refuse_other(study, found)
    if (most := begun(found)) > study.options.trials:  # fewer would leave some out, the best perhaps among them
        raise BenchbedError(
            f"tune: trials {study.options.trials} is fewer than the {most} that study '{name}' in "
            f"{shown(study.options.storage)} has begun: ask for {most} or more"
        )
    queue_of(study, storage, found).fill()
    return found


def _refuse_other(study: Study, found: optuna.Study) -> None:
    """Raises BenchbedError where the study of this name was not made by these settings, naming what differs."""
    name, where = study.options.name, shown(study.options.storage)
    if (before := found.user_attrs.get(MADE_BY)) is None:
        raise BenchbedError(f"tune: study '{name}' in {where} was not made by tune: {OTHER}")
    if (difference := first_difference(before, json.loads(json.dumps(study.identity())))) is not None:
        what, was, now = difference
        raise BenchbedError(
            f"tune: study '{name}' in {where} is another one: its {what} is {was!r}, here it is {now!r}: {OTHER}"
        )


def begun(found: optuna.Study) -> int:
    """How many slots have an attempt that is more than waiting, those before it counted in."""
    taken = [t for t in found.get_trials(deepcopy=False) if t.state != TrialState.WAITING]
    return 1 + max((t.user_attrs.get(SLOT, -1) for t in taken), default=-1)


def existing(study: Study, storage: BaseStorage) -> optuna.Study:
    """The study in its storage. Raises BenchbedError if there is none, or another."""
    name = study.options.name
    try:
        found = optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        raise BenchbedError(f"tune: no study '{name}' in {shown(study.options.storage)} yet") from None
    _refuse_other(study, found)
    return found


def queue_of(study: Study, storage: BaseStorage, made: optuna.Study) -> Queue:
    options = study.options
    return Queue(made, storage, options.trials, options.retries, journal_file(options.storage))


class Worker:
    """Runs trials of a study, one after another, in this process."""

    def __init__(self, study: Study, storage: BaseStorage, runner: Runner, reporter: Reporter):
        self.study, self.storage, self.runner, self.reporter = study, storage, runner, reporter
        self.queue = queue_of(study, storage, existing(study, storage))
        self._waits = False
        self._errors = 0

    def work(self) -> None:
        """Until every slot is done or given up, by whatever worker.

        Raises BenchbedError after `MOST_ERRORS` trials in a row whose runs failed here.
        """
        options = self.study.options
        while True:
            trial = self.queue.take()
            if trial is not None:
                self._waits = False
                self._run(trial)
            elif not any(slot.open(options.retries) for slot in self.queue.look()):
                return
            else:
                if not self._waits:
                    self.reporter.line("waits for the trials that other workers run, to take over those that are lost")
                self._waits = True
                pulse.beat()
                time.sleep(POLL)

    def _run(self, frozen: FrozenTrial) -> None:
        try:
            self._tell(frozen)
            self._errors = 0
        except (KeyboardInterrupt, SystemExit):  # Ctrl-C here, or of the master, which ends its workers
            self.queue.fail(frozen, STOPPED)
            raise
        except StorageGone:
            raise
        except UpdateFinishedTrialError:
            self.reporter.line(f"trial {frozen.number} was taken over by another worker: nothing is counted here")
        except (BenchbedError, torch.OutOfMemoryError) as error:
            self.queue.fail(frozen, ERROR, str(error).splitlines()[0][:500])
            self._errors += 1
            self.reporter.line(f"trial {frozen.number} failed: {error}")
            if self._errors >= MOST_ERRORS:
                raise Unfinished(f"{MOST_ERRORS} trials in a row failed, the last with: {error}") from None
        except Exception as error:  # a bug: the traceback is shown, and the trial is not lost without a word
            self.queue.fail(frozen, ERROR, f"{type(error).__name__}: {error}"[:500])
            raise
        finally:
            self.queue.finish(frozen)

    def _tell(self, frozen: FrozenTrial) -> None:
        """Runs one trial and tells its values, or that it was pruned."""
        made = self._fresh(frozen)
        self.storage.set_trial_user_attr(frozen._trial_id, WORKER, f"{platform.node()}:{os.getpid()}")
        trial = optuna.Trial(made, frozen._trial_id)
        parameters = {name: suggest(trial, name, found) for name, found in self.study.distributions.items()}
        single = len(self.study.directions) == 1  # of several objectives Optuna takes no figures in between
        report = Report(trial, self.study.base.epochs, self.study.prunes)
        try:
            outcome = self.runner(parameters, report if single else lambda *_: None)
        except optuna.TrialPruned:
            made.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
        else:
            trial.set_user_attr(RUNS, outcome.runs)
            made.tell(trial, outcome.values, skip_if_finished=True)
        told = self.storage.get_trial(frozen._trial_id)
        if told.state == TrialState.FAIL:  # judged dead meanwhile
            raise UpdateFinishedTrialError
        done = sum(slot.done is not None for slot in self.queue.look())
        self.reporter.line(f"{done}/{self.study.options.trials}  {short(self.study, told)}")

    def _fresh(self, frozen: FrozenTrial) -> optuna.Study:
        """The study as it now is, with the sampler of this attempt: it holds nothing of the trials before."""
        options = self.study.options
        steps = self.study.base.epochs * len(self.study.seeds)
        sampler = make_sampler(options, f"trial {frozen.user_attrs[SLOT]} attempt {frozen.number}")
        return optuna.load_study(
            study_name=options.name, storage=self.storage, sampler=sampler, pruner=make_pruner(options, steps)
        )


def given_up(found: Sequence[Slot], retries: int) -> list[Slot]:
    """The slots that have no trial and get no more attempts."""
    return [slot for slot in found if slot.done is None and not slot.open(retries)]


def take_part(payload: dict[str, Any], place: Place) -> dict[str, Any]:
    """A worker's part in the study of {"options", "raw", "mixed"}, until no slot is left."""
    study = checked(TuneOptions.model_validate(payload["options"]), payload["raw"])
    options = RunOptions(place.out, pick_device(place.device), mixed=payload["mixed"])
    with opened(study.options.storage, study.options.heartbeat, study.options.grace) as storage:
        Worker(study, storage, Runner(study, options), Reporter(quiet=True, say=place.say)).work()
    return {}


class _Crew(Board):
    """Says of a worker that is lost that the others go on: they take over what it was at."""

    def failed(self, job: Job, reason: str) -> None:
        self.line(f"{job.id} ended: {reason}; the others go on")


def run_workers(study: Study, count: int, options: RunOptions) -> None:
    """Has `count` processes take part in the study side by side until all have ended."""
    payload = {"options": study.options.model_dump(mode="json"), "raw": study.raw, "mixed": options.mixed}
    names = [f"worker {number}" for number in range(1, count + 1)]
    executor, size = hired("benchbed.tune.worker:take_part", options.out, Pool(count), str(options.device))
    board = _Crew(options.reporter, count, 0, count, "workers")
    Scheduler(executor, size, board, retries=0).run([Job(name, name, payload, name) for name in names])
