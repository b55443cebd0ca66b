"""After SGAS and shrink, which decide while they search, a selector chooses among what they left."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchbed import registry
from benchbed.selector import Context
from benchbed.spaces.darts.space import Darts
from benchbed.streams import Streams
from benchbed.testing.selector_suite import Bench
from benchbed.testing.toys import ToyCell, random_table

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


@pytest.mark.parametrize("name", ["perturb", "perturb-magnitude"])
def test_what_the_searcher_dropped_stays_at_zero_in_measuring_and_tuning(name: str) -> None:
    """Its search was cut: one input of the second node is dropped, and the others are still to be decided."""
    kind = registry.load("selector", name)
    bench = Bench(ToyCell(), random_table(ToyCell(), 0), Streams(0))
    bench.searcher.mask[2] = False
    selector = kind(kind.Options(interval=1, **({"mask": "renormalised"} if name == "perturb" else {})))
    seen = []
    measure = bench.objective.measure

    def watched(gates: torch.Tensor, *rest: Any) -> Any:
        seen.append(gates)
        return measure(gates, *rest)

    bench.objective.measure = watched  # type: ignore[method-assign]
    chosen = bench.run(selector).architecture
    assert chosen.choices[2] == -1
    assert seen or name == "perturb-magnitude"
    assert all(float(gates[..., 2, :].abs().max()) == 0 for gates in seen)
    assert bench.tuned
    assert all(bool(decisions.fixed[2]) and not decisions.rows[2].any() for decisions in bench.tuned)
