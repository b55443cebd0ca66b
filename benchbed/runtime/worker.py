"""One worker process of a pool: it is sent jobs, makes one after the other, and says of each how it ended.

It reads a line of JSON a message on stdin, and writes a line of JSON a reply, or a sign of life, on stdout. Messages
and replies are dicts of strings and numbers, here and through Ray: nothing is pickled. What a job prints goes to
stderr. A worker ends when its parent closes stdin, ends it or is gone (`leash`); what it was at goes on from its last
save.
"""

import json
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import IO, Any, NamedTuple

from ..errors import BenchbedError
from . import pulse
from .folder import Folder
from .lock import HeldError

Say = Callable[[str], None]


def silent(text: str) -> None:
    """Nobody watches."""


class Place(NamedTuple):
    """Where a job works. out: the folder that all jobs of the pool share, as this worker sees it; device: as asked for.

    say: a line to whoever watches. folder: of `jobs_of`, the job's own, held while it works, where it may keep a
    checkpoint.
    """

    out: Path
    device: str
    say: Say = silent
    folder: Folder | None = None


def function_of(call: str) -> Callable[..., Any]:
    """The function that "module:function" names."""
    module, _, name = call.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


class Station:
    """What a worker keeps from job to job: its place and its function.

    begin: {"call", "out", "device", "given": of `handed_on`}.
    """

    def __init__(self, begin: dict[str, Any], say: Say = silent) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="benchbed-worker-")
        for call, value in begin["given"].items():
            function_of(call)(value, Path(self._scratch.name))
        self.function = function_of(begin["call"])
        self.place = Place(Path(begin["out"]), begin["device"], say)

    def work_beside(self) -> Path:
        """From now on in a folder of this worker's own, which is returned."""
        own = Path(self._scratch.name) / "out"
        self.place = self.place._replace(out=own)
        return own

    def close(self) -> None:
        """Removes what is this worker's alone."""
        self._scratch.cleanup()

    def work(self, message: dict[str, Any]) -> dict[str, Any]:
        """Makes the job of {"id", "payload"}; {"id", "status", "seconds", ...} with the result or a reason.

        status: `done`; `refused`, for a reason that another attempt meets again; `held` by another process; `crashed`.
        """
        began = time.perf_counter()
        pulse.forget()
        try:
            reply: dict[str, Any] = {"status": "done", "result": self.function(message["payload"], self.place)}
            json.dumps(reply)
        except HeldError as error:
            reply = {"status": "held", "reason": str(error)}
        except BenchbedError as error:
            reply = {"status": "refused", "reason": str(error)}
        except Exception as error:  # a plug-in's bug, memory, a device gone: the other jobs go on
            frame = traceback.extract_tb(error.__traceback__)[-1]
            said = " ".join(str(error).split())[:300]
            reason = f"{type(error).__name__}: {said} ({Path(frame.filename).name}, line {frame.lineno})"
            reply = {"status": "crashed", "reason": reason, "details": traceback.format_exc()}
        return {"id": message["id"], "seconds": time.perf_counter() - began, **reply}


def _serve(replies: IO[str]) -> None:
    """Reads messages until stdin ends. The first is the beginning; a refusal of it is answered, and ends the worker."""
    lock = threading.Lock()  # a beat must not fall into a reply

    def write(reply: dict[str, Any]) -> None:
        with lock:
            print(json.dumps(reply), file=replies, flush=True)

    begin = json.loads(sys.stdin.readline())
    try:
        station = Station(begin, lambda text: write({"say": text}))
    except BenchbedError as error:
        write({"status": "refused", "reason": str(error)})
        return
    write({"status": "ready"})
    pulse.listen(lambda facts: write({"say": "", "at": facts}))
    try:
        for line in sys.stdin:
            write(station.work(json.loads(line)))
    finally:
        station.close()


def main() -> None:
    """The worker, from its first line on stdin to the end; `leash` has tied it to its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends its workers
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # locks and folders are left in order
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a plug-in prints must not be taken for a reply
    _serve(replies)
