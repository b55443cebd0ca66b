"""A sweep of a cost: what is searched, what it is held against, and hypervolumes counted by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbed.errors import BenchbedError
from benchbed.latency.costs import values_of_all
from benchbed.latency.load import load_cost
from benchbed.spaces.nb201.space import NB201, all_architectures
from benchbed.studies.front import IGNORANT, RANDOM, Fronts, Point, hypervolumes, markdown, on_front, summary

GRID = np.indices((5,) * 6)
ACCURACY = 60.0 + 5 * (GRID == 3).sum(0)  # nor_conv_3x3 is worth 5 points an edge
TIMES = {0: 0, 1: 1, 2: 1, 3: 3, 4: 1}


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole cells: 2 ms, and what each operation takes."""
    file = tmp_path_factory.mktemp("latency") / "cells.csv"
    rows = [f"{i},{a},{2 + sum(TIMES[k] for k in a.choices)}" for i, a in enumerate(all_architectures())]
    file.write_text("index,arch_str,phone\n" + "\n".join(rows) + "\n")
    return file


@pytest.fixture
def raw(make_table: Callable[..., Any], sheet: Path) -> dict[str, Any]:
    make_table("mine", valid=ACCURACY, test=ACCURACY)
    return {"objective": "table", "table": "mine", "dataset": "cifar10", "cost": {"table": f"{sheet}:phone"}}


@pytest.mark.slow
def test_a_sweep_of_weights_ends_at_the_dearest_and_at_the_cheapest(
    raw: dict[str, Any], made: Callable[..., Any], tmp_path: Path
) -> None:
    raw["searcher"] = {"mode": "full"}
    how = {"latency": raw["cost"]["table"], "weights": (1e-4, 5.0), "seeds": (0, 1)}
    found = made("front", tmp_path, raw, **how)
    by_kind = {(p.of, p.value, p.seed): (p.cost, p.accuracy) for p in found.rows if p.of != RANDOM}
    for seed in (0, 1):
        assert by_kind[IGNORANT, None, seed] == by_kind["weight", 1e-4, seed] == (20.0, 90.0)
        assert by_kind["weight", 5.0, seed] == (2.0, 60.0)
    random = [p for p in found.rows if p.of == RANDOM]
    assert len(random) == 4
    assert all(p.accuracy == 60 + 5 * p.architecture.count("nor_conv_3x3") for p in random)
    assert "within the reference point of 20 ms and 60 %" in found.page
    assert made("front", tmp_path, raw, **how).rows == found.rows


def _fronts(*points: tuple[str, float | None, int, float, float]) -> Fronts:
    made = [Point(*of, "a", cost, accuracy, 1.0, "phone", "ms") for *of, cost, accuracy in points]
    return Fronts(made, (10.0, 50.0), None)


def test_hypervolumes_and_the_front_are_those_counted_by_hand() -> None:
    found = _fronts(
        ("target", 3.0, 0, 2.0, 60.0), ("target", 5.0, 0, 4.0, 70.0), ("target", 9.0, 0, 6.0, 65.0),
        (IGNORANT, None, 0, 9.0, 80.0), (RANDOM, None, 0, 11.0, 90.0), (RANDOM, None, 0, 5.0, 40.0),
    )  # fmt: skip
    table = summary(found.points)
    assert hypervolumes(found) == {"target": [2 * 10.0 + 6 * 20.0], IGNORANT: [30.0], RANDOM: [0.0]}
    assert [(*key, best) for key, best in zip(table, on_front(table), strict=True)] == [
        ("target", 3.0, True), ("target", 5.0, True), ("target", 9.0, False), (IGNORANT, None, True),
        (RANDOM, None, False),
    ]  # fmt: skip
    assert any(line.startswith("| 3 targets | 140.00 |") for line in markdown(found))


def test_what_every_architecture_costs_by_operations_is_what_each_costs() -> None:
    space = NB201()
    cost = load_cost("params", space, "nb201")
    values = values_of_all(cost)
    for arch in [space.random(np.random.default_rng(seed)) for seed in range(20)]:
        assert values[arch.choices] == pytest.approx(cost.of(arch), rel=1e-12)


FLAGS = ("--objective", "table", "--table", "mine", "--dataset", "cifar10", "--seeds", "0:1", "--quiet")


def test_the_command_writes_page_lines_and_picture(
    raw: dict[str, Any], tmp_path: Path, command: Callable[..., Any]
) -> None:
    words = ("--latency", raw["cost"]["table"], "--targets", "4,8", "--epochs", "1", "--out", tmp_path / "out")
    said = command("study", "front", *words, *FLAGS)
    assert said.status == 0
    out = tmp_path / "out"
    assert (out / "front.md").read_text() in said.out
    lines = [json.loads(line) for line in (out / "front.jsonl").read_text().splitlines()]
    assert [(x["of"], x["value"]) for x in lines] == [
        (IGNORANT, None), ("target", 4.0), ("target", 8.0), (RANDOM, None), (RANDOM, None)
    ]  # fmt: skip
    assert "<svg" in (out / "front.svg").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "needs one sweep"),
        (["--targets", "4", "--weights", "1"], "needs one sweep"),
        (["--targets", "4,x"], "targets.1 = 'x': input should be a valid number"),
        (["--targets", "4,4"], "targets = '4,4': 4.0 is given twice; expected each once"),
        (["--targets", "4,1"], "below the fastest architecture"),
        (["--targets", "4", "--target-ms", "5"], "goes with --weights"),
        (["--weights", "1", "--set", "cost.weight=2"], "cost.weight = 2"),
        (["--weights", "1", "--reference", "4"], "expected COST,ACCURACY"),
    ],
)
def test_what_is_no_sweep_is_refused(
    words: list[str], said: str, raw: dict[str, Any], refused: Callable[..., str]
) -> None:
    assert said in refused("study", "front", "--latency", raw["cost"]["table"], *FLAGS, *words)


def test_a_front_without_a_table_trains_its_random_architectures_too(
    tiny: dict[str, Any], made: Callable[..., Any], tmp_path: Path
) -> None:
    how = {"searcher": "random", "latency": "params", "seeds": [0]}
    with pytest.raises(BenchbedError, match="below the fastest architecture"):
        made("front", tmp_path, tiny, **how, targets=(1e-6,))
    assert list(tmp_path.iterdir()) == []
    found = made("front", tmp_path, tiny, **how, targets=(0.5,))
    assert "share of the true front" not in found.page
    assert " and 25 %." in found.page  # chance among four classes
    assert len(list((tmp_path / "scores").iterdir())) == len({p.architecture for p in found.rows})
