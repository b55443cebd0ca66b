"""The command line on a chain, a space with options: runs of every kind, and what is refused before they begin."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbed.spaces.mbconv.space import MBConv

Command = Callable[..., Any]
SIZES = {"stem_width": 8, "stage_widths": [8, 16], "stage_depths": [2, 1], "stage_strides": [1, 2], "head_width": 8}
CHAIN = "k3e3-zero-k5e6"


@pytest.fixture
def chain(tiny_file: Path) -> list[str]:
    """Flags of a run on a tiny chain and 200 images of 8x8 pixels."""
    values = {f"space_options.{key}": value for key, value in SIZES.items()}
    values |= {"supernet.batch": 40, "supernet.valid_batch": 40, "scoring.epochs": 1, "scoring.batch": 40}
    settings = [f"--set={key}={value}" for key, value in values.items()]
    return ["--space", "mbconv", "--task", f"npz:{tiny_file}", "--epochs", "2", *settings, "--quiet"]


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(out.glob("*/record.json"))]


@pytest.mark.parametrize("mode", ["two", "full", "echo"])
def test_a_proxyless_search_is_selected_and_scored_by_training(command: Command, chain, tmp_path, mode):
    settings = ["--set", f"searcher.mode={mode}", "--out", tmp_path]
    outcome = command("run", "--searcher", "proxyless", "--selector", "magnitude", *chain, *settings)
    assert outcome.status == 0, outcome.err
    (record,) = records(tmp_path)
    assert record["scored_by"] == "training"
    assert record["config"]["space_options"] == {"preset": "small", **SIZES}  # the run's preset is small, too
    space = MBConv("small", **SIZES).for_images((1, 8, 8), 4)
    assert record["facts"] == space.facts(space.parse(record["architecture"]))
    assert record["facts"]["images"] == [1, 8, 8]
    assert "FLOPs in the network that was trained (1x8x8 images)" in outcome.out
    assert "stage 2    16x4x4" in outcome.out


@pytest.mark.parametrize(
    ("searchers", "selectors"), [("darts,reinforce", "magnitude"), ("random", "perturb,best-of,random,constant")]
)
def test_every_searcher_and_every_selector_works(command: Command, chain, tmp_path, searchers, selectors):
    few = {"best-of": "samples=4", "perturb": "draws=2", "constant": "operation=k5e3"}
    settings = [f"--set=selector.{value}" for name, value in few.items() if name in selectors]
    outcome = command("run", "--searcher", searchers, "--selector", selectors, *chain, *settings, "--out", tmp_path)
    assert outcome.status == 0, outcome.err
    found = {(r["searcher"], r["selector"]): r["architecture"] for r in records(tmp_path)}
    assert set(found) == {(s, t) for s in searchers.split(",") for t in selectors.split(",")}
    assert found.get(("random", "constant"), "k5e3-k5e3-k5e3") == "k5e3-k5e3-k5e3"


def test_a_finished_search_takes_another_selector(command: Command, chain, tmp_path):
    command("run", "--searcher", "random", "--selector", "random", *chain, "--out", tmp_path)
    (search,) = (tmp_path / "searches").iterdir()
    outcome = command("select", search, "--selector", "magnitude", "--quiet")
    assert outcome.status == 0, outcome.err
    assert {r["selector"] for r in records(tmp_path)} == {"random", "magnitude"}
    assert len(list((tmp_path / "searches").iterdir())) == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            ["--set=space_options.preset=official"],
            "set to images of 224 pixels and these have 8: add --set space_options.",
        ),
        (["--set=space_options.resolution=12"], "set to images of 12 pixels and these have 8"),
        (["--set=space_options.depth=3"], "unknown option of space 'mbconv' 'depth'"),
        (["--set=space_options.stage_widths=8,16"], "stage_widths='8,16': a list of whole numbers"),
        (
            ["--set=supernet.channels=4"],
            "supernet.channels: the networks of space 'mbconv' are sized by its space_options",
        ),
        (["--selector=constant"], "k7e6, zero (selector.operation)"),
        (["--objective=table"], "table"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_made(refused, chain, flags, words):
    assert words in refused("run", "--searcher", "random", "--selector", "random", *chain, *flags)


# -- describe and list -------------------------------------------------------------------------------------------------


def test_a_released_network_is_described_by_its_name(command: Command, tmp_path):
    outcome = command("describe", "--space", "mbconv", "--arch", "proxyless-mobile", "--json")
    facts = json.loads(outcome.out)
    assert (round(facts["params"] / 1e6, 3), round(facts["flops"] / 1e6, 2)) == (4.081, 320.43)
    assert facts["preset"] == "proxyless-mobile"
    # its string in the space of its sizes is the same network
    again = ["--set", "space_options.preset=proxyless-mobile", "--json"]
    assert json.loads(command("describe", "--space", "mbconv", "--arch", facts["architecture"], *again).out) == facts
    picture = tmp_path / "mobile.svg"
    drawn = command("describe", "--space", "mbconv", "--arch", "proxyless-mobile", "--draw", picture)
    assert "stage 1    32x56x56       k5e3  k3e3  ····  ····" in drawn.out
    assert picture.read_text().count("<!-- k5e3 -->") == 9


def test_the_released_cifar_network_is_described_by_its_name(command: Command, refused):
    told = ["describe", "--space", "proxyless-cifar", "--arch"]
    facts = json.loads(command(*told, "proxyless-g", "--json").out)
    assert (round(facts["params"] / 1e6, 2), round(facts["flops"] / 1e6, 1)) == (5.73, 1213.2)
    assert facts == json.loads(command(*told, facts["architecture"], "--json").out)
    line = refused(*told, "proxyless-g", "--set", "space_options.blocks=2")
    assert "'proxyless-g' has blocks=18 where this space has blocks=2" in line


def test_a_name_that_is_not_known_names_the_nearest(refused):
    line = refused("describe", "--space", "mbconv", "--arch", "proxyless-gpo")
    assert "did you mean 'proxyless-gpu'?" in line


def test_the_options_of_a_space_are_listed(command: Command):
    out = command("list", "space", "mbconv").out
    assert "space_options.stage_widths" in out
    assert "space_options.preset" in out
    assert "the space has no options" in command("list", "space", "nb201").out
