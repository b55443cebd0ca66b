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
    said = found["share"].split()
    assert float(said[0]) == pytest.approx(rate, rel=5e-3)  # far below one: digits are left all the same
    assert float(said[2].rstrip("%")) == pytest.approx(2 * rate, rel=5e-3)
    assert found["share"].endswith("% of the best convolution of machine.json")
    assert found["options"]["machine"] == str(file)


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
    for words, line in (
        (("--threads", "0"), "--threads 0: expected a whole number of at least 1"),
        (("--out", "/nope/a.json"), "--out '/nope/a.json' cannot be written: there is no folder '/nope'"),
    ):
        done = ran("machine", *words, env=child_env)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", f"run.py: {line}\n")
