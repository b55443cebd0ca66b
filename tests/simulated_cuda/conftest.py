"""The tests of this folder run on a simulated CUDA device, each file in a process of its own.

Outside of it a file is one test: it compiles `device.cpp`, once for each torch, and runs the file under pytest with the
library preloaded. It is skipped where there is no C++ compiler. With BENCHBED_REAL_CUDA set test_run.py, which counts
nothing, runs on a GPU itself (benchmarks/first_gpu).
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
INSIDE = "BENCHBED_SIMULATED_CUDA"
REAL = "BENCHBED_REAL_CUDA"
SECONDS = 3600


def library() -> Path:
    """The compiled device, made where it is missing; skips where it cannot be compiled."""
    from importlib.util import find_spec

    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("the simulated CUDA device needs Linux and a C++ compiler")
    found = find_spec("torch")
    assert found is not None
    assert found.origin is not None
    torch = Path(found.origin).parent
    key = hashlib.sha256((HERE / "device.cpp").read_bytes() + (torch / "version.py").read_bytes() + str(torch).encode())
    place = Path(tempfile.gettempdir()) / f"benchbed-simulated-cuda-{os.getuid()}-{key.hexdigest()[:12]}.so"
    if not place.exists():
        new = place.with_suffix(f".{os.getpid()}")
        command = [
            compiler, "-O1", "-std=c++20", "-fPIC", "-shared", str(HERE / "device.cpp"), "-o", str(new),
            f"-I{torch / 'include'}", f"-L{torch / 'lib'}", "-Wl,--no-as-needed", "-ltorch_cpu", "-lc10",
            f"-Wl,-rpath,{torch / 'lib'}",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"the simulated CUDA device does not compile: {done.stderr.strip().splitlines()[-1][:200]}")
        os.replace(new, place)
    return place


class Inside(pytest.Item):
    """One file of tests, run on the device: those of the default lane, or the slow ones."""

    def runtest(self) -> None:
        environment = {**os.environ, "LD_PRELOAD": str(library()), INSIDE: "1", "OMP_NUM_THREADS": "1"}
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(HERE)])
        marks = "slow" if self.get_closest_marker("slow") else "not slow"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", marks]
        done = subprocess.run(
            [*command, str(self.path)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS
        )
        if done.returncode == 5:
            pytest.skip("no test of this file is asked for")
        assert done.returncode == 0, f"\n{done.stdout[-8000:]}{done.stderr[-2000:]}"

    def repr_failure(self, excinfo: Any, style: Any = None) -> str:
        return str(excinfo.value)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"on the simulated device: {self.path.name}"


class File(pytest.File):
    def collect(self) -> Iterator[pytest.Item]:
        yield Inside.from_parent(self, name="on-the-simulated-device")
        slow: pytest.Item = Inside.from_parent(self, name="slow-on-the-simulated-device")
        slow.add_marker(pytest.mark.slow)
        yield slow


if INSIDE in os.environ:
    import cuda
    from device import Device

    cuda.install()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
        """The longest of the tests that are taken from elsewhere are not in the default lane."""
        for item in items:
            if "_with_decisions" in item.name:
                item.add_marker(pytest.mark.slow)

    @pytest.fixture(autouse=True)
    def device() -> Iterator[Device]:
        """The device, its counters at zero."""
        with Device() as made:
            yield made

elif REAL not in os.environ:

    def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.File:
        return File.from_parent(parent, path=module_path)
