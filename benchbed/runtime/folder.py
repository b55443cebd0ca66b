"""The folder of one stage of a run: a lock, a history, a checkpoint, and last a record.

`history.jsonl` gets a line per epoch or decision, appended and flushed. `checkpoint.pt` is replaced atomically, synced,
and holds all of the history's text, so that a stage goes on with a history that fits after a kill or a power cut: the
file is a view of it. `record.json` is written last, when the history is synced, under a temporary name, and renamed: a
record that exists is whole. `snapshots/` holds earlier checkpoints, where a search was asked to keep some.
"""

import io
import json
import os
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import torch

from ..errors import BenchbedError
from .files import one_line, sync_folder, write_atomic
from .lock import lock, open_lock

Tree = dict[str, Any]  # tensors, numbers, strings, lists, dicts: what torch.load(weights_only=True) gives back
SNAPSHOTS = "snapshots"
AGAIN = "remove it, or run again with --force"
REMADE = "remove it and run it again"  # for commands that read what another one made


class HeldError(BenchbedError):
    """Another living process works in the folder."""


def write_json(path: Path, value: object) -> None:
    write_atomic(path, (json.dumps(value, indent=2) + "\n").encode())


def read_json(path: Path, needed: Sequence[str] = (), again: str = AGAIN) -> dict[str, Any]:
    """Raises BenchbedError that names the file if it is missing, is no JSON object or lacks a needed key.

    again: what the message advises.
    """
    with one_line(path, "read"):
        data = path.read_bytes()
    try:
        value = json.loads(data)
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
    is damaged.
    """

    def __init__(self, path: Path, needed: Sequence[str] = (), wait: bool = False, again: str = AGAIN):
        self.path, self.needed, self.wait, self.again = path, needed, wait, again
        self._lock: IO[str] | None = None  # open as long as the lock is held
        self._made: list[Path] = []  # the folders that had to be made, deepest first

    def __enter__(self) -> "Folder":
        try:
            with one_line(self.path, "write to"):
                self._hold()
        except BenchbedError:
            self._discard()
            raise
        return self

    def _hold(self) -> None:
        """Makes the folder and takes its lock. Raises BenchbedError that names the process that holds it."""
        while True:
            self._made += [p for p in (self.path, *self.path.parents) if not p.exists()]
            file = os.fdopen(open_lock(self.path / ".lock"), "r+")
            if not lock(file.fileno(), self.wait):
                holder = file.read().strip() or "unknown"
                file.close()
                self._made.clear()  # the holder's now
                raise HeldError(f"{self.path} is held by process {holder}: wait for it, or use another --out")
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), os.stat(self.path / ".lock")):
                    break
            file.close()  # whoever held it removed the folder meanwhile
        for made in self._made:
            sync_folder(made.parent)
        self._lock = file
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, BenchbedError):
            self._discard()
        elif self._lock is not None:
            self._lock.close()

    def _discard(self) -> None:
        """Releases the lock; removes what was made here if there is nothing in it but the lock and configuration."""
        with suppress(OSError):
            if self._made and {p.name for p in self.path.iterdir()} <= {".lock", "config.json"}:
                (self.path / "config.json").unlink(missing_ok=True)
                (self.path / ".lock").unlink(missing_ok=True)
        for path in self._made:
            with suppress(OSError):  # not empty, or never made
                path.rmdir()
        if self._lock is not None:
            with suppress(OSError):  # what could not be written to a full disk cannot be written now
                self._lock.close()

    def clear(self) -> None:
        """Forgets what an earlier start left: `--force`."""
        with one_line(self.path, "clear"):
            for name in ("history.jsonl", "checkpoint.pt", "record.json"):
                (self.path / name).unlink(missing_ok=True)
            for kept in self.path.glob(f"{SNAPSHOTS}/*.pt"):
                kept.unlink()

    @property
    def record(self) -> dict[str, Any] | None:
        """The finished stage's record, or None."""
        path = self.path / "record.json"
        return read_json(path, self.needed, self.again) if path.exists() else None

    def finish(self, record: dict[str, Any]) -> None:
        """Writes the record; what it stands for is on the disk before."""
        with one_line(self.path, "write"), suppress(FileNotFoundError), open(self.path / "history.jsonl", "rb") as file:
            os.fsync(file.fileno())
        write_json(self.path / "record.json", record)

    def log(self, values: dict[str, Any]) -> None:
        """Appends a line to the history."""
        path = self.path / "history.jsonl"
        with one_line(path, "write"), open(path, "a") as file:
            file.write(json.dumps(values) + "\n")
            file.flush()

    def save(self, tree: Tree) -> None:
        """Replaces the checkpoint, which holds the history too."""
        history, buffer = self.path / "history.jsonl", io.BytesIO()
        with one_line(history, "read"):
            text = history.read_text() if history.exists() else ""
        torch.save({"history": text, "tree": tree}, buffer)
        write_atomic(self.path / "checkpoint.pt", buffer.getvalue())

    def keep(self, epoch: int) -> None:
        """The checkpoint of now once more, as the snapshot of that epoch, which later saves leave alone."""
        path = snapshot_path(self.path, epoch)
        with one_line(path, "write"):
            path.parent.mkdir(exist_ok=True)
            data = (self.path / "checkpoint.pt").read_bytes()
        write_atomic(path, data)

    def load(self) -> Tree | None:
        """The checkpoint's tree, or None; the history becomes again what it was at the checkpoint's moment."""
        path, history = self.path / "checkpoint.pt", self.path / "history.jsonl"
        with one_line(history, "write"):
            if not path.exists():
                history.unlink(missing_ok=True)
                return None
            saved = load_checkpoint(path)
            known, there = saved["history"], history.read_bytes() if history.exists() else b""
            if isinstance(known, int):  # of before 2026-12: its length alone
                if len(there) < known:
                    raise BenchbedError(
                        f"{history} is damaged ({len(there)} bytes where the checkpoint knows {known}): "
                        f"remove it and checkpoint.pt, or run again with --force"
                    )
                if there:
                    os.truncate(history, known)
            elif there != known.encode():
                write_atomic(history, known.encode())
        tree: Tree = saved["tree"]
        return tree


def snapshot_path(search: Path, epoch: int) -> Path:
    """Where a search keeps its state after so many epochs, if it was asked to; a file as its checkpoint is."""
    return search / SNAPSHOTS / f"epoch-{epoch:04d}.pt"


def load_checkpoint(path: Path) -> dict[str, Any]:
    """{'history': its text (older: its length), 'tree': ...}. Raises BenchbedError if it is damaged or missing."""
    if not path.exists():
        raise damaged(path)
    with one_line(path, "read"):
        data = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:  # torch does not look at the checksums that it writes
            if (bad := archive.testzip()) is not None:
                raise zipfile.BadZipFile(f"the checksum of {bad} does not match")
        saved = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        if type(saved["history"]) not in (int, str) or not isinstance(saved["tree"], dict):
            raise TypeError("its history or tree is of another type")
        return {"history": saved["history"], "tree": saved["tree"]}
    except Exception as error:  # a damaged pickle can fail in any way
        reason = (str(error) or type(error).__name__).splitlines()[0][:120]
        raise damaged(path, reason) from None


def damaged(checkpoint: Path, reason: str = "") -> BenchbedError:
    """What to do about a checkpoint that is damaged, or missing where no reason is given."""
    what = f"is damaged ({reason})" if reason else "is missing"
    return BenchbedError(
        f"{checkpoint} {what}: remove {checkpoint.parent}, and the command that made it makes it again "
        "(so does run --force)"
    )
