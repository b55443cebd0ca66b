"""Where a study is kept: in memory, in a journal file, or in any database that SQLAlchemy opens.

All three are Optuna's own storages, so that optuna-dashboard and Optuna's other tools read them. Added is what they
need to survive: a journal that a killed writer left in the middle of a line is mended by the next one, and a database
that goes away for a while is waited for.
"""

import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage, get_storage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, make_url

from ..errors import BenchbedError
from ..runtime.files import append_line, make_folder, one_line
from ..runtime.lock import defect, lock, open_lock
from ..runtime.reading import LIMITS, parse_json
from ..runtime.reading import opened as opened_file
from .samplers import experimental

MEMORY, JOURNAL = "memory", "journal:"
ANSWER = 5  # seconds that a database has to answer for the first time
PATIENCE = 300.0  # seconds that a database may be gone in the middle of a study
JOURNAL_LINE = b'{"op_code":'  # how every line of Optuna's journals begins
RACES = 5  # attempts at making the tables of a database, where other workers make them too


class StorageGone(BenchbedError):
    """A database that answered has not for `PATIENCE` seconds."""


def journal_file(storage: str) -> Path | None:
    """The file of 'journal:FILE'; None for any other storage."""
    return Path(storage.removeprefix(JOURNAL)) if storage.startswith(JOURNAL) else None


def file_of(storage: str) -> Path | None:
    """The file that holds the study: a journal, or SQLite's; None for any other storage."""
    try:
        url = make_url(storage) if "://" in storage else None
    except (exc.ArgumentError, ValueError):
        return None  # refused where it is opened
    if url is not None and url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        return Path(str(url.database))
    return journal_file(storage)


def shared(storage: str) -> bool:
    """Whether several processes can work on it."""
    return storage != MEMORY


def shown(storage: str) -> str:
    """The storage's name as it may be printed: without a password."""
    try:
        return make_url(storage).render_as_string(hide_password=True) if "://" in storage else storage
    except (exc.ArgumentError, ValueError):
        return storage.split("://")[0] + "://..."


@contextmanager
def opened(storage: str, heartbeat: int, grace: int) -> Iterator[BaseStorage]:
    """`open_storage`, with a database's connections closed in the end."""
    found = open_storage(storage, heartbeat, grace)
    try:
        yield found
    finally:
        if (below := database(found)) is not None:
            below.scoped_session.remove()
            below.engine.dispose()


def database(storage: BaseStorage) -> RDBStorage | None:
    """The database below the cache that Optuna puts before it; None for another storage."""
    backend = getattr(storage, "_backend", None)
    return backend if isinstance(backend, RDBStorage) else None


def open_storage(storage: str, heartbeat: int, grace: int) -> BaseStorage:
    """The storage, opened; heartbeat and grace in seconds, of a database.

    Raises BenchbedError of one line where it is none or does not answer within a few seconds.
    """
    if storage == MEMORY:
        return InMemoryStorage()
    if (file := journal_file(storage)) is not None:
        return _journal(file)
    if "://" not in storage:
        raise BenchbedError(f"tune: storage = '{storage}': expected memory, journal:FILE or a database's URL")
    return _database(storage, heartbeat, grace)


# -- a journal file ----------------------------------------------------------------------------------------------------


def _journal(file: Path) -> BaseStorage:
    if not file.name:
        raise BenchbedError("tune: storage 'journal:' names no file: expected journal:FILE")
    with one_line(file, "write to"):
        make_folder(file.parent)
        append_line(file, "")  # its name outlives a power cut; Optuna syncs what it appends
    if found := defect(file.parent):
        raise BenchbedError(f"{file}: a journal needs locks, which do not work there ({found}): use a database")
    try:
        with opened_file(file) as opened:  # Optuna reads over a last line that it cannot parse, until another follows
            first = opened.readline(LIMITS.letters)
        begins = first.startswith(JOURNAL_LINE) or JOURNAL_LINE.startswith(first)
        if not begins:  # a last line without its end is cut off later: it must be one of ours
            raise ValueError(f"it begins with {first[:20]!r}")
        if first.endswith(b"\n"):
            parse_json(first)
        return JournalStorage(JournalFileBackend(str(file), lock_obj=FileLock(file)))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise BenchbedError(f"{file} is not a journal of a study, or damaged ({error}): move it away") from None


def _byte(handle: int, place: int) -> bytes:
    os.lseek(handle, place, os.SEEK_SET)
    return os.read(handle, 1)


class FileLock(BaseJournalFileLock):
    """The lock on a journal while a line is appended: the system's own on the file, so no death leaves it locked.

    (Optuna's locks are files whose age is judged.) A line without its end is what a writer left that was killed
    within the call: nobody has read it, and it is cut off before the next is appended.
    """

    def __init__(self, file: Path):
        self.file = file
        self._held = -1

    def acquire(self) -> bool:
        handle = open_lock(self.file)
        try:
            lock(handle)
            end = size = os.fstat(handle).st_size
            while end and _byte(handle, end - 1) != b"\n":
                end -= 1
            if end < size:
                os.ftruncate(handle, end)
        except BaseException:
            os.close(handle)
            raise
        self._held = handle
        return True

    def release(self) -> None:
        os.close(self._held)


# -- a database --------------------------------------------------------------------------------------------------------


class PatientStorage(RDBStorage):
    """A database that may go away: whatever fails for want of a connection is tried again for `PATIENCE` seconds.

    A call whose answer was lost may have been carried out. All of Optuna's are harmless when repeated but two: a new
    trial may be there twice, and a trial that was finished refuses to be finished again (UpdateFinishedTrialError).
    `tune_slots` counts neither twice.
    """

    def __init__(self, url: URL, heartbeat: int, grace: int):
        driver = {"connect_timeout": ANSWER} if url.get_backend_name() in ("postgresql", "mysql", "mariadb") else {}
        if url.get_backend_name() == "sqlite":
            driver = {"timeout": 60}
        where = url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")  # Optuna formats it
        engine = {"pool_pre_ping": True, "connect_args": driver}
        super().__init__(where, engine, heartbeat_interval=heartbeat, grace_period=grace)
        if url.get_backend_name() == "sqlite":  # no SELECT ... FOR UPDATE: a transaction locks when it begins
            event.listen(self.engine, "connect", lambda made, record: setattr(made, "isolation_level", None))
            event.listen(self.engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
            self.engine.dispose()  # what was connected before


def _patient(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: PatientStorage, *arguments: object, **named: object) -> object:
        began, wait = time.monotonic(), 0.2
        while True:
            try:
                return method(self, *arguments, **named)
            except (optuna.exceptions.StorageInternalError, exc.DBAPIError) as error:
                if not _gone(error):
                    raise
                away = time.monotonic() - began
                if away > PATIENCE:
                    raise StorageGone(
                        f"storage {shown(self.url)} has not answered for {away:.0f} s ({reason(error)}): "
                        f"the same command goes on when it does"
                    ) from None
            time.sleep(wait)
            wait = min(2 * wait, 5.0)

    return call


def _gone(error: BaseException | None) -> bool:
    """Whether the connection, or the wait for a lock, is to blame and not what was asked."""
    while error is not None:
        if isinstance(error, exc.OperationalError | exc.InterfaceError | exc.PendingRollbackError | exc.TimeoutError):
            return True
        error = error.__cause__
    return False


for _name in [*BaseStorage.__abstractmethods__, "record_heartbeat", "_get_stale_trial_ids", "_create_new_trial",
              "_set_trial_param", "_get_trials"]:  # fmt: skip
    setattr(PatientStorage, _name, _patient(getattr(RDBStorage, _name)))


def _database(storage: str, heartbeat: int, grace: int) -> BaseStorage:
    try:
        url = make_url(storage)
    except (exc.ArgumentError, ValueError):
        raise BenchbedError(
            f"tune: storage '{shown(storage)}' is not a database's URL: expected one such as "
            "postgresql://USER@HOST:5432/DATABASE or sqlite:///FILE"
        ) from None
    if url.drivername == "postgresql":  # the driver that the extra installs
        url = url.set(drivername="postgresql+psycopg")
    attempt = 0
    while True:
        attempt += 1
        try:
            with experimental():
                return get_storage(PatientStorage(url, heartbeat, grace))
        except (ImportError, exc.NoSuchModuleError) as error:
            hint = ": pip install 'benchbed[postgres]'" if url.get_backend_name() == "postgresql" else ""
            raise BenchbedError(f"storage {shown(storage)} needs a driver ({reason(error)}){hint}") from None
        except (exc.SQLAlchemyError, optuna.exceptions.OptunaError, OSError, RuntimeError, ValueError) as error:
            raced = not _gone(error) or "exist" in reason(error)  # another worker makes the same tables just now
            if not raced or attempt == RACES:
                raise BenchbedError(f"storage {shown(storage)} does not answer: {reason(error)}") from None
        time.sleep(0.2 * attempt)


def reason(error: BaseException) -> str:
    """The innermost error's first line."""
    while error.__cause__ is not None:
        error = error.__cause__
    original = getattr(error, "orig", None) or error
    return (str(original).strip() or type(original).__name__).splitlines()[0][:160]
