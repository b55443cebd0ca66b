"""`benchmarks/machine` writes a rate of each kind, the best of its shapes; `supernet_step` gives its share of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def ran(script: str, *arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script / "run.py"), *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
def test_a_step_is_a_share_of_the_best_convolution(tmp_path: Path, child_env: dict[str, str]) -> None:
    file = tmp_path / "machine.json"
    rates = {"float32": {"convolution": {"gflops": 50.0, "threads": 1, "shape": "16 channels, 32x32"}}}
    file.write_text(json.dumps({"rates": rates}))
    size = ["--channels", "2", "--cells", "1", "--batch", "4", "--image", "8", "--repeats", "2", "--threads", "1"]
    out = tmp_path / "step.json"
    done = ran("supernet_step", *size, "--machine", str(file), "--out", str(out), env=child_env)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    seconds = sorted(found["steps"]["darts_step"]["seconds"]["ours channels-last float32"])
    rate = found["flops"] / (sum(seconds) / 2) / 1e9
    assert found["share"] == f"{rate:.0f} GFLOP/s, {rate / 50:.0%} of the best convolution of machine.json"
    size[-1] = "2"
    refused = ran("supernet_step", *size, "--machine", str(file), env=child_env)
    assert refused.returncode == 1
    assert "was measured with 1 thread(s), not 2" in refused.stderr


@pytest.mark.slow
def test_each_kind_of_rate_is_the_best_of_its_shapes(tmp_path: Path, child_env: dict[str, str]) -> None:
    out = tmp_path / "machine.json"
    done = ran("machine", "--threads", "1", "--batch", "4", "--repeats", "1", "--out", str(out), env=child_env)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    for precision in ("float32", "bfloat16"):
        for kind in ("convolution", "product"):
            printed = [
                float(line.split()[-2]) for line in done.stdout.splitlines() if line.startswith(f"{kind} {precision}")
            ]
            assert found["rates"][precision][kind]["gflops"] == pytest.approx(max(printed), abs=0.06)
    assert found["copy_gigabytes_a_second"] > 0


def test_a_number_that_cannot_be_is_refused(child_env: dict[str, str]) -> None:
    done = ran("machine", "--threads", "0", env=child_env)
    assert done.returncode == 2
    assert "--threads 0: expected at least 1" in done.stderr
