"""The table that the package brings: small, whole, and with the figures of quality that its content has."""

from pathlib import Path

import numpy as np
import pytest

from benchbed.builder.quality import between_seeds, seeds_by_class
from benchbed.pipeline.tables import SCORED_BY
from benchbed.spaces.classes import CellClass, classes
from benchbed.spaces.nb201.space import NB201, is_connected
from benchbed.tables import Table, store
from benchbed.tables.figures import Figure

TEST = Figure("digits", "test", 1)


@pytest.fixture(scope="module")
def groups() -> list[CellClass]:
    return classes(NB201())


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Table:
    monkeypatch.setattr(store, "EMBEDDED", Path(store.__file__).with_name("embedded"))  # which this folder's tests hide
    return Table.open(SCORED_BY["nb201", "digits"])


def test_it_is_small_and_its_figures_are_those_that_its_fingerprint_names(table: Table) -> None:
    path = store.EMBEDDED / f"{table.name}.npz"
    assert path.stat().st_size < 1_000_000
    arrays = store.Arrays(path)
    assert store.fingerprint(table.meta["space"], {name: arrays[name] for name in arrays}) == table.fingerprint


def test_no_cell_lacks_one_of_its_two_seeds(table: Table) -> None:
    assert table.is_whole()
    seeds = table.seeds(*TEST)
    assert seeds.shape == (5, 5, 5, 5, 5, 5, 2)
    assert np.isfinite(seeds).all()
    assert np.allclose(seeds.mean(-1), table.values(*TEST), atol=1e-3)
    assert np.isfinite(table.values("digits", "valid", 1)).all()


def test_members_of_a_class_share_their_accuracy_and_have_their_own_parameters(
    table: Table, groups: list[CellClass]
) -> None:
    accuracy, parameters = table.values(*TEST).reshape(-1), table.cost("params", "digits").reshape(-1)
    assert len(groups) == 4930
    assert all(len(set(accuracy[group.places])) == 1 for group in groups)
    assert any(len(set(parameters[group.places])) > 1 for group in groups)


def test_cells_without_a_path_guess_and_no_other_does(table: Table, groups: list[CellClass]) -> None:
    accuracy = table.values(*TEST).reshape(-1)
    connected = np.array([is_connected(group.trained) for group in groups])
    found = accuracy[[group.places[0] for group in groups]]
    assert np.count_nonzero(~connected) == 1  # they are one class
    assert abs(found[~connected][0] - 10) < 1.5
    assert found[connected].min() > 20


def test_the_agreement_of_seeds_that_it_carries_is_its_own(table: Table, groups: list[CellClass]) -> None:
    assert table.meta["quality"]["figures"]["trained"] == 4930
    kept = table.meta["quality"]["figures"]["between"][0]
    assert kept == pytest.approx(between_seeds(seeds_by_class(table, groups, TEST)), abs=1e-9)
    assert kept >= 0.80
