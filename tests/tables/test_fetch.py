"""Fetching from a real HTTP server on the loopback interface: whole, cut off, changed, missing, silent."""

import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchbed.errors import BenchbedError
from benchbed.tables import Table
from benchbed.tables.fetch import HOST, NB201, fetch, whose

Body = Callable[[str, bytes], tuple[int, bytes, int]]  # path, file -> status, body, announced length


class Server:
    """Serves the upstream files under the paths of GitHub's raw-file host, spoilt by `body`."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self.body: Body = lambda path, data: (200, data, len(data))
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                file = folder / self.path.rpartition("/")[2]
                status, data, length = server.body(self.path, file.read_bytes() if file.is_file() else b"")
                self.send_response(status)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def server(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = Server(shared_data / "nb201" / "upstream")
    yield running
    running.close()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, so that a test sees what is left there."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_a_fetched_table_is_the_imported_one_and_says_whose_it_is(
    server: Server, upstream: Table, home: Path, temporary: Path
) -> None:
    table = fetch("nb201", host=server.host)
    assert table.name == "nb201"
    assert table.fingerprint == upstream.fingerprint
    assert [p.name for p in home.iterdir()] == ["nb201.npz"]
    assert list(temporary.iterdir()) == []
    assert server.asked == [f"/{s.repository}/{s.commit}/{s.path}" for s in NB201]
    notes = " ".join(table.meta["notes"])
    for said in ("v-tao/nats-bench-landscape at b307ae5f", "vilhess/MONET at 336647a5", "no 12-epoch figures",
                 "no training seconds", "(cifar10's too) of NAS-Bench-201 v1.1"):  # fmt: skip
        assert said in notes
    assert [source["sha256"] for source in table.meta["sources"]] == [s.sha256 for s in NB201]
    server.asked.clear()
    with pytest.raises(BenchbedError, match="a table named 'nb201' is there already"):
        fetch("nb201", host=server.host)
    assert server.asked == []  # refused before a byte was loaded
    assert fetch("nb201", host=server.host, force=True).fingerprint == table.fingerprint


def test_the_command_prints_whose_the_files_are_and_what_they_lack(
    server: Server, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchbed.tables.fetch.HOST", server.host)
    done = command("table", "fetch", "nb201")
    assert (done.status, done.err) == (0, "")
    for said in (
        *whose("nb201"),
        "no 12-epoch figures, no training seconds",
        "cifar10_test_200               15,625  94.3733",
    ):
        assert said in done.out
    words = ("--dataset", "cifar10", "--split", "test", "--epochs", "12")
    missing = command("query", "nb201", "--arch", Table.open("nb201").strings[0], *words)
    assert missing.status == 2
    assert "no cifar10 test accuracy after 12 epochs: nearest 200" in missing.err
    assert "'table import'" in missing.err


def test_the_sources_are_pinned_to_whole_commits_over_https(shared_data: Path) -> None:
    assert HOST.startswith("https://")
    known = (shared_data / "README.md").read_text()
    for source in NB201:
        assert len(source.commit) == 40
        assert source.commit[:8] in known
        assert f"{source.sha256}  {source.name}" in known
        assert (shared_data / "nb201" / "upstream" / source.name).stat().st_size == source.size
    assert sum(s.size for s in NB201) < 6.7e6
    assert len(whose("nb201")) == 2


SPOILT: dict[str, tuple[Body, str]] = {
    "404": (lambda path, data: (404, b"no", 2), "the server answers 404 Not Found"),
    "500": (lambda path, data: (500, b"no", 2), "the server answers 500 Internal Server Error"),
    "cut off": (lambda path, data: (200, data[: len(data) // 2], len(data)), r"cut off: [\d,]+ of 3,024,008 bytes"),
    "short": (lambda path, data: (200, data[:-1], len(data) - 1), "cut off: 3,024,007 of 3,024,008 bytes"),
    "empty": (lambda path, data: (200, b"", 0), "cut off: 0 of 3,024,008 bytes"),
    "changed": (lambda path, data: (200, data.replace(b"85.8", b"85.9", 1), len(data)), "is not the file that was pin"),
    "too long": (lambda path, data: (200, data + b"x", len(data) + 1), "is not the file that was pinned"),
    "a page": (lambda path, data: (200, b"<html>" * 600_000, 3_600_000), "is not the file that was pinned"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_what_does_not_come_whole_is_refused_and_leaves_nothing(
    server: Server, home: Path, temporary: Path, kind: str
) -> None:
    server.body, said = SPOILT[kind]
    with pytest.raises(BenchbedError, match=said) as refused:
        fetch("nb201", host=server.host)
    assert f"{server.host}/v-tao/nats-bench-landscape/{NB201[0].commit}/nats_bench.csv" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not home.exists()
    assert list(temporary.iterdir()) == []


def test_a_later_file_that_fails_leaves_nothing_of_the_earlier(server: Server, home: Path, temporary: Path) -> None:
    server.body = lambda path, data: (404, b"", 0) if "ImageNet" in path else (200, data, len(data))
    with pytest.raises(BenchbedError, match=r"ImageNet-NB201.csv: the server answers 404"):
        fetch("nb201", host=server.host)
    assert len(server.asked) == 4
    assert not home.exists()
    assert list(temporary.iterdir()) == []


def test_no_server_a_silent_one_and_one_that_talks_nonsense(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(BenchbedError, match=r"cannot fetch .*: timed out"):
            fetch("nb201", host=host, timeout=0.2)

        def answer() -> None:
            for _ in range(2):  # the first is the connection that timed out
                connection = listening.accept()[0]
                with connection:
                    connection.sendall(b"hello\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(BenchbedError, match=r"cannot fetch .*nats_bench.csv: "):
            fetch("nb201", host=host, timeout=5)
        thread.join()
    with pytest.raises(BenchbedError, match=r"cannot fetch .*: .*[Cc]onnection refused"):
        fetch("nb201", host=host)
    assert not home.exists()


def test_an_unknown_name_is_refused_without_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_: pytest.fail("it asked"))
    with pytest.raises(BenchbedError, match="unknown table to fetch 'nb101': did you mean 'nb201'"):
        fetch("nb101")
