"""The table that comes with benchbed: it scores the embedded task where nothing else is asked for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbed.errors import BenchbedError
from benchbed.pipeline.resolve import resolve
from benchbed.pipeline.tables import NO_TABLE, SCORED_BY
from benchbed.spaces.nb201.space import NB201
from benchbed.tables import Table, store
from benchbed.tables.importing import free_path

PRESET = {"searcher": {"name": "darts"}, "selector": {"name": "magnitude"}}
CELL = NB201().architecture_of((3, 1, 2, 4, 0, 3))


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    """A table in the place of benchbed's own: test accuracies 0 to 99, one cell of 99.5."""
    test = np.arange(5**6, dtype=np.float64).reshape((5,) * 6) % 100
    test[CELL.choices] = 99.5
    arrays = {"accuracy/digits_valid_1": np.maximum(test - 1, 0), "accuracy/digits_test_1": test}
    arrays["seeds/digits_test_1"] = test[..., None]
    meta = {
        "format": store.FORMAT,
        "space": "nb201",
        "fingerprint": store.fingerprint("nb201", arrays),
        "figures": [["digits", "valid", 1], ["digits", "test", 1]],
        "full_epochs": 1,
        "seeds": {"digits_test_1": ["0"]},
        "sources": [],
        "made": "by hand",
        "recipe": {"epochs": 1, "channels": 8},
        "made_with": [{"versions": {"torch": "2.13.0"}, "commit": "abcdef0123456", "machine": {"processor": "a chip"}}],
        "classes": 10,
    }
    monkeypatch.setattr(store, "EMBEDDED", tmp_path / "embedded")
    monkeypatch.setenv("BENCHBED_HOME", str(tmp_path / "home"))
    store.write(tmp_path / "embedded" / "nb201-digits.npz", meta, arrays, compressed=True)
    return Table.open("nb201-digits")


def _resolve(**raw: Any) -> Any:
    return resolve({**PRESET, **raw}, "darts", "magnitude", 0)


def test_a_run_on_digits_is_scored_by_it(embedded: Table) -> None:
    config = _resolve()
    assert config.scoring is None
    assert (config.table.name, config.table.dataset) == ("nb201-digits", "digits")
    assert config.table.fingerprint == embedded.fingerprint
    assert config.table.open().query(CELL, "digits", "test", 1) == 99.5


@pytest.mark.parametrize(
    "raw",
    [
        {"table": NO_TABLE},
        {"scoring": {"epochs": 3}},
        {"task_options": {"noise": 0.2}},
        {"protocol": "generic-paper"},
        {"table": NO_TABLE, "scoring": {"epochs": 3}},
    ],
    ids=str,
)
def test_where_something_else_is_asked_for_the_cell_is_trained(embedded: Table, raw: dict[str, Any]) -> None:
    config = _resolve(**raw)
    assert config.table is None
    assert config.scoring is not None


def test_a_data_set_that_is_not_its_own_is_of_a_table_to_be_named(embedded: Table) -> None:
    with pytest.raises(BenchbedError, match=r"dataset 'cifar10' is of a table: add --table NAME"):
        _resolve(dataset="cifar10")
    assert _resolve(dataset="digits").table.name == "nb201-digits"


def test_without_the_file_the_cell_is_trained(embedded: Table) -> None:
    store.find("nb201-digits")[1].unlink()
    assert _resolve().table is None


def test_it_is_a_table_objective_without_naming_its_only_data_set(embedded: Table) -> None:
    assert _resolve(objective="table", table="nb201-digits").table.dataset == "digits"


def test_an_imported_table_of_the_same_name_hides_it(embedded: Table, tmp_path: Path) -> None:
    there = store.path_of("nb201-digits")
    there.parent.mkdir(parents=True)
    there.write_bytes(store.find("nb201-digits")[1].read_bytes())
    assert store.find("nb201-digits")[1] == there
    assert store.names() == ["nb201-digits"]
    assert _resolve().table.name == "nb201-digits"


def test_it_is_hidden_by_force_alone(embedded: Table) -> None:
    with pytest.raises(BenchbedError, match="'nb201-digits' comes with benchbed: give another name, or --force"):
        free_path("nb201-digits", force=False)
    assert free_path("nb201-digits", force=True) == store.path_of("nb201-digits")


def test_a_table_that_hides_it_and_is_of_something_else_scores_nothing_unasked(embedded: Table) -> None:
    there = store.path_of("nb201-digits")
    there.parent.mkdir(parents=True)
    table = Table.open("nb201-digits")
    meta = {**table.meta, "figures": [["mine", *figure[1:]] for figure in table.meta["figures"]]}
    arrays = {name.replace("digits_", "mine_"): np.array(table._array(name)) for name in table.arrays}
    store.write(there, {**meta, "fingerprint": store.fingerprint("nb201", arrays)}, arrays)
    with pytest.raises(BenchbedError, match="hides the table that comes with benchbed, and has no data set 'digits'"):
        _resolve()
    assert _resolve(table="none").table is None


def test_it_is_no_guess_for_the_benchmarks_own(embedded: Table) -> None:
    """Who asks for nb201 and has imported nothing is told how to get it, and what there is."""
    said = (
        r"unknown table 'nb201': none is imported; 'table fetch nb201' downloads one; nb201-digits comes with benchbed"
    )
    with pytest.raises(BenchbedError, match=said):
        Table.open("nb201")


def test_it_is_listed_and_info_says_how_it_was_made(embedded: Table, command: Callable[..., Any]) -> None:
    assert "nb201-digits" in command("table", "list").out
    done = command("table", "info", "nb201-digits")
    assert done.status == 0, done.err
    shown = done.out
    assert "recipe    epochs 1, channels 8" in shown
    assert "made with torch 2.13.0, commit abcdef0123, a chip" in shown


def test_kept_figures_of_quality_are_shown_by_info_and_change_no_fingerprint(
    embedded: Table, command: Callable[..., Any]
) -> None:
    said = command("table", "quality", "nb201-digits", "--keep")
    assert said.status == 0
    shown = command("table", "info", "nb201-digits").out
    assert "between seeds    one seed: not known" in shown
    assert "all nor_conv_3x3" in shown
    again = Table.open("nb201-digits")
    assert again.fingerprint == embedded.fingerprint
    assert again.is_whole()
    facts = json.loads(command("table", "info", "nb201-digits", "--json").out)
    assert facts["quality"]["figures"]["trained"] == 4930


def test_what_scores_by_default_names_a_space_and_a_task_that_are_there() -> None:
    from benchbed import registry

    for space, task in SCORED_BY:
        registry.find("space", space)
        registry.find("task", task)
