"""One file of a stranger's, or of a disk's, among good ones: it is named, and everything else is reported."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbed.report.collect import collect
from benchbed.report.markdown import escaped, markdown_table
from benchbed.report.write import csv_frame
from benchbed.results import Results
from benchbed.runtime.reading import csv_cell, plain_cell


def replaced(make: Callable[[Path], Any]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


BAD: dict[str, Callable[[Path], None]] = {
    "deep": lambda path: path.write_text("[" * 100_000) and None,
    "digits": lambda path: path.write_text('{"id": ' + "9" * 5000 + "}") and None,
    "twice": lambda path: path.write_text('{"id": "a", "id": "b"}') and None,
    "surrogate": lambda path: path.write_text(r'{"id": "\ud800"}') and None,
    "null": lambda path: path.write_text(path.read_text().replace('"digits"', r'"a\u0000b"', 1)[:-3]) and None,
    "bytes": lambda path: path.write_bytes(b"\0\xff" * 500) and None,
    "pipe": replaced(os.mkfifo),
    "folder": replaced(Path.mkdir),
    "device": replaced(lambda path: path.symlink_to("/dev/zero")),
    "loop": replaced(lambda path: path.symlink_to(path.name)),
    "empty": lambda path: path.write_bytes(b"") and None,
    "sparse": replaced(lambda path: (path.touch(), os.truncate(path, 20 << 30))),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_record_is_named_and_the_others_are_read(runs: Path, bad: str) -> None:
    path = min(runs.glob("*/record.json"))
    BAD[bad](path)
    for found in (collect(runs), Results.read(runs)):
        assert len(found.records if hasattr(found, "records") else list(found)) == 11
        assert [line for line in found.problems if path.parent.name in line], found.problems
        assert all(line.isprintable() for line in found.problems)


@pytest.mark.parametrize("bad", [name for name in BAD if name not in ("null", "loop", "twice")])
def test_a_bad_history_costs_its_curve_alone(runs: Path, bad: str) -> None:
    search = min((runs / "searches").iterdir())
    (search / "checkpoint.pt").unlink(missing_ok=True)
    BAD[bad](search / "history.jsonl")
    found = collect(runs)
    assert len(found.records) == 12
    assert search.name not in found.histories
    assert len(found.histories) == 5
    assert [line for line in found.problems if search.name in line]


@pytest.mark.parametrize("bad", [name for name in BAD if name not in ("null", "loop", "empty")])
def test_a_bad_list_of_failures_is_named(runs: Path, bad: str) -> None:
    (runs / "failures.jsonl").write_text("{}\n")
    BAD[bad](runs / "failures.jsonl")
    found = collect(runs)
    assert len(found.records) == 12
    if bad not in ("deep", "digits", "twice", "surrogate", "bytes"):  # a last line without its end is none
        assert [line for line in found.problems if "failures.jsonl" in line]


def test_the_report_is_written_with_eleven_runs(runs: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    path = min(runs.glob("*/record.json"))
    BAD["pipe"](path)
    done = command("report", runs, "--out", tmp_path / "report")
    assert done.status == 1  # written, and something is left out
    assert done.err.count("\n") == 1
    assert "it is a named pipe" in done.err
    said = (tmp_path / "report" / "report.md").read_text()
    assert f"{path}: it is a named pipe, expected a regular file" in said
    assert "11 runs on" in said
    assert "default-src 'none'" in (tmp_path / "report" / "report.html").read_text()


def test_a_bad_table_is_named_in_the_list_and_the_others_are_there(
    make_table: Callable[..., Any], command: Callable[..., Any], tmp_path: Path
) -> None:
    from benchbed.tables import store

    make_table("good")
    shutil.copy(store.path_of("good"), store.path_of("cut"))
    os.truncate(store.path_of("cut"), 5000)
    store.path_of("noise").write_bytes(b"PK\3\4" + b"x" * 999)
    done = command("table", "list")
    assert done.status == 0
    lines = {line.split()[0]: line for line in done.out.splitlines()}
    assert "2 figures" in lines["good"]
    assert "is cut off or damaged" in lines["cut"]
    assert "is cut off or damaged" in lines["noise"]
    assert command("query", "good", "--arch", "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", "--dataset", "cifar10",
                   "--split", "test", "--epochs", "200").status == 0  # fmt: skip


# -- what reports write ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "\r=1", "=", "-", "+a"])
def test_a_cell_that_a_spreadsheet_would_run_is_not_one(text: str) -> None:
    assert csv_cell(text) == f"'{text}"
    assert plain_cell(f"'{text}") == text


@pytest.mark.parametrize("value", ["-1.5", "+3", "-inf", "darts", "", "a=b", "'quoted'", "'", 3, -2.5, None, "|a|"])
def test_any_other_value_stays_as_it_is(value: object) -> None:
    assert csv_cell(value) == value
    if isinstance(value, str):
        assert plain_cell(value) == value


def test_words_of_a_record_are_no_markup() -> None:
    assert escaped("a|b") == r"a\|b"
    assert escaped(r"a\|b") == r"a\|b"
    assert escaped("<script>x</script> <0.01 <u>1</u>") == "&lt;script>x&lt;/script> <0.01 <u>1</u>"
    assert escaped("![x](https://e.example/x.png)") == r"![x]\(https://e.example/x.png)"
    assert escaped("[x](JavaScript:alert(1))") == r"[x]\(JavaScript:alert(1))"
    assert escaped("a\nb\x1b[2J") == "a b [2J"
    assert markdown_table(["a"], [["x|y\n| z |"]])[2:] == [r"| x\|y \| z \| |"]


def test_a_report_of_names_like_formulas_and_tags(runs: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    """Every searcher's name is a formula with a tag in it, as a record of somebody else's could have it."""
    name = "=HYPERLINK(1)|<img src=x>"
    for path in runs.glob("*/record.json"):
        record = json.loads(path.read_text())
        record["searcher"] = record["config"]["searcher"]["name"] = name
        path.write_text(json.dumps(record))
    done = command("report", runs, "--out", tmp_path / "report")
    assert done.status == 0, done.err
    for file in (tmp_path / "report").glob("*.csv"):
        fields = [field for line in file.read_text().splitlines() for field in line.split(",")]
        assert not [field for field in fields if field[:1] in ("=", "@")]
    page, words = ((tmp_path / "report" / f"report.{kind}").read_text() for kind in ("html", "md"))
    assert "<img src=x>" not in page
    assert "<img" not in words
    assert "Content-Security-Policy" in page


def test_a_frame_keeps_its_numbers() -> None:
    import pandas as pd

    frame = csv_frame(pd.DataFrame({"a": [1.5, -2.0], "=b": ["-x", "-3"]}))
    assert frame.to_csv(index=False) == "a,'=b\n1.5,'-x\n-2.0,-3\n"
