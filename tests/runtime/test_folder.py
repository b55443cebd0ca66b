"""The folder of a stage: its lock, its history, its checkpoint and its record, and what a kill may leave of them."""

import errno
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.runtime.folder import Folder, load_checkpoint, read_json, write_atomic, write_json
from benchbed.runtime.lock import UNKNOWN, held, read_lease

HOLD = """
import sys, time
from pathlib import Path
from benchbed.runtime.folder import Folder
with Folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    tree = {"weights": torch.arange(6.0).reshape(2, 3), "steps": 7, "names": ["a", "b"], "none": None, "by": {3: 4}}
    with Folder(tmp_path / "a") as folder:
        assert folder.load() is None
        folder.save(tree)
    with Folder(tmp_path / "a") as folder:
        back = folder.load()
    assert back is not None
    assert torch.equal(back.pop("weights"), tree.pop("weights"))
    assert back == tree


def test_history_written_after_the_checkpoint_is_cut_off(tmp_path: Path) -> None:
    with Folder(tmp_path) as folder:
        folder.log({"epoch": 1})
        folder.save({})
        folder.log({"epoch": 2})  # killed here: epoch 2 will be logged again
    with Folder(tmp_path) as folder:
        folder.load()
        folder.log({"epoch": 2})
        folder.log({"epoch": 3})
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert lines == [{"epoch": 1}, {"epoch": 2}, {"epoch": 3}]


def test_history_without_a_checkpoint_begins_again(tmp_path: Path) -> None:
    with Folder(tmp_path) as folder:
        folder.log({"epoch": 1})
    with Folder(tmp_path) as folder:
        assert folder.load() is None
    assert not (tmp_path / "history.jsonl").exists()


@pytest.mark.parametrize("left", [None, b"", b'{"epo', b'{"epoch": 1}\n{"epoch": 2}\n', bytes(13)])
def test_the_history_is_made_again_from_the_checkpoint(tmp_path: Path, left: bytes | None) -> None:
    """Whatever a power cut has left of it."""
    history = tmp_path / "history.jsonl"
    with Folder(tmp_path) as folder:
        folder.log({"epoch": 1})
        folder.save({"a": 1})
    if left is None:
        history.unlink()
    else:
        history.write_bytes(left)
    with Folder(tmp_path) as folder:
        assert folder.load() == {"a": 1}
    assert history.read_text() == '{"epoch": 1}\n'


@pytest.mark.parametrize("left", [None, b'{"epo'])
def test_a_history_shorter_than_an_older_checkpoint_says_is_refused(tmp_path: Path, left: bytes | None) -> None:
    """Checkpoints from before they held the history know its length alone."""
    history = tmp_path / "history.jsonl"
    with Folder(tmp_path) as folder:
        folder.log({"epoch": 1})
    torch.save({"history": 13, "tree": {}}, tmp_path / "checkpoint.pt")
    with Folder(tmp_path) as folder:
        folder.log({"epoch": 2})
        assert folder.load() == {}
    assert history.read_text() == '{"epoch": 1}\n'
    if left is None:
        history.unlink()
    else:
        history.write_bytes(left)
    with Folder(tmp_path) as folder, pytest.raises(BenchbedError, match=r"history.jsonl is damaged .*--force"):
        folder.load()
    assert (history.read_bytes() if history.exists() else None) == left  # not filled up with zeros


def test_clear_forgets_everything_but_the_lock_and_configuration(tmp_path: Path) -> None:
    with Folder(tmp_path) as folder:
        write_json(tmp_path / "config.json", {})
        folder.log({})
        folder.save({})
        folder.finish({"a": 1})
        folder.clear()
        assert folder.record is None
        assert folder.load() is None
        assert {p.name for p in tmp_path.iterdir()} == {".lock", ".lock.owner", "config.json"}


def test_any_damage_to_a_checkpoint_is_seen(tmp_path: Path) -> None:
    """Bits flipped, parts zeroed, ends cut off: refused in one line, or without effect; never other values."""
    tree = {"w": torch.randn(200, generator=torch.Generator().manual_seed(0)), "names": ["x" * 30, {"k": 1.5}]}
    with Folder(tmp_path) as folder:
        folder.save(tree)
    path = tmp_path / "checkpoint.pt"
    good, rng, refused = path.read_bytes(), random.Random(0), 0
    for kind in ("flip", "zero", "cut") * 60:
        data, at = bytearray(good), rng.randrange(len(good))
        if kind == "flip":
            data[at] ^= 1 << rng.randrange(8)
        elif kind == "zero":
            data[at : at + 40] = bytes(len(data[at : at + 40]))
        else:
            del data[at:]
        path.write_bytes(data)
        found, said = None, ""
        try:
            found = load_checkpoint(path)
        except BenchbedError as error:
            said = str(error)
        if found is None:
            assert "checkpoint.pt is damaged" in said
            assert "\n" not in said
            refused += 1
        else:
            assert torch.equal(found["tree"]["w"], tree["w"])
            assert (found["tree"]["names"], found["history"]) == (tree["names"], "")
    assert refused > 150


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1', b"\xff\xfe\x00", b"[1]", b"3"])
def test_a_damaged_record_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "record.json").write_bytes(content)
    with Folder(tmp_path) as folder, pytest.raises(BenchbedError, match=r"record.json .*--force"):
        _ = folder.record


def test_a_record_without_what_its_readers_need_is_refused(tmp_path: Path) -> None:
    with Folder(tmp_path, needed=("seconds", "architecture")) as folder:
        folder.finish({"seconds": 1})
        with pytest.raises(BenchbedError, match=r"record.json is damaged \(no 'architecture' in it\)"):
            _ = folder.record
        folder.finish({"seconds": 1, "architecture": "x"})
        assert folder.record == {"seconds": 1, "architecture": "x"}


def test_read_json_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BenchbedError, match=r"cannot read .*none.json: No such file"):
        read_json(tmp_path / "none.json")


# -- the lock ------------------------------------------------------------------------------------------------------


@pytest.fixture
def holder(tmp_path: Path, child_env: dict[str, str]) -> Any:
    """A process that holds tmp_path/held."""
    command = [sys.executable, "-c", HOLD, tmp_path / "held"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=child_env)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


def test_a_folder_that_another_process_holds_is_refused_until_it_dies(
    tmp_path: Path, holder: "subprocess.Popen[str]"
) -> None:
    named = rf"held is held by process {holder.pid} on {socket.gethostname()} since 20\d\d-\S+ \S+ UTC: wait for it, "
    with pytest.raises(BenchbedError, match=named), Folder(tmp_path / "held"):
        pass
    assert held(tmp_path / "held" / ".lock") == read_lease(tmp_path / "held" / ".lock")  # its name still stands there
    waited = threading.Event()

    def wait() -> None:
        with Folder(tmp_path / "held", wait=True):
            waited.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not waited.wait(0.1)
    os.kill(holder.pid, signal.SIGKILL)
    assert waited.wait(10)
    thread.join()
    with Folder(tmp_path / "held"):
        assert (read_lease(tmp_path / "held" / ".lock") or UNKNOWN).process == os.getpid()
    assert read_lease(tmp_path / "held" / ".lock") is None


def test_whoever_waited_for_a_folder_that_was_removed_makes_it_anew(tmp_path: Path) -> None:
    path, entered = tmp_path / "a" / "b", threading.Event()

    def wait() -> None:
        with Folder(path, wait=True) as folder:
            folder.finish({"whole": True})
            entered.set()

    thread = threading.Thread(target=wait)

    def start_and_refuse(_: Folder) -> None:
        thread.start()
        assert not entered.wait(0.1)

    refuse(path, start_and_refuse)
    thread.join(10)
    assert entered.is_set()
    assert read_json(path / "record.json") == {"whole": True}


# -- nothing left behind -------------------------------------------------------------------------------------------


def refuse(path: Path, inside: Callable[[Folder], object]) -> None:
    """Enters the folder, does something inside, and leaves by a refusal."""

    def enter() -> None:
        with Folder(path) as folder:
            inside(folder)
            raise BenchbedError("refused")

    with pytest.raises(BenchbedError, match="refused"):
        enter()


def test_a_refusal_removes_the_folders_that_were_made_for_it(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    refuse(tmp_path / "mine" / "a" / "b", lambda folder: write_json(folder.path / "config.json", {}))
    assert list(tmp_path.rglob("*")) == [tmp_path / "mine"]


def test_a_refusal_leaves_what_was_there_before(tmp_path: Path) -> None:
    with Folder(tmp_path / "a") as folder:
        folder.save({"x": 1})
    refuse(tmp_path / "a", lambda folder: None)
    refuse(tmp_path / "b", lambda folder: folder.save({"x": 1}))  # work was done: it is kept
    assert (tmp_path / "a" / "checkpoint.pt").exists()
    assert (tmp_path / "b" / "checkpoint.pt").exists()


def test_a_place_where_no_folder_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(BenchbedError, match=r"cannot write to .*file/a/b: Not a directory"),
        Folder(tmp_path / "file" / "a" / "b"),
    ):
        pass
    with pytest.raises(BenchbedError, match=r"cannot write to /proc/"), Folder(Path("/proc/benchbed/a")):
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]
    assert (tmp_path / "file").read_text() == "mine"


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    with Folder(tmp_path) as folder:
        folder.save({"x": 1})
        before = (tmp_path / "checkpoint.pt").read_bytes()
        monkeypatch.setattr(os, function, no_space)
        with pytest.raises(BenchbedError) as refused:
            folder.save({"x": 2})
        monkeypatch.undo()
        assert str(refused.value) == f"cannot write {tmp_path / 'checkpoint.pt'}: No space left on device"
    assert {p.name for p in tmp_path.iterdir()} == {".lock", "checkpoint.pt"}
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_an_interrupted_write_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "x", b"abc")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_write_left_goes_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = os.fork()
    if pid == 0:  # the child is killed between the write and the rename
        monkeypatch.setattr(os, "replace", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        write_atomic(tmp_path / "record.json", b"new")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    write_atomic(tmp_path / "record.json", b"{}")
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


def test_files_are_as_readable_as_any_other_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write_atomic(tmp_path / "record.json", b"{}")
    assert (tmp_path / "record.json").stat().st_mode == (tmp_path / "other").stat().st_mode
