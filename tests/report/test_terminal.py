"""The tables at the end of a run hold the record's numbers."""

import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from benchbed.pipeline.record import Record
from benchbed.report.terminal import grid_summary, run_summary
from benchbed.spaces.nb201.space import NB201

CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"


def record(searcher: str = "darts", selector: str = "perturb", seed: int = 0, test: float = 61.234) -> dict[str, Any]:
    space = NB201()
    return {
        "searcher": searcher,
        "selector": selector,
        "task": "npz:[a].npz",
        "seed": seed,
        "search": "darts-nb201-x",
        "architecture": CELL,
        "facts": space.facts(space.parse(CELL)),
        "test_accuracy": test,
        "valid_accuracy": 62.5,
        "supernet_accuracy": 41.119,
        "supernet": {
            "evaluation": "mixture",
            "supernet_mixture_accuracy": 41.119,
            "supernet_sampled_accuracy": 17.357,
        },
        "seconds": {"search": 12.34, "selection": 5.67, "scoring": 8.0},
    }


def page() -> Console:
    return Console(width=160, highlight=False, file=io.StringIO())


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def summary_of(record: dict[str, Any], folder: str = "a/b") -> str:
    console = page()
    run_summary(Record.model_construct(**record), NB201(), console, folder)
    return text_of(console)


def grid_of(records: list[dict[str, Any]]) -> str:
    console = page()
    grid_summary([Record.model_construct(**record) for record in records], console)
    return text_of(console)


def test_a_runs_summary_holds_its_figures() -> None:
    text = summary_of(record(), "some/where/run-id")
    for word in (
        CELL,
        "darts x perturb",
        "npz:[a].npz",  # no markup
        "61.23 %",
        "62.50 %",
        "41.12 %",
        "mixture",
        "search 12.3",
        "selection 5.7",
        "scoring 8.0",
        "some/where/run-id/record.json",
        "select some/where/searches/darts-nb201-x --selector magnitude",
    ):
        assert word in text, word
    assert "select 'my runs/searches/darts-nb201-x' --selector" in summary_of(record(), "my runs/run-id")


@pytest.mark.parametrize(
    ("cell", "word"),
    [
        ("|skip_connect~0|+|skip_connect~0|none~1|+|avg_pool_3x3~0|none~1|none~2|", "collapsed"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", "dead"),
        (CELL, None),
    ],
)
def test_a_cell_that_learns_nothing_is_called_so(cell: str, word: str | None) -> None:
    space = NB201()
    text = summary_of(record() | {"architecture": cell, "facts": space.facts(space.parse(cell))})
    assert [w for w in ("collapsed", "dead") if w in text] == ([] if word is None else [word])


def test_a_grids_summary_gives_mean_deviation_and_interval() -> None:
    tests = [60.0, 61.0, 65.0, 70.0]
    records = [record(seed=n, test=t) for n, t in enumerate(tests)]
    text = grid_of(records)
    (line,) = [x for x in text.splitlines() if "perturb" in x]
    assert f"{np.mean(tests):.2f}" in line
    assert f"  {np.median(tests):.2f}  " in line
    assert "(all but median, deviation and regret are means over seeds)" in text
    assert f"{np.std(tests, ddof=1):.2f}" in line
    assert " 4 " in line
    assert "12" in line  # seconds of a search


def test_the_network_that_was_trained_is_told_and_of_an_older_record_the_one_that_is_known() -> None:
    network = {"params": 35170, "flops": 600522, "images": [1, 12, 12], "classes": 10, "channels": 8, "cells": 1}
    text = summary_of(record() | {"network": network, "scored_by": "training"})
    assert "35,170; 600,522 FLOPs in the network that was trained (C=8, N=1, 1x12x12 images)" in text
    of_table = {"scored_by": "table", "table": {"name": "mine", "dataset": "digits"}, "rank": 1, "cells": 2}
    of_table |= {"percentile": 1.0, "best_test_accuracy": 61.234, "regret": 0.0}
    text = summary_of(record() | {"network": {"params": 7, "flops": 9}} | of_table)
    assert "7; 9 FLOPs in the network that table mine trained on digits" in text
    facts = record()["facts"]
    assert f"{facts['params']:,}; {facts['flops']:,} FLOPs in the CIFAR-10 network" in summary_of(record())


def test_a_grid_keeps_to_80_columns_and_says_what_it_leaves_out() -> None:
    console = Console(width=80, highlight=False, file=io.StringIO())
    records = [Record.model_construct(**record("darts+sdarts-rs", seed=n, test=60.0 + n)) for n in range(3)]
    grid_summary(records, console)
    lines = text_of(console).splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("(for want of room without:") for line in lines)
    assert "median" in text_of(console)


def test_one_seed_has_no_interval() -> None:
    text = grid_of([record(), record(selector="random", test=10.0)])
    assert "nan" not in text
    assert "61.23" in text
    assert "10.00" in text


def test_selectors_on_the_same_supernets_are_compared_in_pairs() -> None:
    gains = [1.0, 2.0, 6.0]
    records = []
    for seed, gain in enumerate(gains):
        records += [
            record(seed=seed, test=60 + 5 * seed + gain),
            record(seed=seed, selector="random", test=60 + 5 * seed),
        ]
    text = grid_of(records)
    after = text[text.index("perturb minus") :]
    (line,) = [x for x in after.splitlines() if "random" in x]
    assert "+3.00" in line
    assert "3 of 3" in line


def test_an_architecture_is_one_line_on_a_narrow_terminal() -> None:
    """It is pasted back into `describe`, which takes one line."""
    console = Console(width=40, highlight=False, file=io.StringIO())
    run_summary(Record.model_construct(**record()), NB201(), console, "a/b")
    assert len(CELL) > 40
    assert CELL in text_of(console).splitlines()
