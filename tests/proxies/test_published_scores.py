"""Scores of NAS-Bench-201's networks against those that NAS-Bench-Suite-Zero published, and FLOPs with the table's."""

import csv
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from benchbed import registry
from benchbed.proxy import Case
from benchbed.ranking.setting import Setting
from benchbed.spaces.nb201.network import NB201Network
from benchbed.spaces.nb201.space import NB201, flops
from benchbed.tasks.load import load_task

SPACE = NB201()


@pytest.fixture(scope="module")
def published(shared_data: Path) -> list[dict[str, str]]:
    """A row a cell, in an order drawn once."""
    with (shared_data / "zero-cost" / "nb201_zc_proxies.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9445
    return [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]


def scored(name: str, rows: list[dict[str, str]]) -> np.ndarray:
    """Of the published networks, in colour as on CIFAR-10; what is compared here sees no image of a task."""
    kind = registry.load("proxy", name)
    proxy, found, task = kind(kind.Options()), [], load_task("digits", train=100, valid=10, test=10)
    for row in rows:
        cell = SPACE.parse(row["net_str"])
        case = Setting().case(SPACE, task, cell, torch.device("cpu"))
        build = partial(NB201Network, cell.choices)
        found.append(proxy.score(Case(**{**vars(case), "shape": (3, 32, 32), "build": build})))
    return np.array(found)


def test_parameters_are_the_published_ones(published: list[dict[str, str]]) -> None:
    found = scored("params", published[:500])
    assert found.tolist() == [round(1e6 * float(row["params"])) for row in published[:500]]


def test_flops_are_the_tables_and_rank_as_the_published_ones(published: list[dict[str, str]]) -> None:
    """NAS-Bench-Suite-Zero's counter takes batch norm and pooling in, NAS-Bench-201's table does not."""
    found = scored("flops", published[:500])
    assert found.tolist() == [flops(SPACE.parse(row["net_str"])) for row in published[:500]]
    theirs = np.array([1e6 * float(row["flops"]) for row in published[:500]])
    assert ((theirs >= found) & (theirs < found + 1e7)).all()
    assert spearmanr(found, theirs).statistic > 0.99


@pytest.mark.parametrize("count", [40, pytest.param(500, marks=pytest.mark.slow)])
def test_synflow_ranks_as_the_published_scores_do(published: list[dict[str, str]], count: int) -> None:
    rows = published[:count]
    theirs = np.array([float(row["synflow"]) for row in rows])
    ours = scored("synflow", rows)
    assert spearmanr(ours, theirs).statistic >= 0.99
    assert np.abs(ours - theirs).mean() < 0.2  # of logarithms from 10 to 100


def test_l2_norms_are_the_published_ones_but_for_the_draw(published: list[dict[str, str]]) -> None:
    """Cells of as many convolutions tie but for the draw, so that ranks would compare the draws."""
    rows = published[:100]
    theirs = np.array([float(row["l2_norm"]) for row in rows])
    assert scored("l2-norm", rows) == pytest.approx(theirs, rel=0.005)


def test_zen_scores_are_the_published_ones_but_for_the_draw(published: list[dict[str, str]]) -> None:
    theirs = np.array([float(row["zen"]) for row in published[:5]])
    assert theirs.max() > 4 * theirs.min()
    assert scored("zen", published[:5]) == pytest.approx(theirs, rel=0.08)
