"""Scripts beside the package refuse what cannot be in one line, before they do anything."""

from pathlib import Path

import pytest

from benchbed.errors import BenchbedError
from benchbed.runtime.script import Parser, ended

BENCHMARKS = sorted((Path(__file__).resolve().parents[2] / "benchmarks").glob("*/run.py"))


def made() -> Parser:
    parser = Parser("What it does.")
    parser.prog = "run.py"
    parser.counts(rounds=3, cells=5)
    return parser


def test_what_is_given_is_taken(tmp_path: Path) -> None:
    found = made().parse_args(["--rounds", "7", "--out", str(tmp_path / "new.json")])
    assert (found.rounds, found.cells, found.out) == (7, 5, tmp_path / "new.json")
    assert list(tmp_path.iterdir()) == []
    assert made().parse_args([]).out is None


@pytest.mark.parametrize(("words", "line"), [
    (["--rounds", "0"], "--rounds 0: expected a whole number of at least 1"),
    (["--rounds", "2.5"], "--rounds 2.5: expected a whole number of at least 1"),
    (["--out", "/nope/x.json"], "--out '/nope/x.json' cannot be written: there is no folder '/nope'"),
    (["--out", "/"], "--out '/' is a folder: expected a file"),
    (["--laps", "2"], "unrecognized arguments: --laps 2"),
])  # fmt: skip
def test_what_cannot_be_is_one_line(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        made().parse_args(words)
    assert refused.value.code == 2
    assert capsys.readouterr().err == f"run.py: {line}\n"


def test_a_refusal_of_the_package_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses() -> int:
        raise BenchbedError("device 'cuda' cannot be used")

    monkeypatch.setattr("sys.argv", ["somewhere/run.py"])
    assert ended(refuses) == 2
    assert capsys.readouterr().err == "run.py: device 'cuda' cannot be used\n"
    assert ended(lambda: 1) == 1
    assert ended(lambda: None) == 0


@pytest.mark.parametrize("file", BENCHMARKS, ids=lambda file: file.parent.name)
def test_each_benchmark_refuses_so(file: Path) -> None:
    text = file.read_text()
    assert "Parser(__doc__)" in text
    assert "ArgumentParser(" not in text
    assert text.endswith('if __name__ == "__main__":\n    sys.exit(ended(main))\n')
