"""Two real processes over gloo against one: the union batch's gradients, and the same state in both.

Oracle 25 of the ProxylessNAS reference. Everything is computed by two_processes.py, once alone and once as two.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.runtime import parallel
from benchbed.runtime.parallel import ALONE, Group
from benchbed.task import Split
from benchbed.training.train import Recipe, Training

HERE = Path(__file__).resolve().parent
PATIENCE = 180  # seconds; two processes that wait for each other for ever are ended then


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def launch(commands: list[list[str]], env: dict[str, str]) -> list[tuple[int, str]]:
    """Runs a process a command, as torchrun's of one machine; (status, stderr) of each. None outlives the test.

    A port that is free when it is looked for may be taken when it is used: then once more, with another.
    """
    ended = _launch(commands, env)
    return _launch(commands, env) if any("EADDRINUSE" in said for _, said in ended) else ended


def _launch(commands: list[list[str]], env: dict[str, str]) -> list[tuple[int, str]]:
    shared = {**env, "WORLD_SIZE": str(len(commands)), "LOCAL_WORLD_SIZE": str(len(commands))}
    shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "OMP_NUM_THREADS": "1"}
    started = []
    for rank, command in enumerate(commands):
        own = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
        started.append(subprocess.Popen(command, env=own, **pipes))
    try:
        return [(p.returncode, said) for p in started for _, said in [p.communicate(timeout=PATIENCE)]]
    finally:
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()


@pytest.mark.parametrize(("error", "line"), [
    ("[/pytorch/gloo/pair.cc:600] Read error [127.0.0.1]:10150: Connection reset by peer. This is typically caused by "
     "a remote worker hanging", "Read error [127.0.0.1]:10150: Connection reset by peer"),
    ("Timed out waiting for\n the others", "Timed out waiting for the others"),
    ("word " * 50, "word " * 31 + "..."),
])  # fmt: skip
def test_what_torch_says_of_a_connection_is_cut_at_its_first_sentence_or_between_words(error: str, line: str) -> None:
    assert parallel.said(RuntimeError(error)) == line


@pytest.mark.slow
@pytest.mark.parametrize("dead", [0, 1])
def test_a_process_that_dies_is_noticed_by_the_others_within_a_minute(
    dead: int, tmp_path: Path, child_env: dict[str, str]
) -> None:
    cell = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|"
    command = [sys.executable, "-m", "benchbed", "train", "--arch", cell, "--epochs", "500", "--out", str(tmp_path)]
    shared = {**child_env, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    shared |= {"MASTER_PORT": free_port(), "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen(command, env={**shared, "RANK": rank, "LOCAL_RANK": rank}, stderr=subprocess.PIPE, text=True)
        for rank in ("0", "1")
    ]
    try:
        until = time.monotonic() + PATIENCE
        while not list(tmp_path.glob("*/config.json")) and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(2)  # in the midst of the steps
        both[dead].kill()
        _, said = both[1 - dead].communicate(timeout=60)
    finally:
        for process in both:
            process.kill()
            process.communicate()
    assert both[1 - dead].returncode == 2
    (line,) = [x for x in said.splitlines() if x.startswith("benchbed: ")]
    assert f"process {1 - dead} of 2: another one is gone or cannot be reached (" in line
    assert "Traceback" not in said


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, child_env: dict[str, str]) -> dict[str, dict]:
    """What the script left: 'alone', 'first' and 'second'."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, str(HERE / "two_processes.py"), str(folder)]
    for processes in (1, 2):
        for status, said in launch([command] * processes, child_env):
            assert status == 0, said
    names = {"alone": "0-of-1", "first": "0-of-2", "second": "1-of-2"}
    return {key: torch.load(folder / f"{name}.pt") for key, name in names.items()}


def flat(value) -> list[torch.Tensor]:
    if isinstance(value, dict):
        return [t for key in sorted(value) for t in flat(value[key])]
    if isinstance(value, list | tuple):
        return [t for item in value for t in flat(item)]
    return [torch.as_tensor(value)]


def assert_close(found, wanted, tolerance=2e-5) -> None:
    for a, b in zip(flat(found), flat(wanted), strict=True):
        assert a.shape == b.shape
        assert torch.allclose(a.double(), b.double(), rtol=tolerance, atol=tolerance), (a, b)


def assert_same(found, wanted) -> None:
    assert all(torch.equal(a, b) for a, b in zip(flat(found), flat(wanted), strict=True))


@pytest.mark.parametrize("how", ["trained", "mixed"])  # mixed: images in pairs, three batches a step, averaged
def test_a_training_is_that_of_the_union_batch(outcomes, how):
    assert_close(outcomes["first"][how], outcomes["alone"][how])
    assert_same(outcomes["first"][how], outcomes["second"][how])


def test_a_training_whose_gradients_are_reduced_as_they_come_is_that_of_the_union_batch_in_float64(outcomes):
    alone, first, second = (outcomes[key]["float64"] for key in ("alone", "first", "second"))
    losses = alone["exact"].pop("losses"), first["exact"].pop("losses"), second["exact"].pop("losses")
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)  # the report's mean is of float32's digits
    assert losses[1] == losses[2]
    assert_close(first["exact"], alone["exact"], 1e-12)
    assert_same(first["exact"], second["exact"])
    assert alone["idle"]
    assert first["idle"], "a weight without a gradient is not stepped"


def test_gradients_are_on_their_way_while_the_backward_pass_runs(outcomes):
    """All buckets but those that wait for one whose weights took no part, or stand behind it."""
    found = outcomes["first"]["float64"]
    assert found["buckets"] > 3
    assert len(found["early"]) == 12
    assert set(found["early"]) == {2}, found["early"]
    assert outcomes["alone"]["float64"]["early"] == []


def test_batch_statistics_are_a_process_own_and_the_first_ones_measure(outcomes):
    first, second = (outcomes[key]["with statistics"] for key in ("first", "second"))
    assert not torch.allclose(first["own"], second["own"])
    assert_same(first["own"], first["shared"])
    assert_same(first["own"], second["shared"])
    assert_same(first["found"], second["found"])
    assert_same(first["head"], second["head"])


@pytest.mark.parametrize(
    "what",
    [
        "gate loss outputs", "gate gradient outputs", "gate loss nothing", "gate gradient nothing", "loss", "gradient",
        "hessian product", "ahead", "at ahead", "batch", "validation", "weights",
    ],
)  # fmt: skip
def test_an_objective_is_that_of_the_union_batch(outcomes, what):
    alone, first, second = (outcomes[key]["functions"] for key in ("alone", "first", "second"))
    assert (alone["images"], first["images"], second["images"]) == (8, 4, 4)
    assert_close(first[what], alone[what])
    assert_same(first[what], second[what])
    assert any(bool((t != 0).any()) for t in flat(alone[what]))


@pytest.mark.parametrize("searcher", ["two", "echo", "darts", "reinforce"])
def test_a_search_is_that_of_the_union_batch(outcomes, searcher):
    assert_close(outcomes["first"][searcher], outcomes["alone"][searcher], 1e-3)
    assert_same(outcomes["first"][searcher], outcomes["second"][searcher])
    assert outcomes["alone"][searcher]["p"].std() > 0.01


def test_alphas_and_weights_of_the_supernet_are_the_same_in_both(outcomes):
    assert_same(outcomes["first"]["nb201"], outcomes["second"]["nb201"])
    assert not torch.equal(outcomes["first"]["nb201"]["p"], outcomes["alone"]["nb201"]["p"]), "no statistics of its own"


def test_no_thread_of_gloo_outlives_the_group(outcomes):
    """One that still runs while Python ends may abort it: "terminate called without an active exception"."""
    assert outcomes["alone"]["gloo's threads"] == [0, 0]
    for key in ("first", "second"):
        during, after = outcomes[key]["gloo's threads"]
        assert during > 0
        assert after == 0


@pytest.mark.parametrize(("count", "size"), [(8, 2), (7, 3), (2, 4), (0, 2)])
def test_parts_cover_everything_once(count, size):
    parts = [list(range(count))[Group(rank, size).part(count)] for rank in range(size)]
    assert [i for part in parts for i in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_batch_that_cannot_be_shared_is_refused_by_the_first_process_alone():
    Group(0, 4).divides("batch", 64)
    with pytest.raises(BenchbedError, match="batch = 66: 4 processes cannot share it equally; take 64 or 68"):
        Group(0, 4).divides("batch", 66)
    with pytest.raises(BenchbedError, match=r"^$"):
        Group(3, 4).divides("batch", 66)
    with pytest.raises(BenchbedError, match="batch = 2: 4 processes cannot share it equally; take 4"):
        Group(0, 4).divides("batch", 2)


@pytest.mark.parametrize(("environment", "line"), [
    ({"WORLD_SIZE": "4"}, "WORLD_SIZE = 4 is in the environment, and RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT not: "
     "start by torchrun, or unset it"),
    ({"WORLD_SIZE": "two"}, "WORLD_SIZE = two in the environment: expected a whole number, such as torchrun sets it"),
    ({"WORLD_SIZE": "0"}, "WORLD_SIZE = 0 in the environment: expected a whole number, such as torchrun sets it"),
])  # fmt: skip
def test_half_of_torchruns_environment_is_refused_in_one_line(environment, line, child_env):
    command = [sys.executable, "-m", "benchbed", "run", "--searcher", "random", "--selector", "magnitude", "--dry-run"]
    ended = subprocess.run(command, env={**child_env, **environment}, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (2, f"benchbed: {line}\n")


def test_an_epoch_of_fewer_images_than_the_processes_need_is_refused():
    network, split = torch.nn.Linear(2, 2), Split(torch.zeros(50, 1, 2, 2), torch.zeros(50, dtype=torch.int64))
    recipe = Recipe(epochs=1, batch=8, lr=0.1, epoch_images=6)
    with pytest.raises(BenchbedError, match=r"^epoch_images = 6: 4 processes need at least 8$"):
        Training(network, split, recipe, torch.Generator(), group=Group(0, 4))


def test_alone_nothing_is_touched():
    loss, gradients = torch.tensor(2.0), [torch.ones(3), None]
    mean, same, count = ALONE.mean(loss, gradients, 5)
    assert mean is loss
    assert same[0] is gradients[0]
    assert same[1] is None
    assert int(count) == 5
    assert ALONE.from_leader(lambda: 7) == 7
    assert ALONE.gather("a") == ["a"]


def torchrun(env: dict[str, str], *arguments: object) -> tuple[int, str]:
    """`torchrun --nproc-per-node 2 -m benchbed ...`; its status and stderr. Ended, its workers too, when it hangs."""
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "benchbed"]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([*run, *map(str, arguments)], env={**env, "OMP_NUM_THREADS": "1"}, **pipes)
    try:
        _, said = process.communicate(timeout=PATIENCE)
        return process.returncode, said
    finally:
        if process.poll() is None:
            process.terminate()  # it ends its workers
            process.wait(30)


CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|"


def test_the_command_under_torchrun(child_env, tiny_file, tmp_path):
    """One record and one history, written by the first process; a batch of odd size is refused in one line."""
    flags = ["train", "--arch", CELL, "--task", f"npz:{tiny_file}", "--out", tmp_path / "runs", "--epochs", 2]
    flags += ["--set", "scoring.channels=2", "--set", "scoring.batch=40", "--device", "cpu"]
    status, said = torchrun(child_env, *flags)
    assert status == 0, said
    (folder,) = (tmp_path / "runs").iterdir()
    record = json.loads((folder / "record.json").read_text())
    assert record["config"]["processes"] == 2
    assert [json.loads(x)["epoch"] for x in (folder / "history.jsonl").read_text().splitlines()] == [1, 2]
    assert said.count("epoch   2/2") == 1
    odd = [sys.executable, "-m", "benchbed", *map(str, flags), "--set", "scoring.batch=41"]
    (one, said), (two, silent) = launch([odd] * 2, child_env)
    assert (one, two, silent) == (2, 2, "")
    assert said == "benchbed: batch = 41: 2 processes cannot share it equally; take 40 or 42\n"
    assert [p.name for p in (tmp_path / "runs").iterdir()] == [folder.name]


@pytest.mark.slow
def test_a_run_of_two_processes_that_is_killed_goes_on_to_the_same_end(child_env, tiny_flags, tmp_path):
    """Search, selection and score; killed after the search's first epoch, between its line and its checkpoint."""
    run = ["run", "--searcher", "proxyless", "--selector", "magnitude", "--device", "cpu", *tiny_flags]
    kill = (
        "import os, sys\nfrom benchbed.cli.main import main\nfrom benchbed.runtime import folder\n"
        "save = folder.Folder.save\ndef stop(*given):\n    save(*given)\n    os._exit(9)\n"
        "folder.Folder.save = stop\nsys.argv[0] = 'benchbed'\nmain()\n"
    )
    plain = [sys.executable, "-m", "benchbed", *run]
    for status, said in launch([[*plain, "--out", str(tmp_path / "whole")]] * 2, child_env):
        assert status == 0, said
    killed = launch([[sys.executable, "-c", kill, *run, "--out", str(tmp_path / "halves")]] * 2, child_env)
    assert killed[0][0] == 9, killed
    for status, said in launch([[*plain, "--out", str(tmp_path / "halves")]] * 2, child_env):
        assert status == 0, said
    records = {}
    for name in ("whole", "halves"):
        (path,) = (p for p in (tmp_path / name).glob("*/record.json"))
        records[name] = json.loads(path.read_text())
    for key in ("id", "architecture", "valid_accuracy", "test_accuracy", "supernet_accuracy", "state_sha256", "scores"):
        assert records["whole"][key] == records["halves"][key], key
