"""A command as it can be typed again in the shell that this process was started from."""

import os
import shlex
import shutil
import sys


def typed_command(*words: object) -> str:
    """`benchbed` as it was called, and the words, quoted: what a user can paste."""
    return f"{called_as()} {shlex.join(map(str, words))}"


def called_as() -> str:
    """How benchbed was called: 'benchbed' or the path of that script, else 'PYTHON -m benchbed'.

    PYTHON is what was typed before `-m`; where another program runs (a notebook, a test), 'python' if that is this
    interpreter, else its path.
    """
    script = os.path.basename(sys.argv[0])
    if script == "benchbed":
        found = shutil.which("benchbed")
        return "benchbed" if found and os.path.samefile(found, sys.argv[0]) else shlex.quote(sys.argv[0])
    typed = sys.orig_argv[0]
    if "benchbed" in sys.orig_argv[:-1] + sys.orig_argv[-1:] and "-m" in sys.orig_argv:
        return f"{shlex.quote(typed)} -m benchbed"
    found = shutil.which("python")
    same = found is not None and os.path.samefile(found, sys.executable)
    return f"{'python' if same else shlex.quote(sys.executable)} -m benchbed"
