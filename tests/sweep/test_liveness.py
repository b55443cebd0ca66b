"""Sweeps whose searchers hang, crash, are slow or deaf, and whose master is killed: all other runs end, none twice.

In local processes, in shards, and on two nodes of Ray of which one is lost.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

STALL = 12.0  # seconds; a slow step takes 4
BAD = ("hangs", "gil", "deaf", "crashes")
GOOD = ("well", "slow")
STUDY = f"""
objective = "table"
table = "mine"
dataset = "cifar10"
epochs = 3
[grid]
searcher = ["moody"]
selector = ["magnitude", "random"]
"searcher.how" = {json.dumps([*BAD, *GOOD])}
seeds = "0:2"
"""
KILLS = 3
PLUGIN = Path(__file__).with_name("moody.py")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
]


def lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Sweeps:
    """Masters that make one study, each a shard of it, killed and started again."""

    def __init__(self, place: Path, env: dict[str, str], masters: list[list[str]], seeds: int = 2) -> None:
        self.out, self.log, self.masters, self.seeds = place / "out", place / "log", masters, seeds
        (place / "study.toml").write_text(STUDY.replace("0:2", f"0:{seeds}"))
        self.log.touch()
        self.env = {**env, "BENCHBED_HOME": os.environ["BENCHBED_HOME"], "MOODY_LOG": str(self.log)}
        self.command = [sys.executable, "-m", "benchbed", "sweep", str(place / "study.toml"), "--out", str(self.out)]
        self.command += ["--plugin", str(PLUGIN), "--retries", "1", "--stall-timeout", str(STALL)]
        self.said: list[str] = []
        self.longest = 0.0  # seconds that a worker lived on without its master

    def start(self, number: int) -> "subprocess.Popen[str]":
        self.said.append(str(self.out.parent / f"said-{len(self.said)}"))
        with open(self.said[-1], "w") as file:
            return subprocess.Popen([*self.command, *self.masters[number]], env=self.env, stdout=file, stderr=file)

    def begun(self) -> list[tuple[str, int, int]]:
        """(run's search, epoch, process) of every epoch that was begun."""
        rows = [line.split() for line in self.log.read_text().splitlines()]
        return [(name, int(epoch), int(process)) for name, epoch, process in rows]

    def records(self) -> dict[str, bytes]:
        return {path.parent.name: path.read_bytes() for path in self.out.glob("moody-*/record.json")}

    def kill(self, master: "subprocess.Popen[str]", ray: bool = False) -> None:
        """SIGKILL, while some worker is at a search that will not end; its workers are gone within ten seconds."""
        seen, end = len(self.begun()), time.monotonic() + 240
        workers: set[int] = set()
        while not any(n.split("-")[0] in BAD and epoch == 1 and w in workers for n, epoch, w in self.begun()[seen:]):
            assert master.poll() is None, Path(self.said[-1]).read_text()
            assert time.monotonic() < end
            time.sleep(0.05)
            begun = {w for _, _, w in self.begun()[seen:]} if ray else children(master.pid)  # else of another shard too
            workers = {w for w in begun if lives(w)}
        master.kill()
        master.wait()
        began = time.monotonic()
        while any(map(lives, workers)):
            assert time.monotonic() - began < 10, [Path(f"/proc/{w}/cmdline").read_text() for w in workers if lives(w)]
            time.sleep(0.02)
        self.longest = max(self.longest, time.monotonic() - began)

    def finish(self) -> list[str]:
        """Starts every master once more and waits for their end; what each says."""
        masters = [self.start(number) for number in range(len(self.masters))]
        for master in masters:
            assert master.wait(timeout=900) == 1  # runs failed
        return [Path(name).read_text() for name in self.said[-len(masters) :]]


def children(process: int) -> set[int]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == process:
                found.add(int(stat.parent.name))
        except OSError:
            continue
    return found


def check(sweeps: Sweeps, said: list[str], kept: dict[str, bytes], ray: bool = False) -> None:
    """All that can end has ended, once; the others are named with the reason."""
    records = {name: json.loads(data) for name, data in sweeps.records().items()}
    hows = sorted((r["config"]["searcher"]["options"]["how"], r["config"]["seed"]) for r in records.values())
    assert hows == sorted((how, seed) for how in GOOD for seed in range(sweeps.seeds) for _ in range(2))
    assert {name: data for name, data in sweeps.records().items() if name in kept} == kept  # never made again
    failed = re.findall(r"^benchbed: failed: (.*?): (.*)$", "\n".join(said), re.MULTILINE)
    assert len(failed) == len(BAD) * sweeps.seeds * 2, said
    reasons = {reason for _, reason in failed}
    assert f"its worker died (no step for {STALL:g} s)" in reasons
    if ray:  # which says of a crash what it likes
        assert all(reason.startswith("its worker died (") for reason in reasons), reasons
    else:
        assert reasons == {f"its worker died (no step for {STALL:g} s)", "its worker died (signal 11)"}
    processes: dict[str, list[int]] = {}
    for name, _, process in sweeps.begun():
        if (of := processes.setdefault(name, []))[-1:] != [process]:
            of.append(process)
    for name, of in processes.items():
        assert len(of) == len(set(of)), f"{name}: two processes were at it in turns: {of}"
    for name in (f"{how}-{seed}" for how in GOOD for seed in range(sweeps.seeds)):
        last = [n for n, epoch, _ in sweeps.begun() if (n, epoch) == (name, 2)]
        assert len(last) <= 1 + KILLS  # after its last epoch it is never searched again
    time.sleep(1)
    assert not [p for _, _, p in sweeps.begun() if lives(p)]


@pytest.fixture
def study(make_table: Callable[..., Any]) -> None:
    make_table("mine")


def test_local_processes(tmp_path: Path, study: None, child_env: dict[str, str]) -> None:
    sweeps, kept = Sweeps(tmp_path, child_env, [["--workers", "4"]]), dict[str, bytes]()
    for _ in range(KILLS):
        sweeps.kill(sweeps.start(0))
        kept |= sweeps.records()
    said = sweeps.finish()
    check(sweeps, said, kept)
    assert "lost: " in said[0]
    assert re.search(r"8 of 24 runs done, 16 failed, \d+ tried again \(.* of work lost\), 0 at work", said[0])
    print(f"workers were gone {sweeps.longest:.2f} s after their master at the latest")


def test_shards(tmp_path: Path, study: None, child_env: dict[str, str]) -> None:
    shards = [["--workers", "2", "--shard", f"{n}/2"] for n in (1, 2)]
    sweeps, kept = Sweeps(tmp_path, child_env, shards), dict[str, bytes]()
    for number in (0, 1, 0):
        other = sweeps.start(1 - number)
        sweeps.kill(sweeps.start(number))
        other.send_signal(signal.SIGTERM)  # as a cluster stops a job
        other.wait(timeout=60)
        kept |= sweeps.records()
    check(sweeps, sweeps.finish(), kept)
    print(f"workers were gone {sweeps.longest:.2f} s after their master at the latest")


def test_two_nodes_of_ray_of_which_one_is_lost(
    tmp_path: Path, study: None, child_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install 'benchbed[ray]'")
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("MOODY_LOG", str(tmp_path / "log"))  # of the nodes' own environment, which workers inherit
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 2, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        lost = cluster.add_node(**node)
        ray = ["--executor", "ray", "--workers", "4", "--address", cluster.address]
        sweeps, kept = Sweeps(tmp_path, child_env, [ray], seeds=1), dict[str, bytes]()
        for _ in range(KILLS):
            sweeps.kill(sweeps.start(0), ray=True)
            kept |= sweeps.records()
        seen = len(sweeps.begun())
        last = sweeps.start(0)
        while len({p for _, _, p in sweeps.begun()[seen:]}) < 4:
            assert last.poll() is None, Path(sweeps.said[-1]).read_text()
            time.sleep(0.1)
        cluster.remove_node(lost, allow_graceful=False)
        assert last.wait(timeout=900) == 1
        check(sweeps, [Path(sweeps.said[-1]).read_text()], kept, ray=True)
    finally:
        cluster.shutdown()
    print(f"workers were gone {sweeps.longest:.2f} s after their master at the latest")
