"""One worker process of a sweep: it is sent runs, makes one after the other, and says of each how it ended.

    python -m benchbed.sweep.worker          # a line of JSON a message on stdin, a line of JSON a reply on stdout

Messages and replies are dicts of strings and numbers, here and through Ray: nothing is pickled. What a run prints goes
to stderr. A worker ends when its parent closes stdin, ends it or is gone; what it was at goes on from its last epoch.
"""

import json
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import IO, Any

from .. import registry
from ..errors import BenchbedError
from ..pipeline.build import run_id
from ..pipeline.config import RunConfig, key_of_space
from ..pipeline.record import Record
from ..pipeline.resolve import file_sha256
from ..pipeline.run import run
from ..runtime.folder import HeldError
from ..runtime.machine import pick_device
from ..runtime.options import RunOptions
from ..task import Task
from .study import task_for

LOOK = 2.0  # seconds between two looks whether the parent lives


class Station:
    """What a worker keeps from run to run: its place, its device, the tasks it has loaded.

    begin: {"study", "out", "device", "plugins": {file name: text}, "images": of a dry run, or None, "mixed"}.
    """

    def __init__(self, begin: dict[str, Any]) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="benchbed-worker-")
        for name, text in begin["plugins"].items():
            file = Path(self._scratch.name) / name
            file.write_text(text)
            registry.add_file(file)
        self.options = RunOptions(Path(begin["out"]), pick_device(begin["device"]), mixed=begin.get("mixed", False))
        self.images: int | None = begin["images"]
        self.tasks: dict[str, Task] = {}

    def work_beside(self) -> Path:
        """From now on in a folder of this worker's own, which is returned."""
        own = Path(self._scratch.name) / "out"
        self.options = self.options._replace(out=own)
        return own

    def close(self) -> None:
        """Removes what is this worker's alone."""
        self._scratch.cleanup()

    def work(self, message: dict[str, Any]) -> dict[str, Any]:
        """Makes the run of {"run": id, "config": ...}; {"run", "status", ...} with the record or a reason.

        status: `done`; `refused`, for a reason that another attempt meets again; `held` by another process; `crashed`.
        """
        began = time.perf_counter()
        try:
            record = self._made(message["run"], RunConfig.model_validate(message["config"]))
            reply = {"status": "done", "record": record.dump()}
        except HeldError as error:
            reply = {"status": "held", "reason": str(error)}
        except BenchbedError as error:
            reply = {"status": "refused", "reason": str(error)}
        except Exception as error:  # a plug-in's bug, memory, a device gone: the other runs go on
            frame = traceback.extract_tb(error.__traceback__)[-1]
            said = " ".join(str(error).split())[:300]
            reason = f"{type(error).__name__}: {said} ({Path(frame.filename).name}, line {frame.lineno})"
            reply = {"status": "crashed", "reason": reason, "details": traceback.format_exc()}
        return {"run": message["run"], "seconds": time.perf_counter() - began, **reply}

    def _made(self, wanted: str, config: RunConfig) -> Record:
        _check_code(config)
        task = task_for(self.tasks, config, self.images)
        if (found := run_id(config, task)) != wanted:
            raise BenchbedError(f"here run {wanted} would be {found}: this worker has other data or another benchbed")
        return run(config, task, self.options)


def _check_code(config: RunConfig) -> None:
    """Raises BenchbedError where this process has other plug-ins than the study was made with."""
    for kind, wanted in (("searcher", config.searcher), ("selector", config.selector)):
        if file_sha256(kind, wanted.name) != wanted.sha256:
            raise BenchbedError(f"{kind} '{wanted.name}' is another file here than where the sweep was started")
    ours = registry.is_ours(registry.find("space", config.space))
    sha256 = None if ours else file_sha256("space", config.space)
    if key_of_space(config.space, sha256, {}) != key_of_space(config.space, config.space_sha256, {}):
        raise BenchbedError(f"space '{config.space}' is another file here than where the sweep was started")


def begin_message(study_id: str, out: Path, device: str, images: int | None, mixed: bool = False) -> dict[str, Any]:
    """What a worker is told first: where results go, and the user's plug-in files as text."""
    plugins = {file.name: file.read_text() for file in registry.user_files()}
    return {
        "study": study_id,
        "out": str(out.absolute()),
        "device": device,
        "plugins": plugins,
        "images": images,
        "mixed": mixed,
    }


def _serve(replies: IO[str]) -> None:
    """Reads messages until stdin ends. The first is the beginning; a refusal of it is answered, and ends the worker."""
    try:
        station = Station(json.loads(sys.stdin.readline()))
    except BenchbedError as error:
        print(json.dumps({"status": "refused", "reason": str(error)}), file=replies, flush=True)
        return
    print(json.dumps({"status": "ready"}), file=replies, flush=True)
    try:
        for line in sys.stdin:
            print(json.dumps(station.work(json.loads(line))), file=replies, flush=True)
    finally:
        station.close()


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends its workers
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # locks and folders are left in order
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a plug-in prints must not be taken for a reply
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    _serve(replies)


if __name__ == "__main__":
    main()
