"""The page of `table browse` without a browser: what is in it, what it is written over, and that nothing is lost."""

import base64
import fnmatch
import hashlib
import json
import re
import tomllib
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchbed.errors import BenchbedError
from benchbed.report import browse
from benchbed.report.browse import SCRIPTS, STYLES, page, payload
from benchbed.report.browse_columns import packed
from benchbed.report.browse_figures import shown
from benchbed.report.draw import graphs
from benchbed.spaces.darts.space import Darts
from benchbed.spaces.macro.space import Macro
from benchbed.spaces.nb201.space import EDGES, NB201, all_strings
from benchbed.tables import Table
from benchbed.tables.importing import import_table

ROOT = Path(__file__).resolve().parents[2]
BROWSER = ROOT / "benchbed" / "report" / "browser"
DECODE = {"codes8": "<u1", "codes16": "<u2", "scaled16": "<u2", "scaled32": "<i4", "float32": "<f4", "float64": "<f8"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHBED_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def digits() -> Table:
    """The table that comes with benchbed: every cell, two seeds each, many of the same function."""
    return Table.open("nb201-digits")


def unpacked(form: dict[str, Any]) -> np.ndarray:
    """The numbers of a form, by its description alone."""
    numbers = np.frombuffer(base64.b64decode(form["data"]), DECODE[form["as"]])
    if form["as"].startswith("codes"):
        known = np.append(np.frombuffer(base64.b64decode(form["values"]), "<f8"), np.nan)
        return known[np.minimum(numbers, len(known) - 1)]
    if form["as"].startswith("scaled"):
        missing = numbers == (65535 if form["as"] == "scaled16" else -(2**31))
        return np.where(missing, np.nan, (numbers.astype(np.float64) + form["offset"]) / form["divisor"])
    return numbers.astype(np.float64)


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (np.arange(1000) % 7 * 31_000_000.0, "codes8"),
        (np.arange(9000) % 300 / 7, "codes16"),
        ((np.arange(5000) - 1250) / 100, "scaled16"),
        (np.arange(5000) * 20_011 / 10_000, "scaled32"),
        ((np.arange(5000) / 7).astype(np.float32), "float32"),
        (np.arange(5000) / 7, "float64"),
        (np.full(4, np.nan), "codes8"),
    ],
)
def test_each_form_gives_back_every_number(values: np.ndarray, form: str) -> None:
    values = values.astype(np.float64)
    values[::97] = np.nan
    found = packed(values)
    assert found["as"] == form
    np.testing.assert_array_equal(unpacked(found), values)


@given(st.lists(st.one_of(st.floats(width=64), st.decimals(-100, 100, places=3).map(float)), min_size=1, max_size=300))
def test_no_number_is_changed(numbers: list[float]) -> None:
    values = np.array(numbers)
    np.testing.assert_array_equal(unpacked(packed(values)), np.where(np.isfinite(values), values, np.nan))


def test_the_page_holds_the_table(digits: Table) -> None:
    data = payload(digits)
    codes = np.array([int(letter) for letter in data["codes"]]).reshape(-1, 6)
    np.testing.assert_array_equal(codes, list(product(range(5), repeat=6)))
    words, pieces = data["template"]["words"], data["template"]["pieces"]
    strings = ["".join(p + w[k] for p, w, k in zip(pieces, words, row, strict=False)) + pieces[-1] for row in codes]
    assert strings == all_strings()
    facts, numbers = {figure["id"]: figure for figure in data["figures"]}, held(data)
    for figure in digits.figures:
        np.testing.assert_array_equal(numbers[f"accuracy/{figure}"], digits.values(*figure).reshape(-1))
        np.testing.assert_array_equal(unpacked(data["columns"][facts[f"accuracy/{figure}"]["runs"]]), 2)
        assert (facts[f"accuracy/{figure}"]["better"], facts[f"accuracy/{figure}"]["unit"]) == (1, "%")
    np.testing.assert_array_equal(numbers["params/digits"], digits.cost("params", "digits").reshape(-1))
    assert facts["params/digits"]["better"] == -1
    spread = numbers["spread/digits_test_1"]
    np.testing.assert_allclose(spread, digits.seeds("digits", "test", 1).std(-1, ddof=1).reshape(-1), atol=6e-5)
    assert data["start"] == {"x": "params/digits", "y": "accuracy/digits_test_1"}


def test_cells_of_the_same_function_stand_together(digits: Table) -> None:
    space, strings = NB201(), all_strings()
    canonical = [space.canonical(space.parse(text)) for text in strings]
    classes = payload(digits)["classes"]
    assert all(len({canonical[row] for row in rows}) == 1 for rows in classes)
    alone = len(strings) - sum(map(len, classes))
    assert len(classes) + alone == len(set(canonical)) == 4930


def test_graphs_are_the_space_s() -> None:
    (graph,) = graphs(NB201()) or ()
    assert (graph.nodes, graph.title, graph.inputs) == (["0", "1", "2", "3"], "", 1)
    assert graph.edges == [(i, a, b) for i, (a, b) in enumerate(EDGES)]
    normal, reduce = graphs(Darts()) or ()
    assert (normal.title, normal.inputs, len(normal.edges)) == ("normal", 2, 14)
    assert [position for position, _, _ in reduce.edges] == list(range(14, 28))
    assert graphs(Macro()) is None


def table_of(tmp_path: Path, header: str, rows: list[str], **how: Any) -> Table:
    file = tmp_path / "own.csv"
    file.write_text("\n".join([header, *rows]) + "\n")
    return import_table([file], "own", partial=True, **how)


def held(data: dict[str, Any]) -> dict[str, np.ndarray]:
    return {figure["id"]: unpacked(data["columns"][figure["column"]]) for figure in data["figures"]}


def test_rows_are_those_with_a_figure_and_gaps_stay(tmp_path: Path) -> None:
    rows = [f"2221222{k},{60 + k},{'' if k == 1 else k}" for k in (2, 0, 1)]
    data = payload(table_of(tmp_path, "arch,cifar10_test_50,phone_latency", rows, space="macro"))
    assert (data["codes"], data["index"]) == ("222122202221222122212222", None)
    np.testing.assert_array_equal(held(data)["accuracy/cifar10_test_50"], [60, 61, 62])
    np.testing.assert_array_equal(held(data)["further/phone_latency"], [0, np.nan, 2])


def test_sizes_that_every_member_has_make_no_row(tmp_path: Path) -> None:
    cells = [f"|{name}~0|+|none~0|none~1|+|none~0|none~1|none~2|" for name in ("none", "skip_connect", "nor_conv_1x1")]
    data = payload(table_of(tmp_path, "arch,cifar10_test_200", [f"{cell},{k + 50}" for k, cell in enumerate(cells)]))
    assert len(data["codes"]) == 3 * data["width"]
    assert len(held(data)["params/cifar10"]) == 3


def test_rows_stand_by_the_official_index(digits: Table) -> None:
    order = np.random.default_rng(1).permutation(15_625).astype(np.int32)
    figure = digits.figures[1]
    arrays = {"order": order, f"accuracy/{figure}": digits.values(*figure)}
    data = payload(Table("own", {**digits.meta, "figures": [list(figure)], "seeds": {}}, arrays))
    np.testing.assert_array_equal(unpacked(data["columns"][data["index"]]), np.arange(15_625))
    np.testing.assert_array_equal(held(data)[f"accuracy/{figure}"], digits.values(*figure).reshape(-1)[order])
    cells = np.array([int(letter) for letter in data["codes"]]).reshape(-1, 6)
    np.testing.assert_array_equal(cells @ 5 ** np.arange(6)[::-1], order)


def test_a_list_of_a_large_space_keeps_its_strings(tmp_path: Path) -> None:
    space, rng = Darts(), np.random.default_rng(3)
    texts = sorted({space.random(rng).text for _ in range(20)})
    rows = [f'"{text}",{90 + i / 10:.1f}' for i, text in enumerate(texts)]
    data = payload(table_of(tmp_path, "arch,cifar10_test_600", rows, space="darts"))
    assert (data["template"], sorted(data["strings"])) == (None, texts)
    assert data["codes"].count("-") == 20 * 12  # of 28 positions 16 are kept
    assert data["start"] == {"x": None, "y": "accuracy/cifar10_test_600"}


def test_the_same_table_gives_the_same_page_and_it_allows_its_own_script_alone(digits: Table) -> None:
    text = page(digits)
    assert page(Table.open("nb201-digits")) == text
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy
    assert policy[1].startswith("default-src 'none'; ")
    for tag, kind in (("script", "script-src"), ("style", "style-src")):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.S)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy[1]
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) == {"http://www.w3.org/2000/svg"}  # a name, asked of nobody
    assert len(text) < 700_000


def test_words_of_a_table_are_text_on_the_page(digits: Table) -> None:
    bad = '</script><script>alert(1)</script><!--"'
    meta = {**digits.meta, "notes": [bad], "units": {"params": bad}, "made": bad}
    text = page(Table(bad, meta, digits._arrays))
    assert "alert(1)</script>" not in text
    assert text.count("<script") == 2
    data = re.search(r'id="table">(.*?)</script>', text, flags=re.S)
    assert data
    assert bad in {figure["note"] for figure in json.loads(data[1])["figures"]}


def test_which_way_is_better_is_said_where_it_is_known(tmp_path: Path) -> None:
    names = ["pixel3_latency", "fpga_energy", "pgd@Linf_eps-1.0", "val_accs", "jacov", "pgd@Linf_odd"]
    rows = [f"{text},50,1,1,1,1,1,{200 * i}" for i, text in enumerate(all_strings()[:3])]
    table = table_of(tmp_path, "arch,cifar10_test_200," + ",".join(names), rows)
    known = {one.label: (one.better, one.unit) for one in shown(table) if one.id.startswith("further/")}
    assert known == {
        "pixel3_latency": (-1, ""), "fpga_energy": (-1, ""), "pgd@Linf_eps-1.0": (1, "%"), "val_accs": (1, "%"),
        "jacov": (0, ""), "pgd@Linf_odd": (0, ""),  # beyond 100, so no accuracy
    }  # fmt: skip


def test_too_many_architectures_are_refused_in_one_line(digits: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browse, "MOST", 15_000)
    with pytest.raises(BenchbedError, match=r"nb201-digits has figures of 15,625 architectures: .* at most 15,000"):
        page(digits)


def test_a_table_without_a_value_is_refused_in_one_line(digits: Table) -> None:
    bare = Table("bare", {**digits.meta, "figures": [], "seeds": {}}, {"further/x": np.full((5,) * 6, np.nan)})
    with pytest.raises(BenchbedError, match="table bare has no value of any architecture"):
        page(bare)
    only = Table("only", bare.meta, {"further/x": np.arange(15_625.0).reshape((5,) * 6)})
    assert payload(only)["start"] == {"x": None, "y": "further/x"}


def test_the_command_writes_a_page_and_replaces_only_pages(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("table", "browse", "nb201-digits")
    out = tmp_path / "nb201-digits.html"
    assert (done.status, done.err) == (0, "")
    assert done.out == f"{out}: {out.stat().st_size / 1e6:.1f} MB, opens in a browser without a network\n"
    text = out.read_text()
    assert command("table", "browse", "nb201-digits").status == 0
    assert out.read_text() == text
    out.write_text("my notes")
    assert command("table", "browse", "nb201-digits", "--force").status == 0
    assert out.read_text() == text


def test_what_is_refused_leaves_nothing(refused: Callable[..., str]) -> None:
    assert "unknown table 'nb201-digit'" in refused("table", "browse", "nb201-digit")
    Path("notes.html").write_text("my notes")
    line = refused("table", "browse", "nb201-digits", "--out", "notes.html")
    assert "notes.html is there already and no page of 'table browse'" in line
    Path("folder").mkdir()
    assert "--out folder is a folder: expected a file" in refused("table", "browse", "nb201-digits", "--out", "folder")
    assert "cannot write" in refused("table", "browse", "nb201-digits", "--out", "none/x.html")


def test_the_package_holds_every_file_of_the_page() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    files = {file.name for file in BROWSER.iterdir()}
    assert files == {*SCRIPTS, *STYLES, "page.html.j2"}
    assert all(any(fnmatch.fnmatch(f"browser/{file}", p) for p in patterns["benchbed.report"]) for file in files)


def luminance(colour: str) -> float:
    """Of WCAG 2: 0 for black, 1 for white."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_words_stand_out_in_both_schemes_and_points_do() -> None:
    assert round(contrast("#000000", "#ffffff"), 6) == 21
    parts = re.findall(r":root \{(.*?)\}", (BROWSER / "page.css").read_text(), flags=re.S)
    schemes = [dict(re.findall(r"--(\w+): ([^;]+);", part)) for part in parts]
    assert len(schemes) == 2
    for scheme in schemes:
        for ink in ("ink", "faint", "accent", "gain", "loss"):
            for ground in ("paper", "wash"):
                assert contrast(scheme[ink], scheme[ground]) >= 4.5, (ink, ground)
        for mark in (*scheme["ramp"].split(), scheme["front"], scheme["field"]):  # no text: 3 to 1
            assert contrast(mark, scheme["paper"]) >= 3, mark
