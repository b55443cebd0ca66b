"""The scripts of `benchmarks/first_gpu` as modules."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

FIRST_GPU = Path(__file__).resolve().parents[2] / "benchmarks" / "first_gpu"
MODULES = ("parcel", "images", "wheels", "collect", "arrival", "call")


@pytest.fixture(scope="module")
def first_gpu() -> Iterator[SimpleNamespace]:
    """`first_gpu.parcel` and so on; their names are plain ones and are given back."""
    before = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    sys.path.insert(0, str(FIRST_GPU))
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    sys.path.remove(str(FIRST_GPU))
    for name in MODULES:
        del sys.modules[name]
    sys.modules.update(before)
