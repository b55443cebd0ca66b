"""The canon's page from a small grid: only seeds that every pair has, figures from the records, controls beside."""

import json
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from benchbed import api
from benchbed.errors import BenchbedError
from benchbed.pipeline.record import Record

from .conftest import script

SEEDS = 4


@pytest.fixture(scope="module")
def canon() -> ModuleType:
    return script("canon/make")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """{darts, darts+shrink, random} x {magnitude, best-of, constant} on the embedded table. To be read only."""
    out = tmp_path_factory.mktemp("canon") / "runs"
    api.run(
        ["darts", "darts+shrink", "random"], ["magnitude", "best-of", "constant"], objective="table",
        table="nb201-digits", seeds=range(SEEDS), epochs=1, steps=4, out=out, quiet=True,
    )  # fmt: skip
    return out


def records(place: Path) -> list[Record]:
    return [Record.read(path) for path in sorted(place.glob("*/record.json"))]


def test_the_page_has_the_records_figures(canon: ModuleType, made: Path, tmp_path: Path) -> None:
    canon.write(canon.complete(made), tmp_path)
    page = (tmp_path / "README.md").read_text()
    of = {(r.searcher, r.selector, r.seed): r.test_accuracy for r in records(made)}
    best = {s: np.array([of[s, "best-of", k] for k in range(SEEDS)]) for s in ("darts", "darts+shrink", "random")}
    assert f"{best['darts'].mean():.2f} ± {best['darts'].std(ddof=1):.2f}" in page
    constant = np.array([of["darts", "constant", k] for k in range(SEEDS)])
    minus = (best["darts"] + best["darts+shrink"]) / 2 - constant  # random with best-of is a control
    (line,) = (line for line in page.splitlines() if line.startswith("| best-of | 2 |"))
    assert f"{minus.mean():+.2f} (" in line
    assert f"{SEEDS} seeds" in page
    lines = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    found = {(x["searcher"], x["seed"]) for x in lines if x["selector"] == "best-of"}
    assert found == {(searcher, seed) for searcher in best for seed in range(SEEDS)}
    for name in ("canon", "grid", "selectors", "modifiers"):
        assert (tmp_path / f"{name}.tex").read_text().startswith(r"\begin{table}")
    assert (tmp_path / "ranks-best-of.svg").read_bytes().startswith(b"<?xml")


def test_a_sweep_that_is_not_finished_counts_as_far_as_every_pair_is_there(
    canon: ModuleType, made: Path, tmp_path: Path
) -> None:
    runs = Path(shutil.copytree(made, tmp_path / "runs"))
    last = [r for r in records(runs) if r.searcher == "darts" and r.selector == "best-of" and r.seed == SEEDS - 1]
    shutil.rmtree(runs / last[0].id)
    assert canon.complete(runs).shared_seeds == list(range(SEEDS - 1))
    for record in records(runs):
        if record.seed > 1 and record.selector == "magnitude":
            shutil.rmtree(runs / record.id)
    with pytest.raises(BenchbedError, match="every pair has 2 seed"):
        canon.complete(runs)
