"""Tables of text: within their width, nothing cut, columns left out by rank and named."""

import io

import pytest
from rich.console import Console

from benchbed.report.columns import Column, fitted, labelled, put

PATH = "runs/a-very-long-name-of-a-run-that-nobody-may-cut-because-it-is-to-be-pasted/record.json"


def test_a_table_is_aligned_and_as_narrow_as_its_words() -> None:
    lines = fitted([Column("name"), Column("n", right=True)], [["darts", "3"], ["a", "10"]], 80)
    assert lines == ["name    n", "darts   3", "a      10"]


def test_columns_are_left_out_by_rank_and_named() -> None:
    columns = [Column("searcher"), Column("mean"), Column("deviation", rank=1), Column("parameter-free", rank=2)]
    rows = [["regularised-evolution", "93.32", "0.96", "50%"]]
    assert fitted(columns, rows, 80)[0] == "searcher               mean   deviation  parameter-free"
    lines = fitted(columns, rows, 45)
    assert lines == ["searcher               mean   deviation", "regularised-evolution  93.32  0.96",
                     "(for want of room without: parameter-free)"]  # fmt: skip
    assert fitted(columns, rows, 30)[-1] == "(for want of room without: deviation, parameter-free)"
    assert max(map(len, fitted(columns, rows, 30)[:-1])) == 28
    assert fitted(columns, rows, 10)[1] == "regularised-evolution  93.32"  # too long rather than cut


def test_a_column_of_sentences_breaks_at_spaces_alone() -> None:
    lines = fitted([Column("key"), Column("", wraps=True)], [["record", f"it lies in {PATH} and stays"]], 40)
    assert PATH in "\n".join(lines)
    assert lines[1].startswith("record  it lies in")
    assert all(line.startswith(" " * 8) for line in lines[2:])
    assert [line for line in lines if len(line) > 40] == [f"        {PATH}"]


def test_empty_columns_and_headings_are_left_out() -> None:
    assert fitted([Column("a"), Column("b"), Column("c")], [["1", "", "2"]], 80) == ["a  c", "1  2"]
    assert labelled([("one", "1"), ("three", "3")], 80) == ["one    1", "three  3"]
    assert fitted([Column("a")], [], 80) == []


@pytest.mark.parametrize("width", [40, 80, 120])
def test_wide_letters_count_twice(width: int) -> None:
    lines = fitted([Column("x"), Column("y")], [["日本", "1"], ["abcd", "2"]], width)
    assert lines[1:] == ["日本  1", "abcd  2"]


def test_lines_are_printed_as_they_are() -> None:
    out = Console(file=io.StringIO(), width=20)
    put(out, ["[bold] " + PATH])
    assert isinstance(out.file, io.StringIO)
    assert out.file.getvalue() == f"[bold] {PATH}\n"
