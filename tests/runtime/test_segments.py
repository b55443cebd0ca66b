"""What two segments must share for one result, and what is said where they do not."""

from pathlib import Path
from typing import Any

import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.runtime.machine import deterministic
from benchbed.runtime.stage import ENVIRONMENT, SAME_RESULT, Segment, continued, differences, segment

HERE = segment("search", "epochs", 0, torch.device("cpu"))
OTHERS: dict[str, Any] = {
    "threads": HERE["threads"] + 1, "torch": "1.0", "processor": "Another CPU", "capability": "NO AVX",
    "device": "Some GPU", "benchbed": "0.0.1", "commit": "c" * 40,
}  # fmt: skip


def test_a_segment_holds_what_changes_bits_and_no_name_of_the_machine() -> None:
    assert Segment.model_validate(HERE).model_dump() == HERE
    assert HERE.keys() == {"stage", "unit", "start", "stop", "started", *SAME_RESULT}
    assert HERE["threads"] == torch.get_num_threads()
    assert HERE["capability"] == torch.backends.cpu.get_cpu_capability()
    assert HERE["started"].endswith("+00:00")


def test_a_segment_says_that_it_was_deterministic_and_nothing_where_it_was_not() -> None:
    with deterministic():
        kept = segment("training", "epochs", 0, torch.device("cpu"))
    assert kept.keys() - HERE.keys() == {"deterministic"}
    assert Segment.model_validate(kept).model_dump() == kept
    assert kept["deterministic"] is True


@pytest.mark.parametrize("key", SAME_RESULT)
def test_each_of_them_is_refused_and_mixed_goes_on(key: str) -> None:
    before = [{**HERE, "commit": "a" * 40, "stop": 3}]
    now = {**HERE, "commit": "a" * 40, "start": 3, key: OTHERS[key]}
    with pytest.raises(BenchbedError) as refused:
        continued(Path("runs/x"), {"segments": before}, now, mixed=False)
    text = str(refused.value)
    assert f"runs/x was begun with {key} {before[0][key]}, here {OTHERS[key]}: " in text
    assert "--mixed" in text
    assert "--force" in text
    assert (f"(OMP_NUM_THREADS={HERE['threads']})" in text) == (key == "threads")
    assert continued(Path("runs/x"), {"segments": before}, now, mixed=True) == [*before, now]
    assert bool(differences(before[0], now, ENVIRONMENT)) == (key in ENVIRONMENT)


def test_a_changed_checkout_is_a_commit_of_its_own() -> None:
    assert differences({**HERE, "commit": "a+"}, {**HERE, "commit": "a"}) == ["commit a+, here a"]


def test_what_is_not_known_refuses_nothing() -> None:
    assert continued(Path("x"), None, HERE, mixed=False) == [HERE]
    assert continued(Path("x"), {"epochs": 3}, HERE, mixed=False) == [HERE]  # from before there were segments
    unknown = {**HERE, "capability": None, "commit": None}
    assert continued(Path("x"), {"segments": [unknown]}, HERE, mixed=False) == [unknown, HERE]


def test_only_the_segment_before_counts() -> None:
    """What was mixed once goes on where it is now."""
    segments = [{**HERE, "torch": "1.0"}, HERE]
    assert continued(Path("x"), {"segments": segments}, HERE, mixed=False) == [*segments, HERE]
