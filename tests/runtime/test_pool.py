"""The pool with real processes and a toy job: kills of workers and master, leases that end, shards, order."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbed.errors import BenchbedError
from benchbed.runtime.failures import failures
from benchbed.runtime.progress import Reporter
from benchbed.runtime.workers import HERE, Pool, job_id, jobs_of, pool_of

CALL = "tests.runtime.toy_job:toy"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _workers_find_the_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.syspath_prepend(str(ROOT))


class Heard(Reporter):
    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


def attempts(out: Path, number: int) -> list[int]:
    """The processes that have begun the job."""
    return [int(line) for line in (out / f"begun-{number}").read_text().split()]


def toys(*hows: str | None) -> list[dict[str, Any]]:
    return [{"number": number, **({"how": how} if how else {})} for number, how in enumerate(hows)]


def results(count: int) -> list[dict[str, Any]]:
    return [{"square": n * n, "third": n / 3} for n in range(count)]


def test_results_come_in_order_and_are_kept(tmp_path: Path) -> None:
    """The first job ends after the last has begun: others are done before it."""
    payloads = [{"number": n, **({"after": 3} if n == 0 else {})} for n in range(4)]
    heard = Heard()
    assert jobs_of(CALL, payloads, tmp_path, Pool(workers=2), "cpu", heard) == results(4)
    said = [line for line in heard.lines if line.endswith("speaks")]
    assert sorted(said) == [f"toy {n} speaks" for n in range(4)]
    assert said[0] != "toy 0 speaks"
    assert jobs_of(CALL, payloads, tmp_path, Pool(workers=2), "cpu") == results(4)
    assert jobs_of(CALL, payloads[::-1], tmp_path, HERE, "cpu") == results(4)[::-1]  # here too they are read
    assert [len(attempts(tmp_path, n)) for n in range(4)] == [1] * 4


def test_this_process_makes_the_same(tmp_path: Path) -> None:
    assert jobs_of(CALL, toys(None, None, None), tmp_path, HERE, "cpu") == results(3)
    assert set(attempts(tmp_path, 1)) == {os.getpid()}


def test_a_killed_worker_s_job_is_tried_again(tmp_path: Path) -> None:
    heard = Heard()
    assert jobs_of(CALL, toys(None, "dies", None), tmp_path, Pool(workers=2), "cpu", heard) == results(3)
    assert len(set(attempts(tmp_path, 1))) == 2
    assert [line for line in heard.lines if "its worker died (signal 9)" in line and line.startswith("again: ")]


def test_a_killed_worker_s_job_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    call = CALL.replace(":toy", ":steps")
    assert jobs_of(call, [{}], tmp_path, Pool(workers=2), "cpu") == [{"steps": 10, "from": 5}]
    history = tmp_path / "jobs" / job_id(call, {}) / "history.jsonl"
    assert len(history.read_text().splitlines()) == 10


def test_without_retries_it_fails_and_the_others_are_made(tmp_path: Path) -> None:
    payloads = toys("dies", None, "refused", "crashes")
    with pytest.raises(BenchbedError, match=r"^failed: toy-.*, and 2 more in .*failures\.jsonl"):
        jobs_of(CALL, payloads, tmp_path, Pool(workers=2, retries=0), "cpu")
    reasons = {failure.run: failure.reason for failure in failures(tmp_path)[0]}
    names = [job_id(CALL, payload) for payload in payloads]
    assert reasons.keys() == {names[0], names[2], names[3]}
    assert reasons[names[0]] == "its worker died (signal 9)"
    assert reasons[names[2]] == "toy 2 is refused"
    assert "ZeroDivisionError: toy 3 (toy_job.py, line" in reasons[names[3]]
    assert jobs_of(CALL, payloads[:2], tmp_path, Pool(workers=2), "cpu") == results(2)  # the dead one goes on
    assert len(attempts(tmp_path, 1)) == 1


def test_a_worker_without_a_step_loses_its_job(tmp_path: Path) -> None:
    """Stopped, in an endless loop, in C code with Python's lock: it is there, holds its lock, and makes no step."""
    heard, hows = Heard(), ("stops", "loops", "gil")
    payloads = [*toys(*hows), {"number": 3, "steps": 6}]  # the last is slow, and lives
    made = jobs_of(CALL, payloads, tmp_path, Pool(workers=4, stall=3.0), "cpu", heard)
    assert made == results(4)
    said = "its worker died (no step for 3 s); lost: "
    again = [line for line in heard.lines if said in line and line.endswith(" s of work since its last save")]
    assert len(again) == len(hows)
    assert [len(attempts(tmp_path, n)) for n in range(4)] == [2, 2, 2, 1]
    assert all(gone(attempts(tmp_path, n)[0]) for n in range(3))


def test_shards_share_no_job_and_leave_none_out(tmp_path: Path) -> None:
    payloads = toys(*[None] * 5)
    assert jobs_of(CALL, payloads, tmp_path, Pool(shard=(1, 2)), "cpu") == results(5)[0::2]
    assert not (tmp_path / "begun-1").exists()
    assert jobs_of(CALL, payloads, tmp_path, Pool(workers=2, shard=(2, 2)), "cpu") == results(5)[1::2]
    assert jobs_of(CALL, payloads, tmp_path, HERE, "cpu") == results(5)
    assert [len(attempts(tmp_path, n)) for n in range(5)] == [1] * 5


def gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_end_with_a_killed_master_and_the_same_call_goes_on(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from benchbed.runtime.workers import Pool, jobs_of\n"
        "jobs = [{'number': 0}, {'number': 1, 'sleeps': 60}, {'number': 2, 'how': 'gil'}]\n"
        f"jobs_of('{CALL}', jobs, Path(sys.argv[1]), Pool(workers=2), 'cpu')"
    )
    master = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    wait(lambda: all((tmp_path / f"begun-{n}").exists() for n in range(3)), 120)
    workers = [attempts(tmp_path, n)[-1] for n in (1, 2)]
    assert not any(gone(worker) for worker in workers)
    master.send_signal(signal.SIGKILL)
    master.wait()
    wait(lambda: all(gone(worker) for worker in workers), 10)
    payloads = [{"number": 0}, {"number": 1}, {"number": 2}]
    assert jobs_of(CALL, payloads, tmp_path, Pool(workers=2), "cpu") == results(3)
    assert len(attempts(tmp_path, 0)) == 1  # was done


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_where_the_system_does_not_end_a_worker_a_process_beside_it_does() -> None:
    """As on a system without PR_SET_PDEATHSIG: the worker is in C code, and its stdin breaks."""
    code = (
        "import ctypes, sys; from benchbed.runtime import leash\n"
        "sys.platform = 'darwin'; leash.tie(0); print('tied', flush=True); ctypes.PyDLL(None).sleep(1000)"
    )
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"tied\n"
        time.sleep(1)
        assert worker.poll() is None
        worker.stdin.close()
        assert worker.wait(timeout=10) == -signal.SIGKILL


def wait(there: Callable[[], bool], limit: float) -> None:
    end = time.monotonic() + limit
    while not there():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"workers": 0}, "--workers 0: at least one is needed"),
        ({"retries": -1}, "--retries -1: expected 0 or more"),
        ({"shard": "3/2"}, "--shard '3/2': expected I/N with I from 1 to N, such as 1/8"),
        ({"executor": "rai"}, "unknown executor 'rai'"),
        ({"address": "auto"}, "--address auto: goes with --executor ray"),
        ({"stall_timeout": 0.0}, "--stall-timeout 0: expected 1 second or more, or inf for never"),
        ({"stall_timeout": float("nan")}, "--stall-timeout nan: expected 1 second or more"),
        ({"stall_timeout": -5.0}, "--stall-timeout -5: expected 1 second or more"),
    ],
)
def test_flags_that_no_pool_has(flags: dict[str, Any], words: str) -> None:
    with pytest.raises(BenchbedError) as refused:
        pool_of(**flags)
    assert str(refused.value).startswith(words)
