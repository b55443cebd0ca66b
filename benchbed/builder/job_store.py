"""The folder that the workers of a build share, on one machine or on several.

    build.json           what is built; every process checks that it builds the same
    lock                 held for moments: whoever claims a job, reads the others' claims first
    claims.jsonl         who has begun which job
    workers/ID           locked as long as the worker ID lives: the system lets go of it when a process dies
    shards/ID-NNN.jsonl  what the worker ID has finished, a line a job with a checksum, appended and flushed
    damaged/             shards that were set aside

A job is a class of architectures and a seed. It is open unless a shard holds its result or a living worker has claimed
it. So a killed process loses the job that it was at, and nobody waits for a clock. The folder must lie on a file system
whose locks all processes see: a local disk, or NFS version 4.
"""

import json
import os
import secrets
import socket
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from ..errors import BenchbedError
from ..runtime.digest import first_difference
from ..runtime.files import one_line
from ..runtime.folder import read_json, write_json
from ..runtime.lock import held, lock

SHARD = 64  # results a shard: what a damaged one costs
LOST = "bring it back from a copy, or give another --out"  # without build.json nobody knows what a shard is of


class Job(NamedTuple):
    """One training: the seed, and the string of the architecture."""

    seed: int
    cell: str


class Ledger:
    """A process's view of the folder. Opening it makes the folder; `identity` is what it holds results of.

    Raises BenchbedError that names the first difference if the folder is of another build.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path = path
        with one_line(path, "make"):
            for folder in ("workers", "shards"):
                (path / folder).mkdir(parents=True, exist_ok=True)
        with self._locked():
            file = path / "build.json"
            if not file.exists():
                if self.shards():
                    raise BenchbedError(f"{file} is missing, which says what the results beside it are of: {LOST}")
                write_json(file, identity)
            there = read_json(file, ("format", "space", "task", "scoring"), again=LOST)
            _compare(path, there, json.loads(json.dumps(identity)))
        self.done: set[Job] = set()
        self._claims: dict[Job, str] = {}  # the last claim of each job
        self._read: dict[Path, int] = {}  # bytes of a file that were read
        self._dead: set[str] = set()
        self.worker = ""  # until `begin`
        self._life: IO[str] | None = None  # open as long as this process is a worker

    # -- a worker's side -----------------------------------------------------------------------------------------------

    def begin(self, header: dict[str, Any]) -> None:
        """Makes this process a worker; `header` (versions, machine) goes in front of its results."""
        self.worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._life = _hold(self.path / "workers" / self.worker)
        self.header, self.written = header, 0

    def end(self) -> None:
        """This process is no worker any more; what it has claimed and not finished is open."""
        if self._life is not None:
            self._life.close()
            self._life = None

    def claim(self, jobs: Sequence[Job]) -> Job | None:
        """The first open job of `jobs`, now this worker's; None if each is done or in another's hands."""
        with self._locked():
            self.refresh()
            for job in jobs:
                if job not in self.done and not self._taken(job):
                    self._claims[job] = self.worker
                    self._note(job)
                    return job
        return None

    def _note(self, job: Job) -> None:
        """Appends the claim; after a line that a kill has torn, on a line of its own."""
        path = self.path / "claims.jsonl"
        with one_line(path, "write"), open(path, "ab+") as file:
            size = file.seek(0, os.SEEK_END)
            torn = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
            file.write(b"\n" * torn + json.dumps([*job, self.worker]).encode() + b"\n")

    def write(self, job: Job, result: dict[str, Any]) -> None:
        """Appends a finished job to this worker's shard."""
        number, first = divmod(self.written, SHARD)
        lines = [{"header": self.header}] if first == 0 else []
        lines.append({**job._asdict(), **result})
        path = self.path / "shards" / f"{self.worker}-{number:03d}.jsonl"
        with one_line(path, "write"), open(path, "a") as file:
            file.write("".join(_line(value) for value in lines))
            file.flush()
            os.fsync(file.fileno())
        self.written += 1
        self.done.add(job)

    # -- everybody's ---------------------------------------------------------------------------------------------------

    def refresh(self) -> list[dict[str, Any]]:
        """Reads what was written since the last call; the results that are new to this process.

        A shard with a damaged line is set aside, and what only it held is open again.
        """
        claims = self.path / "claims.jsonl"
        for line in self._new_lines(claims) if claims.exists() else ():
            try:
                seed, cell, worker = json.loads(line)
            except ValueError:  # torn by a kill: whoever wrote it is dead
                continue
            self._claims[Job(seed, cell)] = worker
        found = []
        for shard in self.shards():
            try:
                found += [_value(line) for line in self._new_lines(shard)]
            except ValueError:
                self.set_aside(shard)
                return self._again()
        results = [value for value in found if "header" not in value]
        self.done.update(Job(value["seed"], value["cell"]) for value in results)
        return results

    def shards(self) -> list[Path]:
        return sorted((self.path / "shards").glob("*.jsonl"))

    def set_aside(self, shard: Path) -> None:
        """Moves a damaged shard out of the way."""
        place = self.path / "damaged"
        with one_line(place, "make"):
            place.mkdir(exist_ok=True)
            shard.replace(place / f"{shard.stem}-{secrets.token_hex(2)}.jsonl")

    def damaged(self) -> list[str]:
        """The names of the shards that were set aside."""
        return sorted(path.name for path in (self.path / "damaged").glob("*.jsonl"))

    def everything(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """All results, one a job, in the order of seed and cell; and the workers' headers. Reads every file anew."""
        while True:
            values: list[dict[str, Any]] = []
            for shard in self.shards():
                try:
                    with one_line(shard, "read"):
                        text = shard.read_text(errors="replace")
                    values += [_value(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
                except ValueError:
                    self.set_aside(shard)
                    break
            else:
                break
        results = {Job(v["seed"], v["cell"]): v for v in reversed(values) if "header" not in v}
        self.done = set(results)
        return [results[job] for job in sorted(results)], [v["header"] for v in values if "header" in v]

    def _again(self) -> list[dict[str, Any]]:
        self._read = {path: n for path, n in self._read.items() if path.name == "claims.jsonl"}
        self.done.clear()
        return self.refresh()

    def _taken(self, job: Job) -> bool:
        """Whether a living worker has claimed the job."""
        worker = self._claims.get(job)
        if worker is None or worker in self._dead:
            return False
        if worker == self.worker or held(self.path / "workers" / worker):
            return True
        self._dead.add(worker)
        return False

    def _new_lines(self, path: Path) -> Iterator[str]:
        """The whole lines that were appended since the last call; one without an end is being written, or torn."""
        start = self._read.get(path, 0)
        with one_line(path, "read"), open(path, "rb") as file:
            file.seek(start)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read[path] = start + len(whole)
        yield from whole.decode(errors="replace").splitlines()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with one_line(self.path, "lock"), open(self.path / "lock", "a") as file:
            lock(file.fileno())
            yield


def _line(value: dict[str, Any]) -> str:
    text = json.dumps(value)
    return f"{zlib.crc32(text.encode()):08x} {text}\n"


def _value(line: str) -> dict[str, Any]:
    """Raises ValueError for a line that is not what was written."""
    code, _, text = line.rstrip("\n").partition(" ")
    if code != f"{zlib.crc32(text.encode()):08x}":
        raise ValueError(line)
    value: dict[str, Any] = json.loads(text)
    return value


def _hold(path: Path) -> IO[str]:
    """The file, locked until it is closed or the process dies."""
    with one_line(path, "write"):
        file = open(path, "a")  # noqa: SIM115  its lock lasts as long as it is open
        lock(file.fileno())
    return file


def _compare(path: Path, there: dict[str, Any], wanted: dict[str, Any]) -> None:
    if (difference := first_difference(there, wanted)) is not None:
        place, old, new = difference
        raise BenchbedError(f"{path} is of another build: {place} is {old!r} there and {new!r} here; "
                            "give another --out, or the same settings")  # fmt: skip
