"""The folder in which a build keeps what is finished.

    build.json           what is built; every process checks that it builds the same
    shards/ID-NNN.jsonl  what the process ID has finished, a line a job with a checksum, appended and synced
    damaged/             shards that were set aside
    lock-I-of-N          and its lease, held by the process that makes the I-th of N shares of the jobs

A job is a class of architectures and a seed. It is open unless a shard holds its result, so a killed build loses the
jobs that it was at. Only the process that hands out jobs writes here, so the folder need not be on its workers'
machines; where several processes make a share each, all must see it, and its locks (a local disk, or NFS version 4).
"""

import json
import os
import secrets
import socket
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import BenchbedError
from ..runtime.digest import first_difference
from ..runtime.files import append_line, make_folder, one_line, own_tag, write_atomic
from ..runtime.folder import read_json
from ..runtime.lock import Lease
from ..runtime.reading import LIMITS, parse_line, read_bytes

SHARD = 64  # results a shard: what a damaged one costs
LOST = "bring it back from a copy, or give another --out"  # without build.json nobody knows what a shard is of


class Job(NamedTuple):
    """One training: the seed, and the string of the architecture."""

    seed: int
    cell: str


class JobStore:
    """A process's view of the folder. Opening it makes the folder; `identity` is what it holds results of.

    Raises BenchbedError that names the first difference if the folder is of another build.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path = path
        self._own = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._written, self._header = 0, dict[str, Any]()
        self._lease: Lease | None = None  # of the share that is made here
        with one_line(path, "make"):
            make_folder(path / "shards")
        file = path / "build.json"
        if not file.exists():
            if self.shards():
                raise BenchbedError(f"{file} is missing, which says what the results beside it are of: {LOST}")
            write_atomic(file, (json.dumps(identity, indent=2) + "\n").encode(), own_tag())
        there = read_json(file, ("format", "space", "task", "scoring"), again=LOST)
        if (difference := first_difference(there, json.loads(json.dumps(identity)))) is not None:
            place, old, new = difference
            raise BenchbedError(f"{path} is of another build: {place} is {old!r} there and {new!r} here; "
                                "give another --out, or the same settings")  # fmt: skip

    @contextmanager
    def share(self, shard: tuple[int, int] | None) -> Iterator[None]:
        """Holds a share of the jobs. Raises BenchbedError where another process makes it."""
        index, of = shard or (1, 1)
        self._lease = lease = Lease(self.path / f"lock-{index}-of-{of}")
        with one_line(self.path, "lock"):
            owner = lease.take()
        if owner is not None:
            raise BenchbedError(f"{self.path} is being built by {owner}: wait for it, or give each process its --shard")
        try:
            yield
        finally:
            lease.free()
            self._lease = None

    def write(self, job: Job, result: dict[str, Any], header: dict[str, Any]) -> None:
        """Appends a finished job to a shard of this process; `header` (versions, machine): what it was made with."""
        number, first = divmod(self._written, SHARD)
        lines = [{"header": header}] if first == 0 or header != self._header else []
        path = self.path / "shards" / f"{self._own}-{number:03d}.jsonl"
        if self._lease is not None:
            self._lease.check(path)
        with one_line(path, "write"):
            append_line(path, "".join(_line(value) for value in [*lines, {**job._asdict(), **result}]))
        self._written, self._header = self._written + 1, header

    def shards(self) -> list[Path]:
        return sorted((self.path / "shards").glob("*.jsonl"))

    def damaged(self) -> list[str]:
        """The names of the shards that were set aside."""
        return sorted(path.name for path in (self.path / "damaged").glob("*.jsonl"))

    def everything(self) -> tuple[dict[Job, dict[str, Any]], list[dict[str, Any]]]:
        """All results by job, in the order of seed and cell, and the headers before them.

        A shard with a damaged line is set aside, and what only it held is open again; a line that is torn at its end is
        what a killed process was writing.
        """
        values: list[dict[str, Any]] = []
        for shard in self.shards():
            text = read_bytes(shard, LIMITS.lines_bytes).decode(errors="replace")
            lines = text.splitlines(keepends=True)
            try:
                values += [_value(line) for line in lines if line.endswith("\n")]
            except ValueError:
                self._set_aside(shard)
        results = {Job(v["seed"], v["cell"]): v for v in reversed(values) if "header" not in v}
        return {job: results[job] for job in sorted(results)}, [v["header"] for v in values if "header" in v]

    def missing(self, jobs: Sequence[Job]) -> list[Job]:
        """Those that no shard holds; every line is read, with its checksum."""
        there = self.everything()[0]
        return [job for job in jobs if job not in there]

    def _set_aside(self, shard: Path) -> None:
        place = self.path / "damaged"
        with one_line(place, "make"):
            place.mkdir(exist_ok=True)
            shard.replace(place / f"{shard.stem}-{secrets.token_hex(2)}.jsonl")


def _line(value: dict[str, Any]) -> str:
    text = json.dumps(value)
    return f"{zlib.crc32(text.encode()):08x} {text}\n"


def _value(line: str) -> dict[str, Any]:
    """Raises ValueError for a line that is not what was written."""
    code, _, text = line.rstrip("\n").partition(" ")
    if code != f"{zlib.crc32(text.encode()):08x}":
        raise ValueError(line)
    value: dict[str, Any] = parse_line(text)
    return value
