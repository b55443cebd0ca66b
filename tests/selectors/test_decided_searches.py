"""After SGAS and shrink, which decide while they search, a selector chooses among what they left."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchbed.selector import Context
from benchbed.spaces.darts.space import Darts
from benchbed.streams import Streams

ALL = "magnitude,perturb,perturb-magnitude,discretize,best-of"


@pytest.mark.parametrize(
    ("space", "searcher", "selectors"),
    [
        ("nb201", "sgas", ALL),
        ("nb201", "shrink", ALL),
        ("darts-s2", "sgas", "magnitude,perturb,best-of"),
        pytest.param("darts-s2", "sgas", ALL, marks=pytest.mark.slow),
        pytest.param("darts-s2", "shrink", ALL, marks=pytest.mark.slow),
    ],
)
def test_every_selector_returns_the_cell_that_was_decided(
    command: Callable[..., Any], tiny_flags: list[str], tmp_path: Path, space: str, searcher: str, selectors: str
) -> None:
    sizes = {"supernet.cells": 1 if space == "nb201" else 3}
    sizes |= {"selector.epochs": 1, "selector.min_epochs": 1} if "discretize" in selectors else {}
    sizes |= {"selector.interval": 1, "selector.samples": 3, "scoring.cells": 3}
    settings = [f"--set={key}={value}" for key, value in sizes.items()]
    names = ("--space", space, "--searcher", searcher, "--selector", selectors)
    outcome = command("run", *names, *tiny_flags, *settings, "--quiet", "--out", tmp_path)
    assert outcome.status == 0, outcome.err
    records = [json.loads(path.read_text()) for path in tmp_path.glob("*/record.json")]
    assert len(records) == len(selectors.split(","))
    assert len({record["architecture"] for record in records}) == 1


def test_what_may_be_selected_is_what_the_searcher_left() -> None:
    space = Darts()
    mask = torch.from_numpy(space.mask).clone()
    mask[0], mask[1] = False, torch.arange(mask.shape[1]) == 4  # the first input dropped, the second decided
    context = Context(space, SimpleNamespace(mask=mask), None, Streams(0), None, None)  # type: ignore[arg-type]
    assert context.dropped == [0]
    assert context.selectable[0].tolist() == space.selectable[0].tolist()
    assert context.selectable[1].nonzero().flatten().tolist() == [4]
    assert context.selectable[2].tolist() == space.selectable[2].tolist()
