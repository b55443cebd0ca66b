"""What is read of a folder of runs, and what is said of everything in it that is damaged or odd."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbed.errors import BenchbedError
from benchbed.report.collect import Clock, collect, place_of
from benchbed.runtime.failures import Failure, failures, note_failure


def change(path: Path, key: str, value: Any) -> None:
    record = json.loads(path.read_text())
    record[key] = value
    path.write_text(json.dumps(record))


def config_without(path: Path, key: str) -> dict[str, Any]:
    return {name: value for name, value in json.loads(path.read_text())["config"].items() if name != key}


def without(key: str) -> Callable[[Path], None]:
    def drop(path: Path) -> None:
        record = json.loads(path.read_text())
        del record[key]
        path.write_text(json.dumps(record))

    return drop


def test_every_finished_run_is_read_with_the_history_of_its_search(made: Path) -> None:
    found = collect(made)
    assert found.problems == []
    assert sorted(r.id for r in found.records) == sorted(p.parent.name for p in made.glob("*/record.json"))
    assert len(found.records) == 12
    assert sorted(found.histories) == sorted(p.name for p in (made / "searches").iterdir())
    for search, epochs in found.histories.items():
        lines = [json.loads(x) for x in (made / "searches" / search / "history.jsonl").read_text().splitlines()]
        assert [e.accuracy for e in epochs] == [line["accuracy"] for line in lines]
        assert [e.seconds for e in epochs] == [line["seconds"] for line in lines]
        assert [[list(row) for row in e.probabilities] for e in epochs] == [line["probabilities"] for line in lines]
    for record in found.records:
        on_disk = json.loads((made / record.id / "record.json").read_text())
        assert record.test_accuracy == on_disk["test_accuracy"]
        assert record.search_seconds == on_disk["seconds"]["search"] + on_disk["seconds"]["selection"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda p: p.write_text(p.read_text()[:300]), "is not valid JSON"),
        (lambda p: p.write_bytes(b"\xff\xfe\x00"), "is not valid JSON"),
        (lambda p: p.write_text("[]"), "no JSON object"),
        (without("architecture"), "no 'architecture' in it"),
        (lambda p: change(p, "test_accuracy", "high"), "test_accuracy = 'high'"),
        (lambda p: change(p, "test_accuracy", 9361), "test_accuracy = 9361"),
        (lambda p: change(p, "test_accuracy", float("nan")), "test_accuracy"),
        (lambda p: change(p, "seconds", 3), "seconds = 3"),
        (lambda p: change(p, "config", {}), "its space is None"),
        (lambda p: change(p, "test_accuracy", True), "test_accuracy = True"),
        (lambda p: change(p, "test_accuracy", "12"), "test_accuracy = '12'"),
        (lambda p: change(p, "seconds", {"search": 1.0, "selection": 1.0}), "no seconds of the scoring"),
        (lambda p: change(p, "seconds", {"search": -5.0, "selection": 1.0, "scoring": 0.0}), "seconds.search = -5.0"),
        (lambda p: change(p, "regret", None), "without regret, rank or cells"),
        (lambda p: change(p, "versions", None), "versions = None"),
        (lambda p: change(p, "config", config_without(p, "protocol")), "its protocol is None"),
        (lambda p: change(p, "config", config_without(p, "supernet")), "no supernet"),
        (lambda p: change(p, "seed", -1), "seed = -1"),
        (lambda p: change(p, "seed", 10**400), "a whole number of 401 digits"),
        (lambda p: change(p, "seed", 77), "contradicts itself: seed 77, in its config"),
        (lambda p: change(p, "selector", "x"), "contradicts itself: selector 'x', in its config"),
        (lambda p: change(p, "space", "x"), "contradicts itself: space 'x', in its config 'nb201'"),
        (lambda p: change(p, "scored_by", "x"), "scored_by = 'x'"),
        (lambda p: change(p, "test_accuracy", 0.0), "test accuracy 0.0 is not regret"),
        (lambda p: change(p, "facts", {"params": 10**400}), "a whole number of 401 digits"),
        (without("space"), "(no 'space' in it)"),
        (lambda p: change(p, "id", "another"), "is the record of another folder"),
    ],
)
def test_a_damaged_record_is_one_line_and_the_others_are_still_there(
    runs: Path, damage: Callable[[Path], None], words: str
) -> None:
    broken = min(runs.glob("*/record.json"))
    damage(broken)
    found = collect(runs)
    assert len(found.records) == 11
    (line,) = found.problems
    assert str(broken) in line
    assert words in line
    assert "\n" not in line


def test_what_is_not_finished_is_named(runs: Path) -> None:
    gone = min(runs.glob("*/record.json"))
    gone.unlink()
    found = collect(runs)
    assert found.problems == [f"1 run(s) without a record.json, begun and not finished: {gone.parent.name}"]
    assert len(found.records) == 11


def test_a_copied_folder_does_not_count_twice(runs: Path) -> None:
    one = min(runs.glob("*/record.json")).parent
    shutil.copytree(one, runs / "a-copy")
    found = collect(runs)
    assert len(found.records) == 12
    assert "a-copy" in found.problems[0]


def test_the_same_run_under_a_name_of_another_version_counts_once(runs: Path) -> None:
    one = min(runs.glob("*/record.json")).parent
    other = Path(shutil.copytree(one, runs / f"{one.name}x"))
    change(other / "record.json", "id", other.name)
    change(other / "record.json", "finished", "2999-01-01T00:00:00+00:00")
    found = collect(runs)
    assert len(found.records) == 12
    assert other.name in {r.id for r in found.records}
    assert found.problems == [f"{one.name} has the settings and seed of {other.name}: only the later one is counted"]


def test_records_of_two_versions_are_said_to_be_mixed_and_all_reported(runs: Path) -> None:
    first = min(runs.glob("*/record.json"))
    versions = json.loads(first.read_text())["versions"]
    change(first, "versions", {**versions, "benchbed": "0.0.9"})
    found = collect(runs)
    assert len(found.records) == 12
    (line,) = found.problems
    assert "several versions of benchbed" in line
    assert "0.0.9 (1 run(s), " + first.parent.name in line
    assert f"{versions['benchbed']} (11 run(s), " in line


@pytest.mark.parametrize("text", ["", "{", '{"epoch": 1}\n', '{"epoch": 1, "seconds": 1, "accuracy": "x"}\n'])
def test_a_damaged_history_is_named_and_costs_its_curve_only(runs: Path, text: str) -> None:
    path = min(runs.glob("searches/*/history.jsonl"))
    whole = collect(runs).histories[path.parent.name]
    path.write_text(text)
    assert collect(runs).histories[path.parent.name] == whole  # from the checkpoint, which holds it too
    path.with_name("checkpoint.pt").unlink()
    found = collect(runs)
    assert len(found.records) == 12
    assert path.parent.name not in found.histories
    assert len(found.histories) == 5
    (line,) = found.problems
    assert str(path) in line
    assert "left out" in line


def test_a_folder_without_a_finished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchbedError, match="holds no finished run"):
        collect(tmp_path)


def test_the_place_of_a_file_is_where_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("mine", "runs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "a.toml").write_text('out = "mine"\n')
    (tmp_path / "b.toml").write_text("seed = 1\n")
    (tmp_path / "c.toml").write_text('out = "nowhere"\n')
    (tmp_path / "d.toml").write_text("out = 7\n")
    assert place_of(Path("mine")) == Path("mine")
    assert place_of(Path("a.toml")) == Path("mine")
    assert place_of(Path("b.toml")) == Path("runs")
    for name, words in (
        ("c.toml", "nowhere"),
        ("d.toml", "out = 7, which is not a folder"),
        ("absent", "not a folder of runs"),
        ("absent.toml", "cannot read"),
    ):
        with pytest.raises(BenchbedError, match=words):
            place_of(Path(name))


def test_a_search_on_a_table_has_the_tables_clock(runs: Path) -> None:
    """Its seconds are those that it bought there; a damaged clock costs its curve alone."""
    before = collect(runs)
    assert before.clocks == {}
    first, second = sorted(before.histories)[:2]
    for search, spent in ((first, 900.0), (second, "much")):
        file = runs / "searches" / search / "record.json"
        raw = json.loads(file.read_text())
        file.write_text(
            json.dumps({**raw, "simulated_seconds": spent, "anytime": [[100.0, 70.0, "a"], [500, 80, "b"]]})
        )
    found = collect(runs)
    assert found.clocks == {first: Clock(900.0, [(100.0, 70.0), (500.0, 80.0)])}
    assert any(second in line and "is damaged (its anytime or simulated_seconds)" in line for line in found.problems)
    for record, old in zip(found.records, before.records, strict=True):
        bought = 900.0 + old.seconds["selection"] if record.search == first else old.search_seconds
        assert record.search_seconds == pytest.approx(bought)


@pytest.mark.parametrize("damage", ["history", "searches"])
def test_without_a_searchs_files_its_seconds_are_those_of_the_runs_own_record(runs: Path, damage: str) -> None:
    path = min(runs.glob("*/record.json"))
    change(path, "simulated_seconds", 900.0)
    record = json.loads(path.read_text())
    if damage == "history":
        (runs / "searches" / record["search"] / "history.jsonl").write_text("garbage")
    else:
        shutil.rmtree(runs / "searches")
    (found,) = [r for r in collect(runs).records if r.id == record["id"]]
    assert found.search_seconds == pytest.approx(900.0 + record["seconds"]["selection"])


def test_runs_that_a_sweep_gave_up_are_named(runs: Path) -> None:
    """And those that a later attempt finished are not."""
    kept = collect(runs).records[0].id
    note_failure(runs, Failure("proxyless-lost", "no luck", 3))
    note_failure(runs, Failure(kept, "it was made later", 1))
    assert collect(runs).problems == ["proxyless-lost failed: no luck"]


def test_a_failure_after_a_line_that_was_torn_is_read(tmp_path: Path) -> None:
    note_failure(tmp_path, Failure("a", "first", 1))
    with open(tmp_path / "failures.jsonl", "a") as file:
        file.write('{"run": "b", "rea')
    note_failure(tmp_path, Failure("c", "third", 1))
    assert [one.run for one in failures(tmp_path)[0]] == ["a", "c"]


def test_a_damaged_run_that_a_sweep_noted_has_one_line(runs: Path) -> None:
    broken = min(runs.glob("*/record.json"))
    broken.write_text("{")
    note_failure(runs, Failure(broken.parent.name, f"{broken} is damaged", 1))
    found = collect(runs)
    assert len(found.problems) == 1
    assert found.damaged == (broken.parent.name,)


def test_the_place_of_a_study_without_out_is_the_sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "s").mkdir(parents=True)
    (tmp_path / "s.toml").write_text('[grid]\nseeds = "0:2"\n')
    assert place_of(Path("s.toml")) == Path("runs/s")
