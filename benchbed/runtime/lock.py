"""Who writes in a folder: a lock of the system's, and beside it a lease that names its owner.

A process that ends in whatever way lets go of the lock (`filelock`: flock, or its like on Windows). But there are file
systems on which locking fails, or on which each machine sees its own locks alone. So the owner also writes a lease: a
token, its process, host, and since when. It renews it while it makes headway, and reads it before each save, which is
refused once another process has taken the lease over. So no two of them ever write one record.
"""

import json
import os
import secrets
import socket
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple

from filelock import lock_descriptor

from ..errors import BenchbedError
from . import pulse
from .reading import parse_json, read_bytes

QUIET = 60.0  # seconds without renewal after which the lease of another machine has ended, where no lock says more
RENEW = 10.0  # seconds between two renewals at least
POLL = 0.05  # seconds between two looks at a lock that is waited for
LONGEST = 4096  # bytes of a lease that are read
_BOOT = Path("/proc/sys/kernel/random/boot_id")  # of Linux: the same in all containers of a machine
_defects: dict[int, str] = {}  # by file system


class HeldError(BenchbedError):
    """Another living process works in the folder."""


class LostError(BenchbedError):
    """Another process has taken the folder over: what was to be saved there is not."""


class Owner(NamedTuple):
    """Who holds a lease. boot: of its machine, '' where the system has none; started: the process's, likewise."""

    token: str
    process: int
    host: str
    boot: str
    started: str
    since: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host} since {self.since} UTC" if self.process else "an unknown process"


UNKNOWN = Owner("", 0, "", "", "", "")


# -- the system's lock -------------------------------------------------------------------------------------------------


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


def lock(handle: int) -> None:
    """Locks an open file until it is closed, and waits for whoever holds it."""
    lock_descriptor(handle, poll_interval=0.002)


def defect(folder: Path) -> str:
    """What is wrong with locks in the folder, '' where nothing is; a folder that is not there counts as that above it.

    Tried out once for each file system, and then named on stderr. That each machine may have locks of its own cannot be
    seen from one machine.
    """
    while True:
        with suppress(FileNotFoundError):  # others may remove it between the two
            folder = next(p for p in (folder, *folder.absolute().parents) if p.exists())
            device = folder.stat().st_dev
            break
    if device not in _defects:
        _defects[device] = found = _tried(folder)
        if found:
            print(
                f"benchbed: warning: locks in {folder} do not work ({found}): there a process is known by its lease "
                "alone, so begin one command at a time, and one machine at a time",
                file=sys.stderr,
            )
    return _defects[device]


def _tried(folder: Path) -> str:
    path = folder / f".lock-tried-{secrets.token_hex(4)}"
    try:
        handles = [os.open(path, os.O_RDWR | os.O_CREAT, 0o666) for _ in range(2)]
    except OSError:
        return ""  # whoever writes there says it
    try:
        if not lock_descriptor(handles[0], blocking=False):
            return "a file that nobody has locked counts as locked"
        return "a locked file can be locked once more" if lock_descriptor(handles[1], blocking=False) else ""
    except OSError as error:
        return f"flock: {error.strerror or error}"
    finally:
        for handle in handles:
            os.close(handle)
        with suppress(OSError):
            path.unlink()


# -- the lease ---------------------------------------------------------------------------------------------------------


class Lease:
    """The hold of one lock file: `take` it, `check` it before each save, `free` it."""

    def __init__(self, path: Path) -> None:
        self.path, self.token = path, secrets.token_hex(8)
        self._mark = _mark(path)
        self._handle, self._renewed = -1, 0.0

    def take(self) -> Owner | None:
        """None where it is held here from now on, else who holds it. Raises OSError where no lock can be made."""
        while True:
            handle = open_lock(self.path)
            try:
                other = self._other(handle)
                if other is None and self._is_there(handle):
                    self._handle, handle = handle, -1
                    self._renewed = time.monotonic()
                    pulse.listen(self._renew)
                    return None
            finally:
                if handle >= 0:
                    os.close(handle)
            if other is not None:
                return other

    def _other(self, handle: int) -> Owner | None:
        """Locks the file and writes the lease; who holds it in our place."""
        locks = not defect(self.path.parent)
        if locks and not lock_descriptor(handle, blocking=False):
            return read_lease(self.path) or UNKNOWN
        before = read_lease(self.path)
        if before is not None and self._lives(before, handle, locks):
            return before
        try:
            self._write(alone=before is None and not locks)
        except FileExistsError:
            return read_lease(self.path) or UNKNOWN
        except FileNotFoundError:  # the folder is gone, which the caller sees
            return None
        return None

    def _is_there(self, handle: int) -> bool:
        """Whether the locked file still has its name: whoever held it before may have removed its folder."""
        try:
            return os.path.samestat(os.fstat(handle), os.stat(self.path)) and self.ours
        except FileNotFoundError:
            return False

    def _lives(self, owner: Owner, handle: int, locks: bool) -> bool:
        here = _here("")
        if _one_kernel(owner, here) and locks:
            return False  # whose lock it was, and is no more
        if owner.host == here.host:
            if _one_kernel(owner, here):
                return _runs(owner)
            if _age(self._mark, _booted()) > 0:
                return False  # of before this machine was started; a clone of its name would have renewed it since
        os.utime(handle)  # by the file system's own clock
        return _age(self._mark, os.fstat(handle).st_mtime) < QUIET

    def _write(self, alone: bool) -> None:
        """alone: raises FileExistsError where another process has written one meanwhile."""
        new = self._mark.with_name(f".{self._mark.name}-{self.token}")
        try:
            new.write_text(json.dumps(_here(self.token)._asdict()))
            if alone:
                with suppress(FileNotFoundError, PermissionError):  # no links on this file system
                    os.link(new, self._mark)
                    return
            os.replace(new, self._mark)
        finally:
            with suppress(OSError):
                new.unlink(missing_ok=True)

    def _renew(self, _: pulse.Facts) -> None:
        if time.monotonic() - self._renewed > RENEW:
            self._renewed = time.monotonic()
            if self.ours:
                with suppress(OSError):
                    os.utime(self._mark)

    @property
    def ours(self) -> bool:
        return (read_lease(self.path) or UNKNOWN).token == self.token

    def check(self, file: Path) -> None:
        """Raises LostError where another process has taken the lease over; `file` is what was to be saved."""
        if not self.path.parent.is_dir():
            raise LostError(f"{file} is not saved: {self.path.parent} is gone; the same command begins it again")
        if not self.ours:
            raise LostError(
                f"{file} is not saved: {self.path.parent} was taken over by {read_lease(self.path) or UNKNOWN}, which "
                "goes on from the save before; only one process at a time can work there"
            )

    def free(self, remove: bool = False) -> None:
        """Lets go, and removes the lease; remove: the file that is locked too."""
        if self._handle < 0:
            return
        pulse.leave(self._renew)
        with suppress(OSError):
            if self.ours:
                self._mark.unlink()
                if remove:
                    self.path.unlink()
        os.close(self._handle)
        self._handle = -1


def read_lease(path: Path) -> Owner | None:
    """Whose lease lies beside the lock file; None where there is none that can be read."""
    try:
        owner = Owner(**parse_json(read_bytes(_mark(path), LONGEST)))
    except (BenchbedError, ValueError, TypeError):
        return None
    texts = owner._replace(process="")  # type: ignore[arg-type]
    is_process = type(owner.process) is int and 0 < owner.process < 2**31
    return owner if is_process and all(type(x) is str and x.isprintable() for x in texts) else None


def held(path: Path) -> Owner | None:
    """The living process that holds the lock file, None where none does."""
    if (owner := read_lease(path)) is None:
        return None
    here = _here("")
    if _one_kernel(owner, here) and owner.host == here.host and owner.started:
        return owner if _runs(owner) else None
    with suppress(OSError):
        if not defect(path.parent):
            handle = os.open(path, os.O_RDWR)
            try:
                if not lock_descriptor(handle, blocking=False):
                    return owner
            finally:
                os.close(handle)
    return owner if not _one_kernel(owner, here) and _age(_mark(path), time.time()) < QUIET else None


def _mark(path: Path) -> Path:
    return path.with_name(f"{path.name}.owner")


def _age(mark: Path, now: float) -> float:
    with suppress(FileNotFoundError):
        return now - mark.stat().st_mtime
    return QUIET


def _one_kernel(owner: Owner, here: Owner) -> bool:
    return owner.boot == here.boot if owner.boot and here.boot else owner.host == here.host


@cache
def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def _booted() -> float:
    """When this machine was started, in seconds since 1970; without such a clock: never."""
    if sys.platform != "linux":
        return 0.0
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _here(token: str) -> Owner:
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return Owner(token, os.getpid(), socket.gethostname(), _boot(), _started(os.getpid()), since)


def _started(process: int) -> str:
    """When a process of this machine began, as Linux counts; '' for one that has ended, or elsewhere."""
    with suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]
    return ""


def _runs(owner: Owner) -> bool:
    """Whether a process of this machine is the owner, and lives."""
    if owner.started:
        return _started(owner.process) == owner.started
    try:
        os.kill(owner.process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
