"""A disk that a power cut may leave in any state that POSIX allows, from a log of the system calls that wrote to it.

The log is strace's (`record`). What a call did is on the disk for sure only after the fsync that covers it: data after
that of its file, a name after that of its folder. Names of one folder come to the disk in the order in which they were
given, as every journaling file system keeps them. `Disk.image` lays out one of the states in which a cut may leave a
folder: which of the calls since the last fsync are there is drawn, or all, or none.
"""

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

CALLS = ("openat,creat,write,pwrite64,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,fsync,fdatasync,"
         "ftruncate,truncate,lseek,link,linkat")  # fmt: skip
KINDS = ("none", "names", "all", "some")  # what of that which no fsync covers has come to the disk


class Call(NamedTuple):
    """One system call that succeeded. fd: the path of its descriptor; paths: those in its arguments, absolute."""

    name: str
    fd: str
    paths: tuple[str, ...]
    data: bytes
    flags: str
    result: int
    numbers: tuple[int, ...]


def record(command: Sequence[str], log: Path, **how: Any) -> subprocess.CompletedProcess[str]:
    """Runs the command and writes its system calls down."""
    strace = ["strace", "-f", "-y", "-xx", "-s", "100000000", "-e", f"trace={CALLS}", "-o", str(log)]
    return subprocess.run([*strace, *command], text=True, capture_output=True, **how)


def calls(log: Path, root: Path, cwd: Path) -> list[Call]:
    """The calls on what lies below root, in their order; a call is at its end, where threads interleave.

    cwd: where the command ran.
    """
    begun: dict[str, str] = {}
    found = []
    for line in log.read_text(errors="replace").splitlines():
        pid, _, text = line.partition(" ")
        text = text.strip()
        if text.endswith("<unfinished ...>"):
            begun[pid] = text.removesuffix("<unfinished ...>")
            continue
        if (again := re.match(r"<\.\.\. \w+ resumed>", text)) is not None:
            text = begun.pop(pid, "") + text[again.end() :]
        if (call := _parsed(text, cwd)) is not None and any(_below(path, root) for path in (call.fd, *call.paths)):
            found.append(call)
    return found


def _parsed(text: str, cwd: Path) -> Call | None:
    whole = re.fullmatch(r"(\w+)\((.*)\)\s*=\s*(-?\d+)(<[^>]*>)?.*", text, re.S)
    if whole is None or int(whole[3]) < 0:
        return None
    name, inside, result = whole[1], whole[2], int(whole[3])
    descriptors = [_text(x) for x in re.findall(r"(?:\d+|AT_FDCWD)<([^>]*)>", re.sub(r'"[^"]*"', '""', inside))]
    strings = [_bytes(x) for x in re.findall(r'"((?:\\x[0-9a-f]{2})*)"', inside)]
    numbers = tuple(int(x) for x in re.findall(r",\s*(-?\d+)\b(?!<)", re.sub(r'"[^"]*"', '""', inside)))
    fd = descriptors[0] if descriptors else ""
    if name in ("write", "pwrite64"):
        return Call(name, fd, (), strings[0] if strings else b"", "", result, numbers)
    bases = descriptors if name.endswith("at") or name == "renameat2" else []
    names = [string.decode(errors="replace") for string in strings]
    paths = tuple(
        os.path.normpath(os.path.join(bases[i] if i < len(bases) else cwd, one)) for i, one in enumerate(names)
    )
    opened = _text(whole[4][1:-1]) if whole[4] else ""
    flags = " ".join(re.findall(r"O_[A-Z]+|AT_REMOVEDIR", inside))
    return Call(name, opened if name in ("openat", "creat") else fd, paths, b"", flags, result, numbers)


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))


def _text(escaped: str) -> str:
    return _bytes(escaped).decode(errors="replace") if escaped.startswith("\\x") else escaped


def _below(path: str, root: Path) -> bool:
    return path == str(root) or path.startswith(f"{root}/")


class _File:
    """A file: what its writers see, and what is on the disk since the last fsync, with the writes after it."""

    def __init__(self) -> None:
        self.seen, self.synced = bytearray(), b""
        self.since: list[tuple[int, bytes]] = []  # (offset, data); a truncation is (length, None)

    def write(self, at: int, data: bytes) -> None:
        if len(self.seen) < at:
            self.seen.extend(bytes(at - len(self.seen)))
        self.seen[at : at + len(data)] = data
        self.since.append((at, data))

    def sync(self) -> None:
        self.synced, self.since = bytes(self.seen), []


class Disk:
    """What lies below a folder after a number of calls, for its processes and on the disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names: dict[str, _File | None] = {str(root): None}  # None: a folder
        self.synced: dict[str, _File | None] = dict(self.names)
        self.pending: dict[str, list[tuple[str, str, _File | None]]] = {}  # by folder: (what, name, file)
        self.places: dict[tuple[str, int], int] = {}

    def apply(self, call: Call) -> None:
        """One more call of the log."""
        getattr(self, f"_{call.name.rstrip('2').removesuffix('64')}", self._ignored)(call)

    def _ignored(self, call: Call) -> None:
        return None

    def _named(self, what: str, path: str, file: _File | None) -> None:
        if not _below(path, self.root) or path == str(self.root):
            return
        if what == "add":
            self.names[path] = file
        else:
            self.names.pop(path, None)
        self.pending.setdefault(os.path.dirname(path), []).append((what, path, file))

    def _openat(self, call: Call) -> None:
        path = call.fd or (call.paths[0] if call.paths else "")
        if not _below(path, self.root):
            return
        self.places[path, call.result] = 0
        if "O_CREAT" in call.flags and path not in self.names:
            self._named("add", path, _File())
        file = self.names.get(path)
        if file is not None and "O_TRUNC" in call.flags and file.seen:
            file.seen.clear()
            file.since.append((0, b""))
        if file is not None and "O_APPEND" in call.flags:
            self.places[path, call.result] = -1

    _creat = _openat

    def _write(self, call: Call) -> None:
        file = self.names.get(call.fd)
        if file is None:
            return
        keys = [key for key in self.places if key[0] == call.fd]
        place = keys[-1] if keys else (call.fd, -1)
        at = self.places.get(place, -1)
        at = len(file.seen) if at < 0 else at
        file.write(at, call.data[: call.result])
        if self.places.get(place, -1) >= 0:
            self.places[place] = at + call.result

    def _pwrite(self, call: Call) -> None:
        file = self.names.get(call.fd)
        if file is not None:
            file.write(call.numbers[-1], call.data[: call.result])

    def _lseek(self, call: Call) -> None:
        keys = [key for key in self.places if key[0] == call.fd]
        if keys and self.places[keys[-1]] >= 0:
            self.places[keys[-1]] = call.result

    def _fsync(self, call: Call) -> None:
        file = self.names.get(call.fd)
        if file is not None:
            file.sync()
        elif call.fd in self.names:
            for what, path, one in self.pending.pop(call.fd, []):
                if what == "add":
                    self.synced[path] = one
                else:
                    self.synced.pop(path, None)

    _fdatasync = _fsync

    def _ftruncate(self, call: Call) -> None:
        file = self.names.get(call.fd or call.paths[0])
        if file is not None:
            length = call.numbers[-1]
            del file.seen[length:]
            file.seen.extend(bytes(length - len(file.seen)))
            file.since.append((length, b""))

    def _truncate(self, call: Call) -> None:
        self._ftruncate(call._replace(fd=call.paths[0]))

    def _rename(self, call: Call) -> None:
        old, new = call.paths
        if old in self.names:
            file = self.names[old]
            self._named("remove", old, None)
            self._named("add", new, file)

    _renameat = _rename

    def _unlink(self, call: Call) -> None:
        self._named("remove", call.paths[0], None)

    _unlinkat = _rmdir = _unlink

    def _mkdir(self, call: Call) -> None:
        self._named("add", call.paths[0], None)

    _mkdirat = _mkdir

    def image(self, to: Path, kind: str, rng: np.random.Generator) -> None:
        """Lays out below `to` what a power cut now may leave; kind: one of KINDS."""
        names = dict(self.synced)
        for entries in self.pending.values():
            count = {"none": 0, "some": int(rng.integers(len(entries) + 1))}.get(kind, len(entries))
            for what, path, file in entries[:count]:
                if what == "add":
                    names[path] = file
                else:
                    names.pop(path, None)
        to.mkdir(parents=True)
        for path, file in sorted(names.items()):
            place = to / os.path.relpath(path, self.root)
            if not place.parent.is_dir():  # its folder's own name is not on the disk
                continue
            if file is None:
                place.mkdir(exist_ok=True)
            else:
                place.write_bytes(_content(file, kind, rng))


def _content(file: _File, kind: str, rng: np.random.Generator) -> bytes:
    if kind == "all":
        return bytes(file.seen)
    if kind == "none":
        return file.synced
    if kind == "names":  # of the right length, and empty: the blocks were never written
        return file.synced + bytes(max(0, len(file.seen) - len(file.synced)))
    found = bytearray(file.synced)
    for at, data in file.since:
        if not data:
            del found[at:]
        elif rng.random() < 0.5:
            part = data[: int(rng.integers(len(data) + 1))]
            found.extend(bytes(max(0, at - len(found))))
            found[at : at + len(part)] = part
    return bytes(found)


def states(log: Path, root: Path, cwd: Path) -> Iterator[tuple[int, Disk]]:
    """(how many calls, the disk after them) for each call below root, from none on. The disk is one and changes."""
    disk = Disk(root)
    yield 0, disk
    for number, call in enumerate(calls(log, root, cwd), 1):
        disk.apply(call)
        yield number, disk
