"""What the tests of studies share: a study run from Python, as its command runs it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbed.runtime.options import RunOptions
from benchbed.study import Finished, run_study


@pytest.fixture
def made() -> Callable[..., Finished]:
    """`made(name, out, raw, **options)`: the finished study; raw: a configuration under its options."""

    def run(name: str, out: Path, raw: Mapping[str, Any] | None = None, **options: Any) -> Finished:
        return run_study(name, options, RunOptions(out, torch.device("cpu")), raw or {})

    return run
