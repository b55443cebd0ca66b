"""The benchmark of looks at validation: both looks agree, and memory that is kept is not mapped again."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "look" / "run.py"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_memory_that_is_kept_is_not_mapped_again(tmp_path: Path, child_env: dict[str, str]) -> None:
    sizes = ["--images", "64", "--batch", "32", "--channels", "8", "--cells", "1", "--rounds", "2"]
    command = [sys.executable, str(FILE), *sizes, "--out", str(tmp_path / "look.json")]
    done = subprocess.run(command, env=child_env, capture_output=True, text=True, check=True)  # it cannot be undone
    found = json.loads((tmp_path / "look.json").read_text())
    assert f"{found['ratio']:.2f} x" in done.stdout
    assert max(found["kept"]["page_faults"]) < min(found["default"]["page_faults"]) / 10
