"""The commands of a report do what they say: a row is found done, a missing control is added."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbed.report.collect import collect
from benchbed.report.commands import constant_operation, missing_controls, remake, toml
from benchbed.report.groups import RANDOM_SEARCH, groups


def typed(line: str) -> list[str]:
    assert line.startswith("python -m benchbed ")
    return line.removeprefix("python -m benchbed ").split()


def test_a_row_is_found_done_by_its_command(runs: Path, command: Callable[..., Any], tmp_path: Path) -> None:
    (group,) = groups(collect(runs).records)
    before = sorted(runs.iterdir())
    for row in group.rows:
        made = remake(group, row, runs, tmp_path)
        (tmp_path / made.file).write_text(made.text)
        outcome = command(*typed(made.line))
        assert outcome.status == 0
        assert outcome.err.count("done before") == 3
    assert sorted(runs.iterdir()) == before


def test_a_missing_control_is_added_by_its_command(runs: Path, command: Callable[..., Any], tmp_path: Path) -> None:
    (group,) = groups(collect(runs).records)
    ((words, made),) = missing_controls(group, runs, tmp_path)  # the constant cell is there
    assert "random search at the cost of" in words
    assert made is not None
    (tmp_path / made.file).write_text(made.text)
    assert command(*typed(made.line), "--quiet").status == 0
    (again,) = groups(collect(runs).records)
    assert missing_controls(again, runs, tmp_path) == []
    (row,) = [row for row in again.rows if row.control == RANDOM_SEARCH]
    assert [r.seed for r in row.records] == [0, 1, 2]
    epochs = {r.config["epochs"] for r in again.records}
    assert epochs == {3}


def test_a_missing_constant_cell_is_added_by_its_command(made: Path, tmp_path: Path) -> None:
    found = [r for r in collect(made).records if r.selector == "magnitude"]
    (group,) = groups(found)
    lacking = missing_controls(group, made, tmp_path)
    assert len(lacking) == 2
    words, one = lacking[1]
    assert "nor_conv_3x3 everywhere" in words
    assert one is not None
    values = tomllib.loads(one.text)
    assert values["selector"] == {"name": "constant", "operation": "nor_conv_3x3"}
    assert values["searcher"]["name"] == group.rows[0].searcher  # its searches are there already
    assert values["seeds"] == "0:3"


def test_seeds_that_are_no_range_are_a_loop(made: Path, tmp_path: Path) -> None:
    (group,) = groups([r for r in collect(made).records if r.seed != 1])
    made_again = remake(group, group.rows[0], made, tmp_path)
    assert made_again.line.startswith("for s in 0:1 2:3; do python -m benchbed run --config ")
    assert made_again.line.endswith(" --seeds $s; done")
    assert "seeds" not in tomllib.loads(made_again.text)


@pytest.mark.parametrize(
    ("space", "operation"), [("nb201", "nor_conv_3x3"), ("darts", "sep_conv_3x3"), ("darts_s1", None), ("absent", None)]
)
def test_the_operation_of_a_constant_cell(space: str, operation: str | None) -> None:
    assert constant_operation(space, {}) == operation


def test_what_is_written_as_toml_is_read_back() -> None:
    inner = {"g": [1, 2], "h i": {"j": 1}}
    values = {"a": 'x "y" \\ ü', "b": 1, "c": 2.5e-7, "d": True, "e": None, "s": {"f": None, **inner}, "t": {}}
    back = tomllib.loads(toml(values))
    assert back == {"a": 'x "y" \\ ü', "b": 1, "c": 2.5e-7, "d": True, "s": {"f": "none", **inner}}


def test_the_control_of_a_search_on_a_table_pays_as_many_simulated_seconds(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    words = ("--objective", "table", "--table", "nb201-digits", "--selector", "magnitude", "--seeds", "0:2", "--quiet")
    equal = ("--set=searcher.budget=40", "--set=searcher.fidelity=1")
    assert command("run", "--searcher", "local-search", *words, *equal, "--out", runs).status == 0
    (group,) = groups(collect(runs).records)
    words, made = missing_controls(group, runs, tmp_path)[0]
    assert words == "random search in the simulated seconds of local-search"
    assert made is not None
    (tmp_path / made.file).write_text(made.text)
    assert command(*typed(made.line), "--quiet").status == 0
    (again,) = groups(collect(runs).records)
    (row,) = [row for row in again.rows if row.control == RANDOM_SEARCH]
    (method,) = [row for row in again.rows if row.searcher == "local-search"]
    assert row.simulated
    assert row.search_seconds() == pytest.approx(method.search_seconds(), rel=0.2)
    assert all(words.startswith("the constant") for words, _ in missing_controls(again, runs, tmp_path))
