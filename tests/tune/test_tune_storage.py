"""Storages of a study: what is refused, what is mended, and what is waited for."""

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from benchbed.errors import BenchbedError
from benchbed.tune import storage as tune_storage
from benchbed.tune.storage import StorageGone, open_storage, shown

Keep = Callable[..., Any]


def test_a_journal_cut_in_the_middle_of_a_line_is_mended(tmp_path: Path) -> None:
    """What a writer leaves that was killed within its write: Optuna's own next line would be glued to it."""
    file = tmp_path / "j"
    study = optuna.create_study(study_name="s", storage=open_storage(f"journal:{file}", 60, 180))
    study.add_trial(create_trial(value=1.0))
    whole = file.read_bytes()
    cut = whole + whole.splitlines()[-1][:40]
    file.write_bytes(cut)
    reader = optuna.load_study(study_name="s", storage=open_storage(f"journal:{file}", 60, 180))
    assert [t.value for t in reader.trials] == [1.0]
    assert file.read_bytes() == cut  # reading mends nothing
    reader.add_trial(create_trial(value=2.0))
    assert file.read_bytes().startswith(whole)
    again = optuna.load_study(study_name="s", storage=open_storage(f"journal:{file}", 60, 180))
    assert [t.value for t in again.trials] == [1.0, 2.0]
    assert [t.value for t in study.trials] == [1.0, 2.0]  # and one that has read before


def test_a_journal_by_optuna_itself_is_read(tmp_path: Path) -> None:
    """And the other way round: optuna-dashboard opens ours."""
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "j"))
    theirs = optuna.create_study(study_name="s", storage=optuna.storages.JournalStorage(backend))
    theirs.add_trial(create_trial(value=1.0))
    ours = optuna.load_study(study_name="s", storage=open_storage(f"journal:{tmp_path}/j", 60, 180))
    ours.add_trial(create_trial(value=2.0))
    assert [t.value for t in theirs.trials] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{}\n", "damaged"),
        (b"PK\x03\x04\nx\n", "damaged"),
        (b"garbage\n", "not a journal"),
        (b"my notes, without an end of line", "not a journal of a study.*my notes"),
        (b'{"op": 1', "not a journal"),
    ],
)
def test_a_file_that_is_no_journal(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(BenchbedError, match=words):
        open_storage(f"journal:{tmp_path}/j", 60, 180)
    assert (tmp_path / "j").read_bytes() == content


def test_a_folder_where_the_journal_should_be(tmp_path: Path) -> None:
    with pytest.raises(BenchbedError, match="Is a directory"):
        open_storage(f"journal:{tmp_path}", 60, 180)


def test_a_database_that_is_not_there_is_named_without_its_password() -> None:
    pytest.importorskip("psycopg")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(BenchbedError, match="does not answer") as error:
        open_storage(f"postgresql://me:hush@127.0.0.1:{port}/studies", 60, 180)
    assert f"me:***@127.0.0.1:{port}/studies" in str(error.value)
    assert "hush" not in str(error.value)


def test_a_database_that_accepts_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setattr(tune_storage, "ANSWER", 2)  # libpq's least
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        with pytest.raises(BenchbedError, match="does not answer"):
            open_storage(f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/x", 60, 180)
        assert time.monotonic() - began < 15


def test_what_is_no_url_is_told_what_one_looks_like() -> None:
    with pytest.raises(BenchbedError, match=r"postgresql://\.\.\.' is not a database's URL: expected .*USER@HOST:5432"):
        open_storage("postgresql://me@host:port/x", 60, 180)


def test_names_are_printed_without_a_password() -> None:
    assert shown("mysql://a:b@c/d") == "mysql://a:***@c/d"
    assert shown("journal:x") == "journal:x"
    assert "b" not in shown("mysql://a:b@c:port/d").removeprefix("mysql")


def test_a_password_with_braces_is_taken_as_it_is(keep: Keep, tmp_path: Path) -> None:
    """Optuna formats the address that it is given."""
    storage = keep(f"sqlite:///{tmp_path}/{{x}}.db")
    assert optuna.create_study(storage=storage).trials == []
    assert (tmp_path / "{x}.db").exists()


def test_a_server_that_restarts_is_waited_for(keep: Keep, postgres: Any) -> None:
    """It crashes in the middle of a trial, and is back three seconds later: every call is answered in the end."""
    study = optuna.create_study(study_name="restart", storage=keep(postgres.url, 1, 60))
    study.add_trial(create_trial(state=TrialState.RUNNING))
    trial = optuna.Trial(study, study.trials[0]._trial_id)
    postgres.stop()
    back = threading.Timer(3, postgres.start)
    back.start()
    assert 0 <= trial.suggest_float("x", 0, 1) <= 1
    back.join()
    postgres.stop()
    postgres.start()
    study.tell(trial, 1.0)  # a pooled connection of before
    assert [(t.state, t.value) for t in study.trials] == [(TrialState.COMPLETE, 1.0)]


def test_patience_ends_in_one_line(keep: Keep, postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune_storage, "PATIENCE", 0.5)
    study = optuna.create_study(storage=keep(postgres.url, 1, 60))
    postgres.stop()
    try:
        with pytest.raises(StorageGone, match=r"has not answered for \d s"):
            study.get_trials()
    finally:
        postgres.start()


def test_what_is_wrong_by_itself_is_not_waited_for(keep: Keep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = keep(f"sqlite:///{tmp_path}/s.db")
    slept: list[float] = []
    monkeypatch.setattr(tune_storage.time, "sleep", slept.append)
    with pytest.raises(KeyError):
        storage.get_study_id_from_name("none")
    assert slept == []


def test_workers_that_open_a_new_database_at_once(keep: Keep, tmp_path: Path, postgres: Any) -> None:
    """All of them make the tables; each ends with a storage that works."""
    errors: list[BaseException] = []

    def make(url: str) -> None:
        try:
            optuna.create_study(study_name="one", storage=keep(url), load_if_exists=True)
        except BaseException as error:
            errors.append(error)

    for url in (f"sqlite:///{tmp_path}/s.db", postgres.url):
        threads: list[Any] = [threading.Thread(target=make, args=(url,)) for _ in range(3)]
        start: Callable[[Any], None] = threading.Thread.start
        for thread in threads:
            start(thread)
        for thread in threads:
            thread.join()
    assert errors == []
