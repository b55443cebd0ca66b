"""Runs on Ray: files of a node that does not see the sweep's folder, and a cluster that loses a node.

The slow ones with `-p no:unraisableexception`: Ray 2.60 leaves processes of its own to Python's collector, which warns.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from benchbed.pipeline.many import MAKE, Run, job_of
from benchbed.runtime.on_ray import RayStation, gathered, put_down
from benchbed.sweep.study import Study, expand_study

CHANGES = {"seconds", "peak_memory_bytes", "versions", "commit", "machine", "finished", "segments"}
BASE = {"objective": "table", "table": "mine", "dataset": "cifar10", "epochs": 2}


def steady(path: Path) -> dict[str, Any]:
    return {key: value for key, value in json.loads(path.read_text()).items() if key not in CHANGES}


@pytest.fixture
def study(make_table: Callable[..., Any]) -> Study:
    make_table("mine")
    return expand_study("s", BASE, {"searcher": ["darts"], "selector": ["magnitude", "random"]})


def station(out: Path, token: str) -> RayStation:
    begin = {"call": MAKE, "out": str(out), "device": "cpu", "given": {}, "token": token, "cwd": ""}
    return RayStation(json.dumps(begin))


def message(run: Run) -> str:
    job = job_of(run)
    return json.dumps({"id": job.id, "payload": job.payload})


def test_a_node_that_sees_the_folder_works_in_it(tmp_path: Path, study: Study) -> None:
    (tmp_path / "token").touch()
    worker = station(tmp_path, "token")
    assert json.loads(worker.ready()) == {"status": "ready", "shared": True}
    text, files = worker.work(message(study.runs[0]), {})
    assert json.loads(text)["status"] == "done"
    assert files == {}
    assert (tmp_path / study.runs[0].id / "record.json").exists()
    worker.leave()


def test_a_node_that_does_not_returns_its_files(tmp_path: Path, study: Study) -> None:
    """Another such node goes on with the search from them, and nothing of it is searched again."""
    out, run = tmp_path / "out", study.runs[0]
    out.mkdir()
    first, second = station(out, "nothing"), station(out, "nothing")
    assert json.loads(first.ready()) == {"status": "ready", "shared": False}
    text, files = first.work(message(run), {})
    assert not any(out.iterdir())
    put_down(out, files)
    assert json.loads((out / run.id / "record.json").read_text()) == json.loads(text)["result"]
    assert {path.name for path in (out / "searches" / run.search).iterdir()} >= {"checkpoint.pt", "history.jsonl"}
    second.ready()
    text, more = second.work(message(study.runs[1]), gathered(out, [f"searches/{run.search}", study.runs[1].id]))
    assert json.loads(text)["result"]["state_sha256"] == json.loads((out / run.id / "record.json").read_text())[
        "state_sha256"
    ] | {"selection": json.loads(text)["result"]["state_sha256"]["selection"]}
    assert {name.split("/")[0] for name in more} == {study.runs[1].id}  # the search was only read
    first.leave()
    second.leave()


def test_a_finished_folder_is_never_written_again(tmp_path: Path) -> None:
    put_down(tmp_path, {"run/history.jsonl": b"half"})
    put_down(tmp_path, {"run/record.json": b"first", "run/history.jsonl": b"whole"})
    put_down(tmp_path, {"run/record.json": b"second", "run/history.jsonl": b"other"})
    assert (tmp_path / "run" / "record.json").read_bytes() == b"first"
    assert (tmp_path / "run" / "history.jsonl").read_bytes() == b"whole"


def test_another_benchbed_or_other_data_is_refused(tmp_path: Path, study: Study) -> None:
    (tmp_path / "token").touch()
    worker = station(tmp_path, "token")
    worker.ready()
    wrong = json.loads(message(study.runs[0]))
    wrong["payload"]["run"] = "darts-magnitude-nb201-x"
    text, _ = worker.work(json.dumps(wrong), {})
    assert "this worker has other data or another benchbed" in json.loads(text)["reason"]
    other = json.loads(message(study.runs[0]))
    other["payload"]["config"]["searcher"]["sha256"] = "0"
    text, _ = worker.work(json.dumps(other), {})
    assert "searcher 'darts' is another file here" in json.loads(text)["reason"]
    worker.leave()


STUDY = """
objective = "table"
table = "mine"
dataset = "cifar10"
epochs = 15
[grid]
searcher = ["darts", "proxyless"]
selector = ["magnitude", "random"]
seeds = "0:2"
"""


@pytest.mark.slow
def test_a_cluster_of_two_nodes_that_loses_one(
    tmp_path: Path, make_table: Callable[..., Any], child_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing lost, nothing counted twice, the same records as in one process."""
    pytest.importorskip("ray", reason="needs Ray: pip install 'benchbed[ray]'")
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"):
        monkeypatch.setenv(name, "0")
    from ray.cluster_utils import Cluster

    make_table("mine")
    (tmp_path / "study.toml").write_text(STUDY)
    env = {**child_env, "BENCHBED_HOME": os.environ["BENCHBED_HOME"]}
    command = [sys.executable, "-m", "benchbed", "sweep", str(tmp_path / "study.toml"), "--out"]
    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        lost = cluster.add_node(**node)
        out = tmp_path / "out"
        options = [str(out), "--executor", "ray", "--workers", "2", "--address", cluster.address]
        sweep = subprocess.Popen(command + options, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        _wait_for_two(out, sweep)
        cluster.remove_node(lost, allow_graceful=False)
        _, said = sweep.communicate(timeout=500)
    finally:
        cluster.shutdown()
    assert sweep.returncode == 0, said
    assert "its worker died" in said
    assert "8 of 8 runs done" in said
    as_in_one_process(out, command, env, 8)


def as_in_one_process(out: Path, command: list[str], env: dict[str, str], count: int) -> None:
    """`count` records and their searches, the same as those that `command` makes without Ray."""
    whole = out.with_name("whole")
    subprocess.run([*command, str(whole), "--quiet"], env=env, check=True, capture_output=True)
    made = {path.parent.name: steady(path) for path in out.glob("*/record.json")}
    assert made == {path.parent.name: steady(path) for path in whole.glob("*/record.json")}
    assert len(made) == count
    assert {p.name for p in (out / "searches").iterdir()} == {p.name for p in (whole / "searches").iterdir()}


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """Ray on two nodes, each with a network and a file system of its own: the head's address, the second node's link.

    Neither sees what is below `tmp_path`. The head, on this side, has no CPU to work with.
    """
    pytest.importorskip("ray", reason="needs Ray: pip install 'benchbed[ray]'")
    if os.getuid() or not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip("needs Linux, root, ip and unshare, to make networks and file systems")
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv(AUTH, os.environ.get(AUTH, "disabled"))  # whatever token lies in the home of who tests
    ray, tag, net = Path(sys.executable).with_name("ray"), f"bb{os.getpid()}", f"10.213.{os.getpid() % 250}"
    start = f"exec {ray} start --object-store-memory {100 * 2**20}"
    hide = f"mount -t tmpfs none /tmp && mkdir -p {tmp_path} && mount -t tmpfs none {tmp_path}"

    def do(*lines: str) -> None:
        for line in lines:
            subprocess.run(line.split(), check=True, capture_output=True)

    nodes = []
    try:
        do(f"ip link add {tag} type bridge", f"ip addr add {net}.1/24 dev {tag}", f"ip link set {tag} up")
        for i in (2, 3):
            name = f"{tag}n{i}"
            do(f"ip netns add {name}", f"ip link add {tag}v{i} type veth peer name {tag}e{i} netns {name}")
            do(f"ip link set {tag}v{i} master {tag} up", f"ip -n {name} link set lo up")
            do(f"ip -n {name} addr add {net}.{i}/24 dev {tag}e{i}", f"ip -n {name} link set {tag}e{i} up")
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        head = f"{start} --block --head --node-ip-address {net}.1 --port 6390 --num-cpus 0 --include-dashboard=false"
        nodes.append(subprocess.Popen(["sh", "-c", head], **quiet))
        _wait_for_port(f"{net}.1", 6390)
        for i in (2, 3):
            node = f"{hide} && {start} --block --address {net}.1:6390 --node-ip-address {net}.{i} --num-cpus 1"
            apart = ["ip", "netns", "exec", f"{tag}n{i}", "unshare", "-m", "sh", "-c", node]
            nodes.append(subprocess.Popen(apart, **quiet))
        yield f"{net}.1:6390", f"{tag}v3"
    finally:
        for i in (2, 3):
            left = subprocess.run(["ip", "netns", "pids", f"{tag}n{i}"], capture_output=True, text=True).stdout
            subprocess.run(["kill", "-9", *left.split()], capture_output=True)
            subprocess.run(["ip", "netns", "del", f"{tag}n{i}"], capture_output=True)
            subprocess.run(["ip", "link", "del", f"{tag}v{i}"], capture_output=True)
        subprocess.run(["ip", "link", "del", tag], capture_output=True)
        for node in nodes:  # of the head's own processes `ray start` takes leave itself
            node.terminate()
            node.wait(timeout=60)


def _wait_for_port(host: str, port: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection((host, port), timeout=1):
            return
        time.sleep(0.2)
    raise AssertionError(f"nothing answers at {host}:{port}")


AUTH = "RAY_AUTH_MODE"
IMAGES = """
task = "digits"
epochs = 30
[task_options]
train = 2000
[scoring]
epochs = 1
[grid]
searcher = ["darts", "proxyless"]
selector = ["magnitude", "random"]
"""


@pytest.mark.slow
def test_machines_without_a_shared_disk_and_one_that_is_cut_off(
    tmp_path: Path, machines: tuple[str, str], child_env: dict[str, str]
) -> None:
    """What the lost one had begun is made again on the other; the records are those of one process."""
    address, link = machines
    child_env = {**child_env, AUTH: os.environ[AUTH]}
    (tmp_path / "study.toml").write_text(IMAGES)
    command = [sys.executable, "-m", "benchbed", "sweep", str(tmp_path / "study.toml"), "--out"]
    out = tmp_path / "out"
    options = [str(out), "--executor", "ray", "--workers", "2", "--address", address]
    sweep = subprocess.Popen(command + options, env=child_env, stderr=subprocess.PIPE, text=True)
    assert sweep.stderr is not None
    first = sweep.stderr.readline() + sweep.stderr.readline()
    assert "0 of 4 runs done, 2 at work" in first, first + sweep.stderr.read()
    time.sleep(5)
    subprocess.run(["ip", "link", "set", link, "down"], check=True)
    _, said = sweep.communicate(timeout=500)
    assert sweep.returncode == 0, said
    assert "its worker died" in said
    assert "4 of 4 runs done" in said
    as_in_one_process(out, command, child_env, 4)


def _wait_for_two(out: Path, sweep: "subprocess.Popen[str]") -> None:
    """Until two searches have saved an epoch and neither is done."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        assert sweep.poll() is None, sweep.communicate()
        begun = [path.parent for path in out.glob("searches/*/checkpoint.pt")]
        if sum(not (folder / "record.json").exists() for folder in begun) == 2:
            return
        time.sleep(0.05)
    raise AssertionError("two searches were never at work together")


@pytest.mark.slow
def test_a_study_on_ray_is_the_study_here(tmp_path: Path, child_env: dict[str, str]) -> None:
    """Into a folder that is not there yet."""
    pytest.importorskip("ray", reason="needs Ray: pip install 'benchbed[ray]'")
    command = [sys.executable, "-m", "benchbed", "study", "trajectory", "--objective", "table", "--quiet"]
    command += ["--at", "1,2", "--table", "nb201-digits", "--dataset", "digits", "--selector", "magnitude"]
    for name, more in (("here", []), ("ray", ["--executor", "ray", "--workers", "2"])):
        done = [*command, "--seeds", "0:2", "--epochs", "2", "--out", str(tmp_path / name), *more]
        subprocess.run(done, env=child_env, check=True, capture_output=True, timeout=500)
    page, other = ((tmp_path / name / "trajectory.md").read_text() for name in ("here", "ray"))
    assert page == other
    assert list((tmp_path / "ray").glob(".pool-*")) == []
