"""The notebooks run; what they print is what they were committed with, where it does not hang on the processor."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def code(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def kinds(cell: dict[str, Any]) -> list[list[str]]:
    """What a cell shows: the kinds of every output."""
    return [sorted(output.get("data", [output.get("name")])) for output in cell["outputs"]]


def words(cell: dict[str, Any]) -> list[str]:
    found = [output.get("text") or output["data"]["text/plain"] for output in cell["outputs"]]
    return [text if isinstance(text, str) else "".join(text) for text in found]


def test_there_are_three() -> None:
    assert [file.stem for file in NOTEBOOKS] == ["first-comparison", "own-searcher", "table-study"]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_every_cell_was_run_in_order_and_says_nothing_of_the_machine(file: Path) -> None:
    cells = code(json.loads(file.read_text()))
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert all(output["output_type"] != "error" and output.get("name") != "stderr" for output in cell["outputs"])
    assert not re.search(r"/srv/|/home/|/tmp/|/root/", file.read_text())


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_links_of_their_text_lead_somewhere(file: Path) -> None:
    for cell in json.loads(file.read_text())["cells"]:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", "".join(cell["source"])):
            if cell["cell_type"] == "markdown":
                assert (file.parent / link).exists(), link


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_they_run_and_print_what_is_written(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nbclient")
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    sys.modules.pop("notebook_pages", None)
    import notebook_pages

    kept, found = json.loads(file.read_text()), notebook_pages.executed(file, tmp_path)
    for notebook in (kept, found):
        for cell in code(notebook):  # whether two prints come as one output or two is a matter of time
            cell["outputs"] = notebook_pages.joined(cell["outputs"])
    for before, after in zip(code(kept), code(found), strict=True):
        assert kinds(before) == kinds(after)
        if kept["metadata"]["benchbed"]["repeats"]:
            assert words(before) == words(after)
