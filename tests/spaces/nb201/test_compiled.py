"""Steps of mixtures through torch.compile: which plans go through it, that it is the same function, what is refused."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.layers.plan import Run, full_plan, plan
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.spaces.load import load_space
from benchbed.spaces.nb201 import supernet
from benchbed.spaces.nb201.supernet import mixes
from benchbed.streams import Streams
from benchbed.supernet import compile_steps
from benchbed.tasks.load import load_task

ALL = torch.ones(6, 5, dtype=torch.bool)
PATH = torch.nn.functional.one_hot(torch.tensor([3, 1, 2, 4, 3, 1]), 5).float()
ROOT = Path(__file__).resolve().parents[3]


def test_mixtures_are_compiled_and_paths_that_are_drawn_are_not():
    fixed = PATH.clone()
    fixed[2] = 0.2  # what is left of a mixture when a selector has decided five positions
    assert mixes(full_plan(ALL))
    assert mixes(plan(fixed))
    assert not mixes(plan(PATH))
    assert not mixes(plan(PATH, ALL))
    assert not mixes(plan(0.5 * PATH, ALL, Run.PROBED))
    assert not mixes(plan(fixed, ALL, Run.ECHOED))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compiled_steps_are_the_steps_as_they_come():
    """In float32 to rounding; in bfloat16 no farther from float32 than eager bfloat16 is, which rounds more often."""
    script = Path(__file__).with_name("compiled.py")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["graphs"] > 0
    assert found["breaks"] == 0
    for step in ("weight_gradients", "gate_gradients"):
        assert 0 < found[f"{step} float32"] < 1e-4
        assert 1e-4 < found[f"{step} bfloat16"] < 1.1 * found[f"{step} bfloat16, eager"]


def objective(space, device="cpu"):
    options = SupernetOptions(channels=4, cells=3, batch=4, valid_batch=4, compile=True)
    return SupernetObjective(load_space(space, {}), load_task("digits"), options, Streams(0), 1, device=device)


@pytest.mark.parametrize(
    ("space", "device", "line"),
    [
        ("darts", "cpu", "supernet option compile=true: steps of this space are not compiled; give compile=false"),
        ("nb201", "cuda", "supernet option compile=true: needs the CPU, this device is 'cuda'; it takes graph=true"),
    ],
)
def test_what_cannot_be_compiled_is_refused(space, device, line):
    with pytest.raises(BenchbedError) as refused:
        objective(space, device)
    assert str(refused.value) == line


def test_a_machine_without_a_compiler_is_told_so():
    code = (
        "import torch\n"
        "from benchbed.spaces.nb201.supernet import NB201Supernet\nfrom benchbed.supernet import compile_steps\n"
        "from benchbed.errors import BenchbedError\n"
        "try: compile_steps(NB201Supernet(2, 1, 3))\nexcept BenchbedError as error: print(error)\n"
    )
    env = {**os.environ, "PATH": "/nowhere", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.stdout.startswith("supernet option compile=true: needs a C++ compiler such as g++"), done.stderr


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_a_run_says_that_it_compiles_once_for_each_mixture_and_a_dry_run_compiles_nothing(
    command, tiny_flags, tmp_path, monkeypatch
):
    """Compiled cells are stood for by plain ones; perturbation decides one position after the other."""
    asked = []
    monkeypatch.setattr(supernet, "NOTICED", set())
    monkeypatch.setattr(supernet, "compiled", lambda: asked.append(1) or supernet.CellSupernet.forward)
    words = ["run", "--searcher", "darts", "--selector", "perturb", *tiny_flags, "--out", tmp_path / "runs"]
    words += ["--set", "supernet.compile=true"]
    dry = command(*words, "--dry-run")
    assert dry.status == 0, dry.err
    assert asked == []
    assert "compiling" not in dry.out + dry.err
    done = command(*words)
    assert done.status == 0, done.err
    assert asked
    lines = done.err.splitlines()
    assert lines[0] == supernet.COMPILING  # before the first epoch's line
    assert 1 < lines.count(supernet.COMPILING) < 7  # the last decision leaves a path, which is not compiled
    count = len(asked)
    again = command(*words, "--force")
    assert (again.status, len(asked)) == (0, 2 * count)
    assert supernet.COMPILING not in again.err  # this process has it


def test_other_networks_are_not_compiled():
    with pytest.raises(BenchbedError, match="are not compiled"):
        compile_steps(torch.nn.Linear(1, 1))
