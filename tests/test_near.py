"""A file that is missing, with a name much like one beside it: the line names that one. A class that lacks a method is
named, with the method."""

from pathlib import Path

import pytest

from benchbed import registry
from benchbed.errors import BenchbedError
from benchbed.report.collect import collect, place_of
from benchbed.runtime.reading import near, read_text


def test_a_missing_file_names_the_one_that_is_most_like_it(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text("")
    (tmp_path / "zebra").write_text("")
    assert near(tmp_path / "studdy.toml") == f"; did you mean '{tmp_path / 'study.toml'}'?"
    assert near(tmp_path / "study.toml") == near(tmp_path / "quite-other") == near(tmp_path / "no/folder") == ""
    with pytest.raises(BenchbedError, match=r"No such file.*; did you mean '.*study.toml'\?$"):
        read_text(tmp_path / "study.tml", 10)
    with pytest.raises(BenchbedError, match=r"did you mean '.*study.toml'\?$"):
        place_of(tmp_path / "study.tom")


def test_a_missing_plug_in_file_names_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "temp_darts.py").write_text("")
    wanted = r"cannot read plug-in file .*temp_dart.py.*; did you mean '.*temp_darts.py'\?$"
    with pytest.raises(BenchbedError, match=wanted):
        registry.add_file(tmp_path / "temp_dart.py")


def test_a_class_that_lacks_a_method_is_named_with_it(tmp_path: Path) -> None:
    file = tmp_path / "halfdone.py"
    file.write_text(
        "from benchbed.searcher import GradientSearcher\n\n\nclass Halfdone(GradientSearcher):\n"
        "    def weight_gates(self, objective, batch, clock):\n        return self.sample(1)[0]\n"
    )
    with pytest.raises(BenchbedError, match=r"class Halfdone is not a Searcher yet: it lacks arch_gates$"):
        registry.add_file(file)


def test_the_folder_of_one_run_is_told_from_a_folder_of_runs(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "record.json").write_text("{}")
    with pytest.raises(BenchbedError, match=f"one is one run: give the folder that it is in, {tmp_path}$"):
        collect(tmp_path / "one")
