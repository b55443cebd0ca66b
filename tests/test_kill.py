"""Stop a run anywhere, type it again: the same record, the same histories, the same weights.

On the CPU at one thread, bit for bit; times, memory, versions and machine aside. `kill -9` of a real process at random
moments, and an exception in place of every single write of a run.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbed.cli.main import main
from benchbed.pipeline.resolve import expand
from benchbed.pipeline.run import run_all
from benchbed.runtime.folder import Folder, load_checkpoint
from benchbed.runtime.options import RunOptions

from .steady import steady


def left(out: Path) -> dict[str, Any]:
    """Everything that a finished run leaves: records, histories, configurations, final weights and alphas."""
    found: dict[str, Any] = {}
    for path in sorted(p for p in out.rglob("*") if p.is_file() and p.name != ".lock"):
        name = path.relative_to(out).as_posix()
        if path.suffix == ".jsonl":
            found[name] = [steady(json.loads(line)) for line in path.read_text().splitlines()]
        elif path.suffix == ".pt":
            found[name] = steady(load_checkpoint(path)["tree"])
        else:
            found[name] = steady(json.loads(path.read_text()))
    return found


def assert_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert sorted(found) == sorted(wanted)
    for name in wanted:
        assert found[name] == wanted[name], f"{name} differs"


# -- in one process: an exception in place of each write --------------------------------------------------------------


class Stop(Exception):
    """Stands for a kill."""


WRITES = ("log", "save", "finish")


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], list[str]]:
    """`stop_at(n)`: the n-th write of any folder, from 0, raises in place of being done. Gives the list of writes."""
    real = {name: getattr(Folder, name) for name in WRITES}

    def arm(number: int | None) -> list[str]:
        made: list[str] = []

        def write(name: str) -> Callable[[Folder, Any], None]:
            def guarded(self: Folder, value: Any) -> None:
                made.append(f"{self.path.parent.name} {name}")
                if len(made) - 1 == number:
                    raise Stop
                real[name](self, value)

            return guarded

        for name in WRITES:
            monkeypatch.setattr(Folder, name, write(name))
        return made

    return arm


PAIRINGS = [
    ("darts", "perturb"),
    pytest.param(("proxyless", "perturb"), marks=pytest.mark.slow),  # three_kills has it
    ("reinforce", "best-of"),
    pytest.param(("few-shot", "best-of"), marks=pytest.mark.slow),
]
SELECTIONS: dict[str, dict[str, Any]] = {
    "perturb": {"draws": 2, "race": 0.2, "batch_norm": "eval", "transform": "train"},
    "perturb-magnitude": {},
    "discretize": {"draws": 2, "epochs": 1, "min_epochs": 1},
}


def configured(tiny: dict[str, Any], searcher: str, selector: str) -> Any:
    """A run with something to lose in each stage: architecture steps, tuning or draws in chunks, two epochs' score."""
    options = {"darts": {}, "proxyless": {"warmup": 0.5}, "reinforce": {"every": 2, "samples": 2, "warmup": 0.5}}
    raw = tiny | {
        "searcher": options.get(searcher, {}),
        "selector": {"samples": 25} if selector == "best-of" else {"draws": 2},
        "scoring": tiny["scoring"] | {"epochs": 2},
    }
    return expand(raw, [searcher], [selector], [1])


def run(configs: Any, out: Path) -> None:
    run_all(configs, RunOptions(out, torch.device("cpu")))


@pytest.mark.parametrize("pairing", PAIRINGS, ids="-".join)
def test_a_run_stopped_again_and_again_ends_as_if_it_never_was(
    tmp_path: Path, tiny: dict[str, Any], stop_at: Callable[..., list[str]], pairing: tuple[str, str]
) -> None:
    """Stopped two writes after each start (a line, its checkpoint, or a record), so at every write of the run."""
    configs = configured(tiny, *pairing)
    writes = stop_at(None)
    run(configs, tmp_path / "whole")
    assert {line.split()[0] for line in writes} == {"searches", "whole", "scores"}
    limit, starts, done = len(writes), 0, False
    while not done:
        starts += 1
        assert starts <= limit, "a start gets no further than the one before"
        stop_at(2)
        with suppress(Stop):
            run(configs, tmp_path / "pieces")
            done = True
    assert starts >= limit // 2
    stop_at(None)
    assert_same(left(tmp_path / "pieces"), left(tmp_path / "whole"))


@pytest.mark.parametrize("selector", [*SELECTIONS])
def test_a_selection_stopped_inside_a_decision_decides_as_if_it_never_was(
    tmp_path: Path, tiny: dict[str, Any], stop_at: Callable[..., list[str]], selector: str
) -> None:
    """Stopped when a line is to be written, half-way: what was measured or trained since the last save is lost."""
    raw = tiny | {"epochs": 1, "selector": SELECTIONS[selector], "supernet": tiny["supernet"] | {"eval_batch": 10}}
    configs = expand(raw, ["darts"], [selector], [1])
    writes = stop_at(None)
    run(configs, tmp_path / "whole")
    lines = [n for n, write in enumerate(writes) if write == "whole log"]
    stop_at(lines[len(lines) // 2])
    with pytest.raises(Stop):
        run(configs, tmp_path / "pieces")
    stop_at(None)
    run(configs, tmp_path / "pieces")
    assert_same(left(tmp_path / "pieces"), left(tmp_path / "whole"))


@pytest.mark.slow
@pytest.mark.parametrize("pairing", PAIRINGS, ids="-".join)
def test_a_run_stopped_once_at_any_write(
    tmp_path: Path, tiny: dict[str, Any], stop_at: Callable[..., list[str]], pairing: tuple[str, str]
) -> None:
    configs = configured(tiny, *pairing)
    writes = stop_at(None)
    run(configs, tmp_path / "whole")
    wanted = left(tmp_path / "whole")
    for number in range(len(writes)):
        out = tmp_path / str(number)
        stop_at(number)
        with pytest.raises(Stop):
            run(configs, out)
        stop_at(None)
        run(configs, out)
        assert_same(left(out), wanted)


# -- a real process, killed ------------------------------------------------------------------------------------------


class Program:
    """`python -m benchbed run` on a run that works for some seconds in all three stages."""

    searcher = "proxyless"

    def __init__(self, task: Path, env: dict[str, str], selector: str = "perturb", **options: Any):
        settings = {
            **{f"selector.{key}": value for key, value in options.items()},
            "supernet.channels": 4,
            "supernet.batch": 20,
            "supernet.valid_batch": 20,
            "scoring.channels": 4,
            "scoring.batch": 10,
            "scoring.epochs": 8,
        }
        self.arguments = [sys.executable, "-m", "benchbed", "run", "--quiet", "--searcher", self.searcher]
        self.arguments += ["--selector", selector, "--task", f"npz:{task}", "--epochs", "5"]
        self.arguments += [f"--set={key}={value}" for key, value in settings.items()]
        self.env = {**env, "OMP_NUM_THREADS": "1"}

    def start(self, out: Path) -> "subprocess.Popen[bytes]":
        # a shell starts background jobs with Ctrl-C ignored, and the tests' own children would inherit it
        return subprocess.Popen(
            [*self.arguments, "--out", str(out)],
            env=self.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def finish(self, out: Path) -> None:
        """The same command once more, in this process: Python is there already."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # as in the others
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["benchbed", *self.arguments[3:], "--out", str(out)])
            with pytest.raises(SystemExit) as ended:
                main()
        torch.set_num_threads(threads)
        assert not ended.value.code


def wait_for(process: "subprocess.Popen[bytes]", there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 600
    while not there() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)


def kill(process: "subprocess.Popen[bytes]") -> int:
    """SIGKILL; the exit status that was left, -9 unless it had ended before."""
    process.kill()
    process.communicate()
    return process.returncode


@pytest.fixture(scope="module")
def program(tiny_file: Path, child_env: dict[str, str]) -> Program:
    return Program(tiny_file, child_env, draws=8)


@pytest.fixture(scope="module")
def uninterrupted(program: Program, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], float]:
    """What the run leaves when nothing disturbs it, and how many seconds it works, start of Python aside."""
    out = tmp_path_factory.mktemp("uninterrupted") / "out"
    began = time.monotonic()
    program.finish(out)
    return left(out), time.monotonic() - began


def test_three_kills_one_in_each_stage(program: Program, uninterrupted: Any, tmp_path: Path) -> None:
    wanted, _ = uninterrupted
    out, rng = tmp_path / "out", random.Random(0)
    stages = ("searches/*/history.jsonl", "proxyless-*/history.jsonl", "scores/*/history.jsonl")
    for begun in stages:
        process = program.start(out)
        wait_for(process, lambda begun=begun: any(out.glob(begun)))
        time.sleep(rng.uniform(0, 0.1))
        assert kill(process) == -signal.SIGKILL
        assert list(out.glob("proxyless-*/record.json")) == []
    program.finish(out)
    assert_same(left(out), wanted)


@pytest.mark.slow
def test_twenty_kills_at_random_moments(program: Program, uninterrupted: Any, tmp_path: Path) -> None:
    """Each a run of its own, killed once; the moments spread over the whole of its work."""
    wanted, seconds = uninterrupted
    rng, landed = random.Random(int.from_bytes(os.urandom(4), "big")), []
    for number in range(20):
        out = tmp_path / str(number)
        process = program.start(out)
        wait_for(process, out.exists)
        time.sleep((number + rng.random()) / 20 * seconds)
        if kill(process) == -signal.SIGKILL:
            landed.append(sorted(p.parent.parent.name for p in out.rglob(".lock")))
        program.finish(out)
        assert_same(left(out), wanted)
    assert len(landed) >= 17, "the run ended before most of the kills: it is too short for this test"
    print("killed with these folders begun:", landed)


@pytest.mark.slow
@pytest.mark.parametrize("selector", [*SELECTIONS])
def test_kills_between_and_inside_decisions(
    tiny_file: Path, child_env: dict[str, str], tmp_path: Path, selector: str
) -> None:
    """One run, killed again and again at random moments of its selection: the same decisions follow."""
    program = Program(tiny_file, child_env, selector, **SELECTIONS[selector])
    program.arguments.append("--set=supernet.eval_batch=10")  # parts to race over
    program.finish(tmp_path / "whole")
    rng, out, kills = random.Random(int.from_bytes(os.urandom(4), "big")), tmp_path / "out", 0
    for _ in range(8):
        process = program.start(out)
        wait_for(process, lambda: any(out.glob("proxyless-*/history.jsonl")))
        time.sleep(rng.uniform(0, 0.4))
        kills += kill(process) == -signal.SIGKILL
    program.finish(out)
    assert kills >= 3, "the selection ended before most of the kills: it is too short for this test"
    assert_same(left(out), left(tmp_path / "whole"))


class ModifiedProgram(Program):
    """Two modifiers that draw, decide and keep state, around a searcher that draws."""

    searcher = "gdas+sdarts-rs+sgas"


@pytest.mark.slow
@pytest.mark.parametrize("space", ["nb201", "darts-s2"])
def test_kills_between_the_decisions_of_a_modified_search(
    tiny_file: Path, child_env: dict[str, str], tmp_path: Path, space: str
) -> None:
    """One search, killed after each of its first epochs: noise and progressive decisions go on as if it never was."""
    program = ModifiedProgram(tiny_file, child_env, "magnitude")
    program.arguments += ["--space", space, "--set=supernet.cells=3", "--set=scoring.cells=3"]
    program.arguments += ["--set=searcher.modifiers.sgas.warmup=0", "--set=searcher.modifiers.sdarts-rs.radius_end=0.2"]
    program.finish(tmp_path / "whole")
    out = tmp_path / "out"
    for lines in range(1, 4):
        process = program.start(out)
        wait_for(process, lambda n=lines: _lines(out) >= n)
        assert kill(process) == -signal.SIGKILL
    program.finish(out)
    assert_same(left(out), left(tmp_path / "whole"))
    line = json.loads(next(out.glob("searches/*/history.jsonl")).read_text().splitlines()[-1])
    assert all(sorted(row)[:-1] == [0] * (len(row) - 1) for row in line["probabilities"])  # all is decided at the end


def _lines(out: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in out.glob("searches/*/history.jsonl"))


def test_ctrl_c_is_one_line_and_the_same_command_goes_on(program: Program, uninterrupted: Any, tmp_path: Path) -> None:
    wanted, _ = uninterrupted
    out = tmp_path / "out"
    process = program.start(out)
    wait_for(process, lambda: any(out.glob("searches/*/checkpoint.pt")))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.decode().splitlines() == [
        "benchbed: interrupted: everything up to the last finished epoch or decision is kept; the same command goes on"
    ]
    program.finish(out)
    assert_same(left(out), wanted)
