"""Runs commands of benchbed in one process, one after the other, and tells how each ended. Only for the attacks' tests.

stdin: a JSON list of a command's words a line. stdout: a JSON object a line: status (or null and the traceback), err,
out, peak: the most resident bytes while it ran.
"""

import contextlib
import io
import json
import os
import resource
import sys
import traceback
from pathlib import Path

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
sys.path.insert(0, sys.argv[1])


def peak() -> int:
    """Bytes since the last `forget`; of the whole process where the system does not tell."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forget() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def run(words: list[str]) -> dict[str, object]:
    from benchbed import registry
    from benchbed.cli.main import main

    sys.argv = ["benchbed", *words]
    registry._USER_FILES.clear()
    out, err = io.StringIO(), io.StringIO()
    status: object = None
    forget()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code
        except BaseException:
            err.write(traceback.format_exc())
    return {"status": status, "out": out.getvalue()[-2000:], "err": err.getvalue()[-5000:], "peak": peak()}


import torch  # noqa: E402, F401  so that the first command is not the one that pays for it

print("ready", file=answers, flush=True)
for line in sys.stdin:
    print(json.dumps(run(json.loads(line))), file=answers, flush=True)
