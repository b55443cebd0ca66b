"""The folder of one stage of a run: a lock, a history, a checkpoint, and last a record.

`history.jsonl` gets a line per epoch or decision, appended and flushed. `checkpoint.pt` is replaced atomically and
holds the history's length, so that a stage killed between the two resumes with a history that fits. `record.json` is
written last, under a temporary name, and renamed: a record that exists is whole.
"""

import fcntl
import json
import os
import pickle
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import torch

from .errors import BenchbedError
from .objective import Tree


@contextmanager
def one_line(path: Path, doing: str) -> Iterator[None]:
    """Turns an OSError into one line that names the path and the reason."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise BenchbedError(f"cannot {doing} {path}: {reason}") from None
    except RuntimeError as error:  # torch.save reports a full disk this way
        raise BenchbedError(f"cannot {doing} {path}: {str(error).splitlines()[0]}") from None


def write_atomic(path: Path, data: bytes) -> None:
    """Writes under a temporary name beside `path`, syncs, renames. On any failure nothing is left behind."""
    with one_line(path, "write"):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def write_json(path: Path, value: Any) -> None:
    write_atomic(path, (json.dumps(value, indent=2) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Raises BenchbedError that names the file if it is missing or is no JSON object."""
    with one_line(path, "read"):
        text = path.read_text()
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise BenchbedError(f"{path} is not valid JSON ({error}): remove it, or run again with --force") from None
    if not isinstance(value, dict):
        raise BenchbedError(f"{path} holds no JSON object: remove it, or run again with --force")
    return value


class Folder:
    """Context manager: makes the folder, holds its lock, and releases it on leaving (a killed process does too)."""

    def __init__(self, path: Path, force: bool = False, wait: bool = False):
        self.path, self.force, self.wait = path, force, wait
        self._lock: IO[str] | None = None

    def __enter__(self) -> "Folder":
        with one_line(self.path, "write to"):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.path / ".lock", "a+")  # held open as long as the lock is
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | (0 if self.wait else fcntl.LOCK_NB))
        except BlockingIOError:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            self._lock.close()
            raise BenchbedError(f"{self.path} is held by process {holder}: wait for it, or use another --out") from None
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()
        if self.force:
            for name in ("history.jsonl", "checkpoint.pt", "record.json"):
                (self.path / name).unlink(missing_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            self._lock.close()

    @property
    def record(self) -> dict[str, Any] | None:
        """The finished stage's record, or None."""
        path = self.path / "record.json"
        return read_json(path) if path.exists() else None

    def finish(self, record: dict[str, Any]) -> None:
        write_json(self.path / "record.json", record)

    def log(self, values: dict[str, Any]) -> None:
        """Appends a line to the history."""
        path = self.path / "history.jsonl"
        with one_line(path, "write"), open(path, "a") as file:
            file.write(json.dumps(values) + "\n")
            file.flush()

    def save(self, tree: Tree) -> None:
        """Replaces the checkpoint; it remembers how long the history is now."""
        path, history = self.path / "checkpoint.pt", self.path / "history.jsonl"
        length = history.stat().st_size if history.exists() else 0
        temporary = self.path / ".checkpoint.pt.new"
        try:
            with one_line(path, "write"), open(temporary, "wb") as file:
                torch.save({"history": length, "tree": tree}, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def load(self) -> Tree | None:
        """The checkpoint's tree, or None; cuts the history back to the moment of the checkpoint."""
        path, history = self.path / "checkpoint.pt", self.path / "history.jsonl"
        if not path.exists():
            history.unlink(missing_ok=True)
            return None
        saved = load_checkpoint(path)
        if history.exists():
            os.truncate(history, saved["history"])
        return saved["tree"]


def load_checkpoint(path: Path) -> dict[str, Any]:
    """{'history': bytes, 'tree': ...}. Raises BenchbedError if the file is damaged or missing."""
    try:
        with one_line(path, "read"):
            saved = torch.load(path, map_location="cpu", weights_only=True)
        return {"history": saved["history"], "tree": saved["tree"]}
    except (KeyError, TypeError, EOFError, pickle.UnpicklingError, BenchbedError) as error:
        reason = str(error).splitlines()[0][:120]
        raise BenchbedError(f"{path} is damaged ({reason}): remove it, or run again with --force") from None
