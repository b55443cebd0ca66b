"""What an epoch's line of the history is measured on, and which states `run` keeps."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.pipeline.resolve import expand
from benchbed.pipeline.run import run_all, snapshot_epochs
from benchbed.runtime.options import RunOptions

CPU = torch.device("cpu")


def searched(raw: dict[str, Any], out: Path) -> tuple[Path, dict[str, Any], list[dict[str, Any]]]:
    run_all(expand(raw, ["darts"], ["magnitude"], [0]), RunOptions(out, CPU))
    (search,) = (out / "searches").iterdir()
    lines = [json.loads(line) for line in (search / "history.jsonl").read_text().splitlines()]
    return search, json.loads((search / "record.json").read_text()), lines


def test_a_line_measured_on_fewer_images_changes_nothing_but_itself(tiny: dict[str, Any], tmp_path: Path) -> None:
    whole, first, all_lines = searched(tiny, tmp_path / "whole")
    few = {**tiny, "supernet": {**tiny["supernet"], "history_images": 4}}
    sampled, second, few_lines = searched(few, tmp_path / "few")
    for key in ("state_sha256", "supernet_accuracy", "supernet_mixture_accuracy"):  # the end is measured on all
        assert first[key] == second[key]
    assert {line["accuracy"] % 25 for line in few_lines} == {0}  # of four images
    assert [line["accuracy_images"] for line in few_lines] == [4, 4]
    assert "accuracy_images" not in all_lines[0]
    assert [line["probabilities"] for line in few_lines] == [line["probabilities"] for line in all_lines]
    assert whole.name != sampled.name
    assert second["config"]["supernet"]["history_images"] == 4
    assert "history_images" not in first["config"]["supernet"]  # so that names from before the option hold


def test_more_images_than_there_are_is_all_of_them(tiny: dict[str, Any], tmp_path: Path) -> None:
    _, _, lines = searched({**tiny, "supernet": {**tiny["supernet"], "history_images": 10**6}}, tmp_path / "a")
    assert 0 < lines[0]["accuracy_images"] < 200


@pytest.mark.parametrize("text", ["3", "0", "x", "1,,2", ""])
def test_a_snapshot_after_an_epoch_that_is_not_there_is_refused(tiny: dict[str, Any], text: str) -> None:
    configs = expand(tiny, ["darts"], ["magnitude"], [0])
    with pytest.raises(BenchbedError, match=r"--snapshots: '.*' is not an epoch of these searches: they have 1 to 2"):
        snapshot_epochs(text, configs)
    assert snapshot_epochs("2, 1,2", configs) == (1, 2)
    assert snapshot_epochs(None, configs) == ()
