"""A dry run of every study: to its files, in a few steps, and nothing is left of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbed import registry

TABLE = ("--table", "nb201-digits", "--dataset", "digits")
STUDIES: dict[str, tuple[object, ...]] = {
    "correlate": (*TABLE, "--predictor", "params"),
    "devices": (
        "--latency",
        "macs",
        "--latency",
        "params",
    ),
    "estimators": (*TABLE, "--estimator", "darts", "--estimator", "proxyless", "--seeds", "0:20"),
    "front": ("--latency", "macs", "--targets", "8,12,16"),
    "proxy": ("--proxy", "epochs=1", "--proxy", "supernet.channels=4"),
    "pareto": (*TABLE, "--objective", "accuracy", "--objective", "params", "--fidelity", 1, "--budget", 300),
    "predictors": (*TABLE,),
    "skip": ("--swaps", 40),
    "strength": ("--tune-epochs", 30),
    "surrogate": (*TABLE, "--sizes", "20", "--predictor", "random-forest:trees=5"),
    "tabular": (*TABLE, "--searcher", "random-search", "--searcher", "regularised-evolution"),
    "supernet": (*TABLE, "--at", "2,5,8", "--epochs", 8),
    "trajectory": ("--at", "2,5,8", "--epochs", 8),
}
IMAGES = 400  # that may be given to networks and their stems in all of a study
NO_RUNS = ("correlate", "estimators", "pareto", "predictors", "surrogate", "tabular")


def test_every_study_is_in_this_list() -> None:
    assert {plugin.name for plugin in registry.plugins("study")} == set(STUDIES)


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_walked_to_its_files(
    name: str, command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: list[int]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    done = command("study", name, *STUDIES[name], "--dry-run", "--quiet")
    assert (done.status, done.err) == (0, "")
    assert done.out.count("\n") == 1
    assert done.out.startswith(f"dry run: study {name} went from ")
    assert f"{name}.md" in done.out
    assert done.out.endswith("nothing was kept\n")
    assert not list(tmp_path.rglob("benchbed-*"))
    assert [file.name for file in tmp_path.iterdir()] == ["tmp"]
    assert (sum(seen) == 0) == (name in NO_RUNS)
    assert sum(seen) <= IMAGES
