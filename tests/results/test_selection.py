"""The tables by script of results/selection.md: the page says what its lines give, and they what the table says."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchbed.tables import Table, store

from .conftest import RESULTS, script


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RESULTS / "selection.jsonl").read_text().splitlines()]


def test_the_page_holds_the_rows_that_its_lines_give(lines: list[dict[str, Any]]) -> None:
    selection = script("selection")
    page = (RESULTS / "selection.md").read_text()
    runs = selection.by_pair(lines)
    rows = selection.table(runs)
    assert len(rows) == 2 + len(selection.SEARCHERS)
    rows += [*selection.yardstick(runs), *selection.sampled(runs), *selection.statistics(runs)]
    for row in rows:
        assert row in page


def test_a_difference_by_hand() -> None:
    """All of three pairs 2 points apart: of the eight assignments of signs two are as extreme."""
    one, other = ({seed: {"test_accuracy": x + seed} for seed in range(3)} for x in (62.0, 60.0))
    assert script("selection").difference(one, other) == "+2.00 (all equal) | 0.250"


def test_the_accuracies_are_the_embedded_tables(lines: list[dict[str, Any]]) -> None:
    table = Table.open(Path(store.__file__).with_name("embedded") / "nb201-digits.npz")
    for line in lines:
        assert line["test_accuracy"] == table.query(line["architecture"], "digits", "test", 1)
