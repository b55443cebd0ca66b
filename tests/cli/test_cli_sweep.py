"""The command `sweep`: what it refuses, in one line, and what it prints before anything runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

STUDY = """
objective = "table"
table = "mine"
dataset = "cifar10"
epochs = 1
[grid]
searcher = ["darts", "proxyless", "random"]
selector = ["magnitude", "random"]
seeds = "0:5"
effect = 1.0
"""


@pytest.fixture
def study(tmp_path: Path, make_table: Callable[..., Any]) -> Path:
    make_table("mine")
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path / "study.toml"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("no study given", "sweep STUDY.toml")),
        (("none.toml",), ("cannot read configuration none.toml",)),
        (("--status",), ("--status needs the sweep's folder",)),
        (("--status", "--out", "nowhere"), ("nowhere holds no study",)),
        (("x.toml", "--executor", "slurm"), ("unknown executor 'slurm'", "known: local, ray")),
        (("x.toml", "--address", "auto"), ("--address auto", "--executor ray")),
        (("x.toml", "--workers", "0"), ("--workers 0", "at least one")),
        (("x.toml", "--plan", "--dry-run"), ("--plan and --dry-run: give one of them",)),
        (("x.toml", "--status", "--plan"), ("--plan and --status",)),
        (("x.toml", "--retries", "-1"), ("--retries -1",)),
        (("x.toml", "--stall-timeout", "0"), ("--stall-timeout 0: expected 1 second or more, or inf",)),
        (("x.toml", "--stall-timeout", "-3"), ("--stall-timeout -3: expected 1 second or more, or inf",)),
        (("x.toml", "--stall-timeout", "nan"), ("--stall-timeout nan: expected 1 second or more, or inf",)),
        (("x.toml", "--stall-timeout", "soon"), ("--stall-timeout", "valid number")),
        (("x.toml", "--stall-timeout", "1h"), ("--stall-timeout", "valid number")),
        (("x.toml", "--stall-timeout", ""), ("--stall-timeout", "valid number")),
        (("x.toml", "--stall", "3"), ("--stall", "--stall-timeout")),
    ],
)
def test_bad_input(refused: Callable[..., str], arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    line = refused("sweep", *arguments)
    assert [word for word in words if word not in line] == [], line


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "a/b"])
def test_a_bad_shard(refused: Callable[..., str], study: Path, shard: str) -> None:
    for more in ((), ("--plan",), ("--dry-run",)):
        assert f"--shard '{shard}': expected I/N" in refused("sweep", study, "--shard", shard, *more)


def test_a_null_character(refused: Callable[..., str], study: Path) -> None:
    study.write_text('out = "a\\u0000b"\n' + STUDY)
    line = refused("sweep", study, "--plan")
    assert f"{study} cannot be read: it has a text with a null character" in line


def test_an_empty_place(refused: Callable[..., str], study: Path) -> None:
    study.write_text('out = ""\n' + STUDY)
    assert "'out' is '': expected a string, not empty" in refused("sweep", study)


def test_a_searcher_that_is_no_name(refused: Callable[..., str], study: Path) -> None:
    study.write_text('searcher = 3\n[grid]\nselector = ["magnitude"]\n')
    assert "'searcher' is 3: expected a name or a section" in refused("sweep", study, "--plan")


def test_more_gpus_than_there_are(refused: Callable[..., str], study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    study.write_text(STUDY + "[grid.needs]\ngpus = 1\n")
    assert "1 workers need 1 GPUs, this machine has 0" in refused("sweep", study)


def test_the_plan_comes_before_anything_runs(command: Callable[..., Any], study: Path, tmp_path: Path) -> None:
    shown = command("sweep", study, "--out", tmp_path / "out", "--plan", "--workers", "2")
    assert shown.status == 0, shown.err
    lines = shown.out.splitlines()
    assert lines[0] == "study study: 15 searches, 30 selections"
    assert lines[1] == "left: 15 searches, 30 selections"
    assert [line.partition(":")[0] for line in lines[2:]] == ["time", "memory", "asked for a run", "seeds"]
    part = command("sweep", study, "--out", tmp_path / "out", "--plan", "--shard", "2/4")
    assert part.out.splitlines()[0] == "study study: 4 searches, 8 selections"
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_study(command: Callable[..., Any], study: Path, tmp_path: Path) -> None:
    from benchbed.sweep.state import claim
    from benchbed.sweep.study import read_study

    claim(tmp_path / "out", read_study(study))
    study.write_text(STUDY.replace("epochs = 1", "epochs = 2"))
    refused = command("sweep", study, "--out", tmp_path / "out")
    assert refused.status == 2
    assert refused.err.count("\n") == 1
    assert "is of another study, 'study'" in refused.err
