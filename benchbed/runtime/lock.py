"""Locks on files, the system's own: a process that ends in whatever way lets go of its locks."""

import fcntl
import os
import time
from pathlib import Path


def open_lock(path: Path) -> int:
    """A descriptor of a file to lock, made with its folder where missing; others may remove both at any instant.

    Raises OSError where it cannot be made, after a second in which that may have been their doing: then
    `Path.mkdir(exist_ok=True)` too may raise FileExistsError or FileNotFoundError.
    """
    until = time.monotonic() + 1
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except (FileExistsError, FileNotFoundError):
            if time.monotonic() > until:
                raise
            time.sleep(0.001)


def held(path: Path) -> bool:
    """Whether a living process holds a lock on the file; False where there is no file."""
    try:
        with open(path) as file:
            return not lock(file.fileno(), wait=False, shared=True)
    except FileNotFoundError:
        return False


def lock(handle: int, wait: bool = True, shared: bool = False) -> bool:
    """Locks an open file until it is closed; False where another holds it, and the call is not to wait."""
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
