"""The README's promises: its examples are the files of examples/, and they run."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from benchbed import registry
from benchbed.layers.plan import plan
from benchbed.pipeline.build import run_id, task_in
from benchbed.pipeline.resolve import expand
from benchbed.pipeline.run import run_all
from benchbed.runtime.options import RunOptions
from benchbed.sweep.study import read_study

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_the_searcher_in_the_readme_is_the_example() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert block == (ROOT / "examples" / "gumbel.py").read_text()
    assert len(block.splitlines()) <= 30


def test_no_placeholder_and_no_dead_link() -> None:
    assert "@@" not in README
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) > 5
    for link in links:
        assert (ROOT / link).exists(), link


@pytest.fixture
def images(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    labels = np.arange(240) % 3
    pictures = rng.normal(0, 0.3, (240, 8, 8)) + labels[:, None, None] * np.eye(8)
    np.savez(tmp_path / "images.npz", images=pictures.astype(np.float32), labels=labels)
    return f"npz:{tmp_path / 'images.npz'}"


@pytest.mark.parametrize(
    ("file", "space", "searcher", "selector"),
    [("gumbel.py", "nb201", "gumbel", "magnitude"), ("chain.py", "chain", "proxyless", "perturb")],
)
def test_the_examples_run(
    file: str, space: str, searcher: str, selector: str, images: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_USER_FILES", {})
    registry.add_file(ROOT / "examples" / file)
    small = {"channels": 4, "cells": 1}
    raw = {
        "space": space,
        "task": images,
        "epochs": 4,
        "supernet": {**small, "batch": 16, "valid_batch": 16, "eval_batch": 24},
        "scoring": {**small, "epochs": 6, "batch": 16},
    }
    configs = expand(raw, [searcher], [selector], [0])
    (record,) = run_all(configs, RunOptions(tmp_path / "runs", torch.device("cpu")))
    where = registry.load("space", space)()
    assert str(where.parse(record["architecture"])) == record["architecture"]
    assert record["test_accuracy"] > 100 / 3  # three classes that a convolution tells apart


def test_the_chain_probes_operations_that_do_not_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probed operations change no output and get a gradient all the same."""
    monkeypatch.setattr(registry, "_USER_FILES", {})
    registry.add_file(ROOT / "examples" / "chain.py")
    space = registry.load("space", "chain")()
    module = __import__(type(space).__module__)
    torch.manual_seed(0)
    network, batch = module.Supernet(4, 1, 3, 1), torch.randn(6, 1, 8, 8)
    gates = torch.from_numpy(space.gates(space.parse("conv3-skip-conv5"))).requires_grad_()
    need = torch.ones(3, 3, dtype=torch.bool)
    alone, probed = network(batch, gates, plan(gates)), network(batch, gates, plan(gates, need))
    torch.testing.assert_close(alone, probed)
    (gradient,) = torch.autograd.grad(probed.square().sum(), gates)
    assert gradient.isfinite().all()
    assert (gradient != 0).all()


def test_the_ids_that_pages_print_are_those_of_their_commands(tmp_path: Path) -> None:
    """An id holds a plug-in's options: a new option makes new ones."""
    (default,) = expand({}, ["proxyless"], ["perturb"], [0])
    assert f"runs/{run_id(default, task_in({}, default))}/record.json" in README
    tutorial = (ROOT / "docs" / "tutorial.md").read_text()
    (study,) = (block for block in re.findall(r"```toml\n(.*?)```", tutorial, re.DOTALL) if "[grid]" in block)
    (tmp_path / "study.toml").write_text(study)
    runs = {run.id for run in read_study(tmp_path / "study.toml").runs}
    named = set(re.findall(r"runs/study/([a-z0-9-]+-s\d+-[0-9a-f]{10})", tutorial))
    assert named
    assert named <= runs
