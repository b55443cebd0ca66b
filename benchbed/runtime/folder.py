"""The folder of one stage of a run: a lock, a history, a checkpoint, and last a record.

`history.jsonl` gets a line per epoch or decision, appended and flushed. `checkpoint.pt` is replaced atomically, synced,
and holds all of the history's text, so that a stage goes on with a history that fits after a kill or a power cut: the
file is a view of it. `record.json` is written last, when the history is synced, under a temporary name, and renamed: a
record that exists is whole. `snapshots/` holds earlier checkpoints, where a search was asked to keep some.
"""

import io
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from ..errors import BenchbedError
from . import pulse
from .archives import damage, is_archive
from .files import one_line, sync_folder, write_atomic
from .lock import POLL, HeldError, Lease
from .pickles import memory_of, torch_value
from .reading import LIMITS, opened, parse_line, read_bytes, read_text
from .watch import tell

Tree = dict[str, Any]  # tensors, numbers, strings, lists, dicts: what torch.load(weights_only=True) gives back
SNAPSHOTS = "snapshots"
FORCED = ".forced"  # which call has begun the folder anew, where one did
LARGEST = 32 << 30  # bytes of a checkpoint: weights, their optimiser and alpha of the largest supernets are 1 GB
AGAIN = "remove it, or run again with --force"
REMADE = "remove it and run it again"  # for commands that read what another one made


def write_json(path: Path, value: object) -> None:
    write_atomic(path, (json.dumps(value, indent=2) + "\n").encode())


def read_json(path: Path, needed: Sequence[str] = (), again: str = AGAIN) -> dict[str, Any]:
    """Raises BenchbedError that names the file if it is missing, is not a JSON object or lacks a needed key.

    again: what the message advises.
    """
    data = read_bytes(path, LIMITS.json_bytes)
    try:
        value = parse_line(data)  # a record may hold scores that are not finite
    except ValueError as error:
        raise BenchbedError(f"{path} is not valid JSON ({error}): {again}") from None
    if not isinstance(value, dict):
        raise BenchbedError(f"{path} holds no JSON object: {again}")
    missing = [key for key in needed if key not in value]
    if missing:
        raise BenchbedError(f"{path} is damaged (no '{missing[0]}' in it): {again}")
    return value


class Folder:
    """Context manager: makes the folder, holds its lock, and releases it on leaving (a killed process does too).

    `needed` names the keys that a finished record of this stage has. A folder that this object made is removed again
    if it is left by a refusal (BenchbedError) before any work was saved in it. again: what is advised where its record
    is damaged. Whatever is written raises LostError once another process has taken the folder over.
    """

    def __init__(self, path: Path, needed: Sequence[str] = (), wait: bool = False, again: str = AGAIN):
        self.path, self.needed, self.wait, self.again = path, needed, wait, again
        self._lease = Lease(path / ".lock")
        self._made: list[Path] = []  # the folders that had to be made, deepest first
        self._history: str | None = None  # all lines; None: not read yet

    def __enter__(self) -> "Folder":
        try:
            with one_line(self.path, "write to"):
                self._hold()
        except BenchbedError:
            self._discard()
            raise
        return self

    def _hold(self) -> None:
        """Makes the folder and takes its lock. Raises HeldError that names the process that holds it."""
        while True:
            self._made += [p for p in (self.path, *self.path.parents) if not p.exists()]
            if (owner := self._lease.take()) is None:
                break
            if not self.wait:
                self._made.clear()  # the holder's now
                raise HeldError(f"{self.path} is held by {owner}: wait for it, or use another --out")
            pulse.beat()  # the holder works on, or is ended by who watches it
            time.sleep(POLL)
        for made in self._made:
            if made.exists():
                sync_folder(made.parent)
        for left in (*self.path.glob(".*.new"), *self.path.glob(f"{SNAPSHOTS}/.*.new")):
            left.unlink(missing_ok=True)  # of a killed process, or of one that lost the folder before it renamed it

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, BenchbedError):
            self._discard()
        else:
            self._lease.free()

    def _discard(self) -> None:
        """Releases the lock; removes what was made here if there is nothing in it but the lock and configuration."""
        own = {".lock", ".lock.owner"} if self._lease.ours else set()
        with suppress(OSError):
            if self._made and own and {p.name for p in self.path.iterdir()} <= {*own, FORCED, "config.json"}:
                for name in (FORCED, "config.json"):
                    (self.path / name).unlink(missing_ok=True)
                self._lease.free(remove=True)
        for path in self._made:
            with suppress(OSError):  # not empty, or never made
                path.rmdir()
        with suppress(OSError):  # what could not be written to a full disk cannot be written now
            self._lease.free()

    def _write(self, path: Path, data: bytes) -> None:
        """Replaces a file of the folder, unless another process has taken it over."""

        def check() -> None:
            self._lease.check(path)

        check()
        try:
            write_atomic(path, data, f".{self._lease.token}", check)
        except BenchbedError:
            check()  # who took it over has removed what was to be renamed
            raise

    def to_clear(self, force: str | None) -> bool:
        """Whether a call under `--force`, known by its own word, has yet to begin the folder anew; None: no force."""
        mark = self.path / FORCED
        with one_line(mark, "read"):
            return force is not None and not (mark.exists() and mark.read_text() == force)

    def clear(self, force: str | None = None) -> None:
        """Forgets what an earlier start left, and notes which call under `--force` did: a worker that goes on for one
        that died begins nothing anew."""
        self._history = ""
        with one_line(self.path, "clear"):
            for name in ("record.json", "history.jsonl", "checkpoint.pt"):  # a record says that the others are whole
                (self.path / name).unlink(missing_ok=True)
            for kept in self.path.glob(f"{SNAPSHOTS}/*.pt"):
                kept.unlink()
        if force is not None:
            self._write(self.path / FORCED, force.encode())

    @property
    def record(self) -> dict[str, Any] | None:
        """The finished stage's record, or None."""
        path = self.path / "record.json"
        return read_json(path, self.needed, self.again) if path.exists() else None

    def finish(self, record: dict[str, Any]) -> None:
        """Writes the record; what it stands for is on the disk before."""
        history = self.path / "history.jsonl"
        if self._history and (not history.exists() or history.read_bytes() != self._history.encode()):
            self._write(history, self._history.encode())  # a line of one that lost the folder is in it
        with one_line(self.path, "write"), suppress(FileNotFoundError), open(history, "rb") as file:
            os.fsync(file.fileno())
        self._write(self.path / "record.json", (json.dumps(record, indent=2) + "\n").encode())

    def log(self, values: dict[str, Any]) -> None:
        """Appends a line to the history."""
        path, line = self.path / "history.jsonl", json.dumps(values) + "\n"
        self._history = self._lines() + line
        self._lease.check(path)
        with one_line(path, "write"), open(path, "a") as file:
            file.write(line)
            file.flush()
        tell(self.path, values)

    def _lines(self) -> str:
        """The history as this process knows it: others may write into the file until they see that it is not theirs."""
        if self._history is None:
            path = self.path / "history.jsonl"
            with one_line(path, "read"):
                self._history = read_text(path, LIMITS.lines_bytes) if path.exists() else ""
        return self._history

    def save(self, tree: Tree) -> None:
        """Replaces the checkpoint, which holds the history too."""
        buffer = io.BytesIO()
        torch.save({"history": self._lines(), "tree": tree}, buffer)
        self._write(self.path / "checkpoint.pt", buffer.getvalue())
        pulse.saved()

    def keep(self, epoch: int) -> None:
        """The checkpoint of now once more, as the snapshot of that epoch, which later saves leave alone."""
        path = snapshot_path(self.path, epoch)
        with one_line(path, "write"):
            path.parent.mkdir(exist_ok=True)
            data = read_bytes(self.path / "checkpoint.pt", LARGEST)
        self._write(path, data)

    def load(self) -> Tree | None:
        """The checkpoint's tree, or None; the history becomes again what it was at the checkpoint's moment."""
        path, history = self.path / "checkpoint.pt", self.path / "history.jsonl"
        with one_line(history, "write"):
            if not path.exists():
                self._history = ""
                history.unlink(missing_ok=True)
                return None
            saved = load_checkpoint(path)
            known, there = saved["history"], read_bytes(history, LIMITS.lines_bytes) if history.exists() else b""
            if isinstance(known, int):  # of before 2026-12: its length alone
                if len(there) < known:
                    raise BenchbedError(
                        f"{history} is damaged ({len(there)} bytes where the checkpoint knows {known}): "
                        f"remove it and checkpoint.pt, or run again with --force"
                    )
                if there:
                    os.truncate(history, known)
                self._history = there[:known].decode()
            else:
                self._history = known
                if there != known.encode():
                    self._write(history, known.encode())
        tree: Tree = saved["tree"]
        return tree


def snapshot_path(search: Path, epoch: int) -> Path:
    """Where a search keeps its state after so many epochs, if it was asked to; a file as its checkpoint is."""
    return search / SNAPSHOTS / f"epoch-{epoch:04d}.pt"


def load_checkpoint(path: Path) -> dict[str, Any]:
    """{'history': its text (older: its length), 'tree': ...}. Raises BenchbedError if it is damaged or missing."""
    if not path.exists():
        raise damaged(path)
    try:
        with opened(path, LARGEST) as file:
            if not is_archive(file):
                raise TypeError("it is not a zip file, as torch writes them")
            saved = torch_value(file, memory_of(path, 3))
        if type(saved["history"]) not in (int, str) or not isinstance(saved["tree"], dict):
            raise TypeError("its history or tree is of another type")
        return {"history": saved["history"], "tree": saved["tree"]}
    except BenchbedError:
        raise
    except Exception as error:  # a damaged pickle can fail in any way
        raise damaged(path, damage(error)) from None


def damaged(checkpoint: Path, reason: str = "") -> BenchbedError:
    """What to do about a checkpoint that is damaged, or missing where no reason is given."""
    what = f"is damaged ({reason})" if reason else "is missing"
    return BenchbedError(
        f"{checkpoint} {what}: remove {checkpoint.parent}, and the command that made it makes it again "
        "(so does run --force)"
    )
