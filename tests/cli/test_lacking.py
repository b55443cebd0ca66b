"""What a refusal says of a flag that the command has not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbed.cli.lacking import lacking
from benchbed.cli.main import app


@pytest.mark.parametrize(("words", "message", "more"), [
    ("tune a.toml", "add --dataset cifar10|cifar100", " (tune has no --dataset: write dataset into the study's file)"),
    ("sweep a.toml --out x", "remove it, or run again with --force", " (sweep has no --force)"),
    ("sweep a.toml", "add --protocol a, or --table b, or --mixed",
     " (sweep has no --protocol or --table: write protocol and table into the study's file)"),
    ("study correlate --table x", "remove it, or run again with --force", " (study correlate has no --force)"),
    ("study correlate", "add --table x", ""),
    ("sweep a.toml", "use train --protocol x", ""),
    ("run --searcher darts", "add --nonsense x", ""),
    ("study nonsense", "--x", ""),
    ("", "--x", ""),
])  # fmt: skip
def test_flags_that_the_command_has_not(words: str, message: str, more: str) -> None:
    assert lacking(message, words.split(), app) == more


def test_a_refusal_of_tune(command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(
        'task = "cifar10"\nsearcher = "darts"\nselector = "magnitude"\ntable = "none"\ndataset = "x"\n'
        '[tune]\ntrials = 1\n[tune.space]\n"searcher.alpha_lr" = [0.1, 0.2]\n'
    )
    said = command("tune", tmp_path / "study.toml", "--out", tmp_path / "out")
    assert said.status == 2
    assert said.err == (
        "benchbed: dataset 'x' is of a table: add --table NAME (tune has no --table: write table into the study's "
        "file)\n"
    )
