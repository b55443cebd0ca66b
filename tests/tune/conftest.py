"""What the tests of studies share: a study on a synthetic table, and a real PostgreSQL server."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def keep() -> Iterator[Callable[..., Any]]:
    """`keep(name, heartbeat, grace)`: a storage, closed after the test."""
    from benchbed.tune.storage import opened

    with ExitStack() as stack:
        yield lambda name, heartbeat=60, grace=180: stack.enter_context(opened(name, heartbeat, grace))


STUDY = """
objective = "table"
dataset = "cifar10"
searcher = "darts"
selector = "magnitude"
seed = 0
epochs = 2
steps = 3
out = "{out}"

[tune]
trials = 3
storage = "{storage}"
{more}
[tune.space]
"searcher.alpha_lr" = {{low = 1e-3, high = 1.0, log = true}}
"""


@pytest.fixture
def study_file(tmp_path: Path, make_table: Callable[..., Any]) -> Callable[..., Path]:
    """`study_file(storage=..., more=...)`: a study of three trials on a drawn table, its runs below `tmp_path / "out"`.

    more: lines of [tune].
    """
    make_table("nb201")

    def write(storage: str = "memory", more: str = "", name: str = "study") -> Path:
        file = tmp_path / f"{name}.toml"
        file.write_text(STUDY.format(out=tmp_path / "out", storage=storage, more=more))
        return file

    return write


class Server:
    """PostgreSQL from a data folder of its own, on a port of this machine that was free. It refuses to be root's."""

    def __init__(self, binaries: Path, folder: Path, port: int):
        self.binaries, self.folder, self.port = binaries, folder, port
        self.user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"

    def run(self, program: str, *arguments: str) -> None:
        command = [*self.user, str(self.binaries / program), "-D", f"{self.folder}/data", *arguments]
        with open(self.folder / "commands.log", "a") as log:  # a pipe would be held open by the server
            subprocess.run(command, check=True, stdout=log, stderr=log, cwd=self.folder)

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} -c fsync=off"
        self.run("pg_ctl", "-w", "-l", f"{self.folder}/server.log", "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-w", "-m", "immediate", "stop")  # as a crash: nobody is told


def _binaries() -> Path | None:
    found = shutil.which("pg_ctl")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists()), None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'benchbed[postgres]'")
    binaries = _binaries()
    if binaries is None:
        pytest.skip("needs a PostgreSQL server: no initdb on PATH or below /usr/lib/postgresql")
    if os.geteuid() == 0 and subprocess.run(["id", "postgres"], capture_output=True).returncode:
        pytest.skip("PostgreSQL refuses to run as root, and there is no user 'postgres'")
    folder = Path(tempfile.mkdtemp(prefix="benchbed-pg-"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(binaries, folder, port)
    if server.user:
        shutil.chown(folder, "postgres")
    try:
        server.run("initdb", "-A", "trust", "-U", "postgres", "--no-sync")
        server.start()
        yield server
    finally:
        subprocess.run([*server.user, binaries / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop"],
                       capture_output=True, cwd=folder)  # fmt: skip
        shutil.rmtree(folder)
