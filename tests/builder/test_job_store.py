"""The folder of a build: no result lost, one share a process, and what a kill or a damaged file costs."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchbed.builder.job_store import SHARD, Job, JobStore
from benchbed.errors import BenchbedError

IDENTITY: dict[str, Any] = {"format": 1, "space": "nb201", "task": {"name": "t"}, "scoring": {"epochs": 2, "lr": 0.1}}
JOBS = [Job(seed, cell) for seed in (0, 1) for cell in ("a", "b", "c")]
RESULT = {"valid": 50.0, "test": 49.0, "seconds": 1.0}
HEADER = {"versions": {"torch": "2"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mine.build"


def test_two_processes_results_are_one_folders(folder: Path) -> None:
    stores = JobStore(folder, IDENTITY), JobStore(folder, IDENTITY)
    for number, job in enumerate(reversed(JOBS)):
        stores[number % 2].write(job, RESULT | {"valid": float(number)}, HEADER)
    results, headers = JobStore(folder, IDENTITY).everything()
    assert list(results) == JOBS
    assert [results[job]["valid"] for job in JOBS] == [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]
    assert headers == [HEADER, HEADER]
    assert stores[0].missing([*JOBS, Job(2, "a")]) == [Job(2, "a")]


def test_what_made_a_result_stands_before_it(folder: Path) -> None:
    store, other = JobStore(folder, IDENTITY), {"versions": {"torch": "3"}}
    for job, header in zip(JOBS[:4], (HEADER, HEADER, other, HEADER), strict=True):
        store.write(job, RESULT, header)
    (shard,) = store.shards()
    kinds = [line.partition(" ")[2][:11] for line in shard.read_text().splitlines()]
    assert [kind.startswith('{"header"') for kind in kinds] == [True, False, False, True, False, True, False]
    assert store.everything()[1] == [HEADER, other, HEADER]


def test_a_share_is_one_process_and_free_again_once_that_is_killed(folder: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from benchbed.builder.job_store import JobStore\n"
        f"with JobStore(Path(sys.argv[1]), {IDENTITY!r}).share(None):\n"
        "    print('held', flush=True); time.sleep(600)"
    )
    root = Path(__file__).resolve().parents[2]
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert other.stdout is not None
    with other, other.stdout:
        assert other.stdout.readline() == b"held\n"
        mine = JobStore(folder, IDENTITY)
        with pytest.raises(BenchbedError, match=r"is being built by process.* --shard"), mine.share(None):
            pass
        with mine.share((2, 2)):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait()
        with mine.share(None):
            pass


def test_a_line_torn_by_a_kill_is_no_result(folder: Path) -> None:
    dead = JobStore(folder, IDENTITY)
    for job in JOBS[:2]:
        dead.write(job, RESULT, HEADER)
    (shard,) = dead.shards()
    shard.write_bytes(shard.read_bytes()[:-7])
    heir = JobStore(folder, IDENTITY)
    assert heir.missing(JOBS[:2]) == [JOBS[1]]
    heir.write(JOBS[1], RESULT, HEADER)
    assert list(heir.everything()[0]) == JOBS[:2]
    assert heir.damaged() == []


@pytest.mark.parametrize("how", ["flip", "cut in the middle", "foreign"])
def test_a_damaged_shard_is_set_aside_and_only_its_jobs_are_open_again(folder: Path, how: str) -> None:
    first, second = JobStore(folder, IDENTITY), JobStore(folder, IDENTITY)
    first.write(JOBS[0], RESULT, HEADER)
    (shard,) = first.shards()
    second.write(JOBS[1], RESULT, HEADER)
    content = shard.read_bytes()
    at = content.index(b"49.0")
    spoilt = {
        "flip": content[:at] + b"94.0" + content[at + 4 :],
        "cut in the middle": content[:at] + content[at + 4 :],
        "foreign": b"no checksum\n" + content,
    }[how]
    shard.write_bytes(spoilt)
    fresh = JobStore(folder, IDENTITY)
    assert fresh.missing(JOBS[:3]) == [JOBS[0], JOBS[2]]
    (name,) = fresh.damaged()
    assert name.startswith(shard.stem)
    assert (folder / "damaged" / name).read_bytes() == spoilt


def test_a_shard_has_a_bounded_number_of_results(folder: Path) -> None:
    store = JobStore(folder, IDENTITY)
    for number in range(SHARD + 3):
        store.write(Job(0, str(number)), RESULT, HEADER)
    assert [len(shard.read_text().splitlines()) for shard in store.shards()] == [SHARD + 1, 3 + 1]  # with a header
    assert len(store.everything()[0]) == SHARD + 3


def test_results_of_the_first_editions_folders_are_read(folder: Path) -> None:
    """Its workers claimed jobs in a file, and each held a file of its own."""
    JobStore(folder, IDENTITY).write(JOBS[0], RESULT, HEADER)
    (folder / "claims.jsonl").write_text('[0, "a", "vm-1-abc"]\n')
    (folder / "workers").mkdir()
    (folder / "workers" / "vm-1-abc").touch()
    (folder / "lock").touch()
    assert JobStore(folder, IDENTITY).missing(JOBS) == JOBS[1:]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scoring": {"epochs": 3, "lr": 0.1}}, "scoring.epochs is 2 there and 3 here"),
        ({"space": "chain"}, "space is 'nb201' there and 'chain' here"),
        ({"scoring": {"epochs": 2, "lr": 0.1, "clip": 5.0}}, "scoring.clip is None there and 5.0 here"),
    ],
)
def test_a_folder_of_another_build_is_refused_by_the_first_difference(
    folder: Path, change: dict[str, Any], words: str
) -> None:
    JobStore(folder, IDENTITY)
    before = json.loads((folder / "build.json").read_text())
    with pytest.raises(BenchbedError, match=words):
        JobStore(folder, IDENTITY | change)
    assert json.loads((folder / "build.json").read_text()) == before
