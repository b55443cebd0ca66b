"""Searching for one device and measuring on all: targets, the cross table, the rule, the preferred operations."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbed.latency.load import load_cost
from benchbed.spaces.nb201.space import NB201, all_architectures
from benchbed.studies.devices import NONE, Crossed, Device, Found, rule

FLAGS = ("--objective", "table", "--table", "mine", "--dataset", "cifar10", "--seeds", "0:2", "--quiet")


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two devices: on `small` nor_conv_1x1 takes 1 ms and nor_conv_3x3 9, on `odd` the other way; the rest is free."""
    file = tmp_path_factory.mktemp("latency") / "cells.csv"
    lines = [
        f"{i},{a},{2 + a.choices.count(2) + 9 * a.choices.count(3)},{2 + 9 * a.choices.count(2) + a.choices.count(3)}"
        for i, a in enumerate(all_architectures())
    ]
    file.write_text("index,arch_str,small,odd\n" + "\n".join(lines) + "\n")
    return file


@pytest.fixture
def raw(make_table: Callable[..., Any]) -> dict[str, Any]:
    """Both convolutions are worth as much, 5 points an edge, and nor_conv_3x3 a little more."""
    grid = np.indices((5,) * 6)
    accuracy = 60.0 + 5 * (grid == 2).sum(0) + 5.01 * (grid == 3).sum(0)
    make_table("mine", valid=accuracy, test=accuracy)
    return {"objective": "table", "table": "mine", "dataset": "cifar10", "searcher": {"mode": "full"}}


@pytest.mark.slow
def test_each_device_gets_the_operation_that_is_fast_there(
    raw: dict[str, Any], sheet: Path, made: Callable[..., Any], tmp_path: Path
) -> None:
    sources = [f"{sheet}:small", f"{sheet}:odd"]
    crossed = made("devices", tmp_path, raw, latency=sources, fraction=0.5, seeds="0:2")
    for one in crossed.rows:
        if one.searched_for == "small":
            assert one.architecture.count("nor_conv_1x1") == 6
            assert one.costs == {"small": 8.0, "odd": 56.0}
            assert np.argmax(one.probabilities, axis=1).tolist() == [2] * 6
        elif one.searched_for == "odd":
            assert one.costs == {"small": 56.0, "odd": 8.0}
    assert "it holds in 4 of the 4 pairs" in crossed.page
    lines = crossed.page.splitlines()
    for name, accuracy in (("small", "90.00"), ("odd", "90.06")):  # the target: half of the way from 2 to 56 ms
        assert any(line.startswith(f"| {name} | 29 ms | {accuracy}") and "**8.00" in line for line in lines)


def test_the_rule_counts_close_pairs_of_one_seed_alone(sheet: Path) -> None:
    def found(name: str, seed: int, accuracy: float, on_a: float) -> Found:
        return Found(name, seed, "x", accuracy, {"a": on_a, "b": 1.0}, [[1.0]], 0.0)

    cost = load_cost("params", NB201(), "nb201")
    devices = [Device(name, name, cost, 1.0) for name in ("a", "b")]
    searches = [
        found("a", 0, 90.0, 5.0), found("b", 0, 90.2, 6.0),  # close, and A's is faster
        found("a", 1, 90.0, 5.0), found("b", 1, 90.2, 4.0),  # close, and it is not
        found("a", 2, 90.0, 5.0), found("b", 2, 91.0, 4.0),  # one point better: the rule says nothing
        *(found(NONE, seed, 95.0, 9.0) for seed in range(3)),
    ]  # fmt: skip
    first, second = rule(Crossed(NB201(), devices, searches))
    assert (first.a, first.b, first.applies, first.holds) == ("a", "b", 2, 1)
    assert (second.applies, second.holds) == (3, 3)


def test_the_command_writes_its_four_files(
    raw: dict[str, Any], sheet: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    out = tmp_path / "out"
    words = ("--latency", f"{sheet}:small", "--latency", f"{sheet}:odd", "--target-ms", "10,20", "--epochs", "1")
    said = command("study", "devices", *words, "--out", out, *FLAGS)
    assert said.status == 0
    assert (out / "devices.md").read_text() in said.out
    lines = [json.loads(line) for line in (out / "devices.jsonl").read_text().splitlines()]
    assert [x["searched_for"] for x in lines] == [NONE, NONE, "small", "small", "odd", "odd"]
    sheet_of = list(csv.DictReader((out / "devices.csv").read_text().splitlines()))
    own = [x["costs"]["odd"] for x in lines if x["searched_for"] == "small"]
    (cell,) = [r for r in sheet_of if (r["searched_for"], r["measure"]) == ("small", "odd")]
    assert float(cell["mean"]) == pytest.approx(np.mean(own), rel=1e-5)
    assert "<svg" in (out / "devices.svg").read_text()


@pytest.mark.parametrize(
    ("columns", "words", "said"),
    [
        (["small"], [], "1 device: expected two or more"),
        (["small", "small"], [], "are the same"),
        (["small", "odd"], ["--target-ms", "10"], "1 targets for 2 devices"),
        (["small", "odd"], ["--target-ms", "10,1"], "below the fastest architecture on odd"),
        (["small", "odd"], ["--fraction", "0"], "study devices: fraction = 0.0: input should be greater than 0"),
        (["small", "odd"], ["--fraction", "0.5", "--target-ms", "10,10"], "goes without --target-ms"),
        (["small", "odd"], ["--set", "cost.target=3"], "give it for each device"),
    ],
)
def test_what_does_not_fit_is_refused(
    columns: list[str], words: list[str], said: str, raw: dict[str, Any], sheet: Path, refused: Callable[..., str]
) -> None:
    given = [word for column in columns for word in ("--latency", f"{sheet}:{column}")]
    assert said in refused("study", "devices", *given, *FLAGS, *words)
