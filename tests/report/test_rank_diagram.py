"""The critical-difference diagram: what stands in it, for Demsar's four classifiers and for the extremes."""

from xml.etree import ElementTree

import numpy as np
import pytest

from benchbed.report.plots import svg_bytes
from benchbed.report.rank_diagram import critical_difference_figure
from benchbed.stats.ranks import Ranks, ranks


def of(mean: list[float], difference: float, n: int = 14) -> Ranks:
    return Ranks(n, np.array(mean), 0.0, 1.0, 0.0, 1.0, 0.05, difference)


def critical_difference_svg(names: list[str], found: Ranks) -> bytes:
    return svg_bytes(critical_difference_figure(names, found))


def thick_lines(svg: bytes) -> int:
    return svg.decode().count("stroke-width: 3")


def test_bars_join_what_is_not_told_apart() -> None:
    """Demsar's figure 1(a), at 0.10: two bars."""
    svg = critical_difference_svg(["C4.5", "m", "cf", "m+cf"], of([3.143, 2.0, 2.893, 1.964], 1.12))
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert thick_lines(svg) == 2
    for words in (b"C4.5  3.14", b"m+cf  1.96", b"critical difference 1.12"):
        assert words in svg


def test_the_extremes() -> None:
    assert thick_lines(critical_difference_svg(["a", "b"], of([1.0, 2.0], 0.1))) == 0
    assert thick_lines(critical_difference_svg(["a", "b"], of([1.0, 2.0], 9.0))) == 1
    many = [f"searcher{i} x selector" for i in range(10)]
    assert thick_lines(critical_difference_svg(many, of(list(np.linspace(1, 10, 10)), 2.5))) == 8
    scores = np.random.default_rng(0).normal(size=(5, 3))
    same = [critical_difference_svg(["a", "b", "c"], ranks(scores)) for _ in range(2)]
    assert same[0] == same[1]


def test_a_name_for_each() -> None:
    with pytest.raises(ValueError, match="1 names for 2 methods"):
        critical_difference_svg(["a"], of([1.0, 2.0], 0.1))
