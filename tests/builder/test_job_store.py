"""The shared folder: no job lost, none given twice, and what a kill or a damaged file costs."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchbed.builder.job_store import SHARD, Job, Ledger
from benchbed.errors import BenchbedError

IDENTITY: dict[str, Any] = {"format": 1, "space": "nb201", "task": {"name": "t"}, "scoring": {"epochs": 2, "lr": 0.1}}
JOBS = [Job(seed, cell) for seed in (0, 1) for cell in ("a", "b", "c")]
Worker = Callable[[Path], Ledger]
RESULT = {"valid": 50.0, "test": 49.0, "seconds": 1.0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mine.build"


@pytest.fixture
def worker() -> Iterator[Callable[[Path], Ledger]]:
    """`worker(folder)`: a ledger whose process, this one, has become a worker of the build."""
    made = []

    def make(folder: Path) -> Ledger:
        made.append(Ledger(folder, IDENTITY))
        made[-1].begin({"versions": {}})
        return made[-1]

    yield make
    for ledger in made:
        ledger.end()


def test_two_workers_share_the_jobs_and_double_none(folder: Path, worker: Worker) -> None:
    first, second = worker(folder), worker(folder)
    given = []
    for _ in range(3):
        for one in (first, second):
            job = one.claim(JOBS)
            assert job is not None
            given.append(job)
            one.write(job, RESULT)
    assert given == JOBS
    assert first.claim(JOBS) is None
    results, headers = Ledger(folder, IDENTITY).everything()
    assert [Job(r["seed"], r["cell"]) for r in results] == sorted(JOBS)
    assert len(headers) == 2


def test_a_claim_of_a_living_worker_holds_and_a_dead_ones_does_not(folder: Path, worker: Worker) -> None:
    code = (
        "import sys, time; from pathlib import Path; from benchbed.builder.job_store import Job, Ledger\n"
        f"w = Ledger(Path(sys.argv[1]), {IDENTITY!r}); w.begin({{}})\n"
        f"print(w.claim([Job(0, 'a')]), flush=True); time.sleep(600)"
    )
    root = Path(__file__).resolve().parents[2]
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert other.stdout is not None
    with other, other.stdout:
        assert b"cell='a'" in other.stdout.readline()
        mine = worker(folder)
        assert mine.claim(JOBS[:1]) is None
        assert mine.claim(JOBS[:2]) == Job(0, "b")
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert mine.claim(JOBS[:1]) == Job(0, "a")


def test_a_line_torn_by_a_kill_is_no_result(folder: Path, worker: Worker) -> None:
    dead = worker(folder)
    for job in JOBS[:2]:
        assert dead.claim(JOBS) == job
        dead.write(job, RESULT)
    (shard,) = dead.shards()
    shard.write_bytes(shard.read_bytes()[:-7])
    dead.end()  # as the system does when a process dies
    heir = worker(folder)
    assert heir.claim(JOBS) == JOBS[1]
    heir.write(JOBS[1], RESULT)
    results, _ = Ledger(folder, IDENTITY).everything()
    assert [Job(r["seed"], r["cell"]) for r in results] == JOBS[:2]
    assert heir.damaged() == []


def test_a_torn_claim_hides_no_later_one(folder: Path, worker: Worker) -> None:
    first, second = worker(folder), worker(folder)
    assert first.claim(JOBS) == JOBS[0]
    claims = folder / "claims.jsonl"
    claims.write_bytes(claims.read_bytes() + b'[0, "b", "vm-1')
    assert first.claim(JOBS[1:]) == JOBS[1]
    assert second.claim(JOBS) == JOBS[2]


@pytest.mark.parametrize("how", ["flip", "cut in the middle", "foreign"])
def test_a_damaged_shard_is_set_aside_and_only_its_jobs_are_open_again(folder: Path, worker: Worker, how: str) -> None:
    first, second = worker(folder), worker(folder)
    for one in (first, second):
        job = one.claim(JOBS)
        assert job is not None
        one.write(job, RESULT)
    shard = next(s for s in first.shards() if s.name.startswith(first.worker))
    content = shard.read_bytes()
    at = content.index(b"49.0")
    spoilt = {
        "flip": content[:at] + b"94.0" + content[at + 4 :],
        "cut in the middle": content[:at] + content[at + 4 :],
        "foreign": b"no checksum\n" + content,
    }[how]
    shard.write_bytes(spoilt)
    first.end()
    fresh = worker(folder)
    assert fresh.claim(JOBS) == JOBS[0]
    fresh.write(JOBS[0], RESULT)
    assert fresh.claim(JOBS) == JOBS[2]
    (name,) = fresh.damaged()
    assert name.startswith(first.worker)
    assert (folder / "damaged" / name).read_bytes() == spoilt
    results, _ = Ledger(folder, IDENTITY).everything()
    assert [Job(r["seed"], r["cell"]) for r in results] == JOBS[:2]


def test_a_shard_has_a_bounded_number_of_results(folder: Path, worker: Worker) -> None:
    jobs = [Job(0, str(i)) for i in range(SHARD + 3)]
    one = worker(folder)
    for job in jobs:
        one.write(job, RESULT)
    lines = [len(shard.read_text().splitlines()) for shard in one.shards()]
    assert lines == [SHARD + 1, 3 + 1]  # each with its header
    results, headers = one.everything()
    assert len(results) == len(jobs)
    assert len(headers) == 2


def test_results_are_seen_once_as_they_come(folder: Path, worker: Worker) -> None:
    one, watcher = worker(folder), Ledger(folder, IDENTITY)
    assert watcher.refresh() == []
    one.write(JOBS[0], RESULT)
    assert [r["cell"] for r in watcher.refresh()] == ["a"]
    assert watcher.refresh() == []
    assert watcher.done == {JOBS[0]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scoring": {"epochs": 3, "lr": 0.1}}, "scoring.epochs is 2 there and 3 here"),
        ({"space": "chain"}, "space is 'nb201' there and 'chain' here"),
        ({"scoring": {"epochs": 2, "lr": 0.1, "clip": 5.0}}, "scoring.clip is None there and 5.0 here"),
    ],
)
def test_a_folder_of_another_build_is_refused_by_the_first_difference(
    folder: Path, worker: Worker, change: dict[str, Any], words: str
) -> None:
    worker(folder)
    before = json.loads((folder / "build.json").read_text())
    with pytest.raises(BenchbedError, match=words):
        Ledger(folder, IDENTITY | change)
    assert json.loads((folder / "build.json").read_text()) == before


def test_many_processes_claim_every_job_once(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from benchbed.builder.job_store import Job, Ledger\n"
        f"w = Ledger(Path(sys.argv[1]), {IDENTITY!r}); w.begin({{}}); n = 0\n"
        "jobs = [Job(0, str(i)) for i in range(150)]\n"
        "while (job := w.claim(jobs)) is not None:\n"
        f"    w.write(job, {RESULT!r}); n += 1\n"
        "print(n)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-c", code, str(folder)]
    crew = [subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) for _ in range(4)]
    counts = [int(one.communicate(timeout=120)[0]) for one in crew]
    assert sum(counts) == 150
    claims = [json.loads(line)[1] for line in (folder / "claims.jsonl").read_text().splitlines()]
    assert sorted(claims, key=int) == [str(i) for i in range(150)]
