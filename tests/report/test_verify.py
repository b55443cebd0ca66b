"""A selection made again: the same by its record, and different where the record or the search was changed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.pipeline.resolve import expand, file_sha256
from benchbed.pipeline.run import run_all
from benchbed.report.verify import verified
from benchbed.runtime.options import RunOptions


@pytest.fixture
def record(runs: Path) -> Path:
    return min(runs.glob("darts-magnitude-*/record.json"))


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_selection_on_a_table_repeats(runs: Path, record: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in runs.rglob("*")}
    found = verified(record)
    assert found.differences == []
    assert len(found.same) == 4 + 1 + 2  # architecture and the table's figures, scores, the two states
    assert found.lines()[-1] == f"{record}: the selection repeats, bit for bit"
    assert verified(record.parent).same == found.same
    assert {p: p.stat().st_mtime_ns for p in runs.rglob("*")} == before  # nothing is touched


def test_a_selection_that_tunes_a_supernet_repeats(tiny: dict[str, Any], tmp_path: Path) -> None:
    raw = {**tiny, "epochs": 1, "selector": {"draws": 2}}
    (one,) = run_all(expand(raw, ["darts"], ["perturb"], [0]), RunOptions(tmp_path, torch.device("cpu")))
    assert one["state_sha256"]["search"] != one["state_sha256"]["selection"]
    found = verified(tmp_path / one["id"])
    assert found.differences == []
    assert len(found.same) == 1 + 1 + 2
    assert "trained from scratch" in found.notes[0]


def test_what_was_changed_by_hand_is_found(record: Path) -> None:
    whole = json.loads(record.read_text())
    scores = [row[:] for row in whole["scores"]]
    scores[2][1] += 0.25
    states = {**whole["state_sha256"], "selection": "0" * 64}
    change(record, architecture="|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", test_accuracy=99.0, scores=scores,
           state_sha256=states, versions={**whole["versions"], "torch": "1.0"})  # fmt: skip
    found = verified(record)
    text = "\n".join(found.lines())
    assert len(found.differences) == 4
    for words in (f"now {whole['architecture']}", f"test accuracy 99.0, now {whole['test_accuracy']}",
                  "1 score(s), by up to 0.25", "state after the selection 000000000000, now",
                  "made elsewhere: torch 1.0",
                  "4 difference(s): figures repeat bit for bit only with the same versions"):  # fmt: skip
        assert words in text
    assert "state after the search" in "\n".join(found.same)


def test_other_code_data_or_no_search_is_refused(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = json.loads(record.read_text())
    changed = {**whole["config"], "selector": {**whole["config"]["selector"], "sha256": "0" * 64}}
    change(record, config=changed)
    with pytest.raises(BenchbedError, match="changed: the selector's file"):
        verified(record)
    change(record, config={**whole["config"], "epochs": 4})
    with pytest.raises(BenchbedError, match=r"contradicts itself: .* its search would be .* the config was edited"):
        verified(record)
    other = {**whole["config"]["selector"], "options": {"by": "score"}}
    change(record, config={**whole["config"], "selector": other})
    with pytest.raises(BenchbedError, match="unknown option of selector 'magnitude' 'by'"):
        verified(record)
    another = {"name": "constant", "options": {"operation": "none"}, "sha256": file_sha256("selector", "constant")}
    change(record, config={**whole["config"], "selector": another})
    with pytest.raises(BenchbedError, match=r"the run would be darts-constant-.* the config was edited"):
        verified(record)
    change(record, config=whole["config"], seed=whole["seed"] + 1)
    with pytest.raises(BenchbedError, match=f"contradicts itself: seed {whole['seed'] + 1}, in its config"):
        verified(record)
    change(record, seed=whole["seed"], task_facts={**whole["task_facts"], "fingerprint": "0" * 16})
    with pytest.raises(BenchbedError, match=r"changed: the task's data$"):
        verified(record)
    change(record, task_facts=whole["task_facts"], table={**whole["table"], "fingerprint": "0" * 16})
    with pytest.raises(BenchbedError, match=r"changed: table .* \(fingerprint 0{16}, here "):
        verified(record)
    change(record, table=whole["table"])
    change(record, config={**whole["config"], "epochs": "x"})
    with pytest.raises(BenchbedError, match=r"damaged, or of another version \(config\.epochs"):
        verified(record)
    change(record, config={**whole["config"], "processes": 2})
    with pytest.raises(BenchbedError, match="made by 2 processes"):
        verified(record)
    change(record, config=whole["config"], search="gone")
    with pytest.raises(BenchbedError, match="names the search gone, which is not finished"):
        verified(record)


def test_a_damaged_checkpoint_is_one_line(runs: Path, record: Path) -> None:
    search = json.loads(record.read_text())["search"]
    (runs / "searches" / search / "checkpoint.pt").write_bytes(b"no zip")
    with pytest.raises(BenchbedError, match=r"checkpoint\.pt is damaged"):
        verified(record)


def test_the_commands_status_says_whether_it_repeats(record: Path, command: Callable[..., Any]) -> None:
    good = command("verify", record)
    assert (good.status, good.err) == (0, "")
    assert "the selection repeats, bit for bit" in good.out
    change(record, test_accuracy=1.0)
    bad = command("verify", record.parent)
    assert (bad.status, bad.err) == (1, "")
    assert "DIFFERENT: test accuracy 1.0, now" in bad.out


def test_a_record_that_is_none_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "cannot read absent" in refused("verify", "absent")
    (tmp_path / "x.json").write_text("{}")
    assert "no 'id' in it" in refused("verify", tmp_path / "x.json")
