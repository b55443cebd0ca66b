"""A command as it can be typed again in the shell that this process was started from."""

import os
import shlex
import shutil
import sys
from itertools import pairwise


def typed_command(*words: object) -> str:
    """`benchbed` as it was called, and the words, quoted: what a user can paste."""
    return f"{called_as()} {shlex.join(map(str, words))}"


def called_as() -> str:
    """How benchbed was called: 'benchbed' or the path of that script, else 'PYTHON -m benchbed'.

    PYTHON is what was typed before `-m`; where another program runs (a notebook, a test), 'python' if that is this
    interpreter, else its path.
    """
    if os.path.basename(sys.argv[0]) == "benchbed":
        return "benchbed" if _is("benchbed", sys.argv[0]) else shlex.quote(sys.argv[0])
    if ("-m", "benchbed") in pairwise(sys.orig_argv):
        return f"{shlex.quote(sys.orig_argv[0])} -m benchbed"
    return f"{'python' if _is('python', sys.executable) else shlex.quote(sys.executable)} -m benchbed"


def _is(name: str, path: str) -> bool:
    """Whether a shell that is told `name` would start what is at `path`."""
    found = shutil.which(name)
    return found is not None and os.path.realpath(found) == os.path.realpath(path)
