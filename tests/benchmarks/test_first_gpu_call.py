"""A call of `benchmarks/first_gpu`: a part that fails or hangs stops no other, and what was said comes back."""

import os
import re
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


@pytest.fixture
def call(first_gpu: SimpleNamespace) -> ModuleType:
    found: ModuleType = first_gpu.call
    return found


@pytest.fixture
def place(call: ModuleType, tmp_path: Path) -> Any:
    made = call.Place(tmp_path / "store", tmp_path / "said", tmp_path / "out")
    for folder in made:
        folder.mkdir()
    return made


def packed(place: Any, name: str = "first.zip") -> dict[str, str]:
    with zipfile.ZipFile(place.out / name) as file:
        return {one: file.read(one).decode() for one in file.namelist()}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_part_that_fails_or_hangs_stops_no_other(call: ModuleType, place: Any, tmp_path: Path) -> None:
    child = tmp_path / "child"
    hangs = f"sleep 60 & echo $! > {child}; echo began; wait"
    parts = [
        call.Part("wrong", ["sh", "-c", "echo one; echo the reason >&2; exit 3"], 20),
        call.Part("missing", ["/nowhere/at-all"], 20),
        call.Part("hangs", ["sh", "-c", hangs], 1),
        call.Part("good", ["sh", "-c", f"test $BENCHBED_HOME = {place.store}/home && echo fine"], 20),
    ]
    (place.store / "commit").write_text("collected at commit 123\n")
    outcomes = call.run_all(parts, place, "first.zip", time.monotonic() + 30)
    assert outcomes[0].startswith("failed with status 3, ")
    assert outcomes[0].endswith(" s: the reason")
    assert outcomes[1].startswith("failed: [Errno 2] No such file or directory")
    assert outcomes[2] == "stopped at its limit of 1 s: began"
    assert outcomes[3].startswith("ok, ")
    assert [call.failed(outcome) for outcome in outcomes] == [True, True, True, False]
    files = packed(place)
    assert files["wrong.log"] == "one\nthe reason\n"
    names = [part.name for part in parts]
    lines = [f"{n}: {o}" for n, o in zip(names, outcomes, strict=True)]
    assert files["summary.txt"].splitlines() == ["collected at commit 123", *lines]
    deadline = time.monotonic() + 10
    while alive(int(child.read_text())) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(int(child.read_text()))


SKIPS = """
import pytest
@pytest.mark.parametrize("case", range(3))
@pytest.mark.skipif({} > 0, reason="needs {}")
def test_skipped(case): pass
def test_passed(): pass
"""


@pytest.mark.parametrize(("need", "chosen", "well"), [
    ("a CUDA device: a CPU has none", "test", False),  # others that pass show nothing of the device
    ("a CUDA device", "passed", True),
    ("a file", "test", True),
    ("a file", "skipped", False),  # nothing was tested
])  # fmt: skip
def test_a_part_whose_tests_were_skipped_for_want_of_a_gpu_has_failed(
    call: ModuleType, place: Any, tmp_path: Path, need: str, chosen: str, well: bool
) -> None:
    file = tmp_path / "test_skips.py"
    file.write_text(SKIPS.format(1, need))
    pytest_of_a_part = call.first(call.parse(["first"]), place)[1].command[:-3]
    outcome = call.run(call.Part("capture", [*pytest_of_a_part, file, "-k", chosen], 60), place, 60)
    assert call.failed(outcome) is not well, outcome
    if not well:
        assert outcome.startswith("failed: tests were skipped"), outcome
        assert "3 skipped" in outcome


def test_a_first_call_asks_for_the_gpu_and_a_rehearsal_for_any_device(call: ModuleType, place: Any) -> None:
    for words, device in ((["first"], "cuda"), (["first", "--rehearsal"], "auto")):
        commands = {part.name: list(map(str, part.command)) for part in call.first(call.parse(words), place)}
        for name in ("epoch", "supernet_step", "memory"):
            assert commands[name][commands[name].index("--device") + 1] == device


def test_what_a_call_leaves_in_the_checkout_is_ignored_by_git(
    call: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OUT", raising=False)
    assert f"/{call.parse(['first']).out}/" in (call.ROOT / ".gitignore").read_text().splitlines()


def test_no_part_begins_after_the_call_s_time(call: ModuleType, place: Any) -> None:
    parts = [call.Part("long", ["sleep", "20"], 20), call.Part("next", ["true"], 20)]
    outcomes = call.run_all(parts, place, "first.zip", time.monotonic() + 1.2)
    assert outcomes == ["stopped at its limit of 1 s: it said nothing", "left out: no time is left"]


def test_the_archive_is_whole_after_each_part(call: ModuleType, place: Any) -> None:
    seen = []

    def parts() -> Iterator[Any]:
        yield call.Part("one", ["echo", "1"], 20)
        seen.append(sorted(packed(place)))
        yield call.Part("two", ["false"], 20)
        seen.append(sorted(packed(place)))

    call.run_all(parts(), place, "first.zip", time.monotonic() + 30)
    assert seen == [["one.log", "summary.txt"], ["one.log", "summary.txt", "two.log"]]


def test_a_log_that_has_no_room_is_left_out_and_said(
    first_gpu: SimpleNamespace, place: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = first_gpu.call
    monkeypatch.setattr(call, "archive", lambda *given: first_gpu.parcel.archive(*given, limit=9000))
    parts = [call.Part("talks", ["head", "-c", "100000", "/dev/urandom"], 20), call.Part("good", ["echo", "1"], 20)]
    call.run_all(parts, place, "first.zip", time.monotonic() + 30)
    assert sorted(name for name in zipfile.ZipFile(place.out / "first.zip").namelist()) == ["good.log", "summary.txt"]
    assert "no room in first.zip for talks.log, 100,000 bytes" in capsys.readouterr().out


def test_a_call_without_anything_carried_says_what_is_missing(
    call: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The headline has no images: each part says so, the status is 1, and the log comes back."""
    words = ["headline", "--store", str(tmp_path / "store"), "--out", str(tmp_path / "out"), "--seconds", "30"]
    assert call.main(words) == 1
    said = capsys.readouterr().out
    assert "data_batch_1, data_batch_2, data_batch_3, data_batch_4, data_batch_5 did not come" in said
    assert (tmp_path / "out" / "headline-log.zip").exists()


def test_the_state_that_was_carried_comes_back_whatever_happens(call: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "headline.zip").write_bytes(b"the state of before")
    words = ["headline", "--store", str(tmp_path / "store"), "--out", str(tmp_path / "out"), "--seconds", "2"]
    assert call.main(words) == 1
    assert (tmp_path / "out" / "headline.zip").read_bytes() == b"the state of before"


def test_a_headline_that_does_not_stop_is_ended_and_what_it_saved_is_packed(
    call: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given 0 minutes it only packs; given more it hangs."""
    script = 'case "$1" in 0) echo "packed";; *) echo "hangs for $1 minutes"; sleep 60;; esac'
    monkeypatch.setattr(call, "headline", lambda *_: ["sh", "-c", script, "headline"])
    monkeypatch.setattr(call, "PACK", 2)
    monkeypatch.setattr(call, "LOAD", 0)
    words = ["headline", "--store", str(tmp_path / "store"), "--out", str(tmp_path / "out"), "--seconds", "4"]
    assert call.main(words) == 1
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"headline: stopped at its limit of [12] s: hangs for 0.000 minutes", lines[1]), lines[1]
    assert lines[2].startswith("pack: ok, ")
    assert lines[2].endswith(" s: packed")
    with zipfile.ZipFile(tmp_path / "out" / "headline-log.zip") as file:
        assert sorted(file.namelist()) == ["headline.log", "images.log", "pack.log", "summary.txt"]
