"""The first call on a lent machine, rehearsed: every part of it on the simulated CUDA device, on real images."""

import gzip
import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from benchbed.tables import store

ROOT = Path(__file__).resolve().parents[2]
SIMULATED = ROOT / "tests" / "simulated_cuda"
# Imported by each Python of the call. The device's peak is a number that is never the same, for benchmarks/memory.
EVERYWHERE = """
import cuda, itertools, torch
from device import Device
cuda.install()
torch.cuda.max_memory_allocated = lambda *_, count=itertools.count(1000): next(count)
Device().__enter__()
"""


def preloaded() -> Path:
    """The compiled device; skips where there is none."""
    spec = importlib.util.spec_from_file_location("simulated_conftest", SIMULATED / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Path = module.library()
    return found


def carried(shared_data: Path, place: Path) -> None:
    """As `call.py bring` would leave it: a table, the splits and the first of the five batches."""
    for folder in ("home/tables", "splits", "images"):
        (place / folder).mkdir(parents=True)
    rng = np.random.default_rng(3)
    arrays = {f"accuracy/cifar10_{split}_200": rng.uniform(20, 95, (5,) * 6) for split in ("valid", "test")}
    meta = {"format": store.FORMAT, "space": "nb201", "fingerprint": store.fingerprint("nb201", arrays), "seeds": {},
            "figures": [["cifar10", split, 200] for split in ("valid", "test")]}  # fmt: skip
    store.write(place / "home" / "tables" / "nb201.npz", meta, arrays)
    (place / "splits" / "cifar-split.txt").write_bytes((shared_data / "splits" / "cifar-split.txt").read_bytes())
    name = "data_batch_1"  # the mosaic beside the project is laid out as images.py lays it out
    rest = gzip.decompress((shared_data / "cifar10" / f"{name}.rest.gz").read_bytes())
    cut = 4 + int.from_bytes(rest[:4], "big")
    head = (cut - 4).to_bytes(4, "big") + (10_000).to_bytes(4, "big")
    (place / "images" / f"{name}.rest").write_bytes(gzip.compress(head + rest[4:]))
    (place / "images" / f"{name}.webp").write_bytes((shared_data / "cifar10" / f"{name}.webp").read_bytes())


@pytest.mark.slow
def test_every_part_of_the_first_call_ends_well(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "everywhere").mkdir()
    (tmp_path / "everywhere" / "sitecustomize.py").write_text(EVERYWHERE)
    carried(shared_data, tmp_path / "store")
    paths = os.pathsep.join(map(str, (tmp_path / "everywhere", SIMULATED)))
    environment = {**os.environ, "LD_PRELOAD": str(preloaded()), "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    folders = ["--store", str(tmp_path / "store"), "--out", str(tmp_path / "out"), "--seconds", "3000"]
    command = [sys.executable, str(ROOT / "benchmarks" / "first_gpu" / "call.py"), "first", *folders, "--rehearsal"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(tmp_path / "out" / "first.zip") as packed:
        names = packed.namelist()
        summary = packed.read("summary.txt").decode().splitlines()
        capture = packed.read("capture.log").decode()
    assert {"arrival.json", "supernet-step.json", "memory.json"} <= set(names)
    assert [line.partition(" s an epoch")[0].partition(":")[0] for line in summary[-3:]] == [
        "blank",
        "darts",
        "proxyless",
    ]
    assert "6 passed" in capture
