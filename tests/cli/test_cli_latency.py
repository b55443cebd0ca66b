"""`latency show`, `latency measure`, and `run --latency`: what they print, record and refuse."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbed.latency.load import load_cost
from benchbed.pipeline.again import select_again
from benchbed.pipeline.resolve import expand
from benchbed.pipeline.run import run_all
from benchbed.runtime.options import RunOptions
from benchbed.spaces.mbconv.space import MBConv
from benchbed.spaces.nb201.space import NB201, all_architectures
from benchbed.tables.table import Table

SPACE = NB201()
FIGURES = ("fixed_ms", "min_ms", "max_ms", "uniform_ms")


@pytest.fixture(scope="module")
def sheet(tmp_path_factory) -> Path:
    """Whole cells: 2 ms, and 1 ms for every operation that is not `none`; nor_conv_3x3 takes 3."""
    file = tmp_path_factory.mktemp("latency") / "cells.csv"
    times = {0: 0, 1: 1, 2: 1, 3: 3, 4: 1}
    rows = [f"{i},{a},{2 + sum(times[k] for k in a.choices)},7" for i, a in enumerate(all_architectures())]
    file.write_text("index,arch_str,phone,flat\n" + "\n".join(rows) + "\n")
    return file


@pytest.fixture
def accurate(make_table) -> Table:
    """A table where nor_conv_3x3 is worth 5 points an edge and every other operation nothing."""
    grid = np.indices((5,) * 6)
    return make_table("mine", valid=60.0 + 5 * (grid == 3).sum(0), test=58.0 + 5 * (grid == 3).sum(0))


TABLE = {"objective": "table", "table": "mine", "dataset": "cifar10"}


def records(out: Path, searcher: str = "proxyless", selector: str = "magnitude", **raw: Any) -> dict[str, Any]:
    import torch

    options = {"mode": "full"} if searcher == "proxyless" else {}
    configs = expand({**TABLE, "searcher": {"name": searcher, **options}, **raw}, [searcher], [selector], [0])
    return run_all(configs, RunOptions(out, torch.device("cpu")))[0]


# -- show and measure ------------------------------------------------------------------------------------------------


def test_show_says_what_the_published_table_says(command, shared_data):
    table = shared_data / "latency" / "pixel1_mobile_trim.yaml"
    shown = json.loads(command("latency", "show", "--space", "mbconv", "--table", table, "--json").out)
    assert [shown[name] for name in FIGURES] == pytest.approx([11.365, 29.610, 191.033, 113.990714], abs=0.01)
    assert shown["fastest"].count("zero") == 15
    text = command("latency", "show", "--space", "mbconv", "--table", table).out
    assert "uniform_ms  113.988" in text
    assert shown["slowest"] in text


def test_show_of_whole_cells_has_no_fixed_part(command, sheet):
    shown = json.loads(command("latency", "show", "--space", "nb201", "--table", f"{sheet}:phone", "--json").out)
    assert [shown[name] for name in FIGURES] == [None, 2.0, 20.0, pytest.approx(2 + 6 * 1.2)]
    macs = json.loads(command("latency", "show", "--space", "nb201", "--table", "macs", "--json").out)
    assert (macs["fixed_m"], macs["max_m"]) == (7.78305, 220.11969)


def test_measure_writes_a_table_that_show_reads(command, tmp_path):
    out = tmp_path / "here.json"
    arguments = ("latency", "measure", "--space", "nb201", "--repeats", 3, "--out", out)
    done = command(*arguments)
    assert done.status == 0
    assert "16 keys measured" in done.out
    assert "uniform_ms" in done.out
    again = command(*arguments, "--quiet")
    assert (again.status, again.out) == (0, "")
    assert load_cost(str(out), SPACE, "nb201").greatest().value > 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("show", "--space", "nb2", "--table", "macs"), "did you mean 'nb201'"),
        (("show", "--space", "nb201", "--table", "none.csv"), "cannot read latency table none.csv"),
        (("show", "--space", "nb201", "--table", "macs", "--set", "cost.weight=1"), "has space_options alone"),
        (("measure", "--space", "nb201", "--out", "t.json", "--device", "abacus"), "device 'abacus' cannot be used"),
        (("measure", "--space", "nb201", "--out", "t.json", "--batch", 0), "equal to 1"),
        (("measure", "--space", "nb201", "--out", "t.csv"), "--out t.csv: expected a file that ends in .json"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(refused, arguments, text):
    assert text in refused("latency", *arguments)


# -- run -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("searcher", ["proxyless", "darts", "reinforce"])
def test_a_heavy_cost_finds_a_cheaper_cell_than_none(tmp_path, accurate, sheet, searcher):
    free = records(tmp_path, searcher, epochs=6)
    assert (free["latency_ms"], free["cost"]) == (None, None)
    cost = {"table": f"{sheet}:phone", "target": 5, "weight": 5, "reward_exponent": 3}
    paid = records(tmp_path, searcher, epochs=6, cost=cost)
    dear = load_cost(f"{sheet}:phone", SPACE, "nb201")
    assert paid["latency_ms"] < dear.of(SPACE.parse(free["architecture"])) / 2
    assert paid["latency_ms"] == paid["cost"]["chosen"] == dear.of(SPACE.parse(paid["architecture"]))
    assert (paid["cost"]["device"], paid["cost"]["target"], paid["cost"]["unit"]) == ("phone", 5.0, "ms")
    lines = (tmp_path / "searches" / paid["search"] / "history.jsonl").read_text().splitlines()
    expected = [json.loads(line)["expected_cost"] for line in lines]
    assert expected[-1] < expected[0]
    assert paid["cost"]["expected"] == pytest.approx(expected[-1])


@pytest.mark.parametrize(("weight", "convolutions"), [(0.0, 6), (0.0375, 5), (0.0875, 3), (0.1375, 1), (1.0, 0)])
def test_an_edge_keeps_its_convolution_where_it_is_worth_its_time(tmp_path, make_table, sheet, weight, convolutions):
    """Oracle 24's sweep, at its exact answer.

    nor_conv_3x3 brings edge i 1.5 (i + 1) points of accuracy and takes 3 ms of a target of 5: it is kept exactly
    where 0.015 (i + 1) > lambda 3 / 5.
    """
    grid = np.indices((5,) * 6)
    worth = np.einsum("e...,e->...", grid == 3, 1.5 * np.arange(1, 7))
    make_table("mine", valid=60 + worth, test=60 + worth)
    record = records(tmp_path, epochs=6, cost={"table": f"{sheet}:phone", "target": 5, "weight": weight})
    assert record["latency_ms"] == 2 + 3 * convolutions


def test_a_limit_holds_for_every_selector(tmp_path, accurate, sheet):
    cost = {"table": f"{sheet}:phone", "target": 10, "weight": 0.0, "limit": 9.0}
    for selector in ("magnitude", "perturb", "best-of", "random"):
        record = records(tmp_path, "proxyless", selector, epochs=4, cost=cost)
        assert record["latency_ms"] <= 9.0
        assert record["cost"]["limit"] == 9.0
    assert records(tmp_path, epochs=4, cost={**cost, "limit": "none"})["latency_ms"] == 20.0


def test_the_tables_content_is_the_searchs_identity_and_its_place_is_not(tmp_path, accurate, sheet):
    cost = {"table": f"{sheet}:phone", "target": 5.0}
    moved = tmp_path / "elsewhere.csv"
    moved.write_text(sheet.read_text().replace("phone", "mobile"))
    here, there = (records(tmp_path / "out", epochs=1, cost={**cost, "table": t}) for t in
                   (f"{sheet}:phone", f"{moved}:mobile"))  # fmt: skip
    assert here["search"] == there["search"]
    others = ({"target": 6.0}, {"weight": 0.2}, {"table": f"{sheet}:flat", "target": 8.0}, {"limit": 12.0})
    ids = {records(tmp_path / "out", epochs=1, cost={**cost, **other})["search"] for other in others}
    assert len(ids | {here["search"]}) == 5


def test_select_pays_as_the_search_did(tmp_path, accurate, sheet):
    import torch

    first = records(tmp_path, epochs=2, cost={"table": f"{sheet}:phone", "target": 5, "limit": 6.0})
    options = RunOptions(tmp_path, torch.device("cpu"))
    second = select_again(
        tmp_path / "searches" / first["search"], {"selector": {"name": "best-of"}}, "best-of", options
    )
    assert second["search"] == first["search"]
    assert second["latency_ms"] <= 6.0


def test_a_supernet_pays_too(command, tmp_path, tiny_flags):
    """MACs in the loss of trained weights, decisions and tuning included."""
    out = tmp_path / "out"
    done = command(
        "run", "--searcher", "proxyless", "--selector", "perturb", "--set", "selector.tune_alpha=true", *tiny_flags,
        "--latency", "macs", "--target-ms", 20, "--set", "cost.regulariser=mul#log", "--set", "searcher.warmup=0.0",
        "--out", out, "--quiet",
    )  # fmt: skip
    assert done.status == 0, done.err
    record = json.loads(next(out.glob("proxyless*/record.json")).read_text())
    assert record["latency_ms"] is None
    assert record["cost"]["chosen"] == pytest.approx(record["facts"]["flops"] / 1e6)
    assert "M on macs (target 20; expected at the end of the search" in done.out


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--latency", "{phone}"), "cost.target is missing: a search that pays for latency needs --target-ms T"),
        (("--target-ms", 5), "cost.table is missing: a search that pays for latency needs --latency TABLE"),
        (("--latency", "{phone}", "--target-ms", 1), "target of 1 ms is below the fastest architecture on phone: "
         "|none~0|+|none~0|none~1|+|none~0|none~1|none~2| costs 2 ms"),
        (("--latency", "{phone}", "--target-ms", 5, "--set", "cost.limit=1"), "limit of 1 ms is below the fastest"),
        (("--latency", "params", "--target-ms", 5, "--set", "cost.regulariser=mul#log"), "is not above 1"),
        (("--latency", "{phone}", "--target-ms", 5, "--set", "cost.wait=1"), "did you mean 'weight'"),
        (("--latency", "{phone}", "--target-ms", 0), "cost: target = 0.0: input should be greater than 0"),
        (("--latency", "{tablet}", "--target-ms", 5), "unknown device in latency table cells.csv: 'tablet'"),
    ],
)  # fmt: skip
def test_a_cost_that_cannot_be_met_is_refused_before_the_run(refused, accurate, sheet, flags, text):
    words = [str(f).replace("{", f"{sheet}:").replace("}", "") for f in flags]
    names = ("--objective", "table", "--table", "mine", "--dataset", "cifar10", "--searcher", "darts")
    assert text in refused("run", *names, "--selector", "magnitude", *words)


def test_a_chain_pays_for_the_tasks_own_images(command, tmp_path, tiny_file, refused):
    """The small chain is counted for images of 1x8x8 here: so is its latency table, and one of other images is not."""
    common = ("--space", "mbconv", "--set", "space_options.preset=small", "--repeats", 3, "--quiet")
    made = {}
    for images, classes in (("1x8x8", 4), ("3x32x32", 10)):
        made[images] = tmp_path / f"{images}.json"
        words = ("--images", images, "--classes", classes, "--out", made[images])
        assert command("latency", "measure", *common, *words).status == 0
    sizes = ("--set", "supernet.batch=40", "--set", "supernet.valid_batch=40", "--set", "scoring.epochs=1")
    words = ("run", "--space", "mbconv", "--searcher", "proxyless", "--selector", "magnitude", "--epochs", 1, "--quiet")
    words += ("--task", f"npz:{tiny_file}", *sizes, "--target-ms", 50, "--out", tmp_path / "out")
    done = command(*words, "--latency", made["1x8x8"])
    assert done.status == 0, done.err
    record = json.loads(next((tmp_path / "out").glob("proxyless*/record.json")).read_text())
    space = MBConv(preset="small").for_images((1, 8, 8), 4)
    cost = load_cost(str(made["1x8x8"]), space, "mbconv")
    assert record["latency_ms"] == pytest.approx(cost.of(space.parse(record["architecture"])))
    assert "of another space than 'mbconv'" in refused(*words, "--latency", made["3x32x32"])
    floor = refused(*words[:-4], "--target-ms", 1e-6, "--out", tmp_path / "out", "--latency", made["1x8x8"])
    assert "below the fastest architecture" in floor
    assert "expected CHANNELSxHEIGHTxWIDTH" in refused(
        "latency", "show", *common[:4], "--table", "macs", "--images", "8x8"
    )
