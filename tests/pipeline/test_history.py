"""The history of a search, as reports and studies read it."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchbed.errors import BenchbedError
from benchbed.pipeline.history import history


def test_what_else_a_search_notes_is_passed_over(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [
        {"decision": 1},
        {"epoch": 1, "seconds": 2, "accuracy": 5, "probabilities": [[0.5, 0.5], [1]], "architecture": "a"},
        {"epoch": 3, "seconds": 2, "accuracy": 6, "probabilities": [[0.5, 0.5], [1]]},
    ]
    (tmp_path / "h").write_text("\n".join(map(json.dumps, lines)))
    rows = ((0.5, 0.5), (1.0,))
    assert history(tmp_path / "h") == [(2.0, 5.0, rows, 1, "a"), (2.0, 6.0, rows, 3, None)]


@pytest.mark.parametrize("text", ["", "{}\n"])
def test_a_history_of_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "h").write_text(text)
    with pytest.raises(BenchbedError, match="h holds no epoch"):
        history(tmp_path / "h")
    with pytest.raises(BenchbedError, match=r"cannot read .*nowhere: No such file"):
        history(tmp_path / "nowhere")


def test_epochs_of_different_shapes_are_damage(tmp_path: Path) -> None:
    epochs = [{"epoch": e, "seconds": e, "accuracy": 5, "probabilities": [[0.5] * e]} for e in (1, 2)]
    (tmp_path / "h").write_text("\n".join(map(json.dumps, epochs)))
    with pytest.raises(BenchbedError, match="damaged in line 2"):
        history(tmp_path / "h")


@pytest.mark.parametrize(
    "second",
    [
        {"epoch": 1, "seconds": 2, "accuracy": 5},  # the same epoch twice
        {"epoch": 2, "seconds": 0.5, "accuracy": 5},  # back in time
        {"epoch": 2, "seconds": 2, "accuracy": float("nan")},
        {"epoch": 2, "seconds": 2, "accuracy": 101},
        {"epoch": 2, "seconds": 2, "accuracy": True},
    ],
)
def test_what_no_history_can_hold(tmp_path: Path, second: dict[str, Any]) -> None:
    lines = [{"epoch": 1, "seconds": 1, "accuracy": 5}, second]
    (tmp_path / "h").write_text("\n".join(json.dumps({**line, "probabilities": [[1.0]]}) for line in lines))
    with pytest.raises(BenchbedError, match="damaged in line 2"):
        history(tmp_path / "h")
