"""docs/oracles.md names tests that are there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PARTS = (ROOT / "docs" / "oracles.md").read_text().split("\n# ")  # a part a reference


def _tests_in(file: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("part", "count"), [(0, 25), (1, 23), (2, 29)])
def test_every_oracle_has_its_row_and_every_test_that_it_names_is_there(part: int, count: int) -> None:
    rows = [line for line in PARTS[part].splitlines() if re.match(r"\| \d+ ", line)]
    assert [int(row.split()[1]) for row in rows] == list(range(1, count + 1))
    for row in rows:
        file: Path | None = None
        names = re.findall(r"`([^`]+)`", row.rsplit("|", 2)[1])
        assert names or row.endswith("| not here |"), row
        for name in names:
            path, colons, test = name.rpartition("::")
            if colons:
                file = ROOT / path
            assert file is not None, name
            assert test in _tests_in(file), name
