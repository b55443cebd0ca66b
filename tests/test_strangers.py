"""What a stranger met: words that were taken and not meant, and answers that came before their refusal."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "--searcher", "darts", "--selector", "magnitude", "--set", "searcher.name=random"), "--searcher"),
        (("run", "--searcher", "darts", "--selector", "magnitude", "--set", "selector.name=random"), "--selector"),
        (("describe", "--space", "macro", "--arch", "22212220", "--draw", "m.svg"), "cannot be drawn"),
        (("describe", "--arch", "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", "--draw", "m.bmp"), ".bmp"),
        (("latency", "measure", "--space", "nb201", "--out", "t.json", "--threads", "4096"), "--threads 4096"),
    ],
)
def test_it_is_refused_before_anything_is_said(refused: Callable[..., str], words: tuple[str, ...], said: str) -> None:
    assert said in refused(*words)


def test_a_network_of_another_size_is_not_trained(refused: Callable[..., str], tiny_file: Path) -> None:
    arch = "k3e3-" + "zero-" * 3 + "k3e3-zero-zero-zero-" * 4 + "k3e3"
    said = refused("train", "--space", "mbconv", "--task", f"npz:{tiny_file}", "--arch", arch)
    assert "set to images of 224 pixels and these have 8" in said


def test_a_tasks_options_are_listed(command: Callable[..., Any]) -> None:
    assert "task_options.noise" in command("list", "task", "digits").out
    listed = command("list", "task", "imagenet").out
    assert "--data" in listed
    assert "task_options.resolution" in listed
    assert "no options" in command("list", "task", "npz").out


def test_a_choice_that_was_replaced_is_said(command: Callable[..., Any], tiny_flags: list[str], tmp_path: Path) -> None:
    flags = ["--searcher", "random", "--latency", "params", "--target-ms", "0.2", "--set", "cost.limit=0.08"]
    out = ["--out", tmp_path / "runs", "--quiet"]
    one = command("run", *flags, "--selector", "constant", *tiny_flags, *out)
    assert one.status == 0, one.err
    assert "over the limit" in one.out
    (record,) = (json.loads(p.read_text()) for p in (tmp_path / "runs").glob("*/record.json"))
    assert record["notes"]["over_the_limit"].count("nor_conv_3x3") == 6
    two = command("run", *flags, "--selector", "constant,magnitude", *tiny_flags, *out)
    assert "of 2 choices were over the cost's limit" in two.out
