"""The command line on the chain, the untied cells and the trees: every searcher and selector, and what is refused."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbed.spaces.load import load_space

Command = Callable[..., Any]
# by space: its options, those of a tiny supernet and score, and an operation that every position has
SPACES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "macro": ({}, {"supernet.channels": 2, "scoring.channels": 2}, "k3e3"),
    "nats-sss": ({}, {"supernet.channels": 1, "scoring.channels": 1}, "w8"),
    "nb201-untied": ({"cells": 1}, {"supernet.channels": 2, "scoring.channels": 2}, "nor_conv_1x1"),
    "proxyless-cifar": ({"start": 4, "widening": 3}, {}, "sep3"),
}


@pytest.fixture
def flags(tiny_file: Path, tmp_path: Path) -> Callable[[str], list[Any]]:
    """`flags(space)`: of a run on 200 images of 8x8 pixels."""

    def make(space: str) -> list[Any]:
        options, sizes, _ = SPACES[space]
        values = {f"space_options.{key}": value for key, value in options.items()} | sizes
        values |= {"supernet.batch": 40, "supernet.valid_batch": 40, "scoring.epochs": 1, "scoring.batch": 40}
        settings = [f"--set={key}={value}" for key, value in values.items()]
        return [
            "--space",
            space,
            "--task",
            f"npz:{tiny_file}",
            "--epochs",
            "2",
            *settings,
            "--quiet",
            "--out",
            tmp_path,
        ]

    return make


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(out.glob("*/record.json"))]


@pytest.mark.parametrize("space", SPACES)
def test_a_proxyless_search_is_selected_and_scored_by_training(command: Command, flags, tmp_path, space):
    outcome = command("run", "--searcher", "proxyless", "--selector", "magnitude", *flags(space))
    assert outcome.status == 0, outcome.err
    (record,) = records(tmp_path)
    loaded = load_space(space, record["config"]["space_options"])
    chosen = loaded.parse(record["architecture"])
    assert len(chosen.choices) == len(loaded.positions)
    assert 0 <= record["test_accuracy"] <= 100
    assert record["facts"]["canonical"] == loaded.canonical(chosen)


@pytest.mark.slow
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(
    ("searchers", "selectors"), [("darts,reinforce", "magnitude"), ("random", "perturb,best-of,random,constant")]
)
def test_every_searcher_and_every_selector_works(command: Command, flags, tmp_path, space, searchers, selectors):
    few = {"best-of": "samples=4", "perturb": "draws=2", "constant": f"operation={SPACES[space][2]}"}
    settings = [f"--set=selector.{value}" for name, value in few.items() if name in selectors]
    settings += ["--set=selector.interval=0"] if "perturb" in selectors else []
    outcome = command("run", "--searcher", searchers, "--selector", selectors, *flags(space), *settings)
    assert outcome.status == 0, outcome.err
    assert len(records(tmp_path)) == len(searchers.split(",")) * len(selectors.split(","))


def test_the_small_preset_of_a_run_takes_the_small_spaces(command: Command, flags, tmp_path):
    for space, option in (("nb201-untied", ("cells", 1)), ("proxyless-cifar", ("preset", "small"))):
        outcome = command("run", "--searcher", "random", "--selector", "random", *flags(space))
        assert outcome.status == 0, outcome.err
        (record,) = (r for r in records(tmp_path) if r["space"] == space)
        assert record["config"]["space_options"][option[0]] == option[1]


def test_the_paper_preset_takes_the_published_width():
    from benchbed.pipeline.resolve import resolve

    for space, channels in (("macro", 32), ("nats-sss", 8), ("nb201", 16), ("nb201-untied", 16)):
        config = resolve({"space": space, "protocol": "generic-paper"}, "proxyless", "magnitude", 0)
        assert config.supernet is not None
        assert config.scoring is not None
        assert (config.supernet.channels, config.scoring.channels) == (channels, channels)
    given = {"space": "macro", "protocol": "generic-paper", "supernet": {"channels": 4}}
    assert resolve(given, "proxyless", "magnitude", 0).supernet.channels == 4
    assert resolve({"space": "macro"}, "proxyless", "magnitude", 0).supernet.channels == 8


@pytest.mark.parametrize(
    ("space", "extra", "words"),
    [
        ("macro", ["--set=supernet.cells=2"], "networks of space 'macro' are sized by channels and its space_options"),
        ("nats-sss", ["--set=scoring.cells=2"], "networks of space 'nats-sss' are sized by channels"),
        ("nats-sss", ["--latency=macs", "--target-ms=1"], "cost 'flops' of nats-sss: it does not add up over widths"),
        ("nb201-untied", ["--set=scoring.cells=2"], "sized by channels and its space_options"),
        ("nb201-untied", ["--set=space_options.cells=0"], "space option cells = 0: expected a whole number from 1"),
        ("proxyless-cifar", ["--set=supernet.channels=4"], "'proxyless-cifar' are sized by its space_options"),
        ("proxyless-cifar", ["--set=space_options.drop_path=2"], "space option drop_path = 2"),
        ("macro", ["--selector=constant"], "'nor_conv_3x3': known: identity, k3e3, k5e6"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_made(refused, flags, tmp_path, space, extra, words):
    assert words in refused("run", "--searcher", "random", "--selector", "random", *flags(space), *extra)
    assert not list(tmp_path.glob("random-*"))


@pytest.mark.parametrize("space", ["nb201-untied", "proxyless-cifar"])
def test_no_table_is_built_of_a_space_too_large(refused, tmp_path, space):
    line = refused("table", "build", "--space", space, "--out", tmp_path / "table.npz", "--epochs", "1")
    assert "a table is built of at most 200,000" in line


def test_the_printed_configuration_keeps_the_options_of_a_space(command: Command, tmp_path: Path) -> None:
    """`cells` is an option of nb201-untied, and none of the supernet's there."""
    names = ("--space", "nb201-untied", "--searcher", "random", "--selector", "random")
    outcome = command("config", "generic-paper", *names, "--set=space_options.cells=2")
    assert outcome.status == 0, outcome.err
    assert tomllib.loads(outcome.out)["space_options"]["cells"] == 2
