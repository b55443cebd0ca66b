"""A run's record: what it says of its parts, what an older one becomes, and what a resume elsewhere is told."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.pipeline.again import select_again
from benchbed.pipeline.record import Record, schema
from benchbed.pipeline.resolve import expand
from benchbed.pipeline.run import run_all
from benchbed.runtime.folder import Folder, load_checkpoint
from benchbed.runtime.options import RunOptions
from benchbed.runtime.stage import SAME_RESULT, segment


class Stop(Exception):
    """Stands for a kill."""


@pytest.fixture
def place(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run's folder."""
    return Path(shutil.copytree(finished, tmp_path / "runs"))


def file_of(place: Path) -> Path:
    (file,) = place.glob("*/record.json")
    return file


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_a_record_is_read_as_it_was_written(place: Path) -> None:
    file = file_of(place)
    record = Record.read(file)
    assert record.dump() == json.loads(file.read_text())
    assert record.format == 2
    assert Record.read(file.parent) == record
    before = file.read_bytes()
    record.write(file)
    assert file.read_bytes() == before
    assert record["architecture"] == record.architecture
    assert record.get("simulated_seconds", 7.0) == 7.0
    with pytest.raises(KeyError, match="simulated_seconds"):
        record["simulated_seconds"]


def test_every_stage_is_a_segment(place: Path) -> None:
    found = [(s.stage, s.unit, s.start, s.stop) for s in Record.read(file_of(place)).segments]
    assert found == [("search", "epochs", 0, 2), ("selection", "steps", 0, 1), ("scoring", "epochs", 0, 1)]
    here = segment("search", "epochs", 0, torch.device("cpu"))
    for one in Record.read(file_of(place)).segments:
        assert {key: getattr(one, key) for key in SAME_RESULT if key != "commit"} == {
            key: here[key] for key in SAME_RESULT if key != "commit"
        }


def test_a_record_of_format_1_says_the_same(place: Path) -> None:
    file = file_of(place)
    today = Record.read(file)
    old = {k: v for k, v in json.loads(file.read_text()).items() if k not in ("format", "segments")}
    del old["machine"]["capability"]
    file.write_text(json.dumps(old))
    read = Record.read(file)
    (whole,) = read.segments
    assert (whole.stage, whole.threads, whole.capability) == ("run", old["machine"]["threads"], None)
    assert (whole.torch, whole.commit) == (old["versions"]["torch"], old["commit"])
    same = {"segments": today.segments, "machine": today.machine}
    assert read.model_copy(update=same) == today


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (3, "is of format 3, which a newer benchbed wrote: this one reads formats 1 to 2"),
        ("2", "is damaged (format = '2': expected 1 or 2)"),
        (True, "is damaged (format = True: expected 1 or 2)"),
        (0, "is damaged (format = 0: expected 1 or 2)"),
    ],
)
def test_another_format_is_one_line(place: Path, found: Any, words: str) -> None:
    change(file_of(place), format=found)
    with pytest.raises(BenchbedError) as refused:
        Record.read(file_of(place))
    assert words in str(refused.value)


def test_a_newer_record_is_refused_where_its_run_is_asked_for_again(
    place: Path, finished_run: list[str], command: Callable[..., Any]
) -> None:
    change(file_of(place), format=3)
    outcome = command(*finished_run, "--out", place)
    assert outcome.status == 2
    assert "a newer benchbed wrote" in outcome.err


def test_a_figure_that_no_record_can_hold_is_one_line(place: Path) -> None:
    values = Record.read(file_of(place)).dump()
    with pytest.raises(BenchbedError, match=r"run random-magnitude-\S+ cannot be recorded \(test_accuracy = nan"):
        Record.of(**{**values, "test_accuracy": float("nan")})


def cut(out: Path, raw: dict[str, Any], after: int) -> None:
    """A run that ends at once after so many saves of its stages."""
    real, count = Folder.save, 0

    def save(self: Folder, tree: Any) -> None:
        nonlocal count
        real(self, tree)
        count += 1
        if count == after:
            raise Stop

    configs = expand(raw, ["darts"], ["magnitude"], [0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Folder, "save", save)
        with pytest.raises(Stop):
            run_all(configs, RunOptions(out, torch.device("cpu")))


@contextmanager
def threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("after", "stage"), [(1, "search"), (4, "scoring")])
def test_a_resume_with_other_threads_is_refused_or_recorded(
    after: int, stage: str, tiny: dict[str, Any], tiny_flags: list[str], tmp_path: Path, command: Callable[..., Any]
) -> None:
    tiny["scoring"]["epochs"] = 2
    flags = [flag.replace("scoring.epochs=1", "scoring.epochs=2") for flag in tiny_flags]
    with threads(1):
        cut(tmp_path, tiny, after)
    again = ("run", "--searcher", "darts", "--selector", "magnitude", *flags, "--out", tmp_path, "--quiet")
    with threads(2):
        refused = command(*again)
        assert refused.status == 2
        assert refused.err.count("\n") == 1
        assert "was begun with threads 1, here 2" in refused.err
        assert not list(tmp_path.glob("*/record.json"))
        assert command(*again, "--mixed").status == 0
    segments = [s for s in Record.read(file_of(tmp_path)).segments if s.stage == stage]
    assert [(s.start, s.stop, s.threads) for s in segments] == [(0, 1, 1), (1, 2, 2)]


def test_what_was_begun_before_there_were_segments_goes_on(tiny: dict[str, Any], tmp_path: Path) -> None:
    cut(tmp_path, tiny, 1)
    (checkpoint,) = tmp_path.glob("searches/*/checkpoint.pt")
    saved = load_checkpoint(checkpoint)
    saved["tree"].pop("segments")
    torch.save(saved, checkpoint)
    (record,) = run_all(expand(tiny, ["darts"], ["magnitude"], [0]), RunOptions(tmp_path, torch.device("cpu")))
    assert [(s.start, s.stop) for s in record.segments if s.stage == "search"] == [(1, 2)]


def test_a_swapped_checkpoint_is_refused_before_anything_is_selected(place: Path) -> None:
    """The checkpoint of another search: whole, of the same shapes, and not the state that the record names."""
    (search,) = (place / "searches").iterdir()
    saved = load_checkpoint(search / "checkpoint.pt")
    weights = next(v for v in saved["tree"]["parts"]["objective"]["network"].values() if v.is_floating_point())
    weights += 1
    torch.save(saved, search / "checkpoint.pt")
    with pytest.raises(BenchbedError) as refused:
        select_again(search, {"selector": {"name": "best-of"}}, "best-of", RunOptions(place, torch.device("cpu")))
    assert "checkpoint.pt is not the state that record.json beside it names" in str(refused.value)
    assert not list(place.glob("*best-of*"))


def test_the_schema_in_the_docs_is_the_models_and_knows_a_records_keys(place: Path) -> None:
    kept = json.loads((Path(__file__).resolve().parents[2] / "docs" / "record-schema.json").read_text())
    assert kept == json.loads(schema()), "benchbed list record-schema > docs/record-schema.json"
    record = json.loads(file_of(place).read_text())
    assert set(kept["required"]) <= set(record) <= set(kept["properties"])
