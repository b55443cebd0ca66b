"""Who makes a pool's jobs: the contract of an executor, and worker processes on this machine."""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ..errors import BenchbedError

GIB = 2**30
PATIENCE = 5.0  # seconds in which a worker may end in order, after which it is killed
KILLED = 5.0  # seconds in which the system ends a process that is killed


class Needs(BaseModel):
    """What one job needs of a machine. A job stays in one process; half a GPU is a GPU that two jobs share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpus: int = Field(1, ge=1, description="threads of a job")
    gpus: float = Field(0.0, ge=0)
    memory_gb: float | None = Field(None, gt=0, description="main memory; none: not looked at")

    @field_validator("gpus")
    @classmethod
    def _whole_above_one(cls, gpus: float) -> float:
        if gpus > 1 and gpus != int(gpus):
            raise ValueError("a share of one GPU, or a whole number of them, is expected")
        return gpus

    def jobs_on(self, gpus: int) -> int:
        """How many jobs have room on so many GPUs: of a share, as many on each as have it whole."""
        return gpus * int(1 / self.gpus + 1e-9) if self.gpus < 1 else int(gpus / self.gpus)

    def gpus_of(self, slot: int, visible: Sequence[str]) -> Sequence[str]:
        """Those of the slot-th job, counted from 0."""
        if self.gpus < 1:
            first = slot // self.jobs_on(1)
            return visible[first : first + 1]
        each = int(self.gpus)
        return visible[slot * each : (slot + 1) * each]


class Event(NamedTuple):
    """What came from a worker. ready: it takes jobs; reply: of `Station.work`; dead: it is gone, `reason` says how.

    beat: it makes headway, and says `reply["say"]` if anything; `reply["at"]` is how far it is, of `pulse`. refused: it
    cannot work at all, for a reason that every other worker would give too.
    """

    worker: int
    kind: Literal["ready", "beat", "reply", "dead", "refused"]
    reply: Mapping[str, Any] = MappingProxyType({})
    reason: str = ""


class Executor(ABC):
    """Workers by number. A worker takes one job at a time; it may die at any moment, which is an event, no error."""

    @abstractmethod
    def hire(self) -> int:
        """Starts a worker; its number. It is ready when an event says so."""

    @abstractmethod
    def send(self, worker: int, message: dict[str, Any]) -> None:
        """Gives a ready worker a job: {"id", "payload", "folders"}."""

    @abstractmethod
    def events(self, timeout: float) -> list[Event]:
        """What came since the last call, after at most `timeout` seconds."""

    @abstractmethod
    def dismiss(self, worker: int, patience: float = PATIENCE) -> None:
        """Ends a worker, by force after `patience` seconds; nothing more comes from it."""

    @abstractmethod
    def close(self) -> None:
        """Ends all workers."""


class LocalExecutor(Executor):
    """Processes of this machine, a line of JSON a message. They end with the thread that hires them (`leash`)."""

    def __init__(self, begin: dict[str, Any], needs: Needs) -> None:
        self._begin, self._needs = json.dumps(begin), needs
        self._workers: dict[int, _Process] = {}
        self._said: queue.Queue[tuple[int, str | None]] = queue.Queue()
        self._hired = 0

    def hire(self) -> int:
        self._hired += 1
        slots = {process.slot for process in self._workers.values()}
        slot = next(n for n in range(len(slots) + 1) if n not in slots)
        process = _Process(slot, _environment(self._needs, slot))
        self._workers[self._hired] = process
        process.write(self._begin)
        reader = threading.Thread(target=self._listen, args=(self._hired, process.replies), daemon=True)
        reader.start()
        return self._hired

    def _listen(self, worker: int, replies: Iterable[str]) -> None:
        try:
            for line in replies:
                self._said.put((worker, line))
        finally:
            self._said.put((worker, None))

    def send(self, worker: int, message: dict[str, Any]) -> None:
        self._workers[worker].write(json.dumps(message))

    def events(self, timeout: float) -> list[Event]:
        said = []
        with suppress(queue.Empty):
            said.append(self._said.get(timeout=timeout))
            while not self._said.empty():
                said.append(self._said.get_nowait())
        return [self._event(worker, line) for worker, line in said if worker in self._workers]  # else dismissed

    def _event(self, worker: int, line: str | None) -> Event:
        if line is None or not line.endswith("\n"):  # a kill has torn the line; its end comes next, or is this
            if line is not None:
                self._workers[worker].process.wait()
            return Event(worker, "dead", reason=self._workers.pop(worker).end(time.monotonic() + PATIENCE))
        reply = json.loads(line)
        if "id" in reply:
            return Event(worker, "reply", reply)
        if "say" in reply:
            return Event(worker, "beat", reply)
        if reply["status"] == "ready":
            return Event(worker, "ready")
        self.dismiss(worker)
        return Event(worker, "refused", reason=reply["reason"])

    def dismiss(self, worker: int, patience: float = PATIENCE) -> None:
        process = self._workers.pop(worker)
        process.process.terminate()
        process.end(time.monotonic() + patience)

    def close(self) -> None:
        for process in self._workers.values():
            process.process.terminate()
        until = time.monotonic() + PATIENCE  # of all together
        for process in self._workers.values():
            process.end(until)
        self._workers.clear()


class _Process:
    """A worker process and its three pipes; `slot` is its place among those that live, from 0."""

    def __init__(self, slot: int, environment: dict[str, str]) -> None:
        self.slot = slot
        self._words = tempfile.TemporaryFile("w+")  # noqa: SIM115  a pipe that nobody reads would fill up
        command = [sys.executable, "-m", "benchbed.runtime.leash", str(os.getpid())]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._words}
        self.process = subprocess.Popen(command, env=environment, text=True, **pipes)
        assert self.process.stdout is not None
        self.replies: IO[str] = self.process.stdout

    def write(self, line: str) -> None:
        """A message; a worker that is dead does not take it, which its end of the other pipe says too."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()

    def end(self, until: float) -> str:
        """Waits for its end, forced from `until` of time.monotonic on; how it ended."""
        try:
            status = self.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            try:
                status = self.process.wait(KILLED)
            except subprocess.TimeoutExpired:  # it waits for a disk, say: the pool does not
                return f"process {self.process.pid} does not end by SIGKILL"
        with self._words:
            self._words.seek(0)
            last = (self._words.read().strip().splitlines() or [""])[-1][:200]
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError, RuntimeError):  # what it never read; a reader that is at its end
                if pipe is not None:
                    pipe.close()
        return f"signal {-status}" if status < 0 else f"status {status}{', ' + last if last else ''}"


def threads_of(needs: Needs) -> int:
    """Of a worker: as many as a job needs, unless OMP_NUM_THREADS says otherwise."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) > 0 else needs.cpus


def shared_environment(needs: Needs) -> dict[str, str]:
    """So that a worker finds this benchbed, and uses as many threads as a job needs."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"PYTHONPATH": path, "OMP_NUM_THREADS": str(threads_of(needs))}


def _environment(needs: Needs, slot: int) -> dict[str, str]:
    """This process's and the shared, and the worker's own GPUs."""
    found = {**os.environ, **shared_environment(needs)}
    if needs.gpus:
        found["CUDA_VISIBLE_DEVICES"] = ",".join(needs.gpus_of(slot, _visible()))
    return found


def _visible() -> list[str]:
    """The CUDA devices of this machine that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name]
    import torch

    return [str(n) for n in range(torch.cuda.device_count())]


def check_machine(needs: Needs, workers: int) -> None:
    """Raises BenchbedError where this machine has not the GPUs and the memory that so many jobs need at once."""
    gpus = len(_visible()) if needs.gpus else 0
    if needs.gpus and (room := needs.jobs_on(gpus)) < workers:
        at_most = f"at most --workers {room}" if room else "use --executor ray"
        raise BenchbedError(
            f"grid.needs.gpus = {needs.gpus:g}: {workers} workers need {needs.gpus * workers:g} GPUs, "
            f"this machine has {gpus}: {at_most}"
        )
    if needs.memory_gb is not None:
        if sys.platform == "win32":
            raise AssertionError("runs are refused there: see `machine`")
        here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
        if needs.memory_gb * workers > here:
            fitting = int(here / needs.memory_gb)
            at_most = f"at most --workers {fitting}" if fitting else "not even one; use --executor ray"
            raise BenchbedError(
                f"grid.needs.memory_gb = {needs.memory_gb:g}: {workers} workers need {needs.memory_gb * workers:g} "
                f"GB, this machine has {here:.0f}: {at_most}"
            )
