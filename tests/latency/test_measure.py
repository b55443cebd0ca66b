"""Measurement: every key of a layout runs, a kill costs one key, another recipe's file is refused, CUDA is awaited."""

import json
import time
from typing import Any

import numpy as np
import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.latency import measure as measuring
from benchbed.latency.layout import layout_of
from benchbed.latency.load import load_cost
from benchbed.latency.measure import Recipe, measure
from benchbed.latency.modules import inputs_of, sample_of
from benchbed.spaces.mbconv.network import MBConvNetwork
from benchbed.spaces.mbconv.space import MBConv
from benchbed.spaces.nb201.network import NB201Network
from benchbed.spaces.nb201.space import NB201

CPU = torch.device("cpu")
QUICK = Recipe(CPU, batch=1, threads=1, repeats=3, warmup=1)


@pytest.fixture
def fake(monkeypatch) -> list[str]:
    """Times without running anything; the keys that were asked for."""
    asked: list[str] = []

    def time_key(key: str, recipe: Recipe) -> dict[str, Any]:
        asked.append(key)
        return {"median": float(len(asked)), "q1": 1.0, "q3": 2.0}

    monkeypatch.setattr(measuring, "time_key", time_key)
    return asked


@pytest.mark.parametrize(("space", "name"), [(NB201(), "nb201"), (MBConv(preset="small"), "mbconv")])
def test_every_key_runs_and_gives_the_shape_that_it_names(space, name):
    for key in layout_of(space, name).distinct_keys():
        module, shape = sample_of(key)
        out = module.eval()(inputs_of(shape, 2, CPU))
        said = key.split("-output:")[1].split("-")[0]
        side = f"{out.shape[2]}x{out.shape[3]}x{out.shape[1]}" if out.ndim == 4 else str(out.shape[1])
        assert side == said, key


def test_the_keys_of_a_cell_hold_the_parameters_of_its_network():
    """Layout times modules is the network: the same weights, part by part."""
    space = NB201()
    layout = layout_of(space, "nb201")
    for choices in ((3, 2, 4, 0, 1, 3), (0,) * 6, (2,) * 6):
        parts = [layout.fixed, *(row[k] for row, k in zip(layout.operations, choices, strict=True))]
        counted = sum(_weights(sample_of(key).module) * n for part in parts for key, n in part)
        assert counted == _weights(NB201Network(choices))


def test_the_keys_of_a_chain_hold_the_parameters_of_its_network():
    space, rng = MBConv(preset="small"), np.random.default_rng(5)
    layout, members = layout_of(space, "mbconv"), [space.random(rng) for _ in range(5)]
    assert any("zero" in str(member) for member in members)
    for member in members:
        parts = [layout.fixed, *(row[k] for row, k in zip(layout.operations, member.choices, strict=True))]
        counted = sum(_weights(sample_of(key).module) * n for part in parts for key, n in part)
        assert counted == _weights(MBConvNetwork(member.choices, space.geometry, space.geometry.classes))


def _weights(module: torch.nn.Module) -> int:
    return sum(w.numel() for w in module.parameters())


def test_a_measured_table_is_a_cost(tmp_path):
    space, out = NB201(), tmp_path / "nb201.json"
    before = torch.get_num_threads()
    tree = measure(space, "nb201", {}, QUICK, out)
    assert torch.get_num_threads() == before
    assert (tree["unit"], tree["threads"], tree["machine"]["threads"], tree["batch"]) == ("ms", 1, 1, 1)
    for found in tree["entries"].values():
        assert 0 < found["q1"] <= found["median"] <= found["q3"]
    cost = load_cost(str(out), space, "nb201")
    assert cost.fixed is not None
    assert cost.least().value == pytest.approx(cost.fixed)  # all six edges `none`
    greatest, rng = cost.greatest(), np.random.default_rng(0)  # which operations: a measurement on a busy machine
    assert cost.of(greatest.architecture) == pytest.approx(greatest.value)
    assert all(cost.least().value <= cost.of(space.random(rng)) <= greatest.value + 1e-9 for _ in range(200))


def test_a_killed_measurement_goes_on_where_it_stopped(tmp_path, fake, monkeypatch):
    space, out, keys = NB201(), tmp_path / "t.json", layout_of(NB201(), "nb201").distinct_keys()
    steady = measuring.time_key

    def killed(key: str, recipe: Recipe) -> dict[str, Any]:
        if len(fake) == 5:
            raise KeyboardInterrupt
        return steady(key, recipe)

    monkeypatch.setattr(measuring, "time_key", killed)
    with pytest.raises(KeyboardInterrupt):
        measure(space, "nb201", {}, QUICK, out)
    kept = json.loads(out.read_text())["entries"]
    assert list(kept) == keys[:5]
    with pytest.raises(BenchbedError, match="lacks 11 of the 16 keys"):
        load_cost(str(out), space, "nb201")
    monkeypatch.setattr(measuring, "time_key", steady)
    whole = measure(space, "nb201", {}, QUICK, out)
    assert fake == keys  # each measured once
    assert {key: whole["entries"][key] for key in keys[:5]} == kept
    measure(space, "nb201", {}, QUICK, out)
    assert fake == keys
    measure(space, "nb201", {}, QUICK, out, force=True)
    assert fake == keys * 2


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"batch": 8}, "batch = 1, not 8"),
        ({"threads": 2}, "threads = 1, not 2"),
        ({"repeats": 9}, r"recipe = .*'repeats': 3.*, not .*'repeats': 9"),
    ],
)
def test_another_recipes_file_is_refused(tmp_path, fake, changed, text):
    out = tmp_path / "t.json"
    measure(NB201(), "nb201", {}, QUICK, out)
    before = out.read_bytes()
    with pytest.raises(BenchbedError, match=text):
        measure(NB201(), "nb201", {}, QUICK._replace(**changed), out)
    with pytest.raises(BenchbedError, match="space = 'nb201', not 'mbconv'"):
        measure(MBConv(preset="small"), "mbconv", {"preset": "small"}, QUICK, out)
    assert out.read_bytes() == before


def test_a_file_of_something_else_is_not_written_over(tmp_path):
    out = tmp_path / "notes.json"
    out.write_text("notes")
    with pytest.raises(BenchbedError, match="is not JSON"):
        measure(NB201(), "nb201", {}, QUICK, out)
    assert out.read_text() == "notes"


def test_cuda_is_awaited_before_and_after_each_repeat(monkeypatch, unchecked):
    """The authors' code read the clock when the launches had returned (bug 3)."""
    events: list[str] = []

    class Images:
        device = torch.device("cuda")

    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: events.append("wait"))
    monkeypatch.setattr(time, "perf_counter", lambda: events.append("clock") or 0.0)
    measuring._seconds(lambda images: events.append("launch"), Images(), 2)
    assert events == ["wait", "clock", "launch", "launch", "wait", "clock"]
