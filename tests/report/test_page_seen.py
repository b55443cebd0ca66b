"""The page as a browser shows it: on a telephone's width and a screen's, in the light and in the dark scheme."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from benchbed.pipeline.resolve import expand
from benchbed.pipeline.run import run_all
from benchbed.report.hover import Point
from benchbed.report.write import Report
from benchbed.runtime.options import RunOptions
from benchbed.tables import Table, store

SECONDS = 180  # of a loaded machine
WIDTHS, SCHEMES = (390, 1280), ("light", "dark")

LOOK = Path(__file__).with_name("look.html").read_text()


class Shown(NamedTuple):
    """A report of two groups, the second without a searcher that the first has."""

    report: Report
    page: Path


@pytest.fixture(scope="module")
def shown(made: Path, table_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    place = tmp_path_factory.mktemp("seen")
    runs = Path(shutil.copytree(made, place / "runs"))
    table, other = Table.open(str(table_file)), place / "another.npz"
    arrays = {name: np.clip(np.array(table._array(name)) + 1, 0, 100) for name in table.arrays}
    store.write(other, {**table.meta, "fingerprint": store.fingerprint("nb201", arrays)}, arrays)
    raw = {"objective": "table", "table": str(other), "dataset": "cifar10", "epochs": 3, "steps": 4}
    configs = expand(raw, ["gdas", "proxyless", "random"], ["best-of", "magnitude"], [0, 1])
    run_all(configs, RunOptions(runs, torch.device("cpu")))
    report = Report(runs, place / "report")
    report.write()
    return Shown(report, place / "report" / "report.html")


@pytest.fixture(scope="module", params=[(w, s) for w in WIDTHS for s in SCHEMES], ids=lambda p: f"{p[0]} {p[1]}")
def seen(request: pytest.FixtureRequest, shown: Shown, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    width, scheme = request.param
    found = look(shown.page, width, scheme, tmp_path_factory.mktemp("look"))
    assert (found["width"], found["dark"]) == (width, scheme == "dark")
    return found


def look(page: Path, width: int, scheme: str, scratch: Path) -> dict[str, Any]:
    """What a browser makes of a page in a frame of this width, in this scheme."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs Chromium (Debian: apt install chromium)")
    outer = scratch / "look.html"
    outer.write_text(LOOK.replace("PAGE", page.as_uri()).replace("WIDTH", str(width)))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--allow-file-access-from-files",
             "--hide-scrollbars", f"--window-size={max(width, 500)},900", f"--user-data-dir={scratch / 'profile'}",
             f"--blink-settings=preferredColorScheme={int(scheme == 'light')}", "--dump-dom",
             outer.as_uri()]  # fmt: skip
    done = subprocess.run([browser, *flags], capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr[-500:]
    (text,) = re.findall(r'<pre id="seen">(.*?)</pre>', done.stdout, re.S)
    assert text, "the page was not read"
    found: dict[str, Any] = json.loads(text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    return found


def test_the_page_itself_never_scrolls_sideways(seen: dict[str, Any]) -> None:
    assert seen["whole"] <= seen["width"]


def test_what_is_wider_than_the_screen_says_so_and_can_be_reached(seen: dict[str, Any]) -> None:
    boxes = seen["boxes"]
    assert len(boxes) > 10
    for box in boxes:
        assert (box["overflow"], box["focus"]) == ("auto", 0), box
        if box["wider"] > 1:
            assert box["cue"], box
            assert box["shades"] == 4, box
            assert not box["columns"] or box["cue"].startswith(f"{box['columns']} columns"), box
    wider = [box["name"].partition(":")[0] for box in boxes if box["wider"] > 1]
    if seen["width"] == 390:
        assert {"results", "published figures", "ranks", "curves", "front", "alpha"} <= set(wider)
    else:
        assert wider == []


def test_the_methods_stay_while_a_table_is_scrolled_and_its_last_column_comes(seen: dict[str, Any]) -> None:
    tables = [box for box in seen["boxes"] if box["name"].startswith(("results", "published"))]
    assert len(tables) == 4
    for box in tables:
        assert abs(box["moved"]) < 1, box
        assert box["last"] < 1, box


def test_words_and_figures_are_legible_in_both_schemes(seen: dict[str, Any]) -> None:
    assert seen["words"][0][0] >= 4.5, seen["words"]
    assert seen["letters"][0][0] >= 4.5, seen["letters"]
    assert seen["against"] >= 3  # of marks and lines: WCAG 2.1, 1.4.11
    assert seen["smallest"] >= 11
    assert min(seen["scales"]) * 8 >= 8.5  # pixels of the letters of 8 points, which are the smallest


def test_a_method_has_one_colour_in_its_row_and_all_figures(shown: Shown, seen: dict[str, Any]) -> None:
    """Whatever the group; a curve, which is a searcher's, has that of the searcher's rows."""
    colours: dict[str, set[str]] = {}
    for part in shown.report.parts:
        for figure in part.figures:
            for gid, said in figure.hover.items():
                if figure.kind in ("curves", "front", "ranks") and not isinstance(said, str):
                    assert isinstance(said[0], Point)
                    colours.setdefault(said[0].who, set()).add(seen["marks"][f"{figure.name}-{gid}"])
    rows = [row for part in shown.report.parts for row in part.group.rows]
    assert {row.name for row in rows} <= colours.keys()
    assert {who: len(found) for who, found in colours.items()} == dict.fromkeys(colours, 1)
    for row in rows:
        assert colours[row.name] == {seen["swatches"][row.name]}
        if row.searcher in colours and not row.control:
            assert colours[row.searcher] == colours[row.name]
    searchers = {colours[name].copy().pop() for name in ("darts", "gdas", "proxyless", "random")}
    assert len(searchers) == 4


def test_every_mark_tells_its_value_under_the_pointer(seen: dict[str, Any]) -> None:
    assert seen["discs"] > 100
    assert seen["untold"] == 0
    assert seen["hit"] == seen["tried"]


def test_the_dark_scheme_is_dark_and_paper_is_white(shown: Shown, seen: dict[str, Any]) -> None:
    bright = sum(map(float, re.findall(r"[\d.]+", seen["paper"])[:3])) / 3
    assert bright < 40 if seen["dark"] else bright == 255
    text = shown.page.read_text()
    dark = re.findall(r"@media ([^{]*prefers-color-scheme[^{]*)", text)
    assert dark == ["screen and (prefers-color-scheme: dark) "]  # not in print
    for file in (shown.page.parent / "figures").glob("*.svg"):  # for papers: as they are drawn
        assert "var(--" not in file.read_text()
        assert "<title>" not in file.read_text()
