"""Two writers on one folder: where the system's locks work, where they fail, and where each machine has its own.

The last two are made by a C library that stands before the system's (LD_PRELOAD), with a name for the machine too.
"""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchbed.errors import BenchbedError
from benchbed.runtime import lock as module
from benchbed.runtime.folder import Folder, load_checkpoint
from benchbed.runtime.lock import UNKNOWN, HeldError, Lease, LostError, held, read_lease
from benchbed.runtime.workers import Pool, hired
from benchbed.tune.storage import open_storage

LIBRARY = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int twin[1024];  /* of a descriptor: the file of this node that is locked in its place, plus one */

int flock(int fd, int operation) {
    const char *how = getenv("LOCKS");
    if (!strcmp(how, "ENOLCK")) { errno = ENOLCK; return -1; }
    if (!strcmp(how, "ENOSYS")) { errno = ENOSYS; return -1; }
    if (!strcmp(how, "always")) return 0;
    struct stat found;
    char path[4096];
    fstat(fd, &found);
    snprintf(path, sizeof path, "%s/%s-%lu", getenv("NODES"), getenv("NODE"), (unsigned long)found.st_ino);
    if (!twin[fd]) twin[fd] = open(path, O_RDWR | O_CREAT, 0600) + 1;
    return syscall(SYS_flock, twin[fd] - 1, operation);
}

int close(int fd) {
    if (fd >= 0 && fd < 1024 && twin[fd]) { syscall(SYS_close, twin[fd] - 1); twin[fd] = 0; }
    return syscall(SYS_close, fd);
}

int gethostname(char *name, size_t size) { strncpy(name, getenv("NODE"), size); return 0; }
"""

WRITER = """
import sys
from pathlib import Path
from benchbed.errors import BenchbedError
from benchbed.runtime import lock
from benchbed.runtime.folder import Folder
lock._BOOT, lock.QUIET, name = Path("/nowhere"), float(sys.argv[3]), sys.argv[2]
try:
    with Folder(Path(sys.argv[1])) as folder:
        done = (folder.load() or {"done": 0})["done"]
        print("begins after", done, flush=True)
        for _ in sys.stdin:
            done += 1
            folder.log({"step": done, "by": name})
            folder.save({"done": done, "by": name})
            print("saved", done, flush=True)
        folder.finish({"by": name, "done": done})
        print("finished", flush=True)
except BenchbedError as error:
    print(error, flush=True)
"""


class Writer:
    """A process that works in a folder, a step each time that it is told to."""

    def __init__(self, folder: Path, node: str, env: dict[str, str], quiet: float = 60.0) -> None:
        self.node = node
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), node, str(quiet)],
            env={**env, "NODE": node},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def heard(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def step(self) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.heard()

    def end(self) -> tuple[str, str]:
        return self.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("needs Linux and a C compiler, to stand before the system's flock")
    place = tmp_path_factory.mktemp("library")
    (place / "locks.c").write_text(LIBRARY)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", place / "locks.so", place / "locks.c"], check=True)
    return place / "locks.so"


@pytest.fixture
def writer(library: Path, child_env: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Writer]]:
    """`writer(how, node)`: a process in tmp_path/out, on that node, whose locks are of that kind."""
    begun: list[Writer] = []
    (tmp_path / "nodes").mkdir()

    def begin(how: str, node: str, quiet: float = 60.0) -> Writer:
        env = {**child_env, "LD_PRELOAD": str(library), "LOCKS": how, "NODES": str(tmp_path / "nodes")}
        begun.append(Writer(tmp_path / "out", node, env, quiet))
        return begun[-1]

    yield begin
    for one in begun:
        one.process.kill()
        one.process.communicate()


@pytest.mark.parametrize(
    ("how", "named"),
    [
        ("ENOLCK", "flock: No locks available"),
        pytest.param("ENOSYS", "flock: Function not implemented", marks=pytest.mark.slow),
        ("always", "a locked file can be locked once more"),
    ],
)
def test_where_locks_do_not_work_one_writes_and_the_other_is_told(
    tmp_path: Path, writer: Callable[..., Writer], how: str, named: str
) -> None:
    first, out = writer(how, "here"), tmp_path / "out"
    assert first.heard() == "begins after 0"
    assert first.step() == "saved 1"
    second = writer(how, "here")
    told = second.heard()
    assert told.startswith(f"{out} is held by process {first.process.pid} on here since 20")
    _, warned = second.end()
    assert warned.startswith(f"benchbed: warning: locks in {out} do not work ({named})")
    assert warned.count("\n") == 1
    assert first.step() == "saved 2"
    first.process.kill()  # its lease stays, and does not hold anybody up
    first.end()
    third = writer(how, "here")
    assert third.heard() == "begins after 2"
    assert third.step() == "saved 3"
    assert third.end()[0] == "finished\n"
    assert not list(out.glob("*.owner"))


def test_locks_of_one_machine_each_lose_one_save_and_mix_nothing(tmp_path: Path, writer: Callable[..., Writer]) -> None:
    """Two machines that do not see each other's locks. One whose lease is fresh is left alone; one that is silent for
    long loses the folder, and hears so at its next save."""
    out = tmp_path / "out"
    first = writer("node", "alpha")
    assert first.heard() == "begins after 0"
    assert [first.step(), first.step()] == ["saved 1", "saved 2"]
    hasty = writer("node", "beta")
    assert hasty.heard().startswith(f"{out} is held by process {first.process.pid} on alpha since 20")
    second = writer("node", "gamma", quiet=0.0)
    assert second.heard() == "begins after 2"
    assert second.step() == "saved 3"
    lost = first.step()
    assert lost.startswith(f"{out / 'history.jsonl'} is not saved: {out} was taken over by process ")
    assert f"{second.process.pid} on gamma since 20" in lost
    assert first.end() == ("", "")
    assert second.step() == "saved 4"
    assert second.end() == ("finished\n", "")
    lines = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert lines == [{"step": n, "by": "alpha" if n < 3 else "gamma"} for n in range(1, 5)]
    assert json.loads((out / "record.json").read_text()) == {"by": "gamma", "done": 4}


def chained(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_no_save_of_many_writers_that_take_over_from_each_other_is_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line holds the hash of those before it. Locks that never hold, and leases that end at any moment: what was
    saved is in the end there, in order, and nothing else is."""
    monkeypatch.setattr(module, "defect", lambda folder: "none")
    monkeypatch.setattr(Lease, "_lives", lambda *_: False)
    counts = {"saved": 0, "lost": 0}
    guard, end = threading.Lock(), time.monotonic() + 4

    def work(number: int) -> None:
        rng = random.Random(number)
        while time.monotonic() < end or (counts["saved"] <= 20 and time.monotonic() < end + 60):  # however slow it is
            try:
                with Folder(tmp_path) as folder:
                    folder.load()
                    for _ in range(rng.randrange(1, 6)):
                        time.sleep(rng.random() * 0.01)
                        folder.log({"by": number, "before": chained(folder._lines())})
                        folder.save({"lines": folder._lines().count("\n")})
                        with guard:
                            counts["saved"] += 1
            except LostError:
                counts["lost"] += 1
            except HeldError:  # another was first to write a lease where there was none
                pass

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    saved = load_checkpoint(tmp_path / "checkpoint.pt")
    lines = saved["history"].splitlines(keepends=True)
    assert saved["tree"] == {"lines": len(lines)}
    for number, line in enumerate(lines):
        assert json.loads(line)["before"] == chained("".join(lines[:number]))
    assert len(lines) == counts["saved"] > 20
    assert counts["lost"] > 5


def test_a_lease_that_was_taken_over_is_named_at_every_kind_of_save(tmp_path: Path) -> None:
    def taken_over(folder: Folder) -> None:
        mark = folder.path / ".lock.owner"
        there: dict[str, Any] = json.loads(mark.read_text())
        mark.write_text(json.dumps({**there, "token": "another", "process": 7, "host": "elsewhere"}))

    saves: list[tuple[str, Callable[[Folder], None]]] = [
        ("history.jsonl", lambda folder: folder.log({})),
        ("checkpoint.pt", lambda folder: folder.save({})),
        ("record.json", lambda folder: folder.finish({})),
        ("snapshots/epoch-0003.pt", lambda folder: folder.keep(3)),
    ]
    for name, save in saves:
        out = tmp_path / name.replace("/", "-")
        with Folder(out) as folder:
            folder.save({"x": 1})
            before = (out / "checkpoint.pt").read_bytes()
            taken_over(folder)
            with pytest.raises(LostError) as lost:
                save(folder)
        assert str(lost.value).startswith(f"{out / name} is not saved: {out} was taken over by process 7 on elsewhere")
        assert "\n" not in str(lost.value)
        assert (out / "checkpoint.pt").read_bytes() == before
        assert {p.name for p in out.iterdir() if p.is_file()} == {".lock", ".lock.owner", "checkpoint.pt"}  # not ours


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"token": 1}', "[" * 9999, '{"a": "b"}'])
def test_a_lease_that_is_damaged_is_nobody_s(tmp_path: Path, text: str) -> None:
    (tmp_path / ".lock.owner").write_text(text)
    assert read_lease(tmp_path / ".lock") is None
    assert held(tmp_path / ".lock") is None
    with Folder(tmp_path):
        assert (held(tmp_path / ".lock") or UNKNOWN).process == os.getpid()
        with pytest.raises(BenchbedError, match="is held by process"), Folder(tmp_path):
            pass


def test_a_lease_is_renewed_by_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW", 0.0)
    monkeypatch.setattr(module.pulse, "EVERY", 0.0)
    with Folder(tmp_path):
        mark = tmp_path / ".lock.owner"
        os.utime(mark, (0, 0))
        module.pulse.beat()
        assert time.time() - mark.stat().st_mtime < 60
    module.pulse.beat()


def test_a_machine_of_the_same_name_holds_what_it_renewed_since_this_one_was_started(tmp_path: Path) -> None:
    with Folder(tmp_path):
        mark = tmp_path / ".lock.owner"
        lease = json.loads(mark.read_text())
    clone = json.dumps({**lease, "token": "clone", "boot": "another"})
    mark.write_text(clone)
    with pytest.raises(HeldError, match="is held by process"), Folder(tmp_path):
        pass
    started = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    os.utime(mark, (started - 5, started - 5))  # this machine's own, of before a power cut
    with Folder(tmp_path):
        assert (held(tmp_path / ".lock") or UNKNOWN).process == os.getpid()


def test_a_file_system_without_locks_is_named_once_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "_defects", {})
    monkeypatch.setattr(module, "_tried", lambda folder: "flock: No locks available")
    hired("builtins:dict", tmp_path / "not" / "yet", Pool(workers=2))[0].close()
    assert module.defect(tmp_path) == "flock: No locks available"
    said = capsys.readouterr().err
    assert said.startswith(f"benchbed: warning: locks in {tmp_path} do not work (flock: No locks available): ")
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BenchbedError, match=r"a journal needs locks, .* \(flock: No locks available\): use a database"):
        open_storage(f"journal:{tmp_path / 'journal'}", 10, 10)
