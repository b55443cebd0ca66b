"""A sweep's folder: whose it is, what is done, damaged or failed, and whose versions are mixed."""

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbed.errors import BenchbedError
from benchbed.pipeline.record import Record
from benchbed.runtime.failures import Failure, failures, note_failure
from benchbed.runtime.folder import Folder
from benchbed.sweep.state import claim, mixed_versions, read_study_file, saved_runs, standing
from benchbed.sweep.study import Study, expand_study
from benchbed.sweep.summary import status_lines

BASE = {"objective": "table", "table": "mine", "dataset": "cifar10"}
PLUGIN = {"name": "darts", "options": {}, "sha256": None}
RECORD = {
    **{"search": "a", "searcher": "darts", "selector": "magnitude", "seed": 0, "architecture": "a", "facts": {}},
    "test_accuracy": 90.0,
    "space": "nb201",
    "task": "digits",
    "config": {
        "space": "nb201",
        "task": "digits",
        "preset": "small",
        "epochs": 1,
        "supernet": None,
        "searcher": PLUGIN,
        "selector": {**PLUGIN, "name": "magnitude"},
    },
    "seconds": {"search": 1.0, "selection": 0.0, "scoring": 0.0},
}


@pytest.fixture
def study(make_table: Callable[..., Any]) -> Callable[[str], Study]:
    make_table("mine")
    grid = {"searcher": ["darts"], "selector": ["magnitude", "random"]}
    return lambda seeds: expand_study("s", BASE, {**grid, "seeds": seeds})


def finish(out: Path, run: str, **changes: Any) -> Path:
    (out / run).mkdir(parents=True, exist_ok=True)
    (out / run / "record.json").write_text(json.dumps({**RECORD, "id": run, **changes}))
    return out / run / "record.json"


def test_the_folder_is_the_study_s(tmp_path: Path, study: Callable[[str], Study]) -> None:
    claim(tmp_path, study("0:2"))
    text = (tmp_path / "study.json").read_text()
    claim(tmp_path, study("0:2"))
    assert (tmp_path / "study.json").read_text() == text
    saved = read_study_file(tmp_path)
    assert saved["runs"][0]["point"] == {"searcher": "darts", "selector": "magnitude", "seed": 0}
    assert saved["study"]["grid"]["seeds"] == "0:2"


def test_another_study_is_refused_and_changes_nothing(tmp_path: Path, study: Callable[[str], Study]) -> None:
    claim(tmp_path, study("0:2"))
    text = (tmp_path / "study.json").read_text()
    with pytest.raises(BenchbedError, match=r"is of another study, 's': its darts-.*seed 0\) is none of this one's 4"):
        claim(tmp_path, study("5:7"), True)
    with pytest.raises(BenchbedError, match=r"with 4 of these 6 runs, without darts-.*-s2-.* or --extend"):
        claim(tmp_path, study("0:3"))
    assert (tmp_path / "study.json").read_text() == text
    claim(tmp_path, study("0:3"), True)
    assert len(read_study_file(tmp_path)["runs"]) == 6
    with pytest.raises(
        BenchbedError, match=r"of a study with 2 more runs than these 4, such as darts-.*the whole study"
    ):
        claim(tmp_path, study("0:2"))


def test_shards_that_begin_together_claim_the_same_folder(tmp_path: Path, study: Callable[[str], Study]) -> None:
    """As a job array does: each process writes study.json under a temporary name of its own."""
    fork, one = multiprocessing.get_context("fork"), study("0:2")
    begin = fork.Barrier(4)
    workers = [fork.Process(target=_claim_often, args=(tmp_path, begin, one)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert len(read_study_file(tmp_path / "0")["runs"]) == 4
    assert {p.name for p in (tmp_path / "0").iterdir()} == {"study.json"}


def _claim_often(place: Path, begin: Any, study: Study) -> None:
    for number in range(25):
        begin.wait(60)
        claim(place / str(number), study)


def test_standing(tmp_path: Path, study: Callable[[str], Study]) -> None:
    """One run of each kind; a damaged one hides no other."""
    runs = study("0:3").runs
    done, broken, moved, failed, held, untouched = (run.id for run in runs)
    finish(tmp_path, done)
    finish(tmp_path, broken).write_text('{"id": ')
    finish(tmp_path, moved, id=done)
    note_failure(tmp_path, Failure(failed, "no luck", 3), "Traceback")
    note_failure(tmp_path, Failure(done, "it was made later", 1))
    with open(tmp_path / "failures.jsonl", "a") as file:
        file.write('{"run": "torn')
    with Folder(tmp_path / held):
        now = standing(tmp_path, saved_runs(runs))
    assert now.records.keys() == {done}
    assert now.damaged.keys() == {broken, moved}
    assert "is not valid JSON" in now.damaged[broken]
    assert now.damaged[broken].endswith(f"remove {tmp_path / broken}, and the same command makes it again")
    assert f"is the record of another folder, {done}" in now.damaged[moved]
    assert now.failures == {failed: Failure(failed, "no luck", 3)}
    assert [*now.at_work] == [held]
    assert now.searches_done == 1
    assert standing(tmp_path, saved_runs(runs)).at_work == {}
    assert untouched not in now.failures


def test_failures_that_cannot_be_read_are_said_to_be_lost(tmp_path: Path, study: Callable[[str], Study]) -> None:
    note_failure(tmp_path, Failure("a", "no luck", 3))
    assert failures(tmp_path)[1] is None
    path, whole = tmp_path / "failures.jsonl", (tmp_path / "failures.jsonl").read_text()
    for line in ("garbage\n", '{"run": "b", "reason": null, "attempts": 1}\n', "[]\n"):
        path.write_text(line + whole)
        assert failures(tmp_path) == (
            [Failure("a", "no luck", 3)],
            f"{path} is damaged (line 1): a failure is lost; its run counts as left, and is made again",
        )
    found = study("0:1")
    shown = status_lines({"name": "s", "runs": saved_runs(found.runs)}, standing(tmp_path, []), tmp_path)
    assert shown[-1].startswith(f"warning: {path} is damaged")


@pytest.mark.parametrize("change", [{"test_accuracy": "high"}, {"test_accuracy": float("nan")}, {"seconds": {}}])
def test_a_record_of_the_wrong_kind_is_damaged(
    tmp_path: Path, study: Callable[[str], Study], change: dict[str, Any]
) -> None:
    run = study("0:1").runs[0]
    finish(tmp_path, run.id, **change)
    assert f"is damaged ({next(iter(change))} = " in standing(tmp_path, saved_runs([run])).damaged[run.id]


HEAD = '"format": 1, "id": "", "name": ""'
POINT = '{"searcher": "darts", "selector": "magnitude", "seed": 0}'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "holds no study"),
        ("{", "is not valid JSON"),
        ('{"id": 1}', "no 'format' in it"),
        ('{"format": 7, "id": "", "name": "", "runs": []}', "of format 7"),
        ('{"format": 1, "id": "", "name": "", "runs": [{}]}', "damaged (its 'runs')"),
        (f'{{{HEAD}, "runs": {{}}}}', "damaged (its 'runs')"),
        (f'{{{HEAD}, "runs": [7]}}', "damaged (its 'runs')"),
        (f'{{{HEAD}, "runs": [{{"id": 7, "search": "s", "point": {POINT}}}]}}', "damaged (its 'runs')"),
        (f'{{{HEAD}, "runs": [{{"id": "../r", "search": "s", "point": {POINT}}}]}}', "damaged (its 'runs')"),
        (f'{{{HEAD}, "runs": [{{"id": "r", "search": "s", "point": []}}]}}', "damaged (its 'runs')"),
        (f'{{{HEAD}, "runs": [{{"id": "r", "search": "s", "point": {{"seed": 0}}}}]}}', "damaged (its 'runs')"),
    ],
)
def test_a_damaged_study_file(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / "study.json").write_text(text)
    with pytest.raises(BenchbedError) as refused:
        read_study_file(tmp_path)
    assert words in str(refused.value)


def test_mixed_versions_are_said_with_their_numbers() -> None:
    one = Record.model_construct(versions={"torch": "2.13.0", "numpy": "2.4"}, commit="a" * 40)
    other = one.model_copy(update={"versions": {"torch": "2.11.0", "numpy": "2.4"}})
    assert mixed_versions([one, one]) is None
    assert mixed_versions([]) is None
    assert mixed_versions([one, other, one]) == (
        "records of different versions are mixed: torch 2.13.0 (2 runs), 2.11.0 (1 runs)"
    )
    assert "commit aaaaaaaaaa (1 runs), unknown (1 runs)" in str(
        mixed_versions([one, one.model_copy(update={"commit": None})])
    )
