"""The network whose accuracy a row gives: from the record, or of older records what can be known; and in the tables."""

import math
from pathlib import Path

import numpy as np
import pytest

from benchbed.pipeline.record import Record
from benchbed.report.collect import collect
from benchbed.report.groups import groups
from benchbed.report.latex import latex
from benchbed.report.networks import Network, network_in_words, networks
from benchbed.report.tables import caption, frame, markdown
from benchbed.spaces.nb201.space import NB201, flops, parameters
from benchbed.tables import Table, store
from benchbed.tables.score import network_in

TRAINED = {"params": 35170, "flops": 600522, "images": [1, 12, 12], "classes": 10, "channels": 8, "cells": 1}


@pytest.fixture
def records(made: Path) -> list[Record]:
    return collect(made).records


def test_an_older_record_of_a_benchmark_is_of_the_benchmarks_network(records: list[Record]) -> None:
    assert all(r.network is None for r in records)  # that table holds no costs
    (group,) = groups(records)
    for record in group.records:
        cell = NB201().parse(record.architecture)
        assert networks(group, None)[record.id] == Network(parameters(cell), flops(cell))
    (other,) = groups(r.model_copy(update={"table": {**r.table, "dataset": "imagenet16-120"}}) for r in records)
    first = other.records[0]
    cell = NB201().parse(first.architecture)
    wanted = Network(parameters(cell, classes=120), flops(cell, classes=120, size=16))
    assert networks(other, None)[first.id] == wanted


def test_an_older_training_is_unknown_unless_its_space_fixes_the_size(records: list[Record]) -> None:
    trained = [r.model_copy(update={"scored_by": "training"}) for r in records]
    (group,) = groups(trained)
    assert set(networks(group, None).values()) == {Network()}  # its facts are of a network of another size
    assert "FLOPs" not in caption(group)
    assert "FLOPs" not in markdown(frame([group]))[0]
    fixed = {"facts": {"params": 7, "flops": 9, "images": [3, 32, 32]}, "space": "proxyless-cifar"}
    (group,) = groups(r.model_copy(update=fixed) for r in trained)
    assert set(networks(group, None).values()) == {Network(7, 9)}


def test_a_record_says_which_network_was_trained_and_the_report_repeats_it(records: list[Record]) -> None:
    sizes = {0: 600_000, 1: 600_000, 2: 900_000}
    trained = [
        r.model_copy(update={"scored_by": "training", "network": TRAINED | {"flops": sizes[r.seed]}}) for r in records
    ]
    (group,) = groups(trained)
    found = frame([group])
    assert found["mean_flops"].tolist() == pytest.approx([700_000.0] * len(found))
    assert found["median_flops"].tolist() == [600_000.0] * len(found)
    assert set(found["mean_params"]) == {35_170.0}
    text = markdown(found)
    assert "| 0.03517 | 0.7 (0.6) |" in text[2]
    words = "network that was trained (C=8, N=1, 1x12x12 images)"
    assert network_in_words(trained[0]) == words
    assert f"are of the {words}" in caption(group)


def test_a_row_of_which_one_network_is_unknown_gives_no_mean(records: list[Record]) -> None:
    trained = [r.model_copy(update={"scored_by": "training", "network": TRAINED if r.seed else None}) for r in records]
    (group,) = groups(trained)
    assert frame([group])["mean_flops"].isna().all()


def test_a_table_that_benchbed_built_knows_its_own_networks(tmp_path: Path, table_file: Path) -> None:
    table = Table.open(str(table_file))
    arrays = {name: np.array(table._array(name)) for name in table.arrays}
    cell = table.space.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    costs = np.arange(5**6).reshape((5,) * 6) + 70
    arrays |= {"params/cifar10": costs, "flops/cifar10": costs * 2}
    file = tmp_path / "with.npz"
    store.write(file, {**table.meta, "fingerprint": store.fingerprint("nb201", arrays)}, arrays)
    assert network_in(Table.open(str(file)), "cifar10", cell) == {"params": 70, "flops": 140}
    assert network_in(table, "cifar10", cell) is None


def test_what_a_page_has_no_room_for_is_left_out_of_the_latex_and_named(records: list[Record]) -> None:
    table = frame(groups(records))
    assert "For want of room" not in latex(table.assign(control="", median_rank=math.nan, mean_params=math.nan), "", "")
    text = latex(table, "Words.", "tab:x")
    assert "Words. For want of room without: median rank, params, M; report.csv has all." in text
    (head,) = [line for line in text.splitlines() if line.startswith("searcher")]
    (kinds,) = [line for line in text.splitlines() if line.startswith(r"\begin{tabular}")]
    assert head.count("&") + 1 == len(kinds.removeprefix(r"\begin{tabular}{").replace("p{22mm}", "p").rstrip("}"))
    for kept in (r"\shortstack[r]{mean test\\accuracy, \%}", "median &", "FLOPs, M"):
        assert kept in head
