"""What every test shares: types and shapes checked at run time, one thread, the data beside the project."""

import os
from pathlib import Path

import jaxtyping
import pytest

# Read by torch and BLAS when they load. The tests' tensors are small: more threads cost more than they bring.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# From here on every function of benchbed and of both wings (benchbed.searchers.*, benchbed.selectors.*) checks its
# annotations, array shapes included. It must stand before anything imports benchbed. The tower: an int is a float.
jaxtyping.install_import_hook("benchbed", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test that hands over a wrong type on purpose, to see what a user would."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The third-party data beside the checkout, which the project neither holds nor needs."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the third-party data in ../shared/data beside the checkout")
    return folder
