"""The page of published tables: nothing is claimed without a line of results behind it."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from .conftest import RESULTS, script

TABLES = tomllib.loads((RESULTS / "published" / "published.toml").read_text())["table"]


@pytest.fixture(scope="module")
def published() -> ModuleType:
    return script("published/page")


@pytest.fixture
def results(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """An entry of the index over lines with the given accuracies, one a seed unless seeds are given."""

    def make(accuracies: list[float], seeds: list[int] | None = None, **changes: Any) -> dict[str, Any]:
        lines = [
            {"seed": seed, "who": "me", "figures": {"test": accuracy}, "commit": "0123456789",
             "machine": {"processor": "abacus", "device": "cpu"}}
            for seed, accuracy in zip(seeds or range(len(accuracies)), accuracies, strict=True)
        ]  # fmt: skip
        other = {"seed": 0, "who": "you", "figures": {"test": 1.0}}
        (tmp_path / "r.jsonl").write_text("".join(json.dumps(x) + "\n" for x in [*lines, other]))
        return {
            "table": "pt-nb201", "row": "DARTS+PT", "column": "accuracy, %", "file": "r.jsonl", "where": {"who": "me"},
            "figure": "figures.test", "protocol": "as published", "page": "r.md", "by": "us", **changes,
        }  # fmt: skip

    return make


def test_the_committed_page_is_what_the_command_makes(published: ModuleType) -> None:
    entries = json.loads((RESULTS / "published" / "published.json").read_text())
    assert published.page(TABLES, entries, RESULTS) == (RESULTS / "published" / "published.md").read_text()
    for entry in entries:
        assert (RESULTS / entry["page"]).exists()


def test_every_row_fits_its_table_and_says_where_it_was_read(published: ModuleType) -> None:
    assert len({table["id"] for table in TABLES}) == len(TABLES)
    for table in TABLES:
        names = [row[0] for row in table["rows"]]
        assert len(set(names)) == len(names)
        assert {len(row) for row in table["rows"]} == {1 + len(table["columns"])}
        assert {table["tag"], *table.get("tags", {}).values()} <= published.READ.keys()
        assert table.get("tags", {}).keys() <= set(names)


def test_the_headline(published: ModuleType) -> None:
    """DARTS 54.30, with perturbation 88.11, with fixed alpha 93.80; S2 and S4 of the paper; swaps of its table 1."""
    by_id = {table["id"]: {row[0]: row[1:] for row in table["rows"]} for table in TABLES}
    assert [row[1] for row in by_id["pt-nb201"].values()] == ["54.30", "88.11", "93.80"]
    assert by_id["pt-s1-s4"]["CIFAR-10, S2"] == ["4.85", "2.79", "2.59"]
    assert by_id["pt-s1-s4"]["SVHN, S4"] == ["3.05", "2.42", "2.39"]
    assert by_id["pt-swap"]["DARTS supernet"] == ["88.44", "81.09+-1.87"]


def test_our_cell_is_the_mean_of_its_lines(published: ModuleType, results: Callable[..., Any], tmp_path: Path) -> None:
    page = published.page(TABLES, [results([80.0, 90.0, 91.0])], tmp_path, tmp_path)
    (row,) = [line for line in page.splitlines() if line.startswith("| DARTS+PT | 11.89")]
    assert "**87.00** (71.89 to 102.11)" in row
    assert "3 seeds; as published; us, abacus, cpu, commit 0123456 ([page](../r.md))" in row
    assert row.count("not run yet") == 0
    rows = sum(len(table["rows"]) for table in TABLES)
    assert page.count("| not run yet |") == rows - 1
    assert f"Of {rows} rows 1 have" in page
    one = published.page(TABLES, [results([80.0])], tmp_path, tmp_path)
    assert "**80.00**, 1 seed; as published" in one, "no interval of a single seed"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"row": "DARTS+TP"}, "no cell pt-nb201 / DARTS[+]TP / accuracy"),
        ({"table": "pt"}, "no cell pt / DARTS[+]PT"),
        ({"column": "error"}, "no cell pt-nb201 / DARTS[+]PT / error"),
        ({"where": {"who": "nobody"}}, "r.jsonl: 0 lines of 0 seeds have {'who': 'nobody'}"),
        ({"where": {}}, "r.jsonl: 3 lines of 2 seeds"),
    ],
)
def test_an_entry_without_a_cell_or_a_line_stops_it(
    published: ModuleType, results: Callable[..., Any], tmp_path: Path, changes: dict[str, Any], line: str
) -> None:
    with pytest.raises(SystemExit, match=line):
        published.page(TABLES, [results([80.0, 90.0], **changes)], tmp_path)
