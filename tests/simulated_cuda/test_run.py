"""Whole runs on the device: search, selection, training from scratch and their checkpoints end as on the CPU."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import benchbed
from benchbed.latency.layout import layout_of
from benchbed.latency.measure import Recipe, time_key
from benchbed.spaces.nb201.space import NB201


def run(raw: dict[str, Any], searcher: str, selector: str, **more: Any) -> benchbed.Results:
    """A run with the settings of a raw configuration."""
    sections = {f"{name}.{key}": v for name, of in raw.items() if isinstance(of, dict) for key, v in of.items()}
    plain = {name: value for name, value in raw.items() if not isinstance(value, dict)}
    return benchbed.run(searcher, selector, **plain | more, set=sections, quiet=True)


def both(tmp_path: Path, tiny: dict[str, Any], searcher: str, selector: str, **more: Any) -> list[Any]:
    """The records of the CPU and of the device."""
    return [run(tiny, searcher, selector, device=on, out=tmp_path / on, **more)[0] for on in ("cpu", "cuda")]


def test_each_stage_has_a_peak_of_memory_of_its_own(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device says the number of resets as its peak: the search has the first, its selection the second."""
    resets: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", resets.append)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: len(resets))
    record = run(tiny, "proxyless", "magnitude", device="cuda", out=tmp_path)[0]
    found = [json.loads(next(tmp_path.glob(f"{name}/*/record.json")).read_text()) for name in ("searches", "scores")]
    assert [one["peak_memory_bytes"] for one in found] == [1, 3]
    assert record.peak_memory_bytes == 3
    assert {device.type for device in resets} == {"cuda"}


def test_a_training_with_every_option_of_the_recipe_ends_as_on_the_cpu(tiny: dict[str, Any], tmp_path: Path) -> None:
    given = {"ema": 0.5, "mixup": 0.4, "cutmix": 1.0, "accumulate": 2, "label_smoothing": 0.1, "lr": 0.01}
    settings = {f"scoring.{key}": value for key, value in (tiny["scoring"] | given).items()}
    cell = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|"
    found = [
        benchbed.train(cell, task=tiny["task"], set=settings, device=on, deterministic=True, out=tmp_path / on,
                       quiet=True).record for on in ("cpu", "cuda")
    ]  # fmt: skip
    assert found[1]["machine"]["device"] == torch.cuda.get_device_name(0)
    assert found[1]["valid_loss"] == pytest.approx(found[0]["valid_loss"], rel=1e-3)
    assert [one["segments"][0]["deterministic"] for one in found] == [True, True]


def test_a_training_from_graphs_has_the_record_of_the_one_without(tiny: dict[str, Any], tmp_path: Path) -> None:
    """Of its own name, for a graph is part of one: the batch of 10 comes often enough to be recorded."""
    cell, found = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|", []
    for graph in (False, True):
        settings = {f"scoring.{key}": value for key, value in (tiny["scoring"] | {"batch": 10, "graph": graph}).items()}
        made = benchbed.train(cell, task=tiny["task"], set=settings, device="cuda", out=tmp_path, quiet=True)
        found.append(made.record)
    assert found[0]["id"] != found[1]["id"]
    for key in ("valid_loss", "valid_accuracy", "test_loss", "test_accuracy"):
        assert found[0][key] == found[1][key], key


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "selector", ["perturb", *(pytest.param(name, marks=SLOW) for name in ("magnitude", "best-of", "discretize"))]
)
def test_a_run_ends_with_the_architecture_and_the_figures_of_the_cpu(
    selector: str, tiny: dict[str, Any], tmp_path: Path
) -> None:
    on_cpu, on_cuda = both(tmp_path, tiny, "darts", selector)
    assert on_cuda.machine["device"] == torch.cuda.get_device_name(0)
    assert on_cuda.architecture == on_cpu.architecture
    assert on_cuda.test_accuracy == pytest.approx(on_cpu.test_accuracy, abs=2.6)  # an image of 40 may fall otherwise
    assert on_cuda.supernet_accuracy == pytest.approx(on_cpu.supernet_accuracy, abs=2.6)


@pytest.mark.parametrize("searcher", [pytest.param("darts", marks=SLOW), "proxyless"])
def test_a_search_with_graphs_is_the_one_without(searcher: str, tiny: dict[str, Any], tmp_path: Path) -> None:
    found = []
    for graph in (False, True):
        tiny["supernet"] |= {"batch": 10, "valid_batch": 10, "graph": graph}
        found.append(run(tiny, searcher, "magnitude", device="cuda", out=tmp_path / str(graph))[0])
    assert found[0].architecture == found[1].architecture
    assert found[0].test_accuracy == pytest.approx(found[1].test_accuracy, abs=2.6)


@SLOW
def test_another_selector_reads_the_checkpoint_that_the_device_wrote(tiny: dict[str, Any], tmp_path: Path) -> None:
    searched = run(tiny, "darts", "magnitude", device="cuda", out=tmp_path)
    again = benchbed.select(searched, "perturb", device="cuda", quiet=True)[0]
    assert again.architecture == run(tiny, "darts", "perturb", device="cuda", out=tmp_path / "2")[0].architecture


def test_photographs_are_decoded_and_placed_on_the_device(tmp_path: Path, tiny: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(0)
    for part, count in (("train", 30), ("test", 10)):
        for k in range(2):
            folder = tmp_path / "images" / part / f"class{k}"
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = torch.randint(256, (12, 12, 3), generator=generator, dtype=torch.uint8)
                Image.fromarray(pixels.numpy()).save(folder / f"{i}.jpg")
    tiny["task"] = f"images:{tmp_path / 'images'}"
    tiny["supernet"] |= {"batch": 8, "valid_batch": 8}
    tiny["scoring"] |= {"batch": 8}
    on_cpu, on_cuda = both(tmp_path / "runs", tiny, "proxyless", "magnitude")
    assert on_cuda.architecture == on_cpu.architecture


def test_latency_is_measured_on_it() -> None:
    key = layout_of(NB201(), "nb201").distinct_keys()[0]
    found = time_key(key, Recipe(torch.device("cuda"), batch=1, threads=1, repeats=3, warmup=1))
    assert 0 < found["q1"] <= found["median"] <= found["q3"]
