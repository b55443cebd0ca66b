"""A table whose content was changed under the same fingerprint is refused before anything is run by it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbed.errors import BenchbedError
from benchbed.spaces.nb201.space import all_strings
from benchbed.tables import Table, store, trusted
from benchbed.tables.importing import import_table

Command = Callable[..., Any]
RUN = ("run", "--objective", "table", "--table", "t", "--dataset", "cifar10", "--searcher", "darts", "--selector",
       "magnitude", "--epochs", "1", "--steps", "2", "--quiet", "--out")  # fmt: skip


@pytest.fixture
def table(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An imported table of all cells; its file."""
    monkeypatch.setattr(trusted, "_here", set())
    rows = [f"{text},{10 + i / 1000},{20 + i / 1000}" for i, text in enumerate(all_strings())]
    (tmp_path / "t.csv").write_text("\n".join(["arch,cifar10_valid_200,cifar10_test_200", *rows]) + "\n")
    import_table([tmp_path / "t.csv"], "t")
    return home / "t.npz"


def forge(file: Path) -> None:
    """Validation and test swapped, the metadata as it was."""
    arrays = store.Arrays(file)
    content, meta = {name: arrays[name] for name in arrays}, arrays.meta()
    names = ("accuracy/cifar10_valid_200", "accuracy/cifar10_test_200")
    content[names[0]], content[names[1]] = content[names[1]], content[names[0]]
    store.write(file, meta, content)


def test_swapped_arrays_are_refused_by_run_select_and_verify(
    table: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert command(*RUN, out).status == 0
    (search,), (record,) = out.glob("searches/*"), out.glob("*/record.json")
    forge(table)
    for words in ((*RUN, tmp_path / "other"), ("select", search, "--selector", "random"), ("verify", record)):
        done = command(*words)
        assert done.status == 2, words
        assert "table t (" in done.err
        assert "does not have the content that its fingerprint" in done.err
        assert done.err.count("\n") == 1
    assert not (tmp_path / "other").exists()


def test_a_file_is_looked_at_once_as_long_as_it_stays_the_same(
    table: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trusted, "LARGE", 0)
    looks = []
    whole = Table.is_whole
    monkeypatch.setattr(Table, "is_whole", lambda self: looks.append(1) or whole(self))
    for _ in range(3):
        trusted.trusted("t")
    assert len(looks) == 1
    monkeypatch.setattr(trusted, "_here", set())  # another process
    trusted.trusted("t")
    assert len(looks) == 1
    os.utime(table, ns=(0, 1))
    trusted.trusted("t")
    assert len(looks) == 2
    (home / trusted.CHECKED).write_text("[1, {]")  # damaged: looked at again
    monkeypatch.setattr(trusted, "_here", set())
    trusted.trusted("t")
    assert len(looks) == 3


def test_one_changed_number_is_seen(table: Path) -> None:
    arrays = store.Arrays(table)
    content = {name: np.array(arrays[name]) for name in arrays}
    content["accuracy/cifar10_test_200"].reshape(-1)[123] += 1e-9
    store.write(table, arrays.meta(), content)
    with pytest.raises(BenchbedError, match="was changed after it was made"):
        trusted.trusted("t")
