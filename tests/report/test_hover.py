"""Titles in an SVG: at the marks they belong to, shared where marks lie on each other, and missing ones noticed."""

import re
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from benchbed.report.hover import Hover, Point, tell, with_titles
from benchbed.report.plots import svg_bytes
from benchbed.report.saving import empty_figure

SVG = "{http://www.w3.org/2000/svg}"


def two_rows() -> tuple[Figure, Hover]:
    """Five marks in four places, of two methods, one in two colours; and a line that has one title."""
    figure, hover = empty_figure(3, 2), Hover()
    axes = figure.subplots()
    (a,) = axes.plot([0, 1, 1], [0, 1, 1], "o", fillstyle="left")
    tell(a, hover, [Point("0 %", "a", 4), Point("1 %", "a", 0), Point("1 %", "a", 1)])
    (b,) = axes.plot([1, 2], [1, 0], "s")
    tell(b, hover, [Point("1 %", "b", 7), Point("2 < 3", "b & co")])
    (line,) = axes.plot([0, 2], [0.5, 0.5])
    tell(line, hover, "not told apart: a, b")
    return figure, hover


def test_each_mark_has_its_values_and_who_has_them() -> None:
    figure, hover = two_rows()
    svg = svg_bytes(figure).decode()
    tree = ElementTree.fromstring(with_titles(svg, hover))
    discs = {
        c.findtext(f"{SVG}title"): (float(c.get("cx", "")), float(c.get("cy", ""))) for c in tree.iter(f"{SVG}circle")
    }
    assert list(discs) == ["0 %\na, seed 4", "1 %\na, seeds 0 to 1\nb, seed 7", "2 < 3\nb & co"]
    low, high, right = discs.values()
    assert low[0] < high[0] < right[0]
    assert low[1] == right[1] > high[1]  # downwards
    (group,) = [g for g in tree.iter(f"{SVG}g") if g.get("id") == "hover-2"]
    assert group[0].text == "not told apart: a, b"
    assert "<title>" not in svg


def test_marks_without_a_point_are_noticed() -> None:
    figure, hover = two_rows()
    svg = svg_bytes(figure).decode()
    with pytest.raises(ValueError, match="zip"):
        with_titles(svg, hover | {"hover-1": [Point("1 %", "b")]})


def test_nobody_asks() -> None:
    figure = empty_figure(3, 2)
    (line,) = figure.subplots().plot([0, 1], [0, 1], "o")
    tell(line, None, "words")
    assert line.get_gid() is None
    text = svg_bytes(figure).decode()
    assert with_titles(text, {}) == text
    assert not re.search("hover", text)
