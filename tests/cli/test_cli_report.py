"""The command `report`: what it prints, where it writes, and how it is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def runs(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "runs"))


def test_a_folder_of_runs_becomes_a_report_and_damage_is_named(
    runs: Path, command: Callable[..., Any], tmp_path: Path
) -> None:
    (runs / "broken").mkdir()
    (runs / "broken" / "record.json").write_text("{")
    outcome = command("report", runs)
    assert outcome.status == 1
    assert outcome.err.startswith(f"benchbed: {runs}/broken/record.json is not valid JSON")
    assert outcome.err.count("\n") == 1
    assert "trained for 1 epoch: 1 run in 1 row" in outcome.out
    assert outcome.out.count("control missing: ") == 2
    page = (runs / "report" / "report.html").read_text()
    assert "broken/record.json is not valid JSON" in page
    assert "random x magnitude" in page
    again = command("report", runs, "--out", tmp_path / "elsewhere")  # the report is no run
    assert again.out.splitlines()[0] == outcome.out.splitlines()[0]
    assert (tmp_path / "elsewhere" / "report.csv").read_bytes() == (runs / "report" / "report.csv").read_bytes()


def test_what_an_earlier_report_wrote_and_this_one_does_not_is_removed(
    runs: Path, command: Callable[..., Any], tmp_path: Path
) -> None:
    out, outside = runs / "report", tmp_path / "figures.svg"
    assert command("report", runs).status == 0
    listed = (out / "files.txt").read_text()
    whole = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    for file in (out / "figures" / "gone.svg", out / "figures" / "mine.svg", outside):
        file.write_text("<svg/>")
    (out / "files.txt").write_text(f"{listed}figures/gone.svg\n../../figures.svg\n{outside}\nfigures\n\n")
    assert command("report", runs).status == 0
    assert not (out / "figures" / "gone.svg").exists()
    assert (out / "figures" / "mine.svg").exists()  # no report has listed it
    assert outside.exists()
    assert {p for p in out.rglob("*") if p.is_file()} == {*whole, out / "figures" / "mine.svg"}
    assert (out / "files.txt").read_text() == listed


def test_the_file_of_a_study_names_the_folder(runs: Path, command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(f'out = "{runs}"\n')
    outcome = command("report", tmp_path / "study.toml", "--out", tmp_path / "elsewhere")
    assert outcome.status == 0
    assert (tmp_path / "elsewhere" / "report.html").is_file()


def test_bad_input_is_one_line(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.toml").write_text("x = [")
    assert "holds no finished run" in refused("report", tmp_path / "empty")
    assert "is not a folder of runs" in refused("report", "absent")
    assert "is not TOML" in refused("report", tmp_path / "bad.toml")
