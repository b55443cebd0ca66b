"""Workers on a Ray cluster: an actor each, that takes and gives strings and bytes alone.

Nodes that see the pool's folder work in it. A node that does not works in a folder of its own, is given the files of
a job that was begun, and returns what it made: name -> bytes, put down here, each record last. Which it is, a file
of a name that nobody had before tells. benchbed must be installed on every node, in the same version; nothing of it
is pickled: Ray is given the actor's class by name.
"""

import json
import math
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import BenchbedError
from . import pulse
from .executor import Event, Executor, Needs, check_machine, shared_environment
from .files import one_line, write_atomic
from .folder import Folder
from .worker import Station

OBJECT_STORE = 128 * 2**20  # bytes of a Ray of our own: what goes through it are checkpoints
GOODBYE = 5.0  # seconds that idle workers have to clean up
LOOK = 1.0  # seconds between two looks into the mailbox


class RayStation:
    """The actor: a `Station`, in the pool's folder or beside it.

    mailbox: the actor that takes the signs of life of this worker, which has this number.
    """

    def __init__(self, begin: str, mailbox: Any = None, number: int = 0) -> None:
        self._begin, self._mailbox, self._number = begin, mailbox, number
        self._own: Path | None = None  # the folder worked in where the pool's is not seen
        self._signs = 0  # of life

    def ready(self) -> str:
        """JSON of {"status", "shared"}, or of a refusal."""
        begin = json.loads(self._begin)
        if begin["cwd"] and Path(begin["cwd"]).is_dir():
            os.chdir(begin["cwd"])  # paths of data that are given relative to it
        shared = (Path(begin["out"]) / begin["token"]).exists()
        try:
            self._station = Station(begin)
        except BenchbedError as error:
            return json.dumps({"status": "refused", "reason": str(error)})
        if not shared:
            self._own = self._station.work_beside()
        if self._mailbox is not None:
            pulse.listen(self._sign)
        return json.dumps({"status": "ready", "shared": shared})

    def work(self, message: str, files: dict[str, bytes]) -> tuple[str, dict[str, bytes]]:
        """The reply to a message, and the files that it changed, by their path in the pool's folder."""
        if self._own is None:
            return json.dumps(self._station.work(json.loads(message))), {}
        put_down(self._own, files)
        before = _stamps(self._own)
        reply = json.dumps(self._station.work(json.loads(message)))
        changed = [path for path, stamp in _stamps(self._own).items() if before.get(path) != stamp]
        return reply, {path: (self._own / path).read_bytes() for path in changed}

    def _sign(self, facts: pulse.Facts) -> None:
        self._signs += 1
        self._mailbox.put.remote(self._number, self._signs, json.dumps(facts))

    def leave(self) -> None:
        """Removes what is this worker's alone."""
        pulse.leave(self._sign)
        self._station.close()


class RayExecutor(Executor):
    """Actors on the cluster at `address`; without one, on a Ray that is started here and ended again.

    Raises BenchbedError where Ray is not installed, or does not answer at the address.
    """

    def __init__(self, begin: dict[str, Any], needs: Needs, address: str | None, workers: int | None) -> None:
        self._ray = _started(address or os.environ.get("RAY_ADDRESS"), needs, workers or 1)
        there = self._ray.cluster_resources()
        gpus = there.get("GPU", 0) / needs.gpus if needs.gpus else math.inf
        self.workers = workers or max(1, int(min(there.get("CPU", 0) / needs.cpus, gpus)))  # it may still grow
        self._out, self._token = Path(begin["out"]), f".pool-{secrets.token_hex(8)}"
        self._begin = json.dumps({**begin, "token": self._token, "cwd": os.getcwd()})
        memory = {} if needs.memory_gb is None else {"memory": int(needs.memory_gb * 2**30)}
        home = os.environ.get("BENCHBED_HOME")
        env = {"env_vars": shared_environment(needs) | ({"BENCHBED_HOME": home} if home else {})}
        self._actor = self._ray.remote(RayStation).options(
            num_cpus=needs.cpus,
            num_gpus=needs.gpus,
            max_restarts=0,
            max_task_retries=0,
            runtime_env=env,
            **memory,
        )
        self._actors: dict[int, Any] = {}
        self._shared: dict[int, bool] = {}
        self._waiting: dict[Any, int] = {}  # a call's reference -> its worker
        strategies = import_module("ray.util.scheduling_strategies")
        here = strategies.NodeAffinitySchedulingStrategy(self._ray.get_runtime_context().get_node_id(), soft=False)
        mailbox = self._ray.remote(pulse.Mailbox)
        self._mailbox = mailbox.options(num_cpus=0, max_restarts=-1, scheduling_strategy=here, runtime_env=env).remote()
        self._look: Any = None  # the call that looks into it
        self._looked = 0.0  # of time.monotonic
        self._signs: dict[int, int] = {}  # of life, that a worker had given by then
        self._hired = 0

    def hire(self) -> int:
        with one_line(self._out, "write to"):
            self._out.mkdir(parents=True, exist_ok=True)
            (self._out / self._token).touch()
        self._hired += 1
        actor = self._actors[self._hired] = self._actor.remote(self._begin, self._mailbox, self._hired)
        self._waiting[actor.ready.remote()] = self._hired
        return self._hired

    def send(self, worker: int, message: dict[str, Any]) -> None:
        files = {} if self._shared[worker] else gathered(self._out, message["folders"])
        self._waiting[self._actors[worker].work.remote(json.dumps(message), files)] = worker

    def events(self, timeout: float) -> list[Event]:
        if not (waiting := list(self._waiting)):  # all that is left is held by other processes
            time.sleep(timeout)
            return []
        done, _ = self._ray.wait(waiting, num_returns=1, timeout=timeout)
        if done:  # and whatever else is there by now
            done, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)
        beats = self._beats()
        return [*beats, *(self._event(reference, self._waiting.pop(reference)) for reference in done)]

    def _beats(self) -> list[Event]:
        """Looks into the mailbox now and then: what those say that have made a step since the last look."""
        if self._look is None:
            if time.monotonic() - self._looked > LOOK:
                self._look, self._looked = self._mailbox.get.remote(), time.monotonic()
            return []
        if not self._ray.wait([self._look], timeout=0)[0]:
            return []
        look, self._look = self._look, None
        try:
            last: dict[int, tuple[int, str]] = self._ray.get(look)
        except self._ray.exceptions.RayError:  # it is started again
            return []
        new = [worker for worker, (count, _) in last.items() if self._signs.get(worker) != count]
        self._signs = {worker: count for worker, (count, _) in last.items()}
        return [Event(worker, "beat", {"at": json.loads(last[worker][1])}) for worker in new if worker in self._actors]

    def _event(self, reference: object, worker: int) -> Event:
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self.dismiss(worker)
            said = str(error).strip().splitlines() or [""]
            return Event(worker, "dead", reason=f"{type(error).__name__}: {said[0][:200]}")
        if isinstance(answer, str):
            reply = json.loads(answer)
            if reply["status"] == "ready":
                self._shared[worker] = reply["shared"]
                return Event(worker, "ready")
            return Event(worker, "refused", reason=reply["reason"])
        text, files = answer
        put_down(self._out, files)
        return Event(worker, "reply", json.loads(text))

    def dismiss(self, worker: int, patience: float = 10.0) -> None:
        self._waiting = {reference: w for reference, w in self._waiting.items() if w != worker}
        self._ray.kill(self._actors.pop(worker))

    def close(self) -> None:
        busy = set(self._waiting.values())
        with suppress(Exception):  # a cluster that is gone needs no goodbye
            leaving = [actor.leave.remote() for worker, actor in self._actors.items() if worker not in busy]
            if leaving:
                self._ray.wait(leaving, num_returns=len(leaving), timeout=GOODBYE)
            for worker in list(self._actors):
                self.dismiss(worker)
            self._ray.kill(self._mailbox)
        self._ray.shutdown()
        (self._out / self._token).unlink(missing_ok=True)


def _started(address: str | None, needs: Needs, workers: int) -> ModuleType:
    """Ray, connected. It reports nothing to anybody, and prints nothing of its own."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # its way from now on; else it warns
    try:
        ray = import_module("ray")  # an extra: its types are not always here
    except ImportError:
        raise BenchbedError("--executor ray needs Ray: pip install 'benchbed[ray]'") from None
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        check_machine(needs, workers)
        own = {"num_cpus": workers * needs.cpus, "include_dashboard": False, "object_store_memory": OBJECT_STORE}
        ray.init(address="local", **own, **quiet)
        return ray
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise BenchbedError(
            f"--address {address}: no Ray cluster answers there ({said}); start one with 'ray start --head'; for one "
            "that has a token export RAY_AUTH_MODE=token"
        ) from None
    return ray


def gathered(out: Path, folders: list[str]) -> dict[str, bytes]:
    """The files of some folders below `out`, by their path in it."""
    paths = (path for folder in folders for path in _kept((out / folder).glob("*")))
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}


def put_down(out: Path, files: dict[str, bytes]) -> None:
    """Writes files below `out`, a folder's record last; a folder that is finished here stays as it is."""
    folders: dict[str, list[str]] = {}
    for name in files:
        folders.setdefault(name.rpartition("/")[0], []).append(name)
    for folder, names in folders.items():
        with Folder(out / folder, wait=True):
            if not (out / folder / "record.json").exists():
                for name in sorted(names, key=lambda n: n.endswith("/record.json")):
                    write_atomic(out / name, files[name])


def _stamps(out: Path) -> dict[str, tuple[int, int]]:
    """What tells whether a file has changed, of every file that a run keeps."""
    stats = {path.relative_to(out).as_posix(): path.stat() for path in _kept(out.rglob("*"))}
    return {path: (stat.st_mtime_ns, stat.st_size) for path, stat in stats.items()}


def _kept(paths: Iterable[Path]) -> Iterator[Path]:
    """The files among them, but for locks and what is being written."""
    return (path for path in paths if path.is_file() and not path.name.startswith("."))
