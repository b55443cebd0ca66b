"""Tables imported once for all tests of this folder, in a home of their own."""

import bz2
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchbed.tables import Table
from benchbed.tables.importing import import_table


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home for each test, so that none ever writes to the user's."""
    monkeypatch.setenv("BENCHBED_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("benchbed.tables.store.EMBEDDED", tmp_path / "none")  # a table that comes with benchbed
    return tmp_path / "home" / "tables"


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """`imported(name, *paths)`: a table imported into a home that the whole session shares."""
    with pytest.MonkeyPatch.context() as patch:

        def run(name: str, *paths: Path) -> Table:
            patch.setenv("BENCHBED_HOME", str(tmp_path_factory.mktemp("session")))
            return import_table(paths, name)

        yield run


@pytest.fixture(scope="session")
def full(shared_data: Path, imported: Any) -> Table:
    """All cells: the merged public export, with its per-seed arrays."""
    return imported("full", shared_data / "nb201" / "table.csv", shared_data / "nb201" / "per_seed_200.npz")


@pytest.fixture(scope="session")
def upstream(shared_data: Path, imported: Any) -> Table:
    """The four upstream CSV files."""
    return imported("upstream", *sorted((shared_data / "nb201" / "upstream").glob("*.csv")))


@pytest.fixture(scope="session")
def sample(shared_data: Path, imported: Any) -> Table:
    """Three cells of NATS-Bench."""
    return imported("sample", shared_data / "nats-tss-sample")


@pytest.fixture(scope="session")
def frame(shared_data: Path) -> pd.DataFrame:
    """The merged public export, read by pandas."""
    return pd.read_csv(shared_data / "nb201" / "table.csv")


@pytest.fixture(scope="session")
def meta_archs(shared_data: Path) -> list[str]:
    """The strings of all cells by official index, read by Python's own unpickler: our own data beside the checkout."""
    return pickle.loads(bz2.decompress((shared_data / "nats-tss-sample" / "meta.pickle.pbz2").read_bytes()))[
        "meta_archs"
    ]


@pytest.fixture(scope="session")
def nats_cells(shared_data: Path) -> dict[int, Any]:
    """The three sample cells, read by Python's own unpickler."""
    folder = shared_data / "nats-tss-sample"
    return {n: pickle.loads(bz2.decompress((folder / f"{n:06d}.pickle.pbz2").read_bytes())) for n in (0, 11, 284)}
