"""Finished runs to report on, made once and for real: searches on a table of random accuracies, milliseconds each."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from benchbed.pipeline.resolve import expand
from benchbed.pipeline.run import run_all
from benchbed.runtime.options import RunOptions
from benchbed.tables import store

SEEDS = [0, 1, 2]


@pytest.fixture(scope="session")
def table_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A NAS-Bench-201 table of CIFAR-10 in a file of its own, with three seeds behind each test accuracy."""
    rng = np.random.default_rng(7)
    seeds = np.clip(rng.uniform(20, 95, (5,) * 6)[..., None] + rng.normal(0, 0.5, (*(5,) * 6, 3)), 0, 100)
    arrays = {
        "accuracy/cifar10_valid_200": rng.uniform(20, 95, (5,) * 6),
        "accuracy/cifar10_test_200": seeds.mean(-1),
        "seeds/cifar10_test_200": seeds,
    }
    meta = {
        "format": store.FORMAT,
        "space": "nb201",
        "fingerprint": store.fingerprint("nb201", arrays),
        "figures": [["cifar10", "valid", 200], ["cifar10", "test", 200]],
        "seeds": {"cifar10_test_200": ["0", "1", "2"]},
    }
    file = tmp_path_factory.mktemp("table") / "made-up.npz"
    store.write(file, meta, arrays)
    return file


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, table_file: Path) -> Path:
    """{darts, proxyless} x {magnitude, constant} x 3 seeds: six searches, twelve runs. To be read only."""
    out = tmp_path_factory.mktemp("reported") / "runs"
    raw = {"objective": "table", "table": str(table_file), "dataset": "cifar10", "epochs": 3, "steps": 4}
    configs = expand(raw, ["darts", "proxyless"], ["magnitude", "constant"], SEEDS)
    run_all(configs, RunOptions(out, torch.device("cpu")))
    return out


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    """A copy of those runs, to be changed at will."""
    return Path(shutil.copytree(made, tmp_path / "runs"))
