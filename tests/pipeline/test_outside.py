"""`score`: other methods' architectures beside one's own runs, and what is refused before anything is written."""

import csv
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import benchbed
from benchbed.errors import BenchbedError
from benchbed.spaces.nb201.space import all_strings
from benchbed.tables import Table

Command = Callable[..., Any]
TEXTS = all_strings()
NASLIB = "(4, 0, 3, 1, 4, 3)"  # |avg_pool_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_1x1~2|


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    monkeypatch.chdir(tmp_path)

    def write(*rows: Sequence[object], header: str = "arch,method,seed,seconds") -> Path:
        with Path("theirs.csv").open("w", newline="") as out:
            csv.writer(out).writerows([header.split(","), *rows])
        return Path("theirs.csv")

    return write


def test_their_cells_are_scored_and_stand_beside_ours_in_a_report(rows: Callable[..., Path], command: Command) -> None:
    table = Table.open("nb201-digits")
    lines = [(TEXTS[4000 + 7 * s], "LLM NAS", s, 60 + s) for s in range(3)] + [(TEXTS[99 + s], "Picks", s, "") for s in
             range(3)]  # fmt: skip
    done = command("score", rows(*lines), "--table", "nb201-digits")
    assert (done.status, done.err) == (0, "")
    words = "--objective", "table", "--table", "nb201-digits", "--searcher", "random", "--selector", "constant,best-of"
    assert command("run", *words, "--seeds", "0:3", "--epochs", "2", "--quiet").status == 0
    done = command("report", "runs")
    assert (done.status, done.err) == (0, "")
    assert "12 runs in 4 rows" in done.out
    frame = pd.read_csv("runs/report/report.csv").set_index("searcher")
    theirs, picks = frame.loc["LLM NAS"], frame.loc["Picks"]
    means = table.query([line[0] for line in lines[:3]], "digits", "test", table.full_epochs)
    assert theirs["mean"] == pytest.approx(means.mean())
    assert (theirs.selector, theirs.n, theirs.mean_search_seconds) == ("given", 3, 61)
    assert math.isnan(picks.mean_search_seconds)
    page = Path("runs/report/report.md").read_text()
    assert "Selector given: architectures and seconds from a file, of methods that benchbed did not run." in page
    assert "LLM NAS" in Path("runs/report/report.tex").with_name("tables").joinpath(
        "nb201-digits-by-table-nb201-digits.tex").read_text()  # fmt: skip
    html = Path("runs/report/report.html").read_text()
    assert "python -m benchbed score " in html
    assert benchbed.load("runs").compare("LLM NAS x given", "Picks x given").n == 3


def test_what_can_be_verified_of_theirs_is_the_score(rows: Callable[..., Path], command: Command) -> None:
    command("score", rows((NASLIB, "m", 0, 5)), "--table", "nb201-digits")
    (record,) = Path("runs").glob("*/record.json")
    assert json.loads(record.read_text())["architecture"].startswith("|avg_pool_3x3~0|+|skip_connect~0|none~1|+")
    done = command("verify", record)
    assert done.status == 0
    assert "not done: search and selection, which are not benchbed's" in done.out
    assert done.out.strip().endswith("score repeats, bit for bit")
    changed = json.loads(record.read_text())
    changed |= {"valid_accuracy": changed["valid_accuracy"] - 1}
    record.write_text(json.dumps(changed))
    assert command("verify", record).status == 1
    assert "there is only the score to verify" in command("verify", record, "--skip", "score").err


def test_scoring_again_changes_nothing_and_another_cell_replaces(rows: Callable[..., Path]) -> None:
    first = benchbed.score(rows((TEXTS[5], "m", 0, 1)), "nb201-digits")
    again = benchbed.score(rows((TEXTS[6], "m", 0, 1)), "nb201-digits")
    assert [r.id for r in again] == [r.id for r in first]
    assert [r.architecture for r in benchbed.load("runs")] == [TEXTS[6]]


def test_a_frame_and_columns_that_are_not_read(rows: Callable[..., Path], tmp_path: Path) -> None:
    frame = pd.DataFrame({"arch": TEXTS[7:9], "method": "m", "seed": [3, 4], "note": "x"})
    found = benchbed.score(frame, "nb201-digits", out=tmp_path / "theirs")
    assert found.problems == ("columns that are not read: note",)
    assert [r.seed for r in benchbed.load(tmp_path / "theirs")] == [3, 4]
    assert math.isnan(found[0].search_seconds)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("Genotype(normal=[])", "m", 0, 1), r"theirs.csv line 3: nb201"),
        ((TEXTS[0], "", 0, 1), r"line 3: method '': expected a name of 1 to 80 letters"),
        ((TEXTS[0], "m", "x", 1), r"line 3: seed holds 'x', which is not a number"),
        ((TEXTS[0], "m", -1, 1), r"line 3: seed holds -1, no whole number"),
        ((TEXTS[0], "m", 10**12, 1), r"line 3: seed 1000000000000: expected a whole number up to"),
        ((TEXTS[0], "m", 1, -5), r"line 3: seconds holds -5, expected a number from 0 up"),
        ((TEXTS[1], "good", 0, 1), r"line 3: seed 0 of good is on line 2 already"),
    ],
)
def test_a_bad_row_is_refused_by_line_and_nothing_is_written(
    rows: Callable[..., Path], row: Sequence[object], said: str
) -> None:
    with pytest.raises(BenchbedError, match=said) as refused:
        benchbed.score(rows((TEXTS[0], "good", 0, 1), row), "nb201-digits")
    assert "\n" not in str(refused.value)
    assert not Path("runs").exists()


def test_columns_tables_and_data_sets_that_there_are_not(rows: Callable[..., Path], command: Command) -> None:
    good = rows((TEXTS[0], "m", 0, 1)).rename("good.csv")
    bad = rows((TEXTS[0], "m", 0), header="arch,name,seed")
    for words, said in (
        ((bad, "--table", "nb201-digits"), "has no column method: expected arch, method, seed"),
        ((bad, "--table", "nb201-digit"), "nb201-digit"),
        (("no.csv", "--table", "nb201-digits"), "cannot read no.csv"),
        ((good, "--table", "nb201-digits", "--dataset", "cifar10"), "cifar10"),
    ):
        done = command("score", *words)
        assert done.status == 2
        assert said in done.err
        assert done.err.count("\n") == 1


def test_a_report_of_theirs_alone_claims_nothing_and_adds_the_controls(
    rows: Callable[..., Path], command: Command
) -> None:
    command("score", rows(*((TEXTS[4000 + s], "m", s, 60) for s in range(3))), "--table", "nb201-digits")
    assert command("report", "runs").status == 0
    page = Path("runs/report/report.md").read_text()
    assert page.count("not known from the records | of 3 result(s) from a file nothing is known") == 16
    assert "| yes |" not in page
    lines = [line for line in page.splitlines() if line.startswith("Control missing")]
    assert "random search on the table for 60 s, what the dearest method took" in lines[0]
    assert "the constant cell (nor_conv_3x3 everywhere)" in lines[1]
    added = lines[1].partition("`python -m benchbed ")[2].rstrip("`")
    assert command(*added.split(), "--quiet").status == 0
    assert "2 rows" in command("report", "runs").out


def test_what_is_no_frame(tmp_path: Path) -> None:
    with pytest.raises(BenchbedError, match="results of type list: expected a CSV file or a pandas frame"):
        benchbed.score([1, 2], "nb201-digits")  # type: ignore[arg-type]
    with pytest.raises(BenchbedError, match=r"^the frame, written as CSV, has no column method"):
        benchbed.score(pd.DataFrame({"arch": TEXTS[:1]}), "nb201-digits", out=tmp_path)
