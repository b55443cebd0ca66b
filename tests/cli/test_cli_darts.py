"""The command line on the DARTS spaces: descriptions, runs of every pairing, and what is refused before they begin."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbed.pipeline.resolve import resolve
from benchbed.spaces.darts.space import Darts
from benchbed.spaces.load import load_space

Command = Callable[..., Any]
SPACES = ("darts", "darts-s1", *(pytest.param(f"darts-s{i}", marks=pytest.mark.slow) for i in (2, 3, 4, 5)))


@pytest.fixture
def flags(tiny_file: Path) -> list[str]:
    """Of a run on 200 images of 8x8 pixels, at the smallest sizes."""
    values = {"supernet.channels": 2, "supernet.batch": 60, "supernet.valid_batch": 40, "scoring.channels": 2}
    values |= {"scoring.cells": 3, "scoring.epochs": 1, "scoring.batch": 60}
    settings = [f"--set={key}={value}" for key, value in values.items()]
    return ["--task", f"npz:{tiny_file}", "--epochs", "1", *settings, "--quiet"]


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(out.glob("*/record.json"))]


def test_a_published_cell_is_described_by_name(command: Command, tmp_path):
    outcome = command("describe", "--space", "darts", "--arch", "DARTS_V2", "--json", "--draw", tmp_path / "cell.svg")
    assert outcome.status == 0, outcome.err
    facts = json.loads(outcome.out)
    assert facts["params"] == 3_349_342
    assert (facts["channels"], facts["cells"]) == (36, 20)
    assert facts["architecture"] == str(Darts().resolve("DARTS_V2")[1])
    assert (tmp_path / "cell.svg").stat().st_size > 1000
    outcome = command("describe", "--space", "darts", "--arch", facts["architecture"])
    assert "3,349,342" in outcome.out
    assert "dil_conv_3x3(2)" in outcome.out


@pytest.mark.parametrize("space", SPACES)
def test_a_search_is_selected_and_scored_by_training(command: Command, flags, tmp_path, space):
    pairing = ["--searcher", "darts", "--selector", "magnitude", "--space", space]
    outcome = command("run", *pairing, *flags, "--out", tmp_path)
    assert outcome.status == 0, outcome.err
    (record,) = records(tmp_path)
    found = load_space(space)
    arch = found.parse(record["architecture"])
    assert sum(k >= 0 for k in arch.choices) == 16
    assert record["scored_by"] == "training"
    assert record["facts"] == found.for_images((1, 8, 8), 4).facts(arch)


@pytest.mark.parametrize(
    ("searchers", "selectors"),
    [
        pytest.param("proxyless,reinforce", "magnitude", marks=pytest.mark.slow),
        ("random", "best-of,random,constant"),
        pytest.param("darts", "perturb", marks=pytest.mark.slow),
    ],
)
def test_every_searcher_and_every_selector_works(command: Command, flags, tmp_path, searchers, selectors):
    few = {"best-of": "samples=4", "perturb": "interval=0", "constant": "operation=sep_conv_3x3"}
    settings = [f"--set=selector.{value}" for name, value in few.items() if name in selectors]
    pairing = ["--searcher", searchers, "--selector", selectors, "--space", "darts-s4"]
    outcome = command("run", *pairing, *flags, *settings, "--out", tmp_path)
    assert outcome.status == 0, outcome.err
    found = {(r["searcher"], r["selector"]): r["architecture"] for r in records(tmp_path)}
    assert set(found) == {(s, t) for s in searchers.split(",") for t in selectors.split(",")}
    if "constant" in selectors:
        assert "noise" not in found["random", "constant"]


def test_second_order_and_a_cost_with_a_limit(command: Command, flags, tmp_path):
    settings = ["--set=searcher.order=2", "--latency", "params", "--target", "2.5", "--set=cost.limit=2.5"]
    pairing = ["--searcher", "darts", "--selector", "magnitude", "--space", "darts-s2"]
    outcome = command("run", *pairing, *settings, *flags, "--out", tmp_path)
    assert outcome.status == 0, outcome.err
    (record,) = records(tmp_path)
    assert record["facts"]["params"] <= 2_500_000


def test_sizes_are_the_spaces_own_by_preset():
    small = resolve({"space": "darts", "protocol": "small-digits"}, "darts", "magnitude", 0)
    paper = resolve({"space": "darts", "protocol": "generic-paper"}, "darts", "magnitude", 0)
    assert (paper.supernet.channels, paper.supernet.cells) == (16, 8)
    assert (paper.scoring.channels, paper.scoring.cells) == (36, 20)
    assert small.supernet.cells >= 3
    assert small.scoring.cells >= 3
    given = {"space": "darts", "protocol": "generic-paper", "supernet": {"cells": 5}, "scoring": {"channels": 16}}
    own = resolve(given, "darts", "magnitude", 0)
    assert (own.supernet.cells, own.scoring.channels) == (5, 16)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["describe", "--space", "darts", "--arch", "DARTS_V3"], "did you mean 'DARTS_V"),
        (["describe", "--space", "darts", "--arch", "Genotype()"], "darts genotype without 'normal'"),
        (["describe", "--space", "darts-s1", "--arch", "DARTS_V2"], "at edge normal:0->2: this edge has skip_connect"),
        (["describe", "--space", "darts-s6", "--arch", "x"], "unknown space 'darts-s6'"),
        (["describe", "--space", "darts", "--set", "space_options.stem=big", "--arch", "DARTS_V2"], "stem 'big'"),
    ],
)
def test_refusals_are_one_line(refused: Callable[..., str], arguments, words):
    assert words in refused(*arguments)


def test_a_supernet_of_two_cells_is_refused(command: Command, flags, tmp_path):
    pairing = ["--searcher", "random", "--selector", "random", "--space", "darts"]
    outcome = command("run", *pairing, *flags, "--set", "supernet.cells=2", "--out", tmp_path)
    assert outcome.status == 2
    assert "cells of 2: a DARTS network needs at least 3" in outcome.err
