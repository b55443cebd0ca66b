"""A selection made again: the same by its record, and different where the record or the search was changed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.pipeline.record import Record
from benchbed.pipeline.resolve import expand, file_sha256
from benchbed.pipeline.run import run_all
from benchbed.report.verify import verified
from benchbed.runtime.folder import load_checkpoint
from benchbed.runtime.options import RunOptions

CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"


@pytest.fixture
def record(runs: Path) -> Path:
    return min(runs.glob("darts-magnitude-*/record.json"))


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_run_on_a_table_repeats(runs: Path, record: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in runs.rglob("*")}
    found = verified(record)
    assert found.differences == found.incomparable == found.notes == []
    figures = ("supernet mixture accuracy", "supernet sampled accuracy", "supernet accuracy", "state after the search",
               "state in the search's checkpoint", "architecture", "every score", "state after the selection",
               "every fact", "valid accuracy", "test accuracy", "rank", "best test accuracy", "regret", "percentile",
               "cells", "n seeds", "test spread", "noise floor", "predicted", "datasets",
               "network", "all of config.json",
               "all of the search's config.json", "all of the search's own record", "all of the search's history.jsonl",
               "all of the search's checkpoint.pt", "all of the selection's history.jsonl",
               "all of the selection's checkpoint.pt", "all else in the record")  # fmt: skip
    assert [line for line in found.same if not line.startswith(figures)] == []
    assert len(found.same) == len(figures)
    assert found.lines()[-1] == f"{record}: search, selection and score repeat, bit for bit"
    assert "cannot be verified: seconds and memory, which are of one machine at one time" in found.lines()
    assert verified(record.parent).same == found.same
    assert {p: p.stat().st_mtime_ns for p in runs.rglob("*")} == before  # nothing is touched


@pytest.fixture(scope="module")
def trained_once(tiny_raw: Callable[[], dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on images whose selection tunes, and whose cell is trained from scratch. To be read only."""
    out = tmp_path_factory.mktemp("trained")
    raw = {**tiny_raw(), "epochs": 1, "selector": {"draws": 2}}
    (one,) = run_all(expand(raw, ["darts"], ["perturb"], [0]), RunOptions(out, torch.device("cpu")))
    assert one.state_sha256["search"] != one.state_sha256["selection"]
    return out / one.id / "record.json"


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed at will."""
    out = Path(shutil.copytree(trained_once.parents[1], tmp_path / "trained"))
    return out / trained_once.parent.name / "record.json"


def test_a_run_with_a_tuning_selection_and_a_training_repeats(trained: Path) -> None:
    found = verified(trained)
    assert (found.status, found.differences, found.incomparable) == (0, [], [])
    assert len(found.same) == 2 + 3 + 1 + 3 + 1 + 3 + 3 + 1 + 2 + 1


def test_what_is_skipped_is_named_as_not_done(trained: Path) -> None:
    """A forged figure of a stage that is left out is not found, and the stage is named; else it is."""
    change(trained, test_accuracy=1.0, valid_accuracy=2.0)
    found = verified(trained, skip=["search", "score"])
    assert (found.status, len(found.same)) == (0, 2 + 1 + 3 + 2)
    assert found.notes == ["search, by --skip search", "score, by --skip score"]
    assert found.lines()[-1].endswith(": selection repeats, bit for bit")
    found = verified(trained, skip=["search", "selection"])
    assert found.status == 1
    assert [line.partition(",")[0] for line in found.differences] == ["valid accuracy 2.0", "test accuracy 1.0"]
    with pytest.raises(BenchbedError, match="leaves nothing to verify"):
        verified(trained, skip=["search", "selection", "score"])
    with pytest.raises(BenchbedError, match="unknown stage to --skip 'serch': did you mean 'search'"):
        verified(trained, skip=["serch"])


@pytest.mark.parametrize(
    ("key", "value"), [("capability", "NO AVX"), ("torch", "1.0"), ("processor", "Other"), ("device", "Some GPU")]
)
def test_what_differs_under_another_processor_or_torch_is_not_comparable(trained: Path, key: str, value: str) -> None:
    whole = json.loads(trained.read_text())
    segments = [{**one, key: value} if one["stage"] == "scoring" else one for one in whole["segments"]]
    change(trained, segments=segments)
    assert verified(trained, skip=["search", "selection"]).status == 0  # it repeats all the same
    change(trained, test_accuracy=1.0)
    found = verified(trained, skip=["search", "selection"])
    assert (found.status, found.differences) == (3, [])
    (line,) = found.incomparable
    assert line.startswith("test accuracy 1.0, now ")
    assert line.endswith(f"({key} {value}, here {whole['segments'][-1][key]})")
    assert ": not comparable: 1 figure(s) came out otherwise" in found.lines()[-1]
    change(trained, state_sha256={**whole["state_sha256"], "selection": "0" * 64})
    assert verified(trained, skip=["search", "score"]).status == 1  # of the selection, which was made here


def test_each_stage_is_repeated_with_its_own_threads(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchbed.report import verify as module

    used = {}

    def counted(name: str, real: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            used[name] = torch.get_num_threads()
            return real(*given, **named)

        return call

    for name in ("run_search", "run_selection", "score"):
        monkeypatch.setattr(module, name, counted(name, getattr(module, name)))
    whole = json.loads(trained.read_text())
    threads = {"search": 1, "selection": 2, "scoring": 1}
    change(trained, segments=[{**one, "threads": threads[one["stage"]]} for one in whole["segments"]])
    verified(trained)
    assert used == {"run_search": 1, "run_selection": 2, "score": 1}
    segments = [*whole["segments"], {**whole["segments"][-1], "threads": 2}]  # a score with --mixed
    change(trained, segments=segments, test_accuracy=1.0)
    assert verified(trained, skip=["search", "selection"]).status == 3


def test_a_swapped_checkpoint_is_found(trained: Path) -> None:
    """Whole, of the same shapes, and of another state."""
    search = trained.parent.parent / "searches" / json.loads(trained.read_text())["search"]
    saved = load_checkpoint(search / "checkpoint.pt")
    next(v for v in saved["tree"]["parts"]["objective"]["network"].values() if v.is_floating_point()).add_(1)
    torch.save(saved, search / "checkpoint.pt")
    found = verified(trained, skip=["score"])
    assert found.status == 1
    assert found.differences[0].endswith("in the search's checkpoint.pt a tensor [2, 1, 3, 3], now another")
    assert found.differences[1].startswith("state in the search's checkpoint ")
    assert any(line.startswith("state after the search ") for line in found.same)  # which is made from its beginning


def test_what_was_changed_by_hand_is_found(record: Path) -> None:
    whole = json.loads(record.read_text())
    scores = [row[:] for row in whole["scores"]]
    scores[2][1] += 0.25
    states = {**whole["state_sha256"], "selection": "0" * 64}
    change(record, architecture="|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", test_accuracy=99.0, scores=scores,
           state_sha256=states, supernet_accuracy=1.5, versions={**whole["versions"], "torch": "1.0"})  # fmt: skip
    found = verified(record)
    text = "\n".join(found.lines())
    assert len(found.differences) == 6  # that last says that the accuracy is not so far below the best
    for words in (f"now {whole['architecture']}", f"test accuracy 99.0, now {whole['test_accuracy']}",
                  "1 score(s), by up to 0.25", "state after the selection 000000000000, now",
                  f"supernet accuracy 1.5, now {whole['supernet_accuracy']}",
                  "made elsewhere: torch 1.0", ": 6 difference(s)"):  # fmt: skip
        assert words in text
    assert "state after the search" in "\n".join(found.same)


def test_other_code_data_or_no_search_is_refused(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = json.loads(record.read_text())
    changed = {**whole["config"], "selector": {**whole["config"]["selector"], "sha256": "0" * 64}}
    change(record, config=changed)
    with pytest.raises(BenchbedError, match="changed: the selector's file, or one that it imports"):
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
    with pytest.raises(BenchbedError, match=r"is damaged \(config = .*its epochs is "):
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
    good = command("verify", record, "--quiet")
    assert (good.status, good.err) == (0, "")
    assert "search, selection and score repeat, bit for bit" in good.out
    change(record, test_accuracy=1.0)
    bad = command("verify", record.parent, "--quiet")
    assert (bad.status, bad.err) == (1, "")
    assert "DIFFERENT: test accuracy 1.0, now" in bad.out


def test_a_record_that_is_none_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "cannot read absent" in refused("verify", "absent")
    (tmp_path / "x.json").write_text("{}")
    assert "no 'id' in it" in refused("verify", tmp_path / "x.json")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"regret": 0.0}, "regret 0.0, now"),
        ({"best_test_accuracy": 50.0}, "best test accuracy 50.0, now"),
        ({"percentile": 1.0}, "percentile 1.0, now"),
        ({"noise_floor": 1}, "noise floor 1, now"),
        ({"n_seeds": 9}, "n seeds 9, now"),
        ({"cells": 7}, "cells 7, now"),
        ({"facts": {"params": 1}}, "the architecture's params 1, now"),
        ({"searcher": "gdas"}, "it contradicts itself: searcher 'gdas', in its config 'darts'"),
    ],
)
def test_every_forged_figure_is_found(record: Path, values: dict[str, Any], words: str) -> None:
    change(record, **values)
    found = verified(record)
    assert found.status == 1
    assert any(words in line for line in found.differences), found.differences


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"facts": None}, r"is damaged \(facts = None"),
        ({"seconds": {}}, r"is damaged \(seconds"),
        ({"segments": [1]}, r"is damaged \(segments"),
        ({"segments": {"a": 1}}, r"is damaged \(segments"),
        ({"segments": [{"stage": "search", "threads": 100_000}]}, r"segments.0.threads = 100000"),
        ({"versions": ["x"]}, r"is damaged \(versions"),
        ({"machine": "x"}, r"is damaged \(machine"),
        ({"search": "../../../etc"}, r"is damaged \(search"),
        ({"objective": "given"}, "it contradicts itself: objective 'given'"),
    ],
)
def test_what_is_of_another_type_is_refused(record: Path, values: dict[str, Any], words: str) -> None:
    change(record, **values)
    with pytest.raises(BenchbedError, match=words):
        verified(record)


def test_another_cell_passed_off_as_one_that_was_given(record: Path) -> None:
    """Several places at once: a result of benchbed's own with better figures, and a note that it is not benchbed's."""
    whole = json.loads(record.read_text())
    change(record, objective="given", notes={**whole["notes"], "given": {"file": "x.csv"}}, architecture=CELL)
    with pytest.raises(BenchbedError, match="it contradicts itself: objective 'given'"):
        verified(record)
    with pytest.raises(BenchbedError, match="it contradicts itself"):
        Record.read(record)


def test_a_key_that_no_record_has_is_named(record: Path) -> None:
    change(record, certified="best paper")
    assert "certified, which no record of this benchbed has" in verified(record).notes


def test_the_searchs_own_figures_are_compared_too(runs: Path, record: Path) -> None:
    search = runs / "searches" / json.loads(record.read_text())["search"]
    change(search / "record.json", supernet_accuracy=99.0)
    assert verified(record).differences[0].startswith("supernet_accuracy in the search's own record 99.0, now")


def test_a_search_or_a_folder_of_runs_is_no_run(runs: Path, record: Path) -> None:
    search = runs / "searches" / json.loads(record.read_text())["search"]
    with pytest.raises(BenchbedError, match="is a search, not a run: give the folder of a run that has it"):
        verified(search)
    with pytest.raises(BenchbedError, match=r"holds \d+ runs: give one of them, such as "):
        verified(runs)
