"""How a worker process begins: tied to its master before anything that takes time is imported, then `worker.main`.

    python -m benchbed.runtime.leash PARENT

On Linux the system kills it when the thread that started it ends (PR_SET_PDEATHSIG): a handler would not run while C
code holds Python's lock. Elsewhere a process beside it looks at the pipe that it is given its jobs through, which
breaks when the master is gone.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1  # of Linux' prctl
GRACE = 5.0  # seconds in which a worker may end by itself
LOOK = 0.5  # seconds between two looks whether the worker is there


def tie(parent: int) -> None:
    """From now on this process ends within seconds of its parent, whatever it is at."""
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) == 0:
        if os.getppid() != parent:  # gone before the call
            sys.exit(128 + signal.SIGTERM)
        return
    beside = [sys.executable, "-c", f"from benchbed.runtime.leash import watch; watch({os.getpid()})"]
    subprocess.Popen(beside, stdin=0, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def watch(worker: int) -> None:
    """Kills the worker, whose child this is, once nobody holds the other end of stdin and it does not end itself."""
    if sys.platform == "win32":
        raise AssertionError("runs are refused there: see `machine`")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe = select.poll()
    pipe.register(0, 0)  # nothing is read: a broken pipe alone is an event
    while os.getppid() == worker and not pipe.poll(1000 * LOOK):
        pass
    end = time.monotonic() + GRACE
    while os.getppid() == worker and time.monotonic() < end:
        time.sleep(LOOK)
    if os.getppid() == worker:
        os.kill(worker, signal.SIGKILL)


if __name__ == "__main__":
    tie(int(sys.argv[1]))
    from .worker import main

    main()
