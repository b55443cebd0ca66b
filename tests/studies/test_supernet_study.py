"""Rankings by shared weights: planted agreements, the public supernet, resuming, and what is refused."""

import itertools
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from benchbed.objectives.supernet import SupernetObjective
from benchbed.stats.agreement import best_of_liked, estimate_of_mean
from benchbed.stats.kendall import kendall
from benchbed.studies import _supernets
from benchbed.studies import supernet as room

CPU = torch.device("cpu")
ASKED: dict[str, Any] = {
    "searcher": ["random", "random:sampling=fair"], "seeds": [0, 1], "at": [1, 2], "cells": 30,
    "table": "mine", "dataset": "cifar10",
}  # fmt: skip


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "estimate_of_mean", partial(estimate_of_mean, resamples=20))


@pytest.fixture
def unscored(tiny: dict[str, Any]) -> dict[str, Any]:
    """A table scores, so that nothing is trained."""
    return {key: value for key, value in tiny.items() if key != "scoring"}


# -- what is measured --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("liking", [[5, 4, 3, 2, 1, 0], [1, 1, 1, 1, 1, 1], [9, 2, 2, 2, 1, 0], [3, 3, 3, 2, 2, 1]])
@pytest.mark.parametrize("count", [1, 3, 6])
def test_the_best_of_those_liked_most_is_the_mean_over_ways_to_break_ties(liking: list[int], count: int) -> None:
    truth = np.array([50.0, 91.0, 70.0, 20.0, 90.0, 91.0])
    ways = [
        max(truth[i] for i in chosen)
        for chosen in itertools.combinations(range(6), count)
        if min(liking[i] for i in chosen) >= max([liking[i] for i in range(6) if i not in chosen], default=-1)
    ]
    assert best_of_liked(np.array(liking, dtype=float), truth, count) == pytest.approx(np.mean(ways), abs=1e-12)


def test_the_mean_over_rankings_has_its_interval_over_the_items() -> None:
    rng = np.random.default_rng(0)
    x, y, truth = rng.normal(size=(3, 60))
    found = estimate_of_mean(kendall, [x, y], truth, resamples=200)
    rows = np.random.default_rng(0).integers(60, size=(200, 60))
    draws = [(kendall(x[r], truth[r]) + kendall(y[r], truth[r])) / 2 for r in rows]
    assert found.value == pytest.approx((kendall(x, truth) + kendall(y, truth)) / 2)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])))


def test_ten_at_random_is_what_equal_liking_gives() -> None:
    values = np.random.default_rng(1).normal(size=50)
    drawn = [values[np.random.default_rng(k).choice(50, 10, replace=False)].max() for k in range(4000)]
    assert room.by_chance(values) == pytest.approx(np.mean(drawn), abs=0.03)


# -- the study ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def planted(make_table: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A table whose truth is what every supernet says of a cell; gives who was asked, once a look."""
    grids = np.indices((5,) * 6)
    each = np.arange(30).reshape(6, 5) ** 1.5
    total = sum(each[i][grids[i]] for i in range(6))
    make_table("mine", test=total / total.max() * 100)
    looked: list[str] = []

    def says(parts: Any, table: Any, places: np.ndarray) -> np.ndarray:
        looked.append(parts.config.searcher.name)
        return table.values("cifar10", "test", 200).reshape(-1)[places]

    monkeypatch.setattr(room, "by_weights", says)
    return looked


def test_a_supernet_that_ranks_as_the_truth_does_is_found_perfect(
    planted: list[str], unscored: dict[str, Any], made: Callable[..., Any], tmp_path: Path
) -> None:
    done = made("supernet", tmp_path, unscored, **ASKED)
    assert [(p["searcher"], p["seed"], p["epoch"]) for p in done.rows] == [
        (name, seed, epoch) for name in ASKED["searcher"] for seed in (0, 1) for epoch in (1, 2)
    ]
    for row in done.rows:
        assert row["tau"]["value"] == pytest.approx(1.0)
        assert row["top_tau"]["value"] == pytest.approx(1.0)
        assert (row["tau"]["n"], row["top_tau"]["n"]) == (30, 3)
        assert row["seconds"] > 0
    assert "| random:sampling=fair | 2 |" in done.page
    assert "1.000 (1.000 to 1.000) | 1.000 to 1.000" in done.page
    assert ElementTree.fromstring((tmp_path / "supernet.svg").read_bytes()) is not None
    lines = [json.loads(line) for line in (tmp_path / "supernet.jsonl").read_text().splitlines()]
    assert len(lines) == 8
    assert set(lines[0]["tau"]) == {"value", "low", "high", "n"}


def test_what_is_measured_is_not_measured_again(
    planted: list[str], unscored: dict[str, Any], made: Callable[..., Any], tmp_path: Path
) -> None:
    first = made("supernet", tmp_path, unscored, **ASKED)
    assert len(planted) == 8
    again = made("supernet", tmp_path, unscored, **ASKED)
    assert len(planted) == 8
    assert (first.rows, first.page) == (again.rows, again.page)
    made("supernet", tmp_path, unscored, **{**ASKED, "cells": 40})
    assert len(planted) == 16


def test_cells_are_measured_on_their_own_paths_by_the_weights_of_that_epoch(
    make_table: Any, unscored: dict[str, Any], made: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a stand-in for the accuracy that is the sum of the weights times a figure of the gates."""
    table, seen = make_table("mine"), []
    inner = SupernetObjective.measure

    def noted(self: SupernetObjective, gates: torch.Tensor, batch: Any = None) -> Any:
        if gates.dim() == 3 and len(gates) == 30:
            total = sum(float(w.detach().double().sum()) for w in self.weights().values())
            seen.append((gates.clone(), total))
        return inner(self, gates, batch)

    monkeypatch.setattr(SupernetObjective, "measure", noted)
    made("supernet", tmp_path, unscored, **{**ASKED, "seeds": [0], "searcher": ["random"]})
    assert len(seen) == 2
    assert seen[0][1] != seen[1][1]  # the weights after one epoch and after two
    places = _supernets.drawn(table.values("cifar10", "test", 200).reshape(-1), 30)
    cells = [table.space.architecture(one.numpy()) for one in seen[0][0]]
    assert [table.places.of(cell) for cell in cells] == places.tolist()
    assert torch.equal(seen[0][0], seen[1][0])


def test_a_split_supernet_is_the_one_that_it_was_split_from_until_its_parts_are_trained(
    make_table: Any, unscored: dict[str, Any], made: Callable[..., Any], tmp_path: Path
) -> None:
    make_table("mine")
    done = made("supernet", tmp_path, unscored, **{**ASKED, "seeds": [0], "searcher": ["random", "few-shot"]})
    found = {}
    for file in sorted((tmp_path / "supernet").glob("*/record.json")):
        record = json.loads(file.read_text())
        found[record["search"].partition("-nb201")[0], record["epoch"]] = record["accuracy"]
    assert len(done.rows) == len(found) == 4
    assert found["few-shot", 1] == found["random", 1]  # few-shot: split after this epoch of two
    assert found["few-shot", 2] != found["random", 2]


def test_all_cells_are_ranked_where_no_number_is_given(
    planted: list[str], unscored: dict[str, Any], made: Callable[..., Any], tmp_path: Path
) -> None:
    asked = {**ASKED, "seeds": [0], "at": [2], "searcher": ["random"], "cells": None}
    done = made("supernet", tmp_path, unscored, **asked)
    (point,) = done.rows
    assert point["tau"]["n"] == 15_625
    assert point["best"]["value"] == pytest.approx(100.0)


def test_the_public_supernet_is_one_more_curve(
    real_table: Any, shared_data: Path, unscored: dict[str, Any], made: Callable[..., Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """methods.md, section 0: tau .484, inside the top decile -.227.

    It has 91.39 as the best of the ten liked most. More than ten cells are tied there at 81.82 %, so that it is one
    outcome of a draw, whose mean is 91.37.
    """
    monkeypatch.setattr(room, "by_weights", lambda parts, table, places: np.arange(float(len(places))))
    file = shared_data / "supernets" / "one-shot-nb201.json"
    if not file.exists():
        pytest.skip(f"needs {file}")
    asked = {**ASKED, "table": "nb201", "seeds": [0], "at": [2], "searcher": ["random"], "ranking": file}
    done = made("supernet", tmp_path, unscored, **asked)
    point = done.rows[-1]
    assert (point["searcher"], point["seed"], point["epoch"]) == ("file one-shot-nb201.json", None, None)
    assert point["tau"]["value"] == pytest.approx(0.484, abs=5e-4)
    assert point["top_tau"]["value"] == pytest.approx(-0.227, abs=5e-4)
    assert point["best"]["value"] == pytest.approx(91.37, abs=5e-3)
    assert point["tau"]["n"] == 15_625
    assert "file one-shot-nb201.json: 15,625 cells against cifar10_test_200 of table nb201." in done.page


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--at", "3"], r"--at 3: the searches of random have epochs 1 to 2"),
        (["--at", "1", "--cells", "20000"], r"--cells 20000: table mine has a truth of 15,625"),
        (["--at", "1", "--cells", "19"], r"cells"),
        (["--at", "1", "--ranking", "none.json"], r"--ranking none.json: no such file"),
        (["--at", "1", "--ranking-truth", "mine:cifar10"], r"--ranking-truth mine:cifar10: there is no --ranking FILE"),
        (["--at", "1", "--ranking", "F", "--ranking-truth", "mine"], r"--ranking-truth mine: expected TABLE:DATASET"),
        (["--at", "1", "--searcher", "random:sampling=even"], r"sampling"),
        (["--at", "1", "--searcher", "few-shot:splits=7"], r"searcher.splits=7: 6 of the space's positions hold one"),
    ],
)
def test_bad_input_is_one_line(
    flags: list[str], said: str, make_table: Any, refused: Callable[..., str], tiny_flags: list[str], tmp_path: Path
) -> None:
    make_table("mine")
    (tmp_path / "good.json").write_text("{}")
    flags = [str(tmp_path / "good.json") if f == "F" else f for f in flags]
    pairs = list(zip(tiny_flags[::2], tiny_flags[1::2], strict=True))
    given = [word for pair in pairs if not pair[1].startswith("scoring") for word in pair]
    line = refused("study", "supernet", *given, "--table", "mine", "--dataset", "cifar10", "--seeds", "0:1", *flags)
    assert re.search(said, line), line


def test_without_a_table_there_is_no_truth(refused: Callable[..., str], tiny_flags: list[str]) -> None:
    assert "holds rankings against a table: give --table NAME" in refused("study", "supernet", *tiny_flags, "--at", "1")


def test_a_table_shares_no_weights(make_table: Any, refused: Callable[..., str]) -> None:
    make_table("mine")
    asked = ("--objective", "table", "--table", "mine", "--dataset", "cifar10", "--at", "1")
    assert "looks at shared weights: --objective table has none" in refused("study", "supernet", *asked)
