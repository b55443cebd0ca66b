"""A built table's figures, against scipy, closed forms and a table whose ranking is known."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import stats

from benchbed.builder.quality import by_class, log_parameters, partial_spearman, quality, top_spearman
from benchbed.errors import BenchbedError
from benchbed.spaces.classes import classes
from benchbed.spaces.nb201.space import NB201
from benchbed.stats.agreement import spearman
from benchbed.tables import Figure, Table


def test_partial_spearman_is_the_correlation_of_the_ranks_residuals() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(size=300)
    x, y = z + rng.normal(size=300), z + rng.normal(size=300)
    ranks = [stats.rankdata(v) for v in (x, y, z)]
    design = np.stack([np.ones(300), ranks[2]], axis=1)
    left = [r - design @ np.linalg.lstsq(design, r, rcond=None)[0] for r in ranks[:2]]
    assert partial_spearman(x, y, z) == pytest.approx(np.corrcoef(*left)[0, 1])
    assert abs(partial_spearman(x, y, z)) < abs(spearman(x, y))
    assert np.isnan(partial_spearman(np.exp(z), y, z))  # nothing of x is left


def test_the_top_decile_is_the_references() -> None:
    y = np.arange(100.0)
    x = y.copy()
    x[90:] = x[90:][::-1]
    assert top_spearman(x, y) == pytest.approx(-1)
    assert spearman(x, y) > 0.9


def test_a_table_whose_ranking_is_known(whole_table: Table) -> None:
    found = quality(whole_table, whole_table, resamples=20)
    assert (found.trained, found.whole, found.dataset) == (4930, 4930, "tiny")
    assert found.between is not None
    assert found.between.value > 0.9
    assert found.agreement["tiny"]["spearman"].value == pytest.approx(1)
    groups = classes(NB201())
    figure = Figure("tiny", "test", 1)
    counting = spearman(log_parameters(whole_table, groups, "tiny"), by_class(whole_table, groups, figure))
    assert found.agreement["tiny"]["counting"].value == pytest.approx(counting)
    own = by_class(whole_table, groups, figure)
    top = top_spearman(log_parameters(whole_table, groups, "tiny"), own)
    assert found.agreement["tiny"]["counting, top"].value == pytest.approx(top)
    assert found.agreement["tiny"]["counting, top"].n == (own >= np.quantile(own, 0.9)).sum()
    assert found.controls["all nor_conv_3x3"] == (81.0, pytest.approx(100 * 4929 / 4930))
    assert found.controls["all none"][0] == found.dead == 21.0
    assert found.chance == 25


def test_the_command_and_the_page(whole: Path, command: Callable[..., Any], tmp_path: Path) -> None:
    done = command("table", "quality", whole, "--page", tmp_path / "site" / "own.md")
    assert done.status == 0, done.err
    page = (tmp_path / "site" / "own.md").read_text()
    for line in done.out.strip().splitlines():
        assert line in page
    pictures = sorted(p.name for p in (tmp_path / "site").glob("*.svg"))
    assert pictures == sorted(["own.svg", *(f"own-{end}-{n}.svg" for end in ("best", "worst") for n in (1, 2, 3))])
    for name in pictures:
        assert f"({name})" in page
        ElementTree.parse(tmp_path / "site" / name)
    assert "| best 1 | 81.0" in page
    assert json.loads(command("table", "quality", whole, "--json").out)["chance"] == 25


def test_the_page_of_a_sample_says_so_and_correlates_no_few_ranks(
    sampled: Path, whole: Path, command: Callable[..., Any], tmp_path: Path
) -> None:
    """Of 12 classes two are in the top decile, and one operation may be missing at a position."""
    done = command("table", "quality", sampled, "--reference", whole, "--page", tmp_path / "own.md")
    assert done.status == 0, done.err
    assert "Warning" not in done.err
    page = (tmp_path / "own.md").read_text()
    assert page.startswith("# sampled: a benchmark of 12 of 4,930 classes of cells on tiny\n")
    assert "  spearman" in page
    assert "top" not in page
    assert "images: 120 train, 40 valid, 40 test;" in page


def test_what_no_build_made_is_refused(make_table: Any, whole_table: Table, refused: Callable[..., str]) -> None:
    make_table("mine")
    assert "table mine was not made by 'table build'" in refused("table", "quality", "mine")
    whole_table.meta["space"] = "chain"
    with pytest.raises(BenchbedError, match="table whole is of space chain"):
        quality(Table("own", {**whole_table.meta, "space": "nb201"}, {}), whole_table)
