"""`table build` for real: from a user's images to a table that serves `run`; killed, damaged, refused."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchbed.builder.build import build, folder_of
from benchbed.builder.spec import Spec, spec_of
from benchbed.errors import BenchbedError
from benchbed.pipeline.resolve import resolve
from benchbed.pipeline.score import SCORE_KEYS, score
from benchbed.runtime.folder import Folder
from benchbed.runtime.options import RunOptions
from benchbed.runtime.progress import Reporter
from benchbed.runtime.workers import Pool
from benchbed.selector import Selection
from benchbed.spaces.classes import classes
from benchbed.spaces.nb201.space import NB201, flops, parameters
from benchbed.tables import Table
from benchbed.tasks.load import load_task

Command = Callable[..., Any]
SIZES = ["scoring.batch=40"]


def made(spec: Spec, out: Path, workers: int = 1, force: bool = False) -> Table:
    build(spec, out, Pool(workers), Reporter(quiet=True), force)
    return Table.open(out)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, spec: Callable[..., Spec]) -> Path:
    """A folder with the table `own.npz` of five classes and two seeds, and what it was assembled from."""
    out = tmp_path_factory.mktemp("built")
    made(spec(sample=5), out / "own.npz")
    return out


@pytest.fixture
def own(built: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil: the table's path."""
    shutil.copytree(built, tmp_path / "copy")
    return tmp_path / "copy" / "own.npz"


def test_the_table_holds_what_a_run_would_score(spec: Callable[..., Spec], tmp_path: Path, tiny_file: Path) -> None:
    """The same cell, recipe and seed, trained alone by a run's scoring stage."""
    table = made(spec(seeds="3:5"), tmp_path / "own.npz")
    raw = {"task": f"npz:{tiny_file}", "scoring": {"channels": 2, "cells": 1, "epochs": 1, "batch": 40}}
    config, task = resolve(raw, "random", "constant", 3), load_task(raw["task"])
    for number, group in enumerate(classes(NB201())[:3]):
        selection = Selection(group.trained, np.full((6, 5), np.nan), {})
        with Folder(tmp_path / f"score{number}", SCORE_KEYS) as folder:
            alone = score(config, NB201(), task, selection, folder, RunOptions(tmp_path, torch.device("cpu")))
        for split in ("valid", "test"):
            found = table.answer(group.trained, "tiny", split, 1).seeds["3"]
            assert found == pytest.approx(alone[f"{split}_accuracy"], abs=1e-4)


def test_a_built_table_scores_a_run(whole: Path, tiny_flags: list[str], command: Command, tmp_path: Path) -> None:
    pairs = list(zip(tiny_flags[::2], tiny_flags[1::2], strict=True))
    flags = [word for pair in pairs if not pair[1].startswith("scoring") for word in pair]
    flags += ["--searcher", "random", "--selector", "constant", "--dataset", "tiny", "--out", str(tmp_path / "runs")]
    done = command("run", *flags, "--table", whole)
    assert done.status == 0, done.err
    (record,) = (json.loads(f.read_text()) for f in (tmp_path / "runs").glob("random*/record.json"))
    assert (record["test_accuracy"], record["rank"], record["regret"], record["cells"]) == (81.0, 1, 0.0, 15625)
    assert "81.00 %, tiny in table" in done.out
    assert "after 1 epoch," in done.out
    assert "unknown data set of table whole 'tin'" in command("run", *flags, "--table", whole, "--dataset", "tin").err


def test_a_built_table_is_an_objective(whole: Path, command: Command, tmp_path: Path) -> None:
    names = ["--searcher", "darts", "--selector", "magnitude", "--out", tmp_path / "runs"]
    done = command("run", "--objective", "table", "--table", whole, "--dataset", "tiny", *names)
    assert done.status == 0, done.err
    assert "81.00 %" in done.out


def test_a_run_whose_cell_a_sample_lacks_is_told_so(
    built: Path, tiny_flags: list[str], command: Command, tmp_path: Path
) -> None:
    pairs = list(zip(tiny_flags[::2], tiny_flags[1::2], strict=True))
    flags = [word for pair in pairs if not pair[1].startswith("scoring") for word in pair]
    flags += ["--searcher", "random", "--selector", "constant", "--dataset", "tiny", "--out", str(tmp_path / "runs")]
    lacking = command("run", *flags, "--table", built / "own.npz")
    said = " ".join(lacking.err.split())
    there = int(np.isfinite(Table.open(built / "own.npz").values("tiny", "valid", 1)).sum())
    assert lacking.status == 2
    notice = f"table own holds {there} of the 15,625 cells: another one that is chosen has no score"
    refusal = "has no tiny test accuracy after 1 epoch of |nor_conv_3x3~0|"
    assert said.index(notice) < said.index("epoch 1/") < said.index(refusal)


def test_members_share_accuracies_and_have_their_own_costs(built: Path) -> None:
    table = Table.open(built / "own.npz")
    space = NB201()
    values, params = table.values("tiny", "test", 1).reshape(-1), table.cost("params", "tiny").reshape(-1)
    there = 0
    for group in classes(space)[:5]:
        assert len(set(values[group.places])) == 1
        there += len(group.places)
        for place in group.places.tolist():
            cell = space.architecture_of(tuple(map(int, np.unravel_index(place, (5,) * 6))))
            assert params[place] == parameters(cell, channels=2, cells=1, classes=4, in_channels=1)
            assert table.cost("flops", "tiny")[cell.choices] == flops(
                cell, channels=2, cells=1, classes=4, in_channels=1, size=8
            )
    assert np.isfinite(values).sum() == there
    assert table.seed_names("tiny", "test", 1) == ("0", "1")
    assert np.allclose(table.seeds("tiny", "test", 1).mean(-1), table.values("tiny", "test", 1), equal_nan=True)
    assert table.full_epochs == 1


def test_a_larger_sample_and_more_seeds_go_on_from_the_same_folder(spec: Callable[..., Spec], own: Path) -> None:
    (before,) = (folder_of(own) / "shards").iterdir()
    content, small = before.read_bytes(), Table.open(own).seeds("tiny", "test", 1)
    large = made(spec(sample=6, seeds="0:3"), own)
    assert before.read_bytes() == content
    there = np.isfinite(small)
    assert np.array_equal(large.seeds("tiny", "test", 1)[..., :2][there], small[there])
    trained = [line for s in (folder_of(own) / "shards").iterdir() for line in s.read_text().splitlines()]
    assert sum('"cell"' in line for line in trained) == 18  # ten of them from the first build


def kill_and_resume(
    spec: Spec, out: Path, kills: int, child_env: dict[str, str], rng: random.Random, flags: list[str]
) -> None:
    """Runs the command with two workers, kills parent or workers at random moments, and lets the last one finish."""
    command = [sys.executable, "-m", "benchbed", "table", "build", "--out", str(out), "--workers", "2", *flags]
    shards = folder_of(out) / "shards"

    def done() -> int:
        return sum(s.read_text().count('"cell"') for s in shards.glob("*")) if shards.is_dir() else 0

    for _ in range(kills):
        child = subprocess.Popen(
            command, env=child_env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        begun, limit = done(), time.monotonic() + 120
        while done() == begun and child.poll() is None and time.monotonic() < limit:
            time.sleep(0.02)
        time.sleep(rng.random() * 0.3)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    assert subprocess.run(command, env=child_env, capture_output=True, timeout=300).returncode == 0


@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_a_killed_build_ends_with_the_same_table(
    kills: int, spec: Callable[..., Spec], tmp_path: Path, child_env: dict[str, str], tiny_file: Path
) -> None:
    sample = 6 * kills + 6
    flags = ["--task", f"npz:{tiny_file}", "--seeds", "0:2", "--sample", str(sample), "--quiet"]
    flags += ["--epochs", "1", "--channels", "2", "--cells", "1", "--set", SIZES[0]]
    whole = made(spec(sample=sample), tmp_path / "whole.npz")
    kill_and_resume(spec(sample=sample), tmp_path / "killed.npz", kills, child_env, random.Random(kills), flags)
    killed = Table.open(tmp_path / "killed.npz")
    assert killed.arrays == whole.arrays
    for name in whole.arrays:
        if not name.startswith("seconds"):
            assert np.array_equal(killed._array(name), whole._array(name), equal_nan=True), name


def test_a_damaged_shard_is_named_and_its_cells_are_trained_again(
    spec: Callable[..., Spec], built: Path, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shard,) = (folder_of(own) / "shards").iterdir()
    shard.write_text(shard.read_text().replace('"valid": ', '"valid": 1'))
    with Reporter() as reporter:
        build(spec(sample=5), own, Pool(), reporter, force=True)
    said = " ".join(capsys.readouterr().err.split())
    assert f"shard {shard.stem}" in said
    assert "set aside" in said
    again, before = (Table.open(file).values("tiny", "test", 1) for file in (own, built / "own.npz"))
    assert np.array_equal(again, before, equal_nan=True)


@pytest.mark.parametrize(
    ("changes", "force", "words"),
    [
        (
            {"sample": 1},
            False,
            r"own\.npz holds 5 classes and the seeds 0, 1, of which this build would leave some out",
        ),
        ({"sample": 5, "seeds": "1:3"}, False, r"own\.npz holds 5 classes and the seeds 0, 1, of which"),
        ({"channels": 4}, False, r"is of another build: scoring\.channels is 2 there and 4 here"),
        ({"channels": 4}, True, r"is of another build: scoring\.channels is 2 there and 4 here"),
    ],
)
def test_nothing_is_overwritten_and_another_recipe_is_refused(
    spec: Callable[..., Spec], own: Path, changes: dict[str, Any], force: bool, words: str
) -> None:
    before = own.read_bytes()
    with pytest.raises(BenchbedError, match=words):
        made(spec(**changes), own, force=force)
    assert own.read_bytes() == before


def test_a_table_without_its_trainings_is_not_replaced(spec: Callable[..., Spec], own: Path) -> None:
    shutil.rmtree(folder_of(own))
    with pytest.raises(BenchbedError, match=r"own\.npz is there already, without the folder own\.build .*--force"):
        made(spec(sample=5), own)
    assert not folder_of(own).exists()


def test_a_file_that_the_folder_did_not_make_is_not_replaced(
    spec: Callable[..., Spec], own: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.npz"
    made(spec(sample=1, channels=4), other)
    shutil.copyfile(other, own)
    with pytest.raises(BenchbedError, match=r"own\.npz is there already, and not of this build"):
        made(spec(sample=5), own)
    assert own.read_bytes() == other.read_bytes()


def test_a_finished_build_costs_nothing(spec: Callable[..., Spec], own: Path) -> None:
    before, when = own.read_bytes(), own.stat().st_mtime_ns
    made(spec(sample=5), own)
    assert (own.read_bytes(), own.stat().st_mtime_ns) == (before, when)


@pytest.mark.parametrize("force", [False, True])
def test_results_of_which_nobody_knows_what_they_are_of_are_not_used(
    spec: Callable[..., Spec], own: Path, force: bool
) -> None:
    facts = folder_of(own) / "build.json"
    facts.write_text("{")
    with pytest.raises(BenchbedError, match=r"build\.json is not valid JSON .*: bring it back from a copy, or give"):
        made(spec(sample=5), own, force=force)
    facts.unlink()
    with pytest.raises(BenchbedError, match=r"build\.json is missing, which says what the results beside it are of"):
        made(spec(sample=5, epochs=2), own, force=force)
    assert not facts.exists()


def test_another_file_name_is_refused(spec: Callable[..., Spec], own: Path) -> None:
    with pytest.raises(BenchbedError, match=r"expected a file name that ends in \.npz"):
        made(spec(), own.with_suffix(".csv"))


# -- bad input -----------------------------------------------------------------------------------------------------


def bad_npz(tmp_path: Path, **changes: Any) -> Path:
    arrays: dict[str, Any] = {
        "images": np.random.default_rng(0).normal(size=(60, 8, 8)).astype(np.float32),
        "labels": np.arange(60) % 3,
    }
    file = tmp_path / "bad.npz"
    np.savez(file, **arrays | changes)
    return file


NAN = np.full((60, 8, 8), np.nan, dtype=np.float32)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": np.zeros(60, dtype=np.int64)}, "one class (0): at least two"),
        ({"images": np.zeros((0, 8, 8), np.float32), "labels": np.zeros(0, np.int64)}, "at least one image"),
        ({"images": NAN}, "NaN or infinity"),
        ({"labels": np.arange(60) % 3 * 2}, "labels go up to 4 without 1"),
        ({"labels": np.arange(60) % 3 - 1}, "labels contain -1"),
        ({"images": np.ones((60, 3, 3), np.float32)}, "3x3: at least 4x4"),
        ({"test_images": np.ones((9, 8, 8), np.float32), "test_labels": np.arange(9)}, "test_labels contain 8"),
    ],
)
def test_images_that_cannot_be_trained_on(
    refused: Callable[..., str], tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    file = bad_npz(tmp_path, **changes)
    assert words in refused("table", "build", "--out", "mine.npz", "--task", f"npz:{file}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--task", "digts"), ("unknown task 'digts'", "digits")),
        (("--space", "nb2"), ("unknown space 'nb2'", "nb201")),
        (("--seeds", "2"), ("seeds = '2'", "0:10")),
        (("--sample", "0"), ("--sample 0", "at least one")),
        (("--workers", "0"), ("--workers 0", "at least one")),
        (("--epochs", "0"), ("epochs = 0",)),
        (("--set", "supernet.channels=3"), ("unknown section in --set 'supernet'", "scoring, task_options")),
        (("--set", "scoring.chanels=3"), ("unknown option of scoring 'chanels'", "'channels'")),
        (("--set", "task_options.nose=3"), ("unknown digits option 'nose'", "'noise'")),
        (("--device", "quantum"), ("device 'quantum'",)),
        (("--task", "cifar10"), ("needs its images", "data=DIR")),
    ],
)
def test_words_that_are_refused(
    refused: Callable[..., str], arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    line = refused("table", "build", "--out", "mine.npz", *arguments)
    assert [word for word in words if word not in line] == [], line


def test_a_diverging_training_names_the_cell(spec: Callable[..., Spec], tmp_path: Path, tiny_file: Path) -> None:
    given = {"space": "nb201", "task": f"npz:{tiny_file}", "seeds": "0:1", "epochs": 4, "sample": 8, "device": "cpu"}
    wild = spec_of(given, ["scoring.lr=1e30", "scoring.batch=40", "scoring.channels=2", "scoring.cells=1"], [])
    with pytest.raises(BenchbedError, match=r"cell \|.*\|, seed 0: training diverged"):
        made(wild, tmp_path / "own.npz")
    assert not (tmp_path / "own.npz").exists()
    assert json.loads((tmp_path / "own.build" / "build.json").read_text())["scoring"]["lr"] == 1e30


def test_shards_share_a_folder_and_the_last_writes_the_table(spec: Callable[..., Spec], built: Path, tmp_path: Path):
    out = tmp_path / "own.npz"
    with Reporter(quiet=True) as reporter:
        assert not build(spec(sample=5), out, Pool(shard=(2, 2)), reporter)
        assert not out.exists()
        assert build(spec(sample=5), out, Pool(shard=(1, 2)), reporter)
    assert len(list((folder_of(out) / "shards").iterdir())) == 2
    one, other = (Table.open(file).seeds("tiny", "test", 1) for file in (out, built / "own.npz"))
    assert np.array_equal(one, other, equal_nan=True)


def test_every_epoch_is_kept_and_the_last_is_the_score(
    spec: Callable[..., Spec], tmp_path: Path, command: Command, tiny_file: Path
) -> None:
    plain = made(spec(sample=2, epochs=3), tmp_path / "plain.npz")
    table = made(spec(sample=2, epochs=3, every_epoch=True), tmp_path / "every.npz")
    assert [figure.epochs for figure in table.figures] == [3, 3, 2, 2, 1, 1]
    assert table.full_epochs == 3
    last = [t.seeds("tiny", "test", 3) for t in (plain, table)]
    assert np.array_equal(*last, equal_nan=True)  # measuring in between moves nothing
    seconds = [np.nanmax(table.train_seconds("tiny", "test", epochs)) for epochs in (1, 2, 3)]
    assert seconds == sorted(seconds)
    with pytest.raises(BenchbedError, match="is of another build: every_epoch is True there and None here"):
        made(spec(sample=2, epochs=3), tmp_path / "every.npz")


def test_a_table_of_every_epoch_is_searched_at_several(tiny_file: Path, tmp_path: Path, command: Command) -> None:
    """A whole space, each network trained once: going on with a training costs the difference of its seconds."""
    plugin = ("--plugin", Path(__file__).resolve().parents[2] / "examples" / "chain.py")
    sizes = ("--epochs", "4", "--channels", "2", "--set", "scoring.batch=40", "--device", "cpu", "--every-epoch")
    out = tmp_path / "chain.npz"
    build = ("table", "build", "--space", "chain", *plugin, "--task", f"npz:{tiny_file}", "--seeds", "0:1", *sizes)
    done = command(*build, "--workers", "1", "--out", out)
    assert done.status == 0, done.err
    table = Table.open(out)
    total = float(np.nansum(table.train_seconds("tiny", "valid", 4)))
    ask = ("study", "tabular", "--table", out, "--dataset", "tiny", *plugin, "--seeds", "0:2", "--fidelity", "4")
    names = [f"{name}:lower=[1,2],eta=2,resume=true" for name in ("successive-halving", "hyperband", "asha", "bohb")]
    flags = [word for name in names for word in ("--searcher", name)]
    done = command(*ask, *flags, "--budget", f"{total:.6f}", "--out", tmp_path / "tabular")
    assert done.status == 0, done.err
    runs = [json.loads(line) for line in (tmp_path / "tabular" / "tabular.jsonl").read_text().splitlines()]
    assert len(runs) == 4 * 2
    for run in runs:
        assert run["fidelity"] == 4
        assert run["seconds"] <= total
        assert run["accuracy"] == pytest.approx(table.query(table.space.parse(run["architecture"]), "tiny", "valid", 4))
