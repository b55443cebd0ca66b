"""The table that the package brings: whole, small, and what its page says of it."""

from pathlib import Path

import numpy as np
import pytest

from benchbed.builder.classes import classes
from benchbed.builder.quality import quality
from benchbed.spaces.nb201 import is_connected
from benchbed.table_config import SCORED_BY
from benchbed.tables import Table, store
from benchbed.tables.figures import Figure

TEST = Figure("digits", "test", 1)


@pytest.fixture(params=sorted(SCORED_BY.values()))
def table(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    monkeypatch.setenv("BENCHBED_HOME", str(tmp_path))  # an imported table of its name would hide it
    return Table.open(request.param)


def test_it_is_small_and_its_figures_are_those_that_its_fingerprint_names(table: Table) -> None:
    path = store.EMBEDDED / f"{table.name}.npz"
    assert path.stat().st_size < 1_000_000
    arrays = store.Arrays(path)
    assert store.fingerprint(table.meta["space"], {name: arrays[name] for name in arrays}) == table.fingerprint


def test_no_cell_is_missing_of_two_seeds_or_more(table: Table) -> None:
    assert table.is_whole()
    seeds = table.seeds(*TEST)
    assert seeds.shape == (*table.shape, 2)
    assert np.isfinite(seeds).all()
    assert np.allclose(seeds.mean(-1), table.values(*TEST), atol=1e-3)
    assert np.isfinite(table.values("digits", "valid", 1)).all()


def test_the_members_of_a_class_share_their_accuracy_and_keep_their_own_parameters(table: Table) -> None:
    accuracy, parameters = table.values(*TEST).reshape(-1), table.cost("params", "digits").reshape(-1)
    groups = classes(table.space)
    assert len(groups) == 4930
    assert all(len(set(accuracy[group.places])) == 1 for group in groups)
    assert any(len(set(parameters[group.places])) > 1 for group in groups)


def test_cells_without_a_path_guess_and_the_others_do_better(table: Table) -> None:
    flat = table.values(*TEST).reshape(-1)
    cells = [table.space.architecture_of(np.unravel_index(place, table.shape)) for place in range(flat.size)]
    connected = np.array([is_connected(cell.choices) for cell in cells])
    assert abs(flat[~connected].mean() - 10) < 1.5
    assert np.median(flat[connected]) > 40


def test_the_figures_that_it_carries_are_those_of_its_content(table: Table) -> None:
    kept = table.meta["quality"]["figures"]
    found = quality(table, None, resamples=10)
    assert kept["trained"] == found.trained == 4930
    assert kept["between"]["value"] == pytest.approx(found.between.value, abs=1e-9)
    assert kept["between"]["value"] > 0.8
