"""The extrapolated cost of a full search: its arithmetic on a clock of ours, what it measures, what users see."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbed.objectives.supernet import SupernetObjective
from benchbed.pipeline import full_search as room
from benchbed.pipeline.full_search import TIMED, full_search
from benchbed.runtime.options import RunOptions
from benchbed.runtime.progress import Reporter


@pytest.fixture
def options(tmp_path: Path) -> RunOptions:
    return RunOptions(tmp_path, torch.device("cpu"), None, Reporter(True))


def test_hours_are_the_measured_steps_times_those_of_the_paper(
    tiny: dict[str, Any], options: RunOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([100.0, 100.0 + 18.0 * TIMED])  # 18 seconds a step
    monkeypatch.setattr(room, "now", lambda _: next(times))
    found = full_search(tiny, "darts", "magnitude", options)
    assert found.epochs == 100  # DARTS' preset for NAS-Bench-201, whatever the configuration's own
    assert found.hours == pytest.approx(18 * found.steps * 100 / 3600)
    assert f"100 epochs of {found.steps} steps" in str(found)
    assert "CPU" in str(found)
    assert "GPU" not in str(found)
    assert found._replace(device="cuda").heading.startswith("full search, GPU h")


def test_steps_are_of_the_papers_network_and_after_its_warm_up(
    tiny: dict[str, Any], options: RunOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths, gates = [], []
    original = SupernetObjective.weight_step

    def seen(self: SupernetObjective, g: torch.Tensor, batch: Any) -> torch.Tensor:
        widths.append(max(p.shape[0] for p in self.network.parameters() if p.ndim == 4))
        gates.append(g)
        return original(self, g, batch)

    monkeypatch.setattr(SupernetObjective, "weight_step", seen)
    asked: list[int] = []
    monkeypatch.setattr(
        SupernetObjective,
        "gate_gradient",
        lambda self, g, *rest: asked.append(1) or (torch.tensor(1.0), torch.zeros_like(g)),
    )
    full_search(tiny, "proxyless", "magnitude", options)
    assert set(widths) == {64}  # C = 16, doubled twice
    assert len(widths) == TIMED + 1
    assert len(asked) == TIMED + 1  # an architecture step beside each weight step: warm-up has none
    assert all((g.sum(1) == 1).all() for g in gates)


def test_a_table_has_no_steps_to_time(make_table: Any, refused: Callable[..., str]) -> None:
    make_table("mine")
    table = ("--objective", "table", "--table", "mine", "--dataset", "cifar10", "--full-cost")
    said = "--full-cost: the objective is a table"
    assert said in refused("run", *table, "--searcher", "darts", "--selector", "magnitude")
    assert said in refused("study", "proxy", *table, "--proxy", "epochs=2")
    assert said in refused("study", "front", *table, "--latency", "params", "--weights", "0.1")
    assert said in refused("study", "devices", *table, "--latency", "params", "--latency", "macs")


def test_the_command_adds_a_column(command: Callable[..., Any], tiny_flags: list[str], tmp_path: Path) -> None:
    names = ("--searcher", "random", "--selector", "magnitude,random")
    found = command("run", *names, *tiny_flags, "--full-cost", "--quiet", "--out", str(tmp_path))
    assert found.status == 0, found.err
    assert "a full search with random: " in found.out
    assert "CPU h" in found.out
    records = list(tmp_path.glob("*/record.json"))
    assert len(records) == 2
    assert all("full" not in json.loads(r.read_text()) for r in records)  # it is of the machine, not of the run
