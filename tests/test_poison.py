"""No test image reaches a search or a selection: with NaN in their place nothing about them changes.

For real: on clean data, and on a task whose test split is NaN until scoring begins. Every searcher, and every selector
on DARTS; under the slow marker every searcher with every selector.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbed import registry
from benchbed.pipeline import score as scoring
from benchbed.pipeline.build import build_parts
from benchbed.pipeline.resolve import expand
from benchbed.pipeline.run import run_all
from benchbed.pipeline.search import run_search
from benchbed.pipeline.select import run_selection
from benchbed.runtime.options import RunOptions
from benchbed.task import Seal, Split, Task
from benchbed.tasks.load import load_task

NAMES = {kind: [p.name for p in registry.plugins(kind)] for kind in ("searcher", "selector")}
NAMES["searcher"] = [s for s in NAMES["searcher"] if "fidelity" not in registry.load("searcher", s).needs]  # no images
FEW = [(s, t) for s in NAMES["searcher"] for t in NAMES["selector"] if s == "darts" or t == "magnitude"]
OTHERS = [(s, t) for s in NAMES["searcher"] for t in NAMES["selector"] if (s, t) not in FEW]


class Poisoned:
    """A task whose test images are NaN until `cured`, and a note of every look at them."""

    def __init__(self, clean: Task):
        self.cured = False
        self.looks: list[bool] = []  # for each opening of the seal: was it cured?
        self.clean = clean
        self.task = replace(clean, seal=Seal(self._load))

    def _load(self) -> Split:
        self.looks.append(self.cured)
        split = self.clean.seal.open("scoring")
        return split if self.cured else Split(torch.full_like(split.images, torch.nan), split.labels)


def grid(pairings: list[tuple[str, str]], tiny_file: Path, out: Path) -> dict[tuple[str, str], dict[str, Any]]:
    raw = {
        "task": f"npz:{tiny_file}",
        "epochs": 2,
        "supernet": {"channels": 2, "partial": 1, "batch": 60, "valid_batch": 20, "eval_batch": 40},
        "selector": {
            "name": ",".join(NAMES["selector"]),
            "samples": 6,
            "draws": 3,
            "epochs": 1,
            "min_epochs": 1,
            "permutations": 2,
        },
        "scoring": {"channels": 2, "epochs": 1, "batch": 60},
    }
    wanted = set(pairings)
    configs = expand(raw, NAMES["searcher"], NAMES["selector"], [0])
    configs = [c for c in configs if (c.searcher.name, c.selector.name) in wanted]
    records = run_all(configs, RunOptions(out, torch.device("cpu")))
    return {(r["searcher"], r["selector"]): r for r in records}


@pytest.fixture(scope="module")
def both(tiny_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any, Poisoned]]:
    yield from made(FEW, tiny_file, tmp_path_factory)


@pytest.fixture(scope="module")
def others(tiny_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any, Poisoned]]:
    yield from made(OTHERS, tiny_file, tmp_path_factory)


def made(
    pairings: list[tuple[str, str]], tiny_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, Any, Poisoned]]:
    """The records on clean data, those on poisoned data, and the poisoned task."""
    clean = grid(pairings, tiny_file, tmp_path_factory.mktemp("clean"))
    poisoned = Poisoned(load_task(f"npz:{tiny_file}"))
    score = scoring.score

    def guarded(stage: Any) -> Any:
        def run(*arguments: Any) -> Any:
            poisoned.cured = False
            before = len(poisoned.looks)
            result = stage(*arguments)
            assert len(poisoned.looks) == before, f"{stage.__name__} opened the seal"
            return result

        return run

    def opened(*arguments: Any) -> Any:
        poisoned.cured = True
        return score(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchbed.pipeline.config.load_task", lambda name, **options: poisoned.task)
        patch.setattr("benchbed.pipeline.run.run_search", guarded(run_search))
        patch.setattr("benchbed.pipeline.run.run_selection", guarded(run_selection))
        patch.setattr(scoring, "score", opened)
        yield clean, grid(pairings, tiny_file, tmp_path_factory.mktemp("poisoned")), poisoned


@pytest.mark.parametrize("pairing", FEW, ids="-".join)
def test_poisoned_test_images_change_nothing(both: Any, pairing: tuple[str, str]) -> None:
    check(both, pairing)


@pytest.mark.slow
@pytest.mark.parametrize("pairing", OTHERS, ids="-".join)
def test_they_change_nothing_of_the_other_pairings(others: Any, pairing: tuple[str, str]) -> None:
    check(others, pairing)


def check(runs: Any, pairing: tuple[str, str]) -> None:
    clean, poisoned, _ = runs
    for key in ("architecture", "supernet_accuracy", "supernet", "valid_accuracy", "scores", "notes", "state_sha256"):
        assert poisoned[pairing][key] == clean[pairing][key], key
    assert poisoned[pairing]["test_accuracy"] == clean[pairing]["test_accuracy"]  # cured by then


def test_only_scoring_opened_the_seal_and_once_a_cell(both: Any) -> None:
    clean, _, poisoned = both
    assert poisoned.looks == [True] * len({r["architecture"] for r in clean.values()})
    assert poisoned.task.seal.opened


def test_the_poison_is_one(both: Any, tiny_file: Path) -> None:
    """It would be seen: a network measured on it is at the accuracy of class 0, and a mean of its images is NaN."""
    poison = Poisoned(load_task(f"npz:{tiny_file}"))
    assert poison.task.seal.open("scoring").images.isnan().all()
    poison.cured = True
    assert poison.task.seal.open("scoring").images.isfinite().all()


def test_the_seal_refuses_without_a_selection(tiny_file: Path) -> None:
    for task in (load_task(f"npz:{tiny_file}"), load_task("digits", train=20, valid=10, test=10)):
        with pytest.raises(RuntimeError, match="sealed until an architecture has been selected"):
            task.seal.open(None)
        assert not task.seal.opened
        assert len(task.seal.open("a selection")) > 0
        assert task.seal.opened


def test_the_objective_is_built_without_the_test_split(tiny_file: Path) -> None:
    def burst() -> Split:
        raise AssertionError("the test split was read")

    task = load_task(f"npz:{tiny_file}")
    (config,) = expand(
        {"task": f"npz:{tiny_file}", "supernet": {"channels": 2, "valid_batch": 40}}, ["darts"], ["magnitude"], [0]
    )
    parts = build_parts(config, replace(task, seal=Seal(burst)), torch.device("cpu"))
    assert set(parts.objective.splits) == {"train", "valid"}
    for split, mine in (("train", task.train), ("valid", task.valid)):
        assert parts.objective.splits[split].images.equal(mine.images)
